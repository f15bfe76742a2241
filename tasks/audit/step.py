"""The audit's tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from configs.schema import Study
from tasks.audit.audit import audit, filtered_raters, population_weights
from tasks.preferences.experiment import Preferences
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.step import step
from tasks.runtime.store import Store

VERSION = 6


@step("audit")
def audit_table(study: Study, data: StudyData, preferences: Mapping[str, Preferences], store: Store) -> pd.DataFrame:
    """What each condition does to each stratum's ratings."""
    experiments = study.experiments.items()
    conditions = {name: list(item.conditions) for name, item in experiments}
    methods = {name: [condition.method for condition in item.conditions.values()] for name, item in experiments}
    keys = {name: kept.key for name, kept in preferences.items()}
    key = fingerprint([VERSION, keys, conditions, methods, study.recipe.blocks, study.strata, study.seed])

    def build(folder: Path) -> None:
        read = {name: {each: preferences[name].of(each) for each in conditions[name]} for name in conditions}
        audit(study, data, read).to_parquet(folder / "audit.parquet", index=False)

    table = pd.read_parquet(store.make("audits", key, build).path / "audit.parquet")
    return table[table["n_participants"] >= study.survey.min_participants].reset_index(drop=True)


@step("filtered raters")
def filtered_table(study: Study, data: StudyData, preferences: Mapping[str, Preferences]) -> pd.DataFrame | None:
    """Whom the rater filters leave out, by group; None for a study without any. Made anew each time, in no time."""
    made = {
        name: {key: preferences[name].of(key) for key, condition in item.conditions.items() if condition.raters}
        for name, item in study.experiments.items()
    }
    return filtered_raters(study, data, made) if any(made.values()) else None


@step("population weights")
def population_table(study: Study, data: StudyData, preferences: Mapping[str, Preferences]) -> pd.DataFrame | None:
    """What weighting the raters to a population costs; None for a study that weighs none. Made anew each time."""
    made = {
        name: {key: preferences[name].of(key) for key, own in item.conditions.items() if own.voices == "population"}
        for name, item in study.experiments.items()
    }
    return population_weights(study, data, made) if any(made.values()) else None
