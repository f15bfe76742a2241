"""Join the cells and pool their effects over the architectures."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from flows.bench import Bench, Inputs
from flows.cells import CellResult, Joined
from tasks.meta_analysis.step import measure_effects, pool_effects


@flow(name="meta-analysis", flow_run_name="meta-analysis", validate_parameters=False)
def pool_study(bench: Bench, inputs: Inputs, joined: Joined) -> dict[str, pd.DataFrame]:
    """scores, effects and pooled; architectures that lack a side of a contrast are not in its k."""
    scores = _scores(joined.results)
    effects = measure_effects(bench.study, scores, inputs.data.categories)
    return {"scores": scores, "effects": effects, "pooled": pool_effects(bench.study, effects)}


def _scores(results: list[CellResult]) -> pd.DataFrame:
    columns = ["experiment", "architecture", "condition", "training_run", "prompt_id", "dimension", "score"]
    tables = [
        pd.read_parquet(result.scores).assign(
            experiment=result.cell.experiment, architecture=result.cell.architecture,
            condition=result.cell.condition, training_run=result.training_run,
        )
        for result in results
        if result.scores
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
