"""The audit's table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.audit.audit import audit
from tasks.ratings.reading.load import Data
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Artifact, Store

VERSION = 3


@task(name="audit", cache_policy=NO_CACHE)
def audit_table(study: Study, data: Data, ratings: Artifact, store: Store) -> pd.DataFrame:
    """What each condition does to each stratum's ratings."""
    experiments = [[name, item.conditions, list(item.contrasts)] for name, item in study.experiments.items()]
    key = fingerprint([
        VERSION, ratings.key, experiments, study.strata, study.scales,
        {name: dimension.better for name, dimension in study.dimensions.items()},
        study.evaluation.share, study.seed, study.recipe.dpo.max_pairs,
    ])  # fmt: skip

    def build(folder: Path) -> None:
        audit(study, data).to_parquet(folder / "audit.parquet", index=False)

    table = pd.read_parquet(store.make("audits", key, build).path / "audit.parquet")
    return table[table["n_participants"] >= study.survey.min_participants].reset_index(drop=True)
