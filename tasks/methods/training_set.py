"""A condition's data as its method trains on them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pandera.typing import DataFrame

from configs.schema import OWN_NEEDED, Condition, Experiment, Recipe, Study
from tasks.methods import METHODS
from tasks.methods.training_rows import rows_digest, system_turns, training_rows, why_not
from tasks.preferences.condition import ConditionData, Drop
from tasks.preferences.experiment import Preferences
from tasks.preferences.tables import Drops
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Record, Store, StoredFile

VERSION = 2


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
    robust: bool = False
    """Whether training looks after the group that it serves worst."""
    own: Mapping[str, TrainingSet] = field(default_factory=dict)
    """Group → what its own adapter trains on, where training starts from these adapters; without `robust` their mean is
    all there is."""
    naming: Mapping[str, str] = field(default_factory=dict)
    """Group → the system turn that tells it to the model, in training as in each group's answers; empty where the model
    is told no group."""
    steps: int | None = None
    """Optimiser steps, where the experiment's budget asks for more than the recipe's epochs give."""

    @property
    def identity(self) -> tuple[Hashable, ...]:
        """Conditions that share it train the same run."""
        own = tuple((group, item.identity) for group, item in self.own.items())
        return self.method, self.digest, self.robust, own, self.steps


def training_sets(study: Study, name: str, preferences: Preferences, store: Store) -> dict[str, TrainingSet]:
    """Condition → its training set, for one experiment."""
    experiment = study.experiments[name]
    methods = {condition: settings.method for condition, settings in experiment.conditions.items()}
    blocks = {method: study.recipe.block(METHODS[method].settings) for method in methods.values()}
    named = any(condition.voices == "named" for condition in experiment.conditions.values())
    sentence = [study.recipe.name_sentence] if named else []
    key = fingerprint([VERSION, preferences.key, methods, blocks, study.seed, *sentence])

    def build(folder: Path) -> Record:
        return {
            condition: _write(study, settings, preferences.of(condition), folder / f"{condition}.parquet")
            for condition, settings in experiment.conditions.items()
        }

    artifact = store.make("training-sets", key, build)
    sizes = {condition: record["size"] for condition, record in artifact.record.items()}
    sets = {}
    for condition, method in methods.items():
        record = artifact.record[condition]
        record = record | {"drops": tuple(tuple(drop) for drop in record["drops"])}
        table = StoredFile(stage=artifact.stage, key=artifact.key, name=f"{condition}.parquet")
        steps = steps_beyond_epochs(experiment, sizes, condition, study.recipe)
        sets[condition] = TrainingSet(method, table, **record, steps=steps)
    for condition, settings in experiment.conditions.items():
        if settings.voices in OWN_NEEDED and not sets[condition].error:
            own = {group: sets[str(name)] for group, name in experiment.own_conditions(settings).items()}
            sets[condition] = replace(sets[condition], own=own)
    return sets


def steps_beyond_epochs(experiment: Experiment, sizes: Mapping[str, int], condition: str, recipe: Recipe) -> int | None:
    """Steps of a condition whose experiment gives all conditions the same; None where those are its epochs' anyway.

    sizes: condition → rows or prompts. All conditions of a method take as many steps as the largest of them.
    """
    if experiment.budget == "epochs" or not sizes[condition]:
        return None
    name = experiment.conditions[condition].method
    alike = [other for other, settings in experiment.conditions.items() if settings.method == name]
    steps = {other: METHODS[name].steps(sizes[other], recipe) for other in alike if sizes[other]}
    most = max(steps.values())
    return most if most > steps[condition] else None


def _write(study: Study, condition: Condition, data: ConditionData, path: Path) -> Record:
    method, robust = METHODS[condition.method], condition.robust
    error = why_not(method, data)
    if error:
        empty = {"digest": "", "size": 0, "n_pairs": 0, "weight": 0}
        return empty | {"drops": data.drops, "error": error, "robust": robust}
    table, drops = training_rows(method, data, study.recipe, study.seed)
    table.to_parquet(path, index=False)
    pairs = table if method.reads == "pairs" else data.pairs
    return {
        "digest": rows_digest(method, table, robust),
        "size": method.size(table),
        "n_pairs": len(pairs),
        "weight": int(pairs["n"].sum()),
        "drops": [*data.drops, *drops],
        "error": "",
        "robust": robust,
        **({"naming": system_turns(data, study.recipe)} if data.names else {}),
    }


def drops_table(data: StudyData, sets: Mapping[str, Mapping[str, TrainingSet]]) -> DataFrame[Drops]:
    """What the way from ratings to training data leaves out, of all conditions.

    `sets`: experiment → condition → what it trains on. What reading left out concerns all conditions.
    """
    rows = [("all", "reading", reason, rows, len(data.ratings)) for reason, rows in data.dropped.items()]
    for experiment, conditions in sets.items():
        for condition, own in conditions.items():
            rows += [(f"{experiment} / {condition}", *drop) for drop in own.drops]
    return Drops.checked(rows)
