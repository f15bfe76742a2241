"""Slots, one a GPU or one a CPU worker, each with a warm child process that trains.

A cell leases a slot for its jobs. A child that dies fails only the job it had; the next lease starts another.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tasks.artifact import locked

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


class Pool:
    """The slots of this machine: its GPUs, or `workers` processes on the CPU (default: one a core)."""

    def __init__(self, folder: Path, workers: int | None = None) -> None:
        ids = gpus()
        cores = range(workers or len(os.sched_getaffinity(0)))
        self._free = [Slot(f"gpu-{id}", id, folder) for id in ids] or [Slot(f"cpu-{n}", None, folder) for n in cores]
        self.size = len(self._free)
        self._changed = threading.Condition()

    @contextmanager
    def lease(self, base: str) -> Iterator[Slot]:
        """A free slot, if possible one that holds `base`; waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            slot = next((slot for slot in self._free if slot.base == base), self._free[0])  # the longest idle one
            self._free.remove(slot)
        try:
            slot.base = base
            yield slot
        finally:
            with self._changed:
                self._free.append(slot)
                self._changed.notify()

    def close(self) -> None:
        """End the children of all free slots."""
        with self._changed:
            for slot in self._free:
                slot.close()


class Slot:
    """One place where something trains. A GPU's slot also keeps other studies on the machine off that GPU."""

    def __init__(self, name: str, gpu: str | None, folder: Path) -> None:
        self.name, self.gpu, self.folder = name, gpu, folder
        self.base: str | None = None
        self._child: subprocess.Popen[str] | None = None
        self._held = ExitStack()

    def run(self, name: str, progress: Callable[[str], None] = log.debug, **arguments: Any) -> dict[str, Any]:
        """Do a job of `tasks.slots.child` and return its result.

        Raises:
            JobFailed: the job raised, or the child died on it.
        """
        child = self._living_child()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"name": name, "arguments": arguments}) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                answer = json.loads(line)
                if "progress" not in answer:
                    return self._result(answer)
                progress(answer["progress"])
        except BrokenPipeError:
            pass
        code = child.wait()
        self.close()
        raise JobFailed(f"its worker process {_how_it_ended(code)}; its log is {self._log_path()}")

    def close(self) -> None:
        """End the child, if there is one, and give the GPU back."""
        if self._child:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe:
                    with suppress(BrokenPipeError):
                        pipe.close()
        self._child = None
        self._held.close()

    def _result(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise JobFailed(answer["error"])
        return answer["result"]

    def _living_child(self) -> subprocess.Popen[str]:
        if self._child and self._child.poll() is None:
            return self._child
        self.close()
        if self.gpu is not None:
            self._held.enter_context(locked(self.folder / f"{self.name}.lock"))
        self._log_path().parent.mkdir(parents=True, exist_ok=True)
        with self._log_path().open("a") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tasks.slots.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, env=self._environment(),
            )  # fmt: skip
        return self._child

    def _environment(self) -> dict[str, str]:
        place = CPU if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return os.environ | QUIET | place | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def _log_path(self) -> Path:
        return self.folder / f"{self.name}.log"


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
