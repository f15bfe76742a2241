"""Effects of every architecture, and their pool."""

from __future__ import annotations

import pandas as pd
from pandera.typing import DataFrame
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.effects.correction import correct_effects
from tasks.effects.effects import effects, pairwise_effects
from tasks.effects.tables import Effects
from tasks.meta_analysis.ratios import ratios
from tasks.meta_analysis.study import compare_pairs, other_methods, pool_contrasts, without_each
from tasks.meta_analysis.tables import Pairwise, Pooled


@task(name="effects", cache_policy=NO_CACHE)
def measure_effects(
    study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int, calibration: pd.DataFrame
) -> DataFrame[Effects]:
    """One row a contrast, dimension and architecture, corrected by the judge's calibration."""
    return Effects.checked(correct_effects(effects(study, scores, health, categories), calibration))


@task(name="pool", cache_policy=NO_CACHE)
def pool_effects(study: Study, table: pd.DataFrame, calibration: pd.DataFrame) -> DataFrame[Pooled]:
    """One row a contrast and dimension, with the published value where there is one."""
    return pool_contrasts(study, table, calibration)


@task(name="pool otherwise", cache_policy=NO_CACHE)
def pool_otherwise(study: Study, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """How much the pool depends on one method or one architecture, and the ratios that the study names."""
    methods, without = other_methods(table), without_each(table)
    return {"pooling_methods": methods, "leave_one_out": without, "ratios": ratios(study, table)}


@task(name="pairwise", cache_policy=NO_CACHE)
def pool_pairs(study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int) -> DataFrame[Pairwise]:
    """One row for every two conditions of an experiment and dimension."""
    return compare_pairs(pairwise_effects(study, scores, health, categories))
