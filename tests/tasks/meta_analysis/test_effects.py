"""Effects of one architecture, by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.meta_analysis.effects import COLUMNS, effects, paired_effect
from tasks.meta_analysis.groups import pool_table

STEP = 0.25
"""One category of five on a 0 to 1 score."""


def scores(**by_prompt: float) -> pd.Series:
    return pd.Series(by_prompt, dtype=float)


def test_an_effect_is_the_mean_paired_difference_with_its_standard_error() -> None:
    # differences -0.2, -0.4, 0.0: mean -0.2, sd 0.2, SE 0.2 / √3 = 0.115; the floor 0.25 / 3 = 0.083 is below it
    effect = paired_effect(scores(a=0.3, b=0.2, c=0.9), scores(a=0.5, b=0.6, c=0.9), STEP)
    assert effect == (pytest.approx(-0.2), pytest.approx(0.2 / math.sqrt(3)), 3)


def test_prompts_are_paired_by_id_whatever_their_order() -> None:
    # differences -0.1 and 0.7: mean 0.3, sd 0.8 / √2
    estimate, error, n = paired_effect(scores(b=0.9, a=0.1), scores(a=0.2, b=0.2), STEP)
    assert (estimate, error, n) == (pytest.approx(0.3), pytest.approx(0.4), 2)


def test_a_prompt_unscored_on_either_side_is_left_out() -> None:
    a = scores(p=0.5, q=0.7, r=math.nan, s=0.1, only_here=1.0)
    b = scores(p=0.1, q=0.1, r=0.9, s=math.nan)
    # differences 0.4 and 0.6: mean 0.5, sd 0.1 · √2, SE 0.1; the floor is 0.25 / 2
    assert paired_effect(a, b, STEP) == (pytest.approx(0.5), pytest.approx(0.125), 2)


def test_without_spread_the_error_is_that_of_one_prompt_moved_by_one_category() -> None:
    same = scores(a=0.5, b=0.25, c=0.0, d=1.0)
    # one of four differences 0.25, three 0: variance 0.25² · 3/16, SE √(that / 3) = 0.25 / 4
    assert paired_effect(same, same, STEP) == (0.0, pytest.approx(math.sqrt(0.25**2 * 3 / 16 / 3)), 4)


@pytest.mark.parametrize("common", [{}, {"p": 0.5}])
def test_below_two_prompts_there_is_no_standard_error(common: dict[str, float]) -> None:
    estimate, error, n = paired_effect(scores(**common), scores(**{key: 0.0 for key in common}), STEP)
    assert n == len(common)
    assert math.isnan(error)
    assert estimate == pytest.approx(0.5) if common else math.isnan(estimate)


# ---- a whole study


def study() -> Study:
    return load_study("demo", {"architectures": ["tiny-llama", "tiny-falcon"]})


def table(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    """(experiment, architecture, condition, score): that score of toxicity for q1 and 0.1 more for q2."""
    return pd.DataFrame(
        [
            (experiment, architecture, condition, prompt, "toxicity", score + 0.1 * number)
            for experiment, architecture, condition, score in rows
            for number, prompt in enumerate(("q1", "q2"))
        ],
        columns=["experiment", "architecture", "condition", "prompt_id", "dimension", "score"],
    )


ROWS = [
    ("control", "tiny-llama", "control", 0.8),
    ("scale", "tiny-llama", "5-point", 0.3),
    ("scale", "tiny-llama", "binary", 0.4),
    ("disagreement", "tiny-llama", "all", 0.2),
    ("control", "tiny-falcon", "control", 0.7),
    ("scale", "tiny-falcon", "5-point", 0.5),
]


def test_every_contrast_with_both_sides_has_an_effect_and_control_serves_all_experiments() -> None:
    found = effects(study(), table(*ROWS), categories=5)
    assert list(found.columns) == COLUMNS
    values = {(row.experiment, row.contrast, row.architecture): row.estimate for row in found.itertuples()}
    assert values == {
        ("scale", "5-point - control", "tiny-llama"): pytest.approx(-0.5),
        ("scale", "5-point - control", "tiny-falcon"): pytest.approx(-0.2),
        ("scale", "binary - control", "tiny-llama"): pytest.approx(-0.4),
        ("scale", "5-point - binary", "tiny-llama"): pytest.approx(-0.1),
        ("disagreement", "all - control", "tiny-llama"): pytest.approx(-0.6),
    }
    assert found["std_error"].to_numpy() == pytest.approx(0.125)  # no spread: 0.25 / 2


def test_a_missing_architecture_lowers_the_number_that_is_pooled() -> None:
    by = ["experiment", "contrast", "dimension"]
    k = pool_table(effects(study(), table(*ROWS), categories=5), by).set_index("contrast")["k"]
    assert k.to_dict() == {"5-point - control": 2, "binary - control": 1, "5-point - binary": 1, "all - control": 1}


def test_no_scores_have_no_effects() -> None:
    assert len(effects(study(), table(), categories=5)) == 0
