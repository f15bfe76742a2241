"""What the tasks of a study work with: its settings, where jobs are done, where things are kept, how far all is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pandas as pd

from configs.schema import Study
from tasks.planning.earlier_runs import History
from tasks.planning.time_left import TimeLeft
from tasks.ratings.study_data import StudyData
from tasks.runtime.home import home
from tasks.runtime.local.pool import MOST_THREADS, Pool
from tasks.runtime.progress import Board
from tasks.runtime.runner import Runner
from tasks.runtime.store import Store
from tasks.runtime.stores import chosen_store
from tasks.runtime.tracking import Tracker

if TYPE_CHECKING:  # a survey has neither cells nor a judge, and does without their imports
    from tasks.generation.health import Grammar
    from tasks.generation.step import Prompts
    from tasks.judging.step import ProvenJudge
    from tasks.methods.replicate_set import ReplicateSet
    from tasks.methods.training_set import TrainingSet

LOCAL, RUNNER = "local", "PLURALIGN_RUNNER"
"""The runner of this machine, and the variable that names another."""


def choose_runner(study: Study, store: Store, workers: int | None, runner: str | None = None) -> Runner:
    """Where the study's jobs are done: `local`, on slots of this machine; `ray` or `ray://HOST:PORT`, on a cluster.

    runner: by default what `PLURALIGN_RUNNER` says, else local.

    Raises:
        InputError: there is no such runner, or this machine has fewer GPUs than an architecture asks for.
    """
    chosen = runner or os.environ.get(RUNNER) or LOCAL
    if chosen != LOCAL:
        from tasks.runtime.ray.runner import RayRunner

        return RayRunner(chosen, store, study.architectures, workers, study.runtime.retries)
    most = max((architecture.gpus for architecture in study.architectures), default=1)
    tiny = all(architecture.tiny for architecture in study.architectures)
    threads = 1 if tiny else MOST_THREADS
    return Pool(store, home() / "slots", workers, most, threads_each=threads, retries=study.runtime.retries)


class Bench:
    """Handed to tasks by reference: a plain class, which Prefect passes on without looking inside."""

    def __init__(
        self, study: Study, workers: int | None = None, runner: str | None = None, store: str | None = None
    ) -> None:
        self.study = study
        self.board = Board()
        self.store = chosen_store(store)
        self.runner = choose_runner(study, self.store, workers, runner)
        self.time_left = TimeLeft(lambda: self.runner.size)
        self.tracker = Tracker(study.name, home(), self.store)
        self.history = History(self.store, study.name)

    def training_texts(self, data: StudyData) -> pd.DataFrame:
        """prompt and response of every response to a training prompt: what tiny bases read."""
        return data.training(data.responses)[["prompt", "response"]].reset_index(drop=True)

    def evaluation_prompts(self, data: StudyData) -> pd.DataFrame:
        """prompt_id and prompt of the held-out prompts that are answered."""
        return data.evaluation_prompts


class Inputs:
    """What every cell reads, made before the first of them; a plain class for the same reason."""

    def __init__(
        self,
        data: StudyData,
        ratings: str,
        prepared: dict[str, dict[str, TrainingSet]],
        replicated: dict[str, dict[str, ReplicateSet]],
        judge: ProvenJudge,
        prompts: Prompts,
        grammatical: Grammar | None,
    ) -> None:
        """`ratings`: the snapshot's id, or the digest of ratings that are in no collection. `grammatical`: whether a
        text keeps the grammar of the study's texts, where that is known."""
        self.data, self.ratings, self.prepared, self.replicated = data, ratings, prepared, replicated
        self.judge, self.prompts, self.grammatical = judge, prompts, grammatical
