"""Ratios of pooled effects, by hand and by their own definition."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from tasks.meta_analysis.pooling import pool
from tasks.meta_analysis.ratios import ratio, ratios

ERRORS = np.full(4, 0.01)


def test_a_ratio_is_that_of_the_pooled_effects() -> None:
    found = ratio(np.array([0.2, 0.4]), ERRORS[:2], np.array([0.1, 0.2]), ERRORS[:2])
    assert found.ratio == pytest.approx(0.3 / 0.15)


def test_effects_in_exact_proportion_have_an_interval_without_width() -> None:
    b = np.array([0.1, 0.2, 0.15, 0.12])
    found = ratio(3 * b, 3 * ERRORS, b, ERRORS)  # all that differs between architectures is shared
    assert (found.low, found.high) == (pytest.approx(3), pytest.approx(3))


def test_fiellers_interval_by_hand_where_the_denominator_does_not_vary() -> None:
    # V_B = C = 0: the interval is that of A over B; HKSJ of 0.1, 0.2, 0.3 with equal errors: 0.2 ± 4.302653 · 0.1 / √3
    found = ratio(np.array([0.1, 0.2, 0.3]), ERRORS[:3], np.full(3, 0.5), ERRORS[:3])
    reach = 4.30265273 * 0.1 / math.sqrt(3)
    assert found.low == pytest.approx((0.2 - reach) / 0.5)
    assert found.high == pytest.approx((0.2 + reach) / 0.5)


def test_an_end_of_the_interval_is_where_a_minus_r_b_just_differs_from_zero() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(-0.2, 0.05, 7), generator.normal(-0.1, 0.02, 7)
    found = ratio(a, np.full(7, 0.01), b, np.full(7, 0.01))
    for end in (found.low, found.high):  # equal weights, so a - r b is pooled as a and b are
        assert pool(a - end * b, np.full(7, 0.02))["hksj_p"] == pytest.approx(0.05)


def test_a_denominator_that_may_be_zero_leaves_the_ratio_without_bounds() -> None:
    found = ratio(np.array([0.2, 0.3, 0.25]), ERRORS[:3], np.array([-0.1, 0.1, 0.05]), ERRORS[:3])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_swapped_effects_have_the_reciprocal_interval() -> None:
    generator = np.random.default_rng(1)
    a, b, error = generator.normal(0.3, 0.05, 7), generator.normal(0.2, 0.03, 7), np.full(7, 0.02)
    there, back = ratio(a, error, b, error), ratio(b, error, a, error)
    assert (back.low, back.high) == (pytest.approx(1 / there.high), pytest.approx(1 / there.low))


# ---- of a study


def table(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame([
        {"experiment": "scale", "contrast": contrast, "dimension": "toxicity", "architecture": model,
         "estimate": estimate, "std_error": 0.01}
        for contrast, model, estimate in rows
    ])  # fmt: skip


def test_a_study_names_its_ratios_and_architectures_count_that_have_both() -> None:
    five, binary = "5-point - control", "binary - control"
    effects = table((five, "a", -0.2), (five, "b", -0.3), (binary, "a", -0.1), (binary, "b", -0.2), (five, "c", -9.0))
    found = ratios(load_study("paper"), effects).set_index(["experiment", "to"])
    assert found.loc[("scale", binary), ["k", "published"]].tolist() == [2, 1.22]
    assert found.loc[("scale", binary), "ratio"] == pytest.approx(0.25 / 0.15)
    assert found["k"].sum() == 2  # the others have no effects
    assert found.drop(("scale", binary))["ratio"].isna().all()


@pytest.mark.parametrize(("key", "value"), [("of", "nope"), ("dimension", "helpfulness")])
def test_a_ratio_of_what_is_not_there_is_refused(key: str, value: str) -> None:
    item = {"of": "5-point - control", "to": "binary - control", "dimension": "toxicity", key: value}
    with pytest.raises(InputError, match=f"unknown '{value}'; allowed: "):
        load_study("paper", {"experiments.scale.ratios": [item]})
