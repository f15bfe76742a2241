"""Where jobs are done: a `Runner` takes one and gives its artifact."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar, cast

from tasks.runtime.job import Done, Job
from tasks.runtime.progress import Report, tell
from tasks.runtime.store import Artifact, DamagedArtifact, Record, Store

log = logging.getLogger(__name__)
T = TypeVar("T")


class JobFailed(RuntimeError):
    """A job that raised, or whose process died; the message is the reason."""


STOPPED = "the study was stopped"


class WorkerLost(JobFailed):
    """The process or machine that did a job is gone; another may do it."""


def again_if_lost(retries: int, job: Job, work: Callable[[], T]) -> T:
    """`work()`, and once more for each time that its worker was lost, at most so many times.

    Raises:
        WorkerLost: it was lost each time; the message says how often.
    """
    for tries in range(1, retries + 1):
        try:
            return work()
        except WorkerLost as error:
            log.warning("%s: %s; it is done again (%d of %d)", job.title, error, tries, retries)
            tell(Report(""))
    try:
        return work()
    except WorkerLost as error:
        raise WorkerLost(f"{error} (tried {retries + 1} times)" if retries else str(error)) from None


def again_if_damaged(work: Callable[[], T]) -> T:
    """`work()`, and once more where an artifact that it rests on is damaged: it is then made again with it."""
    try:
        return work()
    except DamagedArtifact:
        return work()


class Wanted:
    """Lets one thread at a time ask for an artifact; who waits for another's holds no place meanwhile."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._changing = threading.Lock()

    def only(self, key: str) -> threading.Lock:
        """To be held while the artifact of this key is asked for."""
        with self._changing:
            return self._locks.setdefault(key, threading.Lock())


class Runner(Protocol):
    """Many threads may use one at once."""

    def check(self) -> None:
        """See that jobs can be done there, before anything is asked for.

        Raises:
            InputError: they can't; a line for each reason.
        """

    @property
    def size(self) -> int:
        """How many jobs it does at the same time."""

    def run(self, job: Job[Done]) -> Artifact[Done]:
        """The job's artifact, found or made now. Who asks for what another thread is having made waits for that.

        What the job reports of its progress goes to `progress.tell` in the thread that asked.

        Raises:
            JobFailed: the job raised, its process died as often as it may, or the runner was closed.
            DamagedArtifact: one of its inputs is not what was published, and has to be made again.
        """

    def near(self, base: str) -> AbstractContextManager[None]:
        """Within it this thread asks for several jobs near a base, one soon after another.

        Between two of them the place that holds the base waits for the next one, rather than load another base.
        """

    def close(self) -> None:
        """End what is under way, in any thread, and do no more."""


def find_result(job: Job[Done], store: Store) -> Artifact[Done] | None:
    """The artifact of a job that is done already."""
    artifact = store.find(job.stage, job.key)
    return _typed(job, artifact) if artifact else None


def make_result(job: Job[Done], store: Store, work: Callable[[Path], Record]) -> Artifact[Done]:
    """The job's artifact, found or made now: `work(folder)` does the job into an empty folder, here or in a child."""

    def timed(folder: Path) -> Record:
        tell(Report("begin"))
        started = time.monotonic()
        return work(folder) | {"seconds": time.monotonic() - started}

    artifact = store.make(job.stage, job.key, timed)
    tell(Report(""))
    return _typed(job, artifact)


def _typed(job: Job[Done], artifact: Artifact) -> Artifact[Done]:
    result = cast(Done, job.result.model_validate(artifact.record))
    return Artifact(artifact.stage, artifact.key, result, artifact.store, artifact.fresh)
