"""The audit's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.audit.audit import audit
from tasks.preferences.experiment import Preferences
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Store

VERSION = 6


@task(name="audit", cache_policy=NO_CACHE)
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
