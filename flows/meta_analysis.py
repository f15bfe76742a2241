"""Join the cells and pool their effects over the architectures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.runtime import flow_run

from flows.artifacts import show_table
from flows.cells import Grid
from flows.parameters import ColumnName, File, Folder, Number
from flows.stages import ByReference
from tasks.effects.correction import outside
from tasks.effects.tables import Scores
from tasks.judging.step import judge_groups
from tasks.judging.unscored import unscored_table
from tasks.meta_analysis.dependence import Dependence
from tasks.meta_analysis.pool_file import pool_file
from tasks.meta_analysis.read_effects import EffectColumns
from tasks.meta_analysis.step import (
    find_components,
    measure_covariances,
    measure_effects,
    measure_replicates,
    pool_effects,
    pool_otherwise,
    pool_pairs,
    pool_ways,
)
from tasks.meta_analysis.truth import truth_table
from tasks.planning.bench import Bench, Inputs
from tasks.planning.cell_tables import cells_table, doses_table, health_table, read_answers, read_replicates
from tasks.planning.group_scores import group_scores, voices_table
from tasks.preferences.population import rake, shares_of
from tasks.reporting.pooled_file import write_pooled
from tasks.runtime.tables import columns_of


@flow(name="meta-analysis", flow_run_name="meta-analysis", validate_parameters=False)
def pool_study(bench: Bench, inputs: Inputs, joined: ByReference[Grid]) -> dict[str, pd.DataFrame]:
    """What the cells' scores come to; architectures that lack a side of a contrast are not in its k."""
    study, categories = bench.study, inputs.data.categories
    results, replicated = joined.value
    health, answers = health_table(study, results), read_answers(results)
    scores = Scores.checked(answers[list(columns_of(Scores))])
    line = outside(inputs.judge.tables["judge_calibration"], scores)
    effects = measure_effects(study, scores, health, categories, line)
    covariances = measure_covariances(study, scores, effects)
    replicates = measure_replicates(study, scores, read_replicates(replicated))
    pooled = pool_effects(study, effects, covariances, replicates, line)
    cells = cells_table(results, replicated)
    truth = truth_table(study, pooled)
    return {
        "cells": cells,
        "doses": doses_table(cells),
        "health": health,
        "scores": scores,
        "unscored": unscored_table(answers),
        "judge_calibration": line,
        "effects": effects,
        "effect_covariances": covariances,
        "replicate_effects": replicates,
        "pooled": pooled,
        "variance_components": find_components(effects, covariances, pooled, line),
        **pool_otherwise(study, effects, covariances, pooled, replicates),
        "pairwise": pool_pairs(study, scores, health, categories, replicates),
        **({"truth": truth} if len(truth) else {}),
        **serve_groups(bench, inputs, joined.value),
    }


def serve_groups(bench: Bench, inputs: Inputs, grid: Grid) -> dict[str, pd.DataFrame]:
    """What each group gets of each way to serve, of the experiments that name groups; nothing where none does."""
    study, data = bench.study, inputs.data
    weights = rake(data.participants, study.population) if study.population else None
    parts: dict[str, list[pd.DataFrame]] = {"judge_groups": [], "groups": [], "service": []}
    for name, experiment in study.experiments.items():
        if not experiment.groups:
            continue
        judges = judge_groups(study, inputs.judge, data, experiment.groups)
        scores = group_scores(study, name, judges.judges, grid.cells, grid.replicates)
        members = {group: data.strata[group] for group in experiment.groups}
        shares = shares_of(members, weights) if weights is not None else None
        groups, service = pool_ways(study, name, scores, data.categories, shares)
        tables = {"judge_groups": judges.table, "groups": groups, "service": service}
        for key, table in tables.items():
            parts[key].append(table)
    tables = {key: pd.concat(own, ignore_index=True) for key, own in parts.items() if own}
    return tables | ({"voices": voices_table(grid.cells)} if tables else {})


@flow(name="meta-analysis-only", flow_run_name=lambda: f"{Path(flow_run.parameters['effects']).stem} · meta-analysis")
def run_meta_analysis(
    effects: str,
    by: list[str],
    method: str = "dl",
    output: Folder = None,
    covariance: File = None,
    shares: ColumnName = None,
    correlation: Number = None,
    tau_scale: Number = None,
    estimate: ColumnName = None,
    std_error: ColumnName = None,
    variance: ColumnName = None,
    label: ColumnName = None,
) -> Path:
    """Pool any table of effects; no study is needed.

    Args:
        effects: a table (CSV, Parquet, JSON Lines, JSON or Excel) with the columns estimate and std_error.
        by: the columns that name what is pooled together, such as contrast and dimension.
        method: how between-study variance is estimated: fixed, dl, reml or pm.
        output: where the tables and forest plots go; by default EFFECTS-pooled beside the effects.
        covariance: a file with the covariance of the effects' errors: a matrix with names, or rows a,b,covariance.
        shares: the column that says what effects share, such as a control or raters.
        correlation: of the errors of two effects that share it; by default 0.6, an assumption.
        tau_scale: of a half-normal prior on τ, in the unit of the estimates; by default 0.1.
        estimate: the column with the effects; by default estimate.
        std_error: the column with their standard errors; by default std_error.
        variance: the column with their variances, instead of standard errors.
        label: the column with their names; by default architecture, study or label, where there is one.
    """
    place = Path(effects)
    dependence = Dependence(Path(covariance) if covariance else None, shares or None, correlation, tau_scale)
    columns = EffectColumns(estimate or "estimate", std_error or None, variance or None, label or None)
    result = pool_file(place, by, method, dependence, columns)
    show_table(f"{place.stem}-pooled", result.pooled, place.name, [*by, "k", "estimate", "ci_low", "ci_high", "p"])
    folder = Path(output) if output else place.with_name(f"{place.stem}-pooled")
    write_pooled(result, by, method, folder)
    return folder
