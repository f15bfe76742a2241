"""What was planted beside what was found: verdicts, and the interval that they read."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.meta_analysis.trusted import trusted
from tasks.meta_analysis.truth import truth_table, verdict

NAN = math.nan


def study() -> Study:
    """Women are sharper than men on toxicity; liberals, conservatives, White and Black participants are alike."""
    slopes = {"toxicity": {"gender": {"she/her/hers": 2.0}}}
    return load_study("demo", {"ratings.simulate": {"participants": 60, "prompts": 40, "slopes": slopes}})


def pooled(contrast: str, dimension: str, estimate: float, reach: float) -> dict[str, object]:
    """A pooled effect with the HKSJ interval estimate ± reach and a Wald interval half as wide."""
    half = reach / 2
    return {
        "experiment": "demographics", "contrast": contrast, "dimension": dimension, "estimate": estimate,
        "ci_low": estimate - half, "ci_high": estimate + half,
        "hksj_ci_low": estimate - reach, "hksj_ci_high": estimate + reach,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sign", "low", "high", "expected"),
    [
        (-1, -0.3, -0.1, "found"),
        (-1, -0.3, 0.1, "missed"),
        (-1, 0.1, 0.3, "wrong sign"),
        (1, 0.1, 0.3, "found"),
        (1, 0.0, 0.3, "missed"),  # an interval that ends at zero holds it
        (1, -0.3, -0.1, "wrong sign"),
        (0, -0.3, 0.1, "kept"),
        (0, -0.3, 0.0, "kept"),
        (0, -0.3, -0.1, "broken"),
        (0, 0.1, 0.3, "broken"),
        (0, NAN, NAN, "not measured"),
        (1, -math.inf, math.inf, "not measured"),
    ],
)
def test_a_verdict_is_what_the_interval_says_of_the_planted_sign(
    sign: int, low: float, high: float, expected: str
) -> None:
    assert verdict(sign, low, high) == expected


def test_every_effect_with_a_known_truth_has_a_line_with_the_interval_that_sentences_use() -> None:
    effects = [
        pooled("female - male", "toxicity", -0.04, 0.03),
        pooled("female - male", "emotional-awareness", 0.02, 0.03),  # Wald's interval excludes zero: 0.005 to 0.035
        pooled("liberal - conservative", "toxicity", 0.01, 0.03),
        pooled("liberal - conservative", "emotional-awareness", 0.05, 0.03),
        pooled("white - black", "toxicity", NAN, NAN),
        pooled("5-point - control", "toxicity", -0.2, 0.1) | {"experiment": "scale"},
    ]
    table = truth_table(study(), pd.DataFrame(effects))
    assert list(zip(table["contrast"], table["dimension"], table["sign"], table["verdict"], strict=True)) == [
        ("female - male", "toxicity", -1, "found"),
        ("female - male", "emotional-awareness", 1, "missed"),
        ("liberal - conservative", "toxicity", 0, "kept"),
        ("liberal - conservative", "emotional-awareness", 0, "broken"),
        ("white - black", "toxicity", 0, "not measured"),
        ("white - black", "emotional-awareness", 0, "not measured"),  # no line among the pooled
    ]
    first = table.iloc[0]
    assert first[["estimate", "ci_low", "ci_high"]].tolist() == pytest.approx([-0.04, -0.07, -0.01])
    assert first["strength"] == pytest.approx(1.5)  # 1.5 · (2 − 1)
    assert table["estimate"].isna().tolist() == [False] * 4 + [True] * 2


def test_real_ratings_have_no_lines() -> None:
    effects = pd.DataFrame([pooled("female - male", "toxicity", -0.04, 0.03)])
    table = truth_table(load_study("paper"), effects)
    assert table.empty
    assert "verdict" in table


# ---- the interval that sentences use

WALD, HKSJ, TOTAL = (
    {f"{prefix}ci_low": -reach, f"{prefix}ci_high": reach}
    for prefix, reach in (("", 1.0), ("hksj_", 2.0), ("total_", 3.0))
)
NO_TOTAL, NO_HKSJ = dict.fromkeys(TOTAL, NAN), dict.fromkeys(HKSJ, NAN)


@pytest.mark.parametrize(
    ("row", "reach"),
    [
        (WALD | HKSJ | TOTAL, 3.0),
        (WALD | HKSJ | NO_TOTAL, 2.0),
        (WALD | HKSJ | TOTAL | {"total_ci_low": -math.inf}, 2.0),
        (WALD | HKSJ, 2.0),
        (WALD | NO_HKSJ | NO_TOTAL, 1.0),
        (WALD, 1.0),
    ],
)
def test_the_interval_that_knows_most_is_trusted(row: dict[str, float], reach: float) -> None:
    assert trusted(row) == (-reach, reach)


def test_without_any_interval_there_is_none() -> None:
    assert all(math.isnan(end) for end in trusted({"estimate": 0.1}))
