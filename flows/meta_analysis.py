"""Join the cells and pool their effects over the architectures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.runtime import flow_run

from flows.artifacts import show_table
from flows.cells import CellResult, Joined
from flows.facts import cell_tables
from flows.meta import pool_file, write_pooled
from flows.parameters import Folder
from tasks.effects.correction import outside
from tasks.judging.llm.rubric import unscored_table
from tasks.meta_analysis.step import measure_effects, pool_effects, pool_otherwise, pool_pairs
from tasks.planning.bench import Bench, Inputs


@flow(name="meta-analysis", flow_run_name="meta-analysis", validate_parameters=False)
def pool_study(bench: Bench, inputs: Inputs, joined: Joined) -> dict[str, pd.DataFrame]:
    """scores, effects and pooled; architectures that lack a side of a contrast are not in its k."""
    study, categories = bench.study, inputs.data.categories
    scores, health = _read(joined.results, "score"), cell_tables(study, joined.results)["health"]
    line = outside(inputs.judge.tables["judge_calibration"], scores)
    effects = measure_effects(study, scores, health, categories, line)
    return {
        "scores": scores, "effects": effects, "pooled": pool_effects(study, effects, line), "judge_calibration": line,
        **pool_otherwise(study, effects), "pairwise": pool_pairs(study, scores, health, categories),
        "unscored": unscored_table(_read(joined.results, "reason")),
    }  # fmt: skip


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
