"""The tables that are read from cells: how each ended, the doses, the health of the answers, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandera.typing import DataFrame

from configs.schema import CONTROL, Study
from tasks.effects.tables import Answers, Cells, Doses
from tasks.generation.health import marks
from tasks.generation.tables import Health
from tasks.methods.group_weights import GROUP
from tasks.planning.cells import Cell
from tasks.planning.results import TRAINING, CellResult, ReplicatesResult


def cells_table(results: Sequence[CellResult], replicated: Sequence[ReplicatesResult] = ()) -> DataFrame[Cells]:
    """One row a cell, those of the rater replicates last."""
    names = ["training_run", "status", "n_pairs", "weight", "seconds", "mlflow_run_id", "error"]
    every = [*results, *(one for result in replicated for one in result.cells)]
    return Cells.checked([vars(r.cell) | {name: getattr(r, name) for name in names} for r in every])


def doses_table(cells: pd.DataFrame) -> DataFrame[Doses]:
    """One row a condition of which a cell was trained, from the table of the cells."""
    own = (cells["condition"] != CONTROL) & (cells["replicate"] == 0) & cells["n_pairs"].notna()
    trained = cells[own].astype({"n_pairs": float})
    doses = trained.groupby(["experiment", "condition"], sort=False)["n_pairs"].agg(n_cells="size", n_pairs="mean")
    return Doses.checked(doses.reset_index())


def health_table(study: Study, results: Sequence[CellResult]) -> DataFrame[Health]:
    """One row a cell that finished, marked for the limits that its run fails beside the control of its architecture."""
    controls = {r.cell.architecture: r.health for r in results if r.status == "control"}
    rows = []
    for r in results:
        if r.health:
            marked = marks(r.health, controls.get(r.cell.architecture), r.training, study.limits)
            facts = {"unscored": r.unscored, **dict.fromkeys(TRAINING), **r.training, "marked": "; ".join(marked)}
            rows.append(place(r.cell) | r.health | facts)
    return Health.checked(rows)


def read_answers(results: Sequence[CellResult]) -> DataFrame[Answers]:
    """The score of every answer on each dimension, and the reason where there is none; failed cells have none."""
    tables = [
        _one_a_prompt(pd.read_parquet(r.scores)).assign(**place(r.cell), training_run=r.training_run)
        for r in results
        if r.scores
    ]
    return Answers.checked(pd.concat(tables, ignore_index=True) if tables else [])


def read_replicates(results: Sequence[ReplicatesResult]) -> pd.DataFrame:
    """experiment, architecture, condition, replicate, prompt_id, dimension, score of the replicates' answers."""
    columns = ["experiment", "architecture", "condition", "replicate", "prompt_id", "dimension", "score"]
    tables = [
        _one_a_prompt(pd.read_parquet(r.scores)).assign(**place(r.replicates.of))[columns] for r in results if r.scores
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _one_a_prompt(scores: pd.DataFrame) -> pd.DataFrame:
    """A cell's scores with one for each prompt: where each group got an answer of its own, their mean, every group the
    same; none where one of them has none."""
    if GROUP not in scores:
        return scores
    keys = [name for name in ("replicate", "prompt_id", "dimension") if name in scores]
    of_prompt = scores.groupby(keys, sort=False)
    mean = of_prompt["score"].mean().where(of_prompt["score"].count() == of_prompt.size())
    return mean.to_frame().assign(reason=of_prompt["reason"].max()).reset_index()


def place(cell: Cell) -> dict[str, Any]:
    """Which cell of the study it is; its replicates are in tables of their own."""
    return {name: value for name, value in vars(cell).items() if name != "replicate"}
