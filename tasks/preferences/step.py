"""The training data of every condition of an experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Condition, Experiment, Study
from tasks.methods.budget import steps_beyond_epochs
from tasks.preferences.condition import Drop, NoPreferences, stratified, training_data
from tasks.ratings.reading.load import Data
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Artifact, Record, Store

VERSION = 2


@dataclass(frozen=True)
class Prepared:
    """A condition's training data on disk, or why there is none."""

    optimiser: str
    path: Path
    digest: str
    n_pairs: int
    weight: int
    """Label preferences behind the pairs."""
    n_prompts: int
    drops: tuple[Drop, ...]
    error: str | None = None
    steps: int | None = None
    """Optimiser steps, where the experiment's budget asks for more than the recipe's epochs give."""

    @property
    def size(self) -> int:
        """What an epoch goes through: pairs, or GRPO's prompts."""
        return self.n_prompts if self.optimiser == "grpo" else self.n_pairs

    @property
    def identity(self) -> tuple[str, str, int | None]:
        """Conditions that share it train the same run."""
        return self.optimiser, self.digest, self.steps


@task(name="preferences", task_run_name="preferences · {name}", cache_policy=NO_CACHE)
def prepare_experiment(study: Study, name: str, data: Data, ratings: Artifact, store: Store) -> dict[str, Prepared]:
    """Condition → its training data."""
    experiment = study.experiments[name]
    key = fingerprint([
        VERSION, ratings.key, experiment.conditions, list(experiment.contrasts), study.strata, study.scales,
        {key: dimension.better for key, dimension in study.dimensions.items()},
        study.evaluation.share, study.seed, study.recipe.dpo.max_pairs,
    ])  # fmt: skip
    artifact = store.make("preferences", key, lambda folder: _build(study, experiment, data, folder))
    prepared = {
        condition: Prepared(settings.optimiser, artifact.path / f"{condition}.parquet", **_record(artifact, condition))
        for condition, settings in experiment.conditions.items()
    }
    sizes = {condition: made.size for condition, made in prepared.items()}
    return {
        condition: replace(made, steps=steps_beyond_epochs(experiment, sizes, condition, study.recipe))
        for condition, made in prepared.items()
    }


def _record(artifact: Artifact, condition: str) -> Record:
    record = artifact.record[condition]
    return {**record, "drops": tuple(tuple(drop) for drop in record["drops"])}


def _build(study: Study, experiment: Experiment, data: Data, folder: Path) -> Record:
    tables = stratified(study, data, experiment)
    return {
        name: _build_condition(study, name, condition, data, *tables[name], folder)
        for name, condition in experiment.conditions.items()
    }


def _build_condition(
    study: Study, name: str, condition: Condition, data: Data, ratings: pd.DataFrame, drops: list[Drop], folder: Path
) -> Record:
    try:
        made = training_data(study, data, condition, ratings)
    except NoPreferences as error:
        return {"digest": "", "n_pairs": 0, "weight": 0, "n_prompts": 0, "drops": drops, "error": str(error)}
    table = made.rewards if condition.optimiser == "grpo" else made.pairs
    table.to_parquet(folder / f"{name}.parquet", index=False)
    return {
        "digest": made.digest(condition.optimiser),
        "n_pairs": len(made.pairs),
        "weight": int(made.pairs["n"].sum()),
        "n_prompts": int(made.rewards["prompt"].nunique()),
        "drops": [*drops, *made.drops],
        "error": None,
    }
