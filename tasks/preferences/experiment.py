"""The labels, pairs and rewards of every condition of an experiment, made once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.schema import Study
from tasks.preferences.condition import ConditionData, Labels, experiment_data
from tasks.preferences.rater_filter import asks_for_indices, keep_training_indices
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Artifact, Record, Store

VERSION = 4
TABLES = ("labels", "pairs", "rewards")


@dataclass(frozen=True)
class Preferences:
    """What the ratings of an experiment's conditions come to, on disk."""

    artifact: Artifact

    @property
    def key(self) -> str:
        return self.artifact.key

    def of(self, condition: str) -> ConditionData:
        """One condition's, read."""
        return _read(self.artifact.path / condition, self.artifact.record[condition])


def keep_preferences(study: Study, name: str, data: StudyData, ratings: Artifact, store: Store) -> Preferences:
    """An experiment's, found or made: the same for the same ratings, strata, scales, conditions and split, whichever
    methods train on them; where raters are filtered by an index, also for the same indices."""
    experiment = study.experiments[name]
    conditions = {key: condition.model_dump(exclude={"method"}) for key, condition in experiment.conditions.items()}
    better = {key: dimension.better for key, dimension in study.dimensions.items()}
    settings: list[object] = [study.strata, study.scales, better, study.evaluation.share, study.seed]
    if any(condition.voices for condition in experiment.conditions.values()):
        settings += [experiment.groups, study.population]
    indices = None
    if asks_for_indices(condition.raters for condition in experiment.conditions.values()):
        key_of_indices, indices = keep_training_indices(study, data, ratings, store)
        settings.append(key_of_indices)
    key = fingerprint([VERSION, ratings.key, conditions, list(experiment.contrasts), *settings])

    def build(folder: Path) -> Record:
        conditions = experiment_data(study, data, experiment, indices)
        return {condition: _write(own, folder / condition) for condition, own in conditions.items()}

    return Preferences(store.make("preferences", key, build))


def _write(data: ConditionData, folder: Path) -> Record:
    folder.mkdir()
    labels = []
    for name, table in data.labels.items():
        labels.append(table.scaled.assign(final=table.final["label"], dimension=name))
        if "weight" in table.final:
            labels[-1]["final_weight"] = table.final["weight"]
    for name, table in zip(TABLES, (pd.concat(labels), data.pairs, data.rewards), strict=True):
        table.to_parquet(folder / f"{name}.parquet", index=name == "labels")
    groups = {group: _write(part, folder / group) for group, part in data.groups.items()}
    return {
        "middles": {name: table.middle for name, table in data.labels.items()},
        "drops": data.drops,
        "preferences": data.preferences,
        "no_pairs": data.no_pairs,
        **({"voices": data.voices, "groups": groups} if groups else {}),
        **({"names": data.names} if data.names else {}),
        **({"left_out": data.left_out} if data.left_out is not None else {}),
    }


def _read(folder: Path, record: Record) -> ConditionData:
    labels, pairs, rewards = (pd.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    return ConditionData(
        labels={name: _read_labels(labels, name, middle) for name, middle in record["middles"].items()},
        pairs=pairs,
        rewards=rewards,
        drops=[tuple(drop) for drop in record["drops"]],
        preferences=record["preferences"],
        no_pairs=record["no_pairs"],
        left_out=record.get("left_out"),
        groups={group: _read(folder / group, part) for group, part in record.get("groups", {}).items()},
        voices=record.get("voices", {}),
        names=record.get("names", {}),
    )


def _read_labels(table: pd.DataFrame, dimension: str, middle: float) -> Labels:
    """Of the aggregation's labels, each stands beside the rating that it was put in the place of."""
    own = table[table["dimension"] == dimension].drop(columns="dimension")
    final = own[own["final"].notna()]
    final = final.assign(label=final["final"])
    if "final_weight" in own:
        final = final.assign(weight=final["final_weight"])
    apart = own.columns.intersection(["final", "final_weight"])
    return Labels(own.drop(columns=apart), final.drop(columns=apart), middle)
