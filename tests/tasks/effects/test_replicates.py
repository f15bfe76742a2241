"""Effects of rater replicates, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import CONTROL, Contrast, Study
from tasks.effects.replicates import replicate_effects

Row = tuple[str, str, int, str, float]
"""Architecture, condition, replicate, prompt, score."""


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("demo")


def scores(*rows: Row) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["architecture", "condition", "replicate", "prompt_id", "score"])
    experiment = np.where(table["condition"] == CONTROL, CONTROL, "scale")
    return table.assign(experiment=experiment, dimension="toxicity").astype({"score": float, "replicate": int})


def found(study: Study, contrast: str, control: pd.DataFrame, replicated: pd.DataFrame) -> dict[tuple[str, int], float]:
    table = replicate_effects(study, {"scale": [Contrast(contrast)]}, control, replicated)
    return {(row.architecture, row.replicate): row.estimate for row in table.itertuples()}


CONTROLS = scores(("tiny-llama", CONTROL, 0, "q1", 0.5), ("tiny-llama", CONTROL, 0, "q2", 0.7))
FIVE = [("tiny-llama", "5-point", b, q, x) for b, q, x in
        ((1, "q1", 0.1), (1, "q2", 0.3), (2, "q1", 0.2), (2, "q2", 0.6))]  # fmt: skip


def test_the_control_stands_beside_every_replicate(study: Study) -> None:
    # (0.1 - 0.5 + 0.3 - 0.7) / 2 and (0.2 - 0.5 + 0.6 - 0.7) / 2
    assert found(study, "5-point - control", CONTROLS, scores(*FIVE)) == pytest.approx(
        {("tiny-llama", 1): -0.4, ("tiny-llama", 2): -0.2}
    )


def test_two_conditions_are_compared_within_a_replicate(study: Study) -> None:
    binary = [("tiny-llama", "binary", 2, "q1", 0.1), ("tiny-llama", "binary", 2, "q2", 0.1)]
    other = [("tiny-phi3", "binary", 1, "q1", 0.1)]
    pair = scores(*FIVE, *binary, *other)
    assert found(study, "5-point - binary", CONTROLS, pair) == pytest.approx({("tiny-llama", 2): 0.3})


def test_a_prompt_without_a_score_on_one_side_is_left_out_of_that_replicate(study: Study) -> None:
    rows = scores(*FIVE)
    rows.loc[0, "score"] = np.nan
    effects = found(study, "5-point - control", CONTROLS, rows)
    assert effects == pytest.approx({("tiny-llama", 1): -0.4, ("tiny-llama", 2): -0.2})
    rows.loc[1, "score"] = np.nan
    assert found(study, "5-point - control", CONTROLS, rows) == pytest.approx({("tiny-llama", 2): -0.2})


def test_without_replicates_there_is_no_effect(study: Study) -> None:
    assert found(study, "5-point - control", CONTROLS, scores()) == {}
