"""Effects of every architecture, and their pool."""

from __future__ import annotations

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.meta_analysis.effects import effects
from tasks.meta_analysis.groups import pool_table

KEYS = ["experiment", "contrast", "dimension"]


@task(name="effects", cache_policy=NO_CACHE)
def measure_effects(study: Study, scores: pd.DataFrame, categories: int) -> pd.DataFrame:
    """One row a contrast, dimension and architecture."""
    return effects(study, scores, categories)


@task(name="pool", cache_policy=NO_CACHE)
def pool_effects(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """One row a contrast and dimension, with the published value where there is one."""
    pooled = pool_table(table, KEYS)
    published = [
        study.experiments[row.experiment].contrasts[row.contrast].published.get(row.dimension)
        for row in pooled.itertuples()
    ]
    return pooled.assign(
        published=[item.estimate if item else None for item in published],
        published_p=[item.p if item else None for item in published],
    )
