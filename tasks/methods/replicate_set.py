"""What the rater replicates of a condition train on: the rows of the study, with other targets and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from configs.schema import Study
from tasks.methods import METHODS
from tasks.methods.method import Method
from tasks.methods.training_rows import rows_digest, training_rows
from tasks.methods.training_set import TrainingSet
from tasks.preferences.condition import reweighted
from tasks.preferences.experiment import Preferences
from tasks.preferences.raters import rater_weights
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Record, Store, StoredFile

VERSION = 1


@dataclass(frozen=True)
class ReplicateSet:
    """The rows that the replicates of one condition train on."""

    method: str
    table: StoredFile
    """In Parquet: the columns that name a row once, and those that follow the weights for each replicate, such as
    `target_1`, `weight_1`, `target_2` …"""
    digests: Mapping[int, str]
    """Replicate → the identity of what training reads of it."""
    size: int
    """Rows or prompts of an epoch."""
    steps: int | None = None
    """Optimiser steps, where they are not those of the recipe's epochs over these rows."""
    robust: bool = False
    """Whether training looks after the group that it serves worst."""
    own: Mapping[str, ReplicateSet] = field(default_factory=dict)
    """As of the condition's `TrainingSet`."""


def replicate_sets(
    study: Study, name: str, preferences: Preferences, sets: Mapping[str, TrainingSet], responses: pd.DataFrame,
    store: Store,
) -> dict[str, ReplicateSet]:  # fmt: skip
    """Condition → what its replicates train on, for one experiment; a condition that can't train has none."""
    numbers, trained = study.replicates_of(name), {key: own for key, own in sets.items() if not own.error}
    if not numbers:
        return {}
    digests = {key: own.digest for key, own in trained.items()}
    key = fingerprint([VERSION, preferences.key, digests, list(numbers), study.seed])

    def build(folder: Path) -> Record:
        return {condition: _write(study, name, condition, preferences, responses, folder) for condition in trained}

    artifact, found = store.make("replicate-sets", key, build), {}
    for condition, own in trained.items():
        record = artifact.record[condition]
        table = StoredFile(stage=artifact.stage, key=artifact.key, name=f"{condition}.parquet")
        by_replicate = {int(number): digest for number, digest in record["digests"].items()}
        steps = own.steps or METHODS[own.method].steps(own.size, study.recipe)
        same = own.steps is None and record["size"] == own.size
        size, beyond = record["size"], None if same else steps
        found[condition] = ReplicateSet(own.method, table, by_replicate, size, beyond, own.robust)
    experiment = study.experiments[name]
    for condition, replicated in found.items():
        if sets[condition].own:
            of_group = experiment.own_conditions(experiment.conditions[condition])
            found[condition] = replace(replicated, own={group: found[str(key)] for group, key in of_group.items()})
    return found


def _write(
    study: Study, name: str, condition: str, preferences: Preferences, responses: pd.DataFrame, folder: Path
) -> Record:
    settings, data = study.experiments[name].conditions[condition], preferences.of(condition)
    method, robust, tables = METHODS[settings.method], settings.robust, {}
    raters = pd.concat([labels.scaled["participant_id"] for labels in data.labels.values()])
    plain, _ = training_rows(method, data, study.recipe, study.seed)
    for number in study.replicates_of(name):
        own = reweighted(settings, data, responses, rater_weights(raters, number, study.seed))
        tables[number] = training_rows(method, own, study.recipe, study.seed)[0]
    wide = side_by_side(method, plain, tables)
    wide.to_parquet(folder / f"{condition}.parquet", index=False)
    digests = {str(number): rows_digest(method, one_of_them(method, wide, number), robust) for number in tables}
    return {"digests": digests, "size": method.size(wide)}


def side_by_side(method: Method, plain: pd.DataFrame, tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The rows of the study's table, in its order, then those that only replicates have, with each replicate's columns.

    A row that a replicate does not have weighs nothing in it; weights have mean 1 over all rows.
    """
    names = [column for column in plain.columns if column not in (*method.weighed, "n")]
    parts = [table.set_index(names)[list(method.weighed)].add_suffix(f"_{number}") for number, table in tables.items()]
    keys = [plain[names], *(table[names].sort_values(names) for table in tables.values())]
    rows = pd.concat(keys).drop_duplicates(ignore_index=True)
    wide = rows.join(pd.concat(parts, axis=1), on=names) if len(rows) else rows
    for number in tables:
        weight = f"{method.weighed[-1]}_{number}"
        wide[weight] = wide[weight].fillna(0.0)
        if method.weighed[-1] == "weight":
            wide[weight] = wide[weight] / wide[weight].mean()
        value = f"{method.weighed[0]}_{number}"
        wide[value] = wide[value].fillna(0.5).astype(float)
    return wide


def one_of_them(method: Method, wide: pd.DataFrame, number: int) -> pd.DataFrame:
    """A replicate's table, as the method trains on it."""
    names = [column for column in wide.columns if not column.startswith(tuple(f"{name}_" for name in method.weighed))]
    own = {f"{name}_{number}": name for name in method.weighed}
    return wide[[*names, *own]].rename(columns=own)
