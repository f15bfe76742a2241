"""What is to be done, apart from where: a job is data, and the same after a journey as JSON.

A stage states a job and hands it to a runner. Wherever the runner does it, the job finds a `Desk` to work at, which
gives it all that belongs to the place.
"""

from __future__ import annotations

import gc
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ConfigDict

from configs.errors import InputError
from configs.schema import Frozen
from tasks.runtime.progress import Progress, unheard
from tasks.runtime.store import Store

T = TypeVar("T")


class Result(Frozen):
    """What a job says of its artifact; each kind of job adds its own. It is kept as the artifact's record."""

    model_config = ConfigDict(allow_inf_nan=True)  # a figure that there is none of is NaN

    seconds: float = 0.0
    """Wall time where it was done; waiting for a place is not in it."""
    peak_gpu_bytes: int = 0
    """Most GPU memory that was allocated at once; 0 without a GPU."""


Done = TypeVar("Done", bound=Result)


class Job(Frozen, ABC, Generic[Done]):
    """One piece of work whose result is an artifact. Jobs with equal stage and key give the same."""

    stage: ClassVar[str]
    result: ClassVar[type[Result]]
    """The class of `Done`, as which the artifact's record is read."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Identity of the artifact: a fingerprint of all that it depends on."""

    @property
    @abstractmethod
    def title(self) -> str:
        """As progress names it: the architecture, and what is done."""

    @property
    def near(self) -> str | None:
        """Key of the base that it works with: a place that has it loaded is faster. None where it needs none."""
        return None

    @property
    def gpus(self) -> int:
        """GPUs that it uses, where there are any."""
        return 1

    @property
    def processes(self) -> int:
        """Processes that do it together, each on a GPU of its own."""
        return 1

    def before_sharding(self, desk: Desk) -> None:
        """What one process does before several begin."""

    @abstractmethod
    def run(self, desk: Desk) -> Done:
        """Fill `desk.folder`, which becomes the artifact. One of several processes does its part."""


class Warm:
    """The one base that a process keeps loaded between jobs."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._base: Any = None

    def get(self, key: str, load: Callable[[], T]) -> T:
        """The base of that key, from memory if it is the one in use."""
        if self._key != key:
            self.drop()
            self._base, self._key = load(), key
        return self._base

    def drop(self) -> None:
        """Forget the base and give its memory back."""
        self._base = self._key = None
        free_memory()


@dataclass(frozen=True)
class Desk:
    """What a job finds wherever it is done."""

    folder: Path
    """Empty at first; what the job writes here becomes the artifact."""
    store: Store
    """Its inputs by `fetch`, and workspaces, which outlive a kill."""
    progress: Progress = unheard
    """Hears how far the job has come."""
    warm: Warm = field(default_factory=Warm)
    processes: int = 1
    """That do the job together, this one among them."""
    rank: int = 0
    """Which of them this is."""


def free_memory() -> None:
    """Give back what nothing refers to any more, also what hangs together in cycles, as a trainer's tensors do."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def prepare_process() -> None:
    """Set up the libraries of a process that does jobs: quiet, and where there is no GPU as many threads as its
    environment says, by default one."""
    import torch
    import transformers

    if not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:  # which torch has read
        torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def measured(work: Callable[[], Done]) -> Done:
    """The result of a job done in this process, with the GPU memory that it took."""
    import torch

    if not torch.cuda.is_available():
        return work()
    torch.cuda.reset_peak_memory_stats()
    return work().model_copy(update={"peak_gpu_bytes": torch.cuda.max_memory_allocated()})


def reason(error: Exception) -> str:
    """Why a job failed, on one line."""
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
