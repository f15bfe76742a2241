"""Effects of every architecture, and their pool."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Study
from tasks.effects.correction import correct_effects
from tasks.effects.covariance import effect_covariances
from tasks.effects.effects import effects, pairs, pairwise_effects
from tasks.effects.replicates import replicate_effects
from tasks.effects.tables import EffectCovariances, Effects, ReplicateEffects
from tasks.groups.service import measure_groups, measure_service
from tasks.groups.tables import Groups
from tasks.meta_analysis.components import variance_components
from tasks.meta_analysis.raters import replicate_means
from tasks.meta_analysis.ratios import ratios
from tasks.meta_analysis.service import pool_service
from tasks.meta_analysis.study import compare_pairs, other_methods, pool_contrasts, without_each
from tasks.meta_analysis.tables import Pairwise, Pooled, Service, VarianceComponents
from tasks.runtime.step import step

Tables = dict[str, pd.DataFrame]


@step("effects")
def measure_effects(
    study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int, calibration: pd.DataFrame
) -> DataFrame[Effects]:
    """One row a contrast, dimension and architecture, corrected by the judge's calibration."""
    return Effects.checked(correct_effects(effects(study, scores, health, categories), calibration))


@step("replicate effects")
def measure_replicates(study: Study, scores: pd.DataFrame, replicated: pd.DataFrame) -> DataFrame[ReplicateEffects]:
    """One row a contrast or pair of conditions, dimension, architecture and rater replicate."""
    contrasts = {
        name: list(dict.fromkeys([*experiment.contrasts, *pairs(experiment, study)]))
        for name, experiment in study.experiments.items()
        if study.replicates_of(name)
    }
    return replicate_effects(study, contrasts, scores, replicated)


@step("covariances")
def measure_covariances(study: Study, scores: pd.DataFrame, table: pd.DataFrame) -> DataFrame[EffectCovariances]:
    """What the errors of effects share, since all architectures answer the same prompts."""
    return effect_covariances(study, scores, table)


@step("pool")
def pool_effects(
    study: Study, table: pd.DataFrame, covariances: pd.DataFrame, replicates: pd.DataFrame, calibration: pd.DataFrame
) -> DataFrame[Pooled]:
    """One row a contrast and dimension, with the published value where there is one."""
    return pool_contrasts(study, table, covariances, replicates, calibration)


@step("service")
def pool_ways(
    study: Study, name: str, scores: pd.DataFrame, categories: int, shares: Mapping[str, float] | None
) -> tuple[DataFrame[Groups], DataFrame[Service]]:
    """What each group gets of each way to serve of an experiment, and how well the ways serve all, pooled.

    scores: `GroupScores` of the experiment. shares: of its groups in the population, where they are known.
    """
    experiment = study.experiments[name]
    measured = measure_service(
        scores, study.dimensions, {name: list(experiment.contrasts)}, categories, shares, seed=study.seed
    )
    return measure_groups(scores, study.dimensions, categories), pool_service(*measured)


@step("pool otherwise")
def pool_otherwise(
    study: Study, table: pd.DataFrame, covariances: pd.DataFrame, pooled: pd.DataFrame, replicates: pd.DataFrame
) -> Tables:
    """How much the pool depends on one method or one architecture, and the ratios that the study names."""
    methods, without = other_methods(study, table, covariances), without_each(table)
    means = replicate_means(table, pooled, replicates)
    return {"pooling_methods": methods, "leave_one_out": without, "ratios": ratios(study, table, means)}


@step("variance components")
def find_components(
    table: pd.DataFrame, covariances: pd.DataFrame, pooled: pd.DataFrame, calibration: pd.DataFrame
) -> DataFrame[VarianceComponents]:
    """One row a pooled effect and a source of its error."""
    return variance_components(table, covariances, pooled, calibration)


@step("pairwise")
def pool_pairs(
    study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int, replicates: pd.DataFrame
) -> DataFrame[Pairwise]:
    """One row for every two conditions of an experiment and dimension."""
    return compare_pairs(pairwise_effects(study, scores, health, categories), replicates)
