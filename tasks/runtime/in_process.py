"""The simplest runner: this process does one job after another. For tests, and as a pattern for others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.runtime.job import Desk, Done, Job, Warm, measured, prepare_process, reason
from tasks.runtime.progress import tell
from tasks.runtime.runner import STOPPED, JobFailed, find_result, make_result
from tasks.runtime.store import Artifact, Record, Store


class InProcess:
    """A `Runner` of size one. Jobs pass through JSON, as they do on their way to another process."""

    size = 1

    def __init__(self, store: Store) -> None:
        self._store, self._warm = store, Warm()
        self._busy, self._closed = threading.Lock(), False

    def check(self) -> None:
        """This process is here."""

    def run(self, job: Job[Done]) -> Artifact[Done]:
        with self._busy:
            return find_result(job, self._store) or make_result(job, self._store, lambda folder: self._do(job, folder))

    @contextmanager
    def near(self, base: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        self._closed = True

    def _do(self, job: Job[Done], folder: Path) -> Record:
        if self._closed:
            raise JobFailed(STOPPED)
        prepare_process()
        same = type(job).model_validate_json(job.model_dump_json())
        try:
            return measured(lambda: same.run(Desk(folder, self._store, tell, self._warm))).model_dump()
        except Exception as error:
            raise JobFailed(reason(error)) from error
