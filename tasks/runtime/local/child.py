"""The process that does a slot's jobs: it keeps a base loaded and does one job after another.

Jobs come as JSON lines on standard input, answers and progress go as JSON lines to standard output; whatever libraries
print goes to standard error. When its parent is gone, standard input ends and the child ends with it.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from tasks.methods import METHODS
from tasks.runtime.job import Desk, Warm, measured, prepare_process, reason
from tasks.runtime.local.jobs import read_job
from tasks.runtime.local.sharded import run_sharded
from tasks.runtime.progress import Report, careful, seldom
from tasks.runtime.store import DamagedArtifact, Store
from tasks.runtime.stores import open_store

_sending = threading.Lock()


def main(store: Store) -> None:
    """Answer jobs until standard input ends."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked, orders = _own_input(), queue.Queue[str]()
    threading.Thread(target=_listen, args=(asked, orders), daemon=True).start()
    prepare_process()
    _send_warnings(channel)
    warm = SettledWarm()
    while True:
        answer = _answer(json.loads(orders.get()), store, warm, channel)
        _send(channel, answer)
        if "CUDA error" in answer.get("error", ""):
            os._exit(1)  # nothing works on that GPU any more in this process


class SettledWarm(Warm):
    """Before its first base, imports what trains, and tells the garbage collector that it stays.

    Each trainer ends with a full collection, which would look through the libraries' objects again: a quarter of a
    second a run. Before the first base is loaded, since what is told to stay is never freed.
    """

    _settled = False

    def get(self, key: str, load: Callable[[], Any]) -> Any:
        if not self._settled:
            import trl

            for method in METHODS.values():
                getattr(trl, method.trainer)  # imported at first use
            gc.collect()
            gc.freeze()
            self._settled = True
        return super().get(key, load)


def _own_input() -> TextIO:
    """Standard input, from now on under another number: a library that asks a question finds nobody to answer."""
    jobs = os.fdopen(os.dup(sys.stdin.fileno()))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return jobs


def _listen(asked: TextIO, orders: queue.Queue[str]) -> None:
    for line in asked:
        orders.put(line)
    os._exit(0)  # the parent closed its end or is gone: nobody waits for what is under way


def _send(channel: TextIO, answer: Mapping[str, Any]) -> None:
    """One line, whole: a job, what it logs and its progress may come from several threads."""
    with _sending:
        channel.write(json.dumps(answer) + "\n")


def _send_warnings(channel: TextIO) -> None:
    """What the product warns of is for who asked, not for this process's log alone."""

    class ToParent(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                _send(channel, {"warning": record.getMessage()})
            except (OSError, ValueError):
                self.handleError(record)  # nobody reads any more, which is no fault of what warns

    for name in ("configs", "tasks"):
        logging.getLogger(name).handlers = [logging.StreamHandler(), ToParent(logging.WARNING)]


def _answer(order: dict[str, Any], store: Store, warm: Warm, channel: TextIO) -> dict[str, Any]:
    progress = careful(seldom(lambda report: _send(channel, {"progress": report})))
    try:
        job, desk = read_job(order), Desk(Path(order["folder"]), store, progress, warm)
        if job.processes == 1:
            return {"result": measured(lambda: job.run(desk)).model_dump()}
        job.before_sharding(desk)
        warm.drop()  # the processes that do it need the memory
        progress(Report(f"go on over {job.processes} processes"))
        return {"result": run_sharded(job, desk)}
    except DamagedArtifact as error:
        return {"damaged": [error.stage, error.key, error.fault]}
    except Exception as error:
        traceback.print_exc()
        return {"error": reason(error)}


if __name__ == "__main__":
    main(open_store(sys.argv[1]))
