"""What a Ray actor is here: the host of a slot on some node, which does one job after another there.

An actor can't be interrupted and may freeze unseen, so it does no work itself: the slot's child process does. What it
says comes as a stream of messages, and a sign of life while there is nothing to say.
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.runtime.job import reason
from tasks.runtime.local.jobs import read_job
from tasks.runtime.local.pool import gpus
from tasks.runtime.local.slot import Slot
from tasks.runtime.progress import Report, heard_by
from tasks.runtime.ray.nodes import NodeNeeds, node_faults
from tasks.runtime.runner import JobFailed, WorkerLost
from tasks.runtime.store import DamagedArtifact
from tasks.runtime.stores import open_store

SECONDS_BETWEEN_SIGNS = 5.0
PRODUCT = ("configs", "tasks")
"""The loggers of the product's own."""
LAST = frozenset({"published", "failed", "lost", "damaged"})
"""The messages of which one ends a job."""


class Host:
    """Lives in an actor's process; `run` streams messages, each of one entry."""

    def __init__(self, needs: NodeNeeds, name: str, threads: int) -> None:
        """threads: of the child where it has no GPU.

        Raises:
            RuntimeError: this node lacks something of what the study needs.
        """
        faults = node_faults(needs)
        if faults:
            raise RuntimeError("; ".join(faults))
        logs = Path(os.environ.get("PLURALIGN_HOME") or Path(tempfile.gettempdir()) / f"pluralign-{os.getuid()}")
        self._slot = Slot(name, gpus(), logs.absolute() / "slots", open_store(needs.store, needs.owner), threads)

    def node(self) -> str:
        """Ray's id of the node; the answer comes once the host is ready."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def run(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Do the job of `jobs.as_order`."""
        said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=lambda: said.put(self._do(order, said)), daemon=True).start()
        while True:
            try:
                message = said.get(timeout=SECONDS_BETWEEN_SIGNS)
            except queue.Empty:
                message = {"alive": True}
            yield message
            if LAST & set(message):
                return

    def _do(self, order: dict[str, Any], said: queue.Queue[dict[str, Any]]) -> dict[str, Any]:
        def hear(report: Report) -> None:
            said.put({"progress": list(report)})

        try:
            with heard_by(hear), _warnings_to(said):
                return {"published": self._slot.run(read_job(order)).fresh}
        except DamagedArtifact as error:
            return {"damaged": [error.stage, error.key, error.fault]}
        except WorkerLost as error:
            return {"lost": str(error)}
        except JobFailed as error:
            return {"failed": str(error)}
        except Exception as error:  # such as a store that fails
            return {"failed": reason(error)}


@contextmanager
def _warnings_to(said: queue.Queue[dict[str, Any]]) -> Iterator[None]:
    """Within it, what the product warns of in this process is said to who asked for the job."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.put({"warning": record.getMessage()})  # type: ignore[method-assign]
    for name in PRODUCT:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in PRODUCT:
            logging.getLogger(name).removeHandler(handler)
