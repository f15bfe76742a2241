"""What the tasks of a study work with: its settings, its ratings, where jobs are done and where things are kept."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from configs.schema import Study
from tasks.generation.step import Prompts
from tasks.judging.step import Judge
from tasks.planning.history import History
from tasks.preferences.split import held_out
from tasks.preferences.step import Prepared
from tasks.ratings.reading.load import Data
from tasks.runtime.home import home
from tasks.runtime.local.pool import Pool
from tasks.runtime.runner import Runner
from tasks.runtime.store import Store, home_store
from tasks.runtime.tracking import Tracker


def choose_runner(study: Study, store: Store, workers: int | None) -> Runner:
    """Where the study's jobs are done: on slots of this machine."""
    most = max((architecture.gpus for architecture in study.architectures), default=1)
    return Pool(store, home() / "slots", workers, gpus_each=most)


class Bench:
    """Handed to tasks by reference: a plain class, which Prefect passes on without looking inside."""

    def __init__(self, study: Study, workers: int | None = None) -> None:
        self.study = study
        self.store = home_store()
        self.runner = choose_runner(study, self.store, workers)
        self.tracker = Tracker(study.name, home())
        self.history = History(home() / "history" / study.name)

    def training_texts(self, data: Data) -> pd.DataFrame:
        """prompt and response of every response to a training prompt: what tiny bases read."""
        texts = data.responses[~self._held_out(data)]
        return texts[["prompt", "response"]].reset_index(drop=True)

    def training_prompts(self, data: Data) -> int:
        """How many prompts are not held out."""
        return int(data.responses.loc[~self._held_out(data), "prompt_id"].nunique())

    def evaluation_prompts(self, data: Data) -> pd.DataFrame:
        """prompt_id and prompt of the held-out prompts, at most `evaluation.max_prompts`."""
        prompts = data.responses[self._held_out(data)].drop_duplicates("prompt_id")[["prompt_id", "prompt"]]
        return prompts.sort_values("prompt_id", ignore_index=True).head(
            self.study.evaluation.max_prompts or len(prompts)
        )

    def _held_out(self, data: Data) -> pd.Series:
        return held_out(data.responses["prompt_id"], self.study.evaluation.share, self.study.seed)


class Inputs:
    """What every cell reads, made before the first of them; a plain class for the same reason."""

    def __init__(
        self,
        data: Data,
        ratings: str,
        prepared: dict[str, dict[str, Prepared]],
        judge: Judge,
        prompts: Prompts,
        grammatical: Callable[[str], bool] | None,
    ) -> None:
        """`ratings`: the snapshot's id, or the digest of ratings that are in no collection. `grammatical`: whether a
        text keeps the grammar of the study's texts, where that is known."""
        self.data, self.ratings, self.prepared = data, ratings, prepared
        self.judge, self.prompts, self.grammatical = judge, prompts, grammatical
