"""Pooling against R's metafor, and the edges by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.meta_analysis.pooling import STATISTICS, pool, pool_table

CLOSE = 1e-8
"""metafor and we both sum 13 terms in double precision; its values are printed with 15 digits."""


@pytest.fixture(scope="module")
def bcg(shared_reference: Path) -> dict[str, float]:
    """Our pool of the 13 BCG vaccine trials."""
    table = pd.read_csv(shared_reference / "dat_bcg.csv")
    return pool(table["yi"].to_numpy(), np.sqrt(table["vi"].to_numpy()))


@pytest.fixture(scope="module")
def metafor(shared_reference: Path) -> dict[str, Any]:
    return json.loads((shared_reference / "metafor_dat_bcg.json").read_text())


@pytest.mark.parametrize(
    ("ours", "fit", "theirs"),
    [
        ("k", "DL_z", "k"),
        ("estimate", "DL_z", "beta"),
        ("std_error", "DL_z", "se"),
        ("ci_low", "DL_z", "ci.lb"),
        ("ci_high", "DL_z", "ci.ub"),
        ("p", "DL_z", "pval"),
        ("tau2", "DL_z", "tau2"),
        ("q", "DL_z", "QE"),
        ("q_p", "DL_z", "QEp"),
        ("i2", "DL_z", "I2"),
        ("hksj_ci_low", "DL_knha", "ci.lb"),
        ("hksj_ci_high", "DL_knha", "ci.ub"),
        ("hksj_p", "DL_knha", "pval"),
        ("pi_low", "DL_knha", "pi.lb"),
        ("pi_high", "DL_knha", "pi.ub"),
    ],
)
def test_every_statistic_is_metafors(
    bcg: dict[str, float], metafor: dict[str, Any], ours: str, fit: str, theirs: str
) -> None:
    assert bcg[ours] == pytest.approx(metafor[fit][theirs], rel=CLOSE)


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
    assert result == pool(np.array([-0.3, 0.3]), np.array([0.1, 0.1]))


@pytest.mark.parametrize("error", [0.0, -0.1])
def test_a_standard_error_that_is_not_above_zero_is_refused_with_its_value(error: float) -> None:
    with pytest.raises(ValueError, match=f"standard errors must be above 0, got {error}"):
        pool(np.array([0.1, 0.2]), np.array([0.1, error]))


def test_a_table_is_pooled_by_its_groups_in_the_order_in_which_they_appear() -> None:
    table = pd.DataFrame({"contrast": ["b", "a", "b"], "estimate": [-0.3, 0.3, 0.3], "std_error": [0.1, 0.1, 0.1]})
    pooled = pool_table(table, ["contrast"])
    assert list(pooled.columns) == ["contrast", *STATISTICS]
    assert pooled["contrast"].tolist() == ["b", "a"]
    assert pooled["k"].tolist() == [2, 1]
    assert pooled["estimate"].tolist() == pytest.approx([0, 0.3])


def test_an_empty_table_has_an_empty_pool() -> None:
    pooled = pool_table(pd.DataFrame(columns=["contrast", "estimate", "std_error"]), ["contrast"])
    assert list(pooled.columns) == ["contrast", *STATISTICS]
    assert len(pooled) == 0
