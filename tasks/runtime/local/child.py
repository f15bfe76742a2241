"""The process that does a slot's jobs: it keeps a base loaded and does one job after another.

Jobs come as JSON lines on standard input, answers and progress go as JSON lines to standard output; whatever libraries
print goes to standard error. When its parent is gone, standard input ends and the child ends with it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from tasks.methods import METHODS
from tasks.runtime.job import Desk, Warm, measured, prepare_process, reason
from tasks.runtime.local.jobs import read_job
from tasks.runtime.local.sharded import run_sharded
from tasks.runtime.store import Store, open_store

SECONDS_BETWEEN_PROGRESS = 30.0


def main(store: Store) -> None:
    """Answer jobs until standard input ends."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked, orders = _own_input(), queue.Queue[str]()
    threading.Thread(target=_listen, args=(asked, orders), daemon=True).start()
    prepare_process()
    warm = SettledWarm()
    while True:
        answer = _answer(json.loads(orders.get()), store, warm, channel)
        channel.write(json.dumps(answer) + "\n")
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


def _answer(order: dict[str, Any], store: Store, warm: Warm, channel: TextIO) -> dict[str, Any]:
    last = time.monotonic()

    def progress(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_PROGRESS:
            channel.write(json.dumps({"progress": text}) + "\n")
            last = time.monotonic()

    try:
        job, desk = read_job(order), Desk(Path(order["folder"]), store, progress, warm)
        if job.processes == 1:
            return {"result": measured(lambda: job.run(desk)).model_dump()}
        job.before_sharding(desk)
        warm.drop()  # the processes that do it need the memory
        progress(f"going on over {job.processes} processes")
        return {"result": run_sharded(job, desk)}
    except Exception as error:
        traceback.print_exc()
        return {"error": reason(error)}


if __name__ == "__main__":
    main(open_store(sys.argv[1]))
