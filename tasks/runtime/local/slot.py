"""One place of this machine where jobs are done: a warm child process, on GPUs of its own where there are any."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tasks.runtime.files import try_lock
from tasks.runtime.job import Done, Job
from tasks.runtime.local.jobs import as_order
from tasks.runtime.processes import children, end
from tasks.runtime.progress import Report, tell
from tasks.runtime.runner import STOPPED, JobFailed, WorkerLost, make_result
from tasks.runtime.store import Artifact, DamagedArtifact, Record, Store

log = logging.getLogger(__name__)
QUIET = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_MLFLOW_INTEGRATION": "TRUE",  # or TRL imports MLflow, a second a process
    "DO_NOT_TRACK": "1",
}
CPU = {
    "OMP_WAIT_POLICY": "PASSIVE",  # or on a busy machine two threads that wait for each other take twice as long as one
    # Keep freed memory instead of handing it to the kernel and back at every step: a third of the time on a CPU.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**28),
}


class Slot:
    """Keeps a child and gives it jobs. A slot with GPUs also keeps other studies of this user off them."""

    def __init__(self, name: str, gpus: list[str], folder: Path, store: Store, threads: int = 1) -> None:
        """`folder`: for the log of the child, which opens `store` by its address. `threads`: of a child without GPU."""
        self.threads = threads
        self.name, self.gpus, self.store, self.log_file = name, gpus, store, folder / f"{name}.log"
        self.base: str | None = None
        self._child: subprocess.Popen[str] | None = None
        self._sees = 1
        self._held: list[int] = []
        self._closed = False
        self._starting = threading.Lock()

    def claim(self) -> bool:
        """Whether the slot is ours: GPUs are, from the first job until `close`, unless another study has one."""
        if self._held:
            return True
        for gpu in self.gpus:
            held = try_lock(Path(tempfile.gettempdir()) / f"pluralign-{os.getuid()}-gpu-{gpu}.lock")
            if held is None:
                self._let_go()
                return False
            self._held.append(held)
        return True

    def run(self, job: Job[Done]) -> Artifact[Done]:
        """Have the child do a job; its progress is told, its warnings are logged.

        Raises:
            JobFailed: the job raised; as `WorkerLost` where the child died on it.
            DamagedArtifact: one of its inputs is not what was published; the store no longer finds that.
        """
        return make_result(job, self.store, lambda folder: self._ask(job, folder))

    def close(self) -> None:
        """End the child, if there is one, give the GPUs back, and start no other."""
        with self._starting:
            self._closed = True
            self._end_child()
            self._let_go()

    def _ask(self, job: Job, folder: Path) -> Record:
        """The job's record; the child writes the files into `folder`."""
        with self._starting:
            child = self._living_child(job.gpus)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps({**as_order(job), "folder": str(folder.absolute())}) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                answer: dict[str, Any] = json.loads(line)
                if "result" in answer:
                    return answer["result"]
                if "error" in answer:
                    raise JobFailed(answer["error"])
                if "damaged" in answer:
                    self.store.distrust(*answer["damaged"])
                    raise DamagedArtifact(*answer["damaged"])
                if "warning" in answer:
                    log.warning("%s: %s", job.title, answer["warning"])
                else:
                    tell(Report(*answer["progress"]))
        except (BrokenPipeError, json.JSONDecodeError):
            pass  # it died, perhaps in the middle of a line
        raise WorkerLost(f"its worker process {_how_it_ended(child.wait())}; its log is {self.log_file}")

    def _living_child(self, gpus: int = 1) -> subprocess.Popen[str]:
        """The child, one that sees so many of the slot's GPUs: with more, a trainer would use them all."""
        if self._closed:
            raise JobFailed(STOPPED)
        if self._child and self._child.poll() is None and (self._sees == gpus or not self.gpus):
            return self._child
        tell(Report("start a worker process"))
        self._end_child()
        self._sees = gpus
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("a") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tasks.runtime.local.child", self.store.address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is the parent's business, which then ends its children
            )
        return self._child

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

    def _environment(self) -> dict[str, str]:
        place = (
            {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus[: self._sees])}
            if self.gpus
            else CPU | {"OMP_NUM_THREADS": str(self.threads)}
        )
        return os.environ | QUIET | place | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
