"""Join the cells and pool their effects over the architectures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.runtime import flow_run

from flows.artifacts import show_table
from flows.parameters import Folder
from flows.stages import ByReference
from tasks.effects.correction import outside
from tasks.effects.tables import Scores
from tasks.judging.unscored import unscored_table
from tasks.meta_analysis.pool_file import pool_file
from tasks.meta_analysis.step import measure_effects, pool_effects, pool_otherwise, pool_pairs
from tasks.planning.bench import Bench, Inputs
from tasks.planning.cell_tables import cells_table, doses_table, health_table, read_answers
from tasks.planning.results import CellResult
from tasks.reporting.pooled_file import write_pooled
from tasks.runtime.tables import columns_of


@flow(name="meta-analysis", flow_run_name="meta-analysis", validate_parameters=False)
def pool_study(bench: Bench, inputs: Inputs, joined: ByReference[list[CellResult]]) -> dict[str, pd.DataFrame]:
    """What the cells' scores come to; architectures that lack a side of a contrast are not in its k."""
    study, categories, results = bench.study, inputs.data.categories, joined.value
    health, answers = health_table(study, results), read_answers(results)
    scores = Scores.checked(answers[list(columns_of(Scores))])
    line = outside(inputs.judge.tables["judge_calibration"], scores)
    effects = measure_effects(study, scores, health, categories, line)
    cells = cells_table(results)
    return {
        "cells": cells,
        "doses": doses_table(cells),
        "health": health,
        "scores": scores,
        "unscored": unscored_table(answers),
        "judge_calibration": line,
        "effects": effects,
        "pooled": pool_effects(study, effects, line),
        **pool_otherwise(study, effects),
        "pairwise": pool_pairs(study, scores, health, categories),
    }


@flow(name="meta-analysis-only", flow_run_name=lambda: f"{Path(flow_run.parameters['effects']).stem} · meta-analysis")
def run_meta_analysis(effects: str, by: list[str], method: str = "dl", output: Folder = None) -> Path:
    """Pool any table of effects; no study is needed.

    Args:
        effects: a CSV file with the columns estimate and std_error.
        by: the columns that name what is pooled together, such as contrast and dimension.
        method: how between-study variance is estimated: fixed, dl, reml or pm.
        output: where the tables and forest plots go; by default EFFECTS-pooled beside the effects.
    """
    place = Path(effects)
    result = pool_file(place, by, method)
    show_table(f"{place.stem}-pooled", result.pooled, place.name, [*by, "k", "estimate", "ci_low", "ci_high", "p"])
    folder = Path(output) if output else place.with_name(f"{place.stem}-pooled")
    write_pooled(result, by, method, folder)
    return folder
