"""A condition's data as its method trains on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from configs.schema import Study
from tasks.methods import METHODS
from tasks.methods.budget import steps_beyond_epochs
from tasks.preferences.condition import ConditionData, Drop
from tasks.preferences.experiment import Preferences
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Record, Store, StoredFile

VERSION = 1


@dataclass(frozen=True)
class TrainingSet:
    """The rows that one condition trains on, or why there are none."""

    method: str
    table: StoredFile
    """The rows, in Parquet."""
    digest: str
    size: int
    """Rows or prompts of an epoch."""
    n_pairs: int
    """Response pairs: those that train, or those that the condition's labels tell apart where no pairs train."""
    weight: int
    """Label preferences behind the pairs."""
    drops: tuple[Drop, ...]
    """On the whole way from the ratings."""
    error: str = ""
    steps: int | None = None
    """Optimiser steps, where the experiment's budget asks for more than the recipe's epochs give."""

    @property
    def identity(self) -> tuple[str, str, int | None]:
        """Conditions that share it train the same run."""
        return self.method, self.digest, self.steps


def training_sets(study: Study, name: str, preferences: Preferences, store: Store) -> dict[str, TrainingSet]:
    """Condition → its training set, for one experiment."""
    experiment = study.experiments[name]
    methods = {condition: settings.method for condition, settings in experiment.conditions.items()}
    blocks = {method: study.recipe.block(METHODS[method].settings) for method in methods.values()}
    key = fingerprint([VERSION, preferences.key, methods, blocks, study.seed])

    def build(folder: Path) -> Record:
        return {
            condition: _write(study, method, preferences.of(condition), folder / f"{condition}.parquet")
            for condition, method in methods.items()
        }

    artifact = store.make("training-sets", key, build)
    sets = {}
    for condition, method in methods.items():
        record = artifact.record[condition]
        drops = tuple(tuple(drop) for drop in record["drops"])
        table = StoredFile(stage=artifact.stage, key=artifact.key, name=f"{condition}.parquet")
        sets[condition] = TrainingSet(method, table, **{**record, "drops": drops})
    sizes = {condition: item.size for condition, item in sets.items()}
    return {
        condition: replace(item, steps=steps_beyond_epochs(experiment, sizes, condition, study.recipe))
        for condition, item in sets.items()
    }


def _write(study: Study, name: str, data: ConditionData, path: Path) -> Record:
    method = METHODS[name]
    error = method.lacks(data)
    if error:
        return {"digest": "", "size": 0, "n_pairs": 0, "weight": 0, "drops": data.drops, "error": error}
    table, drops = method.table(data, study.recipe, study.seed)
    table.to_parquet(path, index=False)
    pairs = table if method.reads == "pairs" else data.pairs
    return {
        "digest": method.digest(table),
        "size": method.size(table),
        "n_pairs": len(pairs),
        "weight": int(pairs["n"].sum()),
        "drops": [*data.drops, *drops],
        "error": "",
    }
