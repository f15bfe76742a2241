"""Pooling against R's metafor, and the edges by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.meta_analysis.groups import LEFT_OUT, leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS, EffectGroups, fit, paule_mandel, q_profile, reml
from tasks.meta_analysis.pooling import MORE, STATISTICS, egger, pool, pool_groups
from tests.benchmarks.pooling_fuzz import LIMITS, measure

CLOSE = 1e-9
"""Both sum 13 terms in double precision; metafor's REML stops earlier, which shows where one is left out."""


@pytest.fixture(scope="module")
def metafor(shared_reference: Path) -> dict[str, Any]:
    return json.loads((shared_reference / "metafor_dat_bcg.json").read_text())


@pytest.fixture(scope="module")
def bcg(metafor: dict[str, Any]) -> pd.DataFrame:
    """The 13 BCG vaccine trials."""
    estimates, variances = (np.array(metafor["data"][name]) for name in ("yi", "vi"))
    return pd.DataFrame({"trial": range(13), "estimate": estimates, "std_error": np.sqrt(variances)})


WALD = {
    "k": "k", "estimate": "beta", "std_error": "se", "ci_low": "ci.lb", "ci_high": "ci.ub", "p": "pval",
    "tau2": "tau2", "q": "QE", "q_p": "QEp", "i2": "I2",
}  # fmt: skip
KNAPP_HARTUNG = {
    "hksj_ci_low": "ci.lb", "hksj_ci_high": "ci.ub", "hksj_p": "pval", "pi_low": "pi.lb", "pi_high": "pi.ub",
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "fit", "names"),
    [
        ("fixed", "EE_z", WALD), ("dl", "DL_z", WALD), ("reml", "REML_z", WALD), ("pm", "PM_z", WALD),
        ("dl", "DL_knha", KNAPP_HARTUNG), ("reml", "REML_knha", KNAPP_HARTUNG),
    ],
)  # fmt: skip
def test_every_statistic_of_every_method_is_metafors(
    bcg: pd.DataFrame, metafor: dict[str, Any], method: str, fit: str, names: dict[str, str]
) -> None:
    ours = pool(bcg["estimate"].to_numpy(), bcg["std_error"].to_numpy(), method)
    theirs = metafor[fit]
    assert {name: ours[name] for name in names} == pytest.approx(
        {n: theirs[key] for n, key in names.items()}, rel=CLOSE
    )


@pytest.mark.parametrize("method", ["dl", "reml", "pm"])
def test_q_profile_intervals_are_metafors(bcg: pd.DataFrame, metafor: dict[str, Any], method: str) -> None:
    ours = pool(bcg["estimate"].to_numpy(), bcg["std_error"].to_numpy(), method)
    theirs = metafor[f"{method.upper()}_z"]["conf_random"]
    found = [ours[name] for name in ("tau2_low", "tau2_high", "i2_low", "i2_high")]
    tau2, i2 = (theirs["rows"].index(name) for name in ("tau^2", "I^2(%)"))
    assert found == pytest.approx([theirs[end][row] for row in (tau2, i2) for end in ("lb", "ub")], rel=CLOSE)


def test_eggers_regression_is_metafors(bcg: pd.DataFrame, metafor: dict[str, Any]) -> None:
    found = egger(bcg[["estimate"]].to_numpy().T, bcg[["std_error"]].to_numpy().T ** 2, "reml")
    theirs = metafor["regtest_rma"]
    names = {"z": "zval", "p": "pval", "limit": "est", "limit_low": "ci.lb", "limit_high": "ci.ub"}
    assert {name: found[name][0] for name in names} == pytest.approx({n: theirs[k] for n, k in names.items()}, abs=1e-6)
    pooled = pool(bcg["estimate"].to_numpy(), bcg["std_error"].to_numpy(), "reml")
    assert (pooled["egger_z"], pooled["egger_p"]) == pytest.approx((found["z"][0], found["p"][0]))


def test_eggers_regression_is_not_made_of_few_effects_nor_of_equal_errors(bcg: pd.DataFrame) -> None:
    few = pool(bcg["estimate"].to_numpy()[:9], bcg["std_error"].to_numpy()[:9])
    equal = pool(bcg["estimate"].to_numpy(), np.full(13, 0.1))
    assert all(math.isnan(found["egger_p"]) for found in (few, equal))


def test_leaving_one_out_is_metafors(bcg: pd.DataFrame, metafor: dict[str, Any]) -> None:
    found = leave_one_out(bcg, [], "trial", "reml")
    theirs = metafor["leave1out_REML"]
    assert found["without"].tolist() == list(range(13))
    names = {
        "estimate": "estimate", "std_error": "se", "ci_low": "ci.lb", "ci_high": "ci.ub", "q": "Q", "tau2": "tau2",
        "i2": "I2",
    }  # fmt: skip
    for name, key in names.items():
        assert found[name].to_numpy() == pytest.approx(theirs[key], rel=1e-6), name


@pytest.mark.parametrize("method", METHODS)
def test_leaving_one_out_is_pooling_the_others(bcg: pd.DataFrame, method: str) -> None:
    found = leave_one_out(bcg, [], "trial", method)
    for out in (0, 7):
        others = bcg[bcg["trial"] != out]
        alone = pool(others["estimate"].to_numpy(), others["std_error"].to_numpy(), method)
        assert found[LEFT_OUT].iloc[out].to_dict() == pytest.approx({name: alone[name] for name in LEFT_OUT})


@pytest.mark.parametrize("method", METHODS)
def test_many_groups_at_once_are_the_groups_alone(method: str) -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(40), generator.integers(1, 25, 40))
    table = pd.DataFrame({
        "group": generator.permutation(codes), "estimate": generator.normal(0, 0.3, len(codes)),
        "std_error": generator.uniform(0.01, 0.5, len(codes)),
    })  # fmt: skip
    table.loc[3, "estimate"] = 1e6  # one huge outlier, among its group only
    pooled = pool_table(table, ["group"], method).set_index("group")
    assert pooled.index.tolist() == table["group"].drop_duplicates().tolist()
    for group, own in table.groupby("group"):
        alone = pool(own["estimate"].to_numpy(), own["std_error"].to_numpy(), method)
        assert pooled.loc[group].to_dict() == pytest.approx(alone, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("method", METHODS)
def test_one_huge_outlier_has_a_finite_answer_that_says_so(method: str) -> None:
    y, se = np.array([0.1, 0.12, 0.08, 0.11, 1e6]), np.full(5, 0.02)
    found = pool(y, se, method)
    assert all(math.isfinite(found[name]) for name in STATISTICS)
    assert found["i2"] > 99.99
    assert found["hksj_ci_low"] < 0 < found["hksj_ci_high"]
    without = leave_one_out(pd.DataFrame({"m": range(5), "estimate": y, "std_error": se}), [], "m", method)
    assert without["estimate"].iloc[4] == pytest.approx(0.1025)  # (0.1 + 0.12 + 0.08 + 0.11) / 4


def test_paule_mandel_and_q_profile_solve_their_equation() -> None:
    generator = np.random.default_rng(1)
    v = np.exp(generator.normal(0, 2, (500, 7)))
    effects = EffectGroups(generator.normal(0, np.sqrt(2 * v)), v, np.ones((500, 7, 1)))
    tau2 = paule_mandel(effects)
    assert fit(effects, tau2).q[tau2 > 0] == pytest.approx(6)
    low, high = q_profile(effects)
    assert fit(effects, low).q[low > 0] == pytest.approx(14.4493753)  # χ²(6) at .975 and .025, from its table
    assert fit(effects, high).q[high > 0] == pytest.approx(1.2373442)
    assert np.all((low <= tau2) & (tau2 <= high))


def test_reml_is_a_top_of_the_restricted_likelihood() -> None:
    generator = np.random.default_rng(2)
    v = np.exp(generator.normal(0, 1, (200, 7)))
    effects = EffectGroups(generator.normal(0, np.sqrt(1.5 * v)), v, np.ones((200, 7, 1)))

    def likelihood(tau2: np.ndarray) -> np.ndarray:  # -½ (Σ log(v + τ²) + log Σw + Q)
        at = fit(effects, tau2)
        return -0.5 * (np.log(v + tau2[:, None]).sum(axis=1) + np.log(at.w.sum(axis=1)) + at.q)

    tau2 = reml(effects)
    assert np.isfinite(tau2).all()
    for other in (tau2 * 0.98, tau2 * 1.02 + 1e-4):
        assert np.all(likelihood(tau2) >= likelihood(other) - 1e-9)


def test_effects_more_alike_than_their_errors_have_an_interval_of_tau_at_zero() -> None:
    found = pool(np.array([0.1, 0.1001, 0.0999]), np.array([0.1, 0.1, 0.1]))
    assert (found["tau2_low"], found["tau2_high"], found["i2_high"]) == (0, 0, 0)


def test_without_heterogeneity_the_pool_is_the_fixed_effect() -> None:
    y, se = np.array([-0.2, -0.25, -0.3]), np.array([0.1, 0.2, 0.1])
    # w = 100, 25, 100; Σw = 225; μ = (-20 - 6.25 - 30) / 225 = -0.25; Q = 100 · 0.05² + 0 + 100 · 0.05² = 0.5 < k - 1
    result = pool(y, se)
    assert (result["tau2"], result["i2"]) == (0, 0)
    assert result["q"] == pytest.approx(0.5)
    assert result["estimate"] == pytest.approx(-0.25)
    assert result["std_error"] == pytest.approx(1 / 15)
    assert result["ci_low"] == pytest.approx(-0.25 - 1.959963985 / 15)
    assert result["q_p"] == pytest.approx(math.exp(-0.25))  # χ² with two degrees of freedom: exp(-Q / 2)
    # Hartung-Knapp: SE² = Q / ((k - 1) Σw) = 0.5 / (2 · 225) = 1/900; t = 7.5; t(2) has 97.5% at 4.302652730
    assert result["hksj_ci_high"] == pytest.approx(-0.25 + 4.302652730 / 30)
    assert result["hksj_p"] == pytest.approx(1 - 7.5 / math.sqrt(2 + 7.5**2))
    # no heterogeneity: another architecture is expected where the mean is
    assert (result["pi_low"], result["pi_high"]) == (result["hksj_ci_low"], result["hksj_ci_high"])


def test_with_heterogeneity_two_estimates_by_hand() -> None:
    # w = 100 each, μ = 0, Q = 100 · (0.3² + 0.3²) = 18, C = 200 - 20000 / 200 = 100, τ² = (18 - 1) / 100 = 0.17.
    # w* = 1 / (0.01 + 0.17); SE² = 0.18 / 2; I² = 17 / 18.
    result = pool(np.array([-0.3, 0.3]), np.array([0.1, 0.1]))
    assert result["tau2"] == pytest.approx(0.17)
    assert result["estimate"] == pytest.approx(0)
    assert result["std_error"] == pytest.approx(0.3)
    assert result["i2"] == pytest.approx(100 * 17 / 18)


def test_equal_estimates_have_no_heterogeneity_and_no_error_of_their_own() -> None:
    result = pool(np.array([0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.1]))
    assert result["estimate"] == pytest.approx(0.1)
    assert (result["tau2"], result["i2"]) == (0, 0)
    assert result["q"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_equal_estimates_have_no_interval_that_rests_on_their_spread(method: str) -> None:
    result = pool(
        np.array([0.1 + 0.2, 0.3, 0.3]), np.array([0.1, 0.2, 0.3]), method
    )  # the first is 0.3 but for rounding
    assert result["q"] == 0
    spread = ("pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high", "hksj_p")
    assert all(math.isnan(result[name]) for name in spread)
    assert result["ci_low"] < 0.3 < result["ci_high"]


@pytest.mark.parametrize("method", METHODS)
def test_the_one_effect_that_is_left_stands_as_it_is(method: str) -> None:
    table = pd.DataFrame({"m": ["a", "b"], "estimate": [0.1, 0.3], "std_error": [0.2, 0.1]})
    left = leave_one_out(table, [], "m", method)
    assert left[["estimate", "std_error"]].to_numpy().tolist() == [[0.3, 0.1], [0.1, 0.2]]


def test_reml_is_the_highest_top_of_several() -> None:
    # R 4.2.2, metafor 3.8-1, rma(yi, sei = sei, method = "REML"): tau^2 5.8908, mean 1.0624; a lower top is at 0.1648
    result = pool(np.array([-0.53, 6.31, 0.16]), np.array([0.44, 2.62, 0.37]), "reml")
    assert (result["tau2"], result["estimate"]) == (pytest.approx(5.8908, abs=1e-4), pytest.approx(1.0624, abs=1e-4))


def test_hostile_tables_have_every_number_that_exists_and_the_right_one() -> None:
    figures = measure(300, np.random.default_rng(5))
    assert figures[figures > LIMITS].to_dict() == {}


def test_eggers_test_stands_errors_of_any_size() -> None:
    generator = np.random.default_rng(6)
    errors = 10.0 ** generator.uniform(-12, 6, (100, 12))
    for method in METHODS:
        found = pool_groups(generator.normal(0, 1, errors.shape) + errors, errors**2, method)
        assert np.isfinite(found["egger_p"]).all()


@pytest.mark.parametrize(
    ("y", "se", "message"),
    [
        ([0.5, 0.7], [1e200, 0.2], "standard errors must be from 1e-50 to 1e+50, got 1e+200"),
        ([0.5, 0.7], [1e-200, 0.2], "standard errors must be from 1e-50 to 1e+50, got 1e-200"),
        ([1e308, -1e308], [0.1, 0.2], "estimates must be from -1e+50 to 1e+50, got 1e+308"),
    ],
)
def test_numbers_that_no_arithmetic_can_hold_are_refused(y: list[float], se: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        pool(np.array(y), np.array(se))


def test_the_widest_numbers_that_are_taken_have_a_finite_pool() -> None:
    for method in METHODS:
        result = pool(np.array([1e50, 0.7, -1e50]), np.array([1e-50, 0.2, 1e50]), method)
        assert all(math.isfinite(result[name]) for name in STATISTICS), method


def test_one_estimate_stays_as_it_is_and_has_nothing_that_needs_more() -> None:
    result = pool(np.array([0.3]), np.array([0.1]))
    assert (result["k"], result["estimate"], result["std_error"]) == (1, 0.3, 0.1)
    assert result["p"] == pytest.approx(0.0026997961)  # three standard errors
    assert all(math.isnan(result[name]) for name in STATISTICS[6:])


def test_no_estimate_has_no_pool() -> None:
    result = pool(np.array([]), np.array([]))
    assert result["k"] == 0
    assert all(math.isnan(result[name]) for name in STATISTICS[1:])


def test_estimates_without_a_standard_error_count_for_nothing() -> None:
    result = pool(np.array([-0.3, 0.3, 9.0, np.nan]), np.array([0.1, 0.1, np.nan, 0.1]))
    assert result == pytest.approx(pool(np.array([-0.3, 0.3]), np.array([0.1, 0.1])), nan_ok=True)


@pytest.mark.parametrize("error", [0.0, -0.1])
def test_a_standard_error_that_is_not_above_zero_is_refused_with_its_value(error: float) -> None:
    with pytest.raises(ValueError, match=f"standard errors must be above 0, got {error}"):
        pool(np.array([0.1, 0.2]), np.array([0.1, error]))


def test_a_table_is_pooled_by_its_groups_in_the_order_in_which_they_appear() -> None:
    table = pd.DataFrame({"contrast": ["b", "a", "b"], "estimate": [-0.3, 0.3, 0.3], "std_error": [0.1, 0.1, 0.1]})
    pooled = pool_table(table, ["contrast"])
    assert list(pooled.columns) == ["contrast", *STATISTICS, *MORE]
    assert pooled["contrast"].tolist() == ["b", "a"]
    assert pooled["k"].tolist() == [2, 1]
    assert pooled["estimate"].tolist() == pytest.approx([0, 0.3])


def test_an_empty_table_has_an_empty_pool() -> None:
    pooled = pool_table(pd.DataFrame(columns=["contrast", "estimate", "std_error"]), ["contrast"])
    assert list(pooled.columns) == ["contrast", *STATISTICS, *MORE]
    assert len(pooled) == 0


def test_a_group_without_a_usable_effect_has_no_pool_and_none_is_left_out_of_one() -> None:
    table = pd.DataFrame({"g": ["a", "b"], "m": [1, 1], "estimate": [np.nan, 0.2], "std_error": [0.1, 0.1]})
    for method in METHODS:
        pooled = pool_table(table, ["g"], method)
        assert pooled["k"].tolist() == [0, 1]
        assert math.isnan(pooled["estimate"][0])
    assert len(leave_one_out(table, ["g"], "m")) == 0


def test_all_rows_are_one_group_where_no_column_says_otherwise() -> None:
    table = pd.DataFrame({"estimate": [-0.3, 0.3], "std_error": [0.1, 0.1]})
    assert pool_table(table, []).to_dict("records") == [pytest.approx(pool(*table.to_numpy().T), nan_ok=True)]
