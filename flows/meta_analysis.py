"""Join the cells and pool their effects over the architectures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.runtime import flow_run

from flows.artifacts import show_table
from flows.bench import Bench, Inputs
from flows.cells import CellResult, Joined
from flows.parameters import File
from tasks.artifact import write_atomically
from tasks.judging.correction import correct_effects, correct_pooled, outside
from tasks.judging.rubric import unscored_table
from tasks.meta_analysis.pooling import pool_table
from tasks.meta_analysis.step import measure_effects, pool_effects
from tasks.meta_analysis.table import read_effects


@flow(name="meta-analysis", flow_run_name="meta-analysis", validate_parameters=False)
def pool_study(bench: Bench, inputs: Inputs, joined: Joined) -> dict[str, pd.DataFrame]:
    """scores, effects and pooled; architectures that lack a side of a contrast are not in its k."""
    scores = _read(joined.results, "score")
    effects = measure_effects(bench.study, scores, inputs.data.categories)
    line = outside(inputs.judge.tables["judge_calibration"], scores)
    effects, pooled = correct_effects(effects, line), correct_pooled(pool_effects(bench.study, effects), line)
    unscored = unscored_table(_read(joined.results, "reason"))
    return {"scores": scores, "effects": effects, "pooled": pooled, "judge_calibration": line, "unscored": unscored}


@flow(name="meta-analysis-only", flow_run_name=lambda: f"{Path(flow_run.parameters['effects']).stem} · meta-analysis")
def run_meta_analysis(effects: str, by: list[str], output: File = None) -> Path:
    """Pool any table of effects; no study is needed.

    Args:
        effects: a CSV file with the columns estimate and std_error.
        by: the columns that name what is pooled together, such as contrast and dimension.
        output: where the pooled table goes; by default EFFECTS-pooled.csv beside the effects.
    """
    place = Path(effects)
    pooled = pool_table(read_effects(place, by), by)
    show_table(f"{place.stem}-pooled", pooled, place.name, [*by, "k", "estimate", "ci_low", "ci_high", "p"])
    path = Path(output) if output else place.with_name(f"{place.stem}-pooled.csv")
    write_atomically(path, pooled.to_csv(index=False))
    return path


def _read(results: list[CellResult], what: str) -> pd.DataFrame:
    """Every answer's `what` (score or reason) on each dimension, beside what the cell is."""
    columns = [
        "experiment", "architecture", "condition", "seed", "training_run", "prompt_id", "dimension", what,
    ]  # fmt: skip
    tables = [
        pd.read_parquet(result.scores).assign(
            experiment=result.cell.experiment, architecture=result.cell.architecture,
            condition=result.cell.condition, seed=result.cell.seed, training_run=result.training_run,
        )
        for result in results
        if result.scores
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
