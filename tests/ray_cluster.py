"""A Ray cluster of several nodes on this machine, with GPUs that are only counted, and a host that does no real work.

Ray reads its environment when it is first imported, and a token once: both are set here for the whole test process.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tasks.architectures.load import BaseRef
from tasks.generation.step import Answer
from tasks.runtime.files import kept_secret
from tasks.runtime.ray.actor import Host
from tasks.runtime.ray.cluster import OWN, QUIET
from tasks.runtime.ray.nodes import NodeNeeds
from tasks.runtime.stores import open_store
from tests.models import RECIPE, architecture

QUICK = {f"health_check_{name}": value for name, value in {"period_ms": 500, "timeout_ms": 500}.items()}


if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # else this is a process that a test has started
    os.environ.update(QUIET | OWN | {"RAY_AUTH_TOKEN_PATH": str(Path(tempfile.mkdtemp(prefix="ray-token-")) / "token")})


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """`ray.cluster_utils.Cluster` without a node, on loopback only; skips where Ray is not installed."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    kept_secret(Path(os.environ["RAY_AUTH_TOKEN_PATH"]))
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any, gpus: int, cpus: int = 4) -> Any:
    options = {"num_gpus": gpus, "num_cpus": cpus, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    if not cluster.list_all_nodes():
        options |= {"_system_config": QUICK}
    return cluster.add_node(**options)


class SleepingHost(Host):
    """Publishes what it is asked for after so many seconds, and writes down each base that it would have loaded.

    A job for whose key there is a file `fault-KEY` in the store's folder meets the first fault named, each once.
    """

    def __init__(self, needs: NodeNeeds, name: str, threads: int, seconds: float = 0.05, load: float = 0.3) -> None:
        self._store, self._name, self._base = open_store(needs.store, needs.owner), name, ""
        self._seconds, self._load = seconds, load
        self._notes = Path(needs.store)

    def run(self, order: dict[str, Any]) -> Iterator[dict[str, Any]]:
        from tasks.runtime.local.jobs import read_job

        job = read_job(order)
        yield {"progress": ["begin", 0.0, 0.0, ""]}
        if job.near and self._base != job.near:
            time.sleep(self._load)
            self._base = job.near
            self._note("loads", f"{self._name} {job.near}")
        fault = self._notes / f"fault-{job.key}"
        if fault.exists():
            kind, *later = fault.read_text().split()
            fault.write_text(" ".join(later)) if later else fault.unlink()
            yield from FAULTS[kind]()
            return
        slow = self._notes / "seconds"
        time.sleep(float(slow.read_text()) if slow.exists() else self._seconds)
        made = self._store.make(job.stage, job.key, lambda folder: {"at_once": 1})
        self._note("done", job.key)
        yield {"published": made.fresh}

    def _note(self, name: str, line: str) -> None:
        with (self._notes / name).open("a") as file:
            file.write(f"{line}\n")


def answers(base: str, number: int, gpus: int = 1, title: str = "") -> Answer:
    """A job that no host but this one could do: its base and prompts are nowhere."""
    model = architecture(title or "llama").model_copy(update={"gpus": gpus})
    return Answer(base=BaseRef(architecture=model, key=base), run_key=str(number), prompts="none", recipe=RECIPE)


def die() -> Iterator[dict[str, Any]]:
    os._exit(9)
    yield {}


def freeze() -> Iterator[dict[str, Any]]:
    import signal

    os.kill(os.getpid(), signal.SIGSTOP)
    yield {}


def lose_child() -> Iterator[dict[str, Any]]:
    yield {"lost": "its worker process was killed by SIGKILL (out of memory?); its log is x.log"}


FAULTS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {"die": die, "freeze": freeze, "lost": lose_child}
