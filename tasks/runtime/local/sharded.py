"""One job over several processes: each holds a part of the base (FSDP, through accelerate).

The slot's process starts one of these a GPU and waits for them. On a machine without GPUs they hold the whole base each
and split the batch, which tests use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.runtime.files import write_atomically
from tasks.runtime.job import Desk, Job, measured
from tasks.runtime.local.jobs import as_order, read_job
from tasks.runtime.processes import existing, runs_on
from tasks.runtime.progress import Progress, Report, careful, seldom, unheard
from tasks.runtime.store import Record
from tasks.runtime.stores import open_store

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}


class ShardedFailed(RuntimeError):
    """One of the processes failed; the message ends with its last words."""


def run_sharded(job: Job, desk: Desk) -> Record:
    """Do a job over `job.processes` processes, which fill the desk's folder together.

    Raises:
        ShardedFailed: a process ended with an error; the others are ended with it.
    """
    import torch

    with tempfile.TemporaryDirectory() as place:
        order, result, heard = (Path(place, name) for name in ("job.json", "result.json", "progress.json"))
        places = {
            "folder": str(desk.folder),
            "store": desk.store.address,
            "result": str(result),
            "progress": str(heard),
        }
        order.write_text(json.dumps({**as_order(job), **places, "parent": os.getpid()}))
        launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(job.processes)]
        with _following(heard, desk.progress):
            ended = subprocess.run(
                [sys.executable, "-m", *launch, "-m", "tasks.runtime.local.sharded", str(order)],
                env=os.environ | (FSDP if torch.cuda.is_available() else {}),
                stdout=sys.stderr,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        sys.stderr.write(ended.stderr)
        if ended.returncode:
            raise ShardedFailed(last_words(ended.stderr) or f"exit code {ended.returncode}")
        return json.loads(result.read_text())


@contextmanager
def _following(file: Path, progress: Progress) -> Iterator[None]:
    """Hand on what the first of the processes writes into a file of its progress."""
    ended = threading.Event()

    def follow() -> None:
        last = ""
        while not ended.wait(1.0):
            text = file.read_text() if file.exists() else ""
            if text != last:
                progress(Report(*json.loads(text)))
                last = text

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    try:
        yield
    finally:
        ended.set()
        following.join()


def last_words(log: str) -> str:
    """What the first process that failed said last: torch marks the lines of its traceback with its rank."""
    lines = [line for line in log.splitlines() if line.startswith("[rank")]
    first = [line.partition("]: ")[2] for line in lines if line.partition(":")[0] == lines[0].partition(":")[0]]
    return first[-1].rpartition("tasks.")[2] if first else ""


def main(path: str) -> None:
    """Do the job as one of the processes; the first writes the result."""
    order = json.loads(Path(path).read_text())
    threading.Thread(target=_end_with, args=(order["parent"],), daemon=True).start()
    job, rank, processes = read_job(order), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    heard = seldom(lambda report: write_atomically(Path(order["progress"]), json.dumps(report)))
    progress = careful(heard) if rank == 0 else unheard
    desk = Desk(Path(order["folder"]), open_store(order["store"]), progress, processes=processes, rank=rank)
    result = measured(lambda: job.run(desk)).model_dump()
    if rank == 0:
        Path(order["result"]).write_text(json.dumps(result))


def _end_with(parent: int) -> None:
    """Nobody waits for the run once the slot's process is gone."""
    while any(map(runs_on, existing([parent]))):  # nobody may be there to bury it: a zombie is gone too
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
