"""Ratios of pooled effects, by hand and by their own definition."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from tasks.meta_analysis.pooling import pool
from tasks.meta_analysis.raters import replicate_means
from tasks.meta_analysis.ratios import Spread, ratio, ratios

ERRORS = np.full(4, 0.01)


def test_a_ratio_is_that_of_the_pooled_effects() -> None:
    found = ratio(np.array([0.2, 0.4]), ERRORS[:2], np.array([0.1, 0.2]), ERRORS[:2])
    assert found.ratio == pytest.approx(0.3 / 0.15)


@pytest.mark.parametrize("factor", [3, 0.7, 1e-3])
def test_effects_in_exact_proportion_have_no_interval(factor: float) -> None:
    b = np.array([0.1, 0.2, 0.15, 0.12])
    found = ratio(factor * b, factor * ERRORS, b, ERRORS)  # all that differs between architectures is shared
    assert found.ratio == pytest.approx(factor)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


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


def test_who_was_asked_widens_the_interval_and_one_who_changes_both_alike_widens_it_less() -> None:
    generator = np.random.default_rng(2)
    a, b, error = generator.normal(0.3, 0.02, 7), generator.normal(0.2, 0.02, 7), np.full(7, 0.02)
    widths = [
        found.high - found.low
        for asked in (None, Spread(9e-4, 4e-4, 6e-4, 7), Spread(9e-4, 4e-4, 0.0, 7))
        for found in [ratio(a, error, b, error, asked=asked)]
    ]
    assert widths[0] < widths[1] * 1.2 < widths[2]  # 0.03 and 0.02 together leave the ratio of 1.5 as it is


def test_fiellers_interval_with_raters_by_hand() -> None:
    # Equal effects in each architecture: only the raters' error is left. A = 0.4, B = 0.2, V_A = V_B = 0.0001, C = 0.
    found = ratio(*(np.full(3, value) for value in (0.4, 0.1, 0.2, 0.1)), asked=Spread(1e-4, 1e-4, 0.0, 7))
    t2 = 2.364624**2 * 1e-4  # 7 degrees of freedom
    assert t2 == pytest.approx(5.59145e-4, abs=1e-8)
    # (0.4 - 0.2 r)² = t² V (1 + r²): (0.04 - t2) r² - 0.16 r + 0.16 - t2 = 0
    ends = sorted(np.roots([0.04 - t2, -0.16, 0.16 - t2]))
    assert (found.low, found.high) == (pytest.approx(ends[0], abs=1e-5), pytest.approx(ends[1], abs=1e-5))


# ---- of a study


NO_MEANS = replicate_means(
    pd.DataFrame(columns=["experiment", "contrast", "dimension", "architecture", "estimate", "std_error"]),
    pd.DataFrame(columns=["experiment", "contrast", "dimension", "tau2"]),
    pd.DataFrame(columns=["experiment", "contrast", "dimension", "architecture", "replicate", "estimate"]),
)


def table(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame([
        {"experiment": "scale", "contrast": contrast, "dimension": "toxicity", "architecture": model,
         "estimate": estimate, "std_error": 0.01}
        for contrast, model, estimate in rows
    ])  # fmt: skip


def test_a_study_names_its_ratios_and_architectures_count_that_have_both() -> None:
    five, binary = "5-point - control", "binary - control"
    effects = table((five, "a", -0.2), (five, "b", -0.3), (binary, "a", -0.1), (binary, "b", -0.2), (five, "c", -9.0))
    found = ratios(load_study("paper"), effects, NO_MEANS).set_index(["experiment", "to"])
    assert found.loc[("scale", binary), ["k", "published"]].tolist() == [2, 1.22]
    assert found.loc[("scale", binary), "ratio"] == pytest.approx(0.25 / 0.15)
    assert found["k"].sum() == 2  # the others have no effects
    assert found.drop(("scale", binary))["ratio"].isna().all()


@pytest.mark.parametrize(("key", "value"), [("of", "nope"), ("dimension", "helpfulness")])
def test_a_ratio_of_what_is_not_there_is_refused(key: str, value: str) -> None:
    item = {"of": "5-point - control", "to": "binary - control", "dimension": "toxicity", key: value}
    with pytest.raises(InputError, match=f"unknown '{value}'; allowed: "):
        load_study("paper", {"experiments.scale.ratios": [item]})


def test_replicates_of_both_contrasts_give_the_ratio_a_second_interval() -> None:
    five, binary = "5-point - control", "binary - control"
    models = "abcde"
    effects = table(*((c, m, x + 0.01 * n) for c, x in ((five, -0.4), (binary, -0.2)) for n, m in enumerate(models)))
    keys = ["experiment", "contrast", "dimension"]
    replicates = pd.concat([
        effects[[*keys, "architecture", "estimate"]].assign(replicate=number, estimate=effects["estimate"] + shift)
        for number, shift in enumerate((-0.01, 0.0, 0.02), start=1)
    ])  # fmt: skip
    means = replicate_means(effects, effects[keys].drop_duplicates().assign(tau2=0.0), replicates)
    found = ratios(load_study("paper"), effects, means).set_index(["experiment", "to"]).loc[("scale", binary)]
    assert found["n_replicates"] == 3
    assert found["total_ci_low"] != found["ci_low"]
    others = ratios(load_study("paper"), effects, NO_MEANS).set_index(["experiment", "to"]).loc[("scale", binary)]
    assert others["n_replicates"] == 0
    assert math.isnan(others["total_ci_low"])
