"""Effects of every architecture, and their pool."""

from __future__ import annotations

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.meta_analysis.effects import effects, pairwise_effects
from tasks.meta_analysis.ratios import ratios
from tasks.meta_analysis.study import compare_pairs, other_methods, pool_contrasts, without_each


@task(name="effects", cache_policy=NO_CACHE)
def measure_effects(study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int) -> pd.DataFrame:
    """One row a contrast, dimension and architecture."""
    return effects(study, scores, health, categories)


@task(name="pool", cache_policy=NO_CACHE)
def pool_effects(study: Study, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """pooled, and what shows how much it depends on one method or one architecture; the ratios that the study names."""
    return {
        "pooled": pool_contrasts(study, table), "pooling_methods": other_methods(table),
        "leave_one_out": without_each(table), "ratios": ratios(study, table),
    }  # fmt: skip


@task(name="pairwise", cache_policy=NO_CACHE)
def pool_pairs(study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int) -> pd.DataFrame:
    """One row for every two conditions of an experiment and dimension."""
    return compare_pairs(pairwise_effects(study, scores, health, categories))
