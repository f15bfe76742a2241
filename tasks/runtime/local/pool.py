"""Slots, one a GPU (or several together) or one a CPU worker, each with a warm child process that trains.

A cell leases a slot for its jobs. A child that dies fails only the job it had; the next lease starts another.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import InputError
from tasks.runtime.files import try_lock
from tasks.runtime.processes import children, end
from tasks.runtime.store import Artifact, Record, Store

log = logging.getLogger(__name__)
QUIET = {
    "TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false", "DO_NOT_TRACK": "1",
}  # fmt: skip
CPU = {
    "OMP_NUM_THREADS": "1",
    # Keep freed memory instead of handing it to the kernel and back at every step: a third of the time on a CPU.
    "MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_TOP_PAD_": str(2**28),
}  # fmt: skip


class JobFailed(RuntimeError):
    """A job that raised, or whose child died; the message is the reason."""


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


class Pool:
    """The slots of this machine: its GPUs, `gpus_each` a slot, or `workers` processes on the CPU (default: one a core).

    Raises:
        InputError: there are GPUs, but fewer than a slot is to have.
    """

    def __init__(self, folder: Path, workers: int | None = None, gpus_each: int = 1) -> None:
        ids = gpus()
        if 0 < len(ids) < gpus_each:
            raise InputError(f"architectures: one asks for {gpus_each} GPUs, and this machine has {len(ids)}")
        groups = [ids[at : at + gpus_each] for at in range(0, len(ids) - gpus_each + 1, gpus_each)]
        cores = range(workers or cores_of_this_process())
        self._slots = [Slot(f"gpu-{'-'.join(group)}", group, folder) for group in groups] or [
            Slot(f"cpu-{n}", [], folder) for n in cores
        ]
        self._free = list(self._slots)
        self._closed = False
        self._changed = threading.Condition()
        self._wanted: dict[str, threading.Lock] = {}

    @property
    def size(self) -> int:
        return len(self._slots)

    @contextmanager
    def lease(self, base: str) -> Iterator[Slot]:
        """A free slot, if possible one that holds `base`; waits for one.

        Lease before you lock an artifact: a lock's holder that waited for a slot could wait for ever on another study
        that has the GPU and wants the artifact.

        Raises:
            JobFailed: the pool is closed.
        """
        slot = self._take(base)
        try:
            yield slot
        finally:
            with self._changed:
                self._free.append(slot)
                self._changed.notify()

    def make(self, store: Store, stage: str, key: str, base: str, build: Callable[[Slot, Path], Record]) -> Artifact:
        """An artifact that a slot builds; one that exists takes no slot."""
        with self._one_by_one(key):
            found = store.find(stage, key)
            if found:
                return found
            with self.lease(base) as slot:
                return store.make(stage, key, lambda folder: build(slot, folder))

    def _one_by_one(self, key: str) -> threading.Lock:
        """For those of this process that want the same artifact: who waits for it holds no slot."""
        with self._changed:
            return self._wanted.setdefault(key, threading.Lock())

    def close(self) -> None:
        """End all children, of leased slots too, and lease no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for slot in self._slots:
            slot.close()

    def _take(self, base: str) -> Slot:
        with self._changed:
            while not self._closed:
                for slot in sorted(self._free, key=lambda slot: slot.base != base):  # then the longest idle one
                    if slot.claim():
                        self._free.remove(slot)
                        slot.base = base
                        return slot
                self._changed.wait(timeout=1.0)  # a GPU may be another study's, which can't notify
        raise JobFailed("the study was stopped")


class Slot:
    """One place where something trains. A slot with GPUs also keeps other studies of this user off them."""

    def __init__(self, name: str, gpus: list[str], folder: Path) -> None:
        self.name, self.gpus, self.folder = name, gpus, folder
        self.base: str | None = None
        self._child: subprocess.Popen[str] | None = None
        self._sees = 1
        self._held: list[int] = []
        self._closed = False
        self._starting = threading.Lock()

    def claim(self) -> bool:
        """Whether the slot is ours: GPUs are, from the first lease until `close`, unless another study has one."""
        if self._held:
            return True
        for gpu in self.gpus:
            held = try_lock(Path(tempfile.gettempdir()) / f"pluralign-{os.getuid()}-gpu-{gpu}.lock")
            if held is None:
                self._let_go()
                return False
            self._held.append(held)
        return True

    def run(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do a job of `tasks.runtime.local.child` and return its result; progress is logged.

        Raises:
            JobFailed: the job raised, or the child died on it.
        """
        with self._starting:
            child = self._living_child(arguments["architecture"]["gpus"])
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({"name": name, "arguments": arguments}) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                answer = json.loads(line)
                if "progress" not in answer:
                    return self._result(answer)
                log.info("%s: %s: %s", arguments["architecture"]["name"], name, answer["progress"])
        except (BrokenPipeError, json.JSONDecodeError):
            pass  # it died, perhaps in the middle of a line
        code = child.wait()
        raise JobFailed(f"its worker process {_how_it_ended(code)}; its log is {self._log_path()}")

    def close(self) -> None:
        """End the child, if there is one, give the GPU back, and start no other."""
        with self._starting:
            self._closed = True
            self._end_child()
            self._let_go()

    def _end_child(self) -> None:
        """With the processes that it shares a training run with."""
        if self._child:
            below = children([self._child.pid])
            self._child.kill()
            self._child.wait()
            end(below, seconds=0)
        self._child = None

    def _let_go(self) -> None:
        for held in self._held:
            os.close(held)
        self._held = []

    def _result(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise JobFailed(answer["error"])
        return answer["result"]

    def _living_child(self, gpus: int = 1) -> subprocess.Popen[str]:
        """The child, one that sees so many of the slot's GPUs: with more, a trainer would use them all."""
        if self._closed:
            raise JobFailed("the study was stopped")
        if self._child and self._child.poll() is None and (self._sees == gpus or not self.gpus):
            return self._child
        self._end_child()
        self._sees = gpus
        self._log_path().parent.mkdir(parents=True, exist_ok=True)
        with self._log_path().open("a") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tasks.runtime.local.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, env=self._environment(),
                start_new_session=True,  # Ctrl-C is the parent's business, which then ends its children
            )  # fmt: skip
        return self._child

    def _environment(self) -> dict[str, str]:
        place = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus[: self._sees])} if self.gpus else CPU
        return os.environ | QUIET | place | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def _log_path(self) -> Path:
        return self.folder / f"{self.name}.log"


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
