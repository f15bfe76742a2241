"""One training run over several processes: each holds a part of the base (FSDP, through accelerate).

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
from pathlib import Path
from typing import Any

import psutil

from configs.schema import Architecture

FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}  # fmt: skip


class ShardedFailed(RuntimeError):
    """One of the processes failed; the message ends with its last words."""


def run_sharded(architecture: Architecture, job: dict[str, Any], on_gpus: bool) -> dict[str, Any]:
    """Do a `train` job of `tasks.runtime.local.child` over `architecture.gpus` processes.

    Raises:
        ShardedFailed: a process ended with an error; the others are ended with it.
    """
    with tempfile.TemporaryDirectory() as place:
        order, result = Path(place, "job.json"), Path(place, "result.json")
        order.write_text(json.dumps(job | {"result": str(result), "parent": os.getpid()}))
        ended = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(architecture.gpus),
             "-m", "tasks.runtime.local.sharded", str(order)],
            env=os.environ | (FSDP if on_gpus else {}), stdout=sys.stderr, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
        sys.stderr.write(ended.stderr)
        if ended.returncode:
            raise ShardedFailed(last_words(ended.stderr) or f"exit code {ended.returncode}")
        return json.loads(result.read_text())


def last_words(log: str) -> str:
    """What the first process that failed said last: torch marks the lines of its traceback with its rank."""
    lines = [line for line in log.splitlines() if line.startswith("[rank")]
    first = [line.partition("]: ")[2] for line in lines if line.partition(":")[0] == lines[0].partition(":")[0]]
    return first[-1].rpartition("tasks.")[2] if first else ""


def main(path: str) -> None:
    """Train as one of the processes; the first writes the result."""
    from tasks.runtime.local.child import train_on

    job = json.loads(Path(path).read_text())
    place = Path(job.pop("result"))
    threading.Thread(target=_end_with, args=(job.pop("parent"),), daemon=True).start()
    result = train_on(lambda _: None, processes=int(os.environ["WORLD_SIZE"]), **job)
    if os.environ["RANK"] == "0":
        place.write_text(json.dumps(result))


def _end_with(parent: int) -> None:
    """Nobody waits for the run once the slot's process is gone."""
    while psutil.pid_exists(parent):
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
