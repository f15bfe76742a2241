"""Answers that each group gets for itself: its judge reads them, and the condition's scores are their means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.planning.cell_tables import read_answers, read_replicates
from tasks.planning.cells import Cell, Replicates
from tasks.planning.group_scores import group_scores
from tasks.planning.results import CellResult, ReplicatesResult

EA = "emotional-awareness"


class Plus:
    """A judge that adds something to everybody's scores, and remembers which answers it has read."""

    def __init__(self, more: float) -> None:
        self.more, self.read = more, list[str]()

    def score(self, scores: np.ndarray, texts: list[str]) -> np.ndarray:
        self.read += texts
        return scores + self.more


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("groups")


def kept(folder: Path, name: str, scores: dict[tuple[str, str], float], **more: object) -> dict[str, Path]:
    """The files of a cell's answers and scores: (group, prompt) → score."""
    keys = pd.DataFrame(list(scores), columns=["group", "prompt_id"]).assign(**more)
    answers = keys.assign(text=[f"{group} {prompt}" for group, prompt in scores])
    judged = keys.assign(dimension=EA, score=list(scores.values()))
    judged = judged.assign(reason=judged["score"].isna().map({True: "refused", False: ""}))
    files = {"answers": folder / f"{name}-answers.parquet", "scores": folder / f"{name}-scores.parquet"}
    for key, table in (("answers", answers), ("scores", judged.iloc[::-1])):
        table.to_parquet(files[key])
    return files


SCORES = {("liberal", "p"): 0.2, ("liberal", "q"): 0.4, ("conservative", "p"): 0.6, ("conservative", "q"): np.nan}


def test_each_groups_judge_scores_the_answers_that_the_group_gets(study: Study, tmp_path: Path) -> None:
    cell = Cell("ways", "tiny-llama", "named")
    judges: dict[str, Any] = {"liberal": Plus(0.01), "conservative": Plus(0.02)}
    replicated = kept(tmp_path, "replicates", SCORES, replicate=1)
    replicates = [ReplicatesResult(Replicates(cell, (1,)), "trained", **replicated)]
    cells = [CellResult(cell, "trained", **kept(tmp_path, "cell", SCORES))]
    table = group_scores(study, "ways", judges, cells, replicates)
    for replicate in (0, 1):
        own = table[table["replicate"] == replicate].set_index(["group", "prompt_id"])["score"]
        assert own.to_dict() == pytest.approx(
            {
                ("liberal", "p"): 0.21,
                ("liberal", "q"): 0.41,
                ("conservative", "p"): 0.62,
                ("conservative", "q"): np.nan,
            },
            nan_ok=True,
        )
    assert judges["liberal"].read == ["liberal p", "liberal q"] * 2


def test_the_conditions_scores_are_means_over_groups_and_none_where_one_is_missing(tmp_path: Path) -> None:
    cell = Cell("ways", "tiny-llama", "named")
    answers = read_answers([CellResult(cell, "trained", **kept(tmp_path, "cell", SCORES))])
    assert answers.set_index("prompt_id")["score"].to_dict() == pytest.approx({"p": 0.4, "q": np.nan}, nan_ok=True)
    assert answers.set_index("prompt_id")["reason"].to_dict() == {"p": "", "q": "refused"}
    replicated = kept(tmp_path, "replicates", SCORES, replicate=1)
    table = read_replicates([ReplicatesResult(Replicates(cell, (1,)), "trained", **replicated)])
    assert table.set_index(["replicate", "prompt_id"])["score"].to_dict() == pytest.approx(
        {(1, "p"): 0.4, (1, "q"): np.nan}, nan_ok=True
    )
