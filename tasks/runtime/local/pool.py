"""The runner of this machine: slots, one a GPU (or several together) or one a CPU worker.

A child that dies fails only the job it had; the slot's next job starts another.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from configs.errors import InputError
from tasks.runtime.job import Done, Job
from tasks.runtime.local.slot import Slot
from tasks.runtime.router import Router
from tasks.runtime.runner import Wanted, again_if_lost, find_result
from tasks.runtime.store import Artifact, Store

MOST_THREADS = 8
"""Of a process without GPU, where cores are left. A tiny model's products are too small for two."""


class Pool:
    """A `Runner`: this machine's GPUs, `gpus_each` a slot, or `workers` processes on the CPU (default: one a core),
    each with at most `threads_each` threads, and all together with no more than there are cores.

    Raises:
        InputError: there are GPUs, but fewer than a slot is to have.
    """

    def __init__(
        self, store: Store, folder: Path, workers: int | None = None, gpus_each: int = 1, threads_each: int = 1,
        retries: int = 0,
    ) -> None:  # fmt: skip
        """`folder`: for the children's logs. `retries`: of a job whose process died."""
        ids = gpus()
        if 0 < len(ids) < gpus_each:
            raise InputError(f"architectures: one asks for {gpus_each} GPUs, and this machine has {len(ids)}")
        groups = [ids[at : at + gpus_each] for at in range(0, len(ids) - gpus_each + 1, gpus_each)]
        cores = cores_of_this_process()
        workers = workers or cores
        threads = max(min(threads_each, cores // workers), 1)
        self.slots = [Slot(f"gpu-{'-'.join(group)}", group, folder, store) for group in groups] or [
            Slot(f"cpu-{n}", [], folder, store, threads) for n in range(workers)
        ]
        self.router = Router(self.slots)
        self._store, self._retries = store, retries
        self._wanted = Wanted()

    @property
    def size(self) -> int:
        return len(self.slots)

    def check(self) -> None:
        """This machine is here."""

    def run(self, job: Job[Done]) -> Artifact[Done]:
        """A slot first, then the artifact's lock in the store: who held that and waited for a slot could wait for ever
        on another study that has the GPU and wants the artifact."""
        with self.router.asking(), self._wanted.only(job.key):
            finished = find_result(job, self._store)
            if finished:
                return finished
            return again_if_lost(self._retries, job, lambda: self._on_a_slot(job))

    def _on_a_slot(self, job: Job[Done]) -> Artifact[Done]:
        with self.router.lease(job.near) as slot:
            return slot.run(job)

    def near(self, base: str) -> AbstractContextManager[None]:
        return self.router.near(base)

    def close(self) -> None:
        """End all children, also those at work."""
        self.router.close()
        for slot in self.slots:
            slot.close()


def gpus() -> list[str]:
    """Ids of the GPUs that this process may use, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [item.strip() for item in visible.split(",") if item.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(index) for index in range(listed.stdout.count("GPU "))]


def cores_of_this_process() -> int:
    """Cores that it may use, where the system can say; else the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
