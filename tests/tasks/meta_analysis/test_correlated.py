"""Pooling with a known covariance against R's metafor, against `pool`, and by its own definition."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from tasks.meta_analysis.correlated import (
    between_variance,
    error_of_pool,
    error_of_weighted_mean,
    left_out,
    mean_correlation,
    pool_correlated,
)
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import MORE, STATISTICS, pool
from tests.benchmarks.correlated_fuzz import LIMITS, measure

REFERENCE = json.loads((Path(__file__).parent / "reference" / "correlated.json").read_text())
SAME = 1e-12
some = settings(deadline=None, max_examples=40)


def random_covariance(generator: np.random.Generator, errors: np.ndarray) -> np.ndarray:
    """A covariance with these standard errors and random correlations."""
    factors = generator.standard_normal((len(errors), len(errors) + 2))
    v = factors @ factors.T
    d = errors / np.sqrt(np.diagonal(v))
    return v * d[:, None] * d


@st.composite
def effects(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and a covariance of 2 to 9 effects."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, spread = draw(st.integers(2, 9)), draw(st.sampled_from([0.0, 0.1, 1.0, 10.0]))
    errors = 10.0 ** generator.uniform(-draw(st.sampled_from([0.3, 1.0, 3.0])), 0, k)
    v = random_covariance(generator, errors)
    return 0.3 + generator.normal(0, spread, k) + errors * generator.standard_normal(k), v


# ---- R


@pytest.mark.parametrize("name", REFERENCE["cases"])
@pytest.mark.parametrize("method", ["reml", "fixed"])
def test_the_pool_is_metafors_rma_mv(name: str, method: str) -> None:
    # rma.mv stops where its likelihood changes by less than 1e-10, so its τ² has six digits
    case: dict[str, Any] = REFERENCE["cases"][name]
    ours = pool_correlated(np.array(case["y"]), np.array(case["V"]), method)
    theirs = case[method]
    assert {key: ours[key] for key in theirs} == pytest.approx(theirs, abs=1e-6, rel=1e-6)


# ---- V diagonal


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("digits", [1, 6, 12])
def test_without_correlation_it_is_the_pool_of_independent_effects(method: str, digits: int) -> None:
    generator = np.random.default_rng(digits)
    for _ in range(15):
        k = int(generator.integers(1, 13))
        errors = 10.0 ** generator.uniform(-digits, 0, k)
        y = generator.normal(0, 10.0 ** generator.uniform(-3, 1), k) + errors * generator.standard_normal(k)
        ours, alone = pool_correlated(y, np.diag(errors**2), method), pool(y, errors, method)
        size = alone["std_error"]
        of_estimates = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high")
        for name in (*STATISTICS, *MORE):
            # an estimate near zero has fewer digits than its error; a p far out loses those of its z
            rel, scale = (SAME, size) if name in of_estimates else (SAME if "p" not in name else 1e-9, 0.0)
            assert ours[name] == pytest.approx(alone[name], rel=rel, abs=SAME * scale, nan_ok=True), name
        wald, hksj = error_of_pool(y, np.diag(errors**2), method)
        assert wald == pytest.approx(alone["std_error"], rel=SAME)
        if k > 1:
            width = (alone["hksj_ci_high"] - alone["hksj_ci_low"]) / 2 / t.ppf(0.975, k - 1)
            rounding = 1e-15 * max(abs(alone["hksj_ci_high"]), abs(alone["hksj_ci_low"]))
            assert hksj == pytest.approx(width, rel=SAME, abs=rounding)


def test_one_effect_none_and_missing_ones_are_as_in_the_pool() -> None:
    for k in (0, 1):
        y, errors = np.array([0.3])[:k], np.array([0.1])[:k]
        assert pool_correlated(y, np.diag(errors**2)) == pytest.approx(pool(y, errors), nan_ok=True)
    v = np.array([[0.01, np.nan, 0.002], [np.nan, np.nan, np.nan], [0.002, np.nan, 0.01]])
    two = pool_correlated(np.array([0.3, 0.1]), v[np.ix_([0, 2], [0, 2])])
    assert pool_correlated(np.array([0.3, 9.0, 0.1]), v) == pytest.approx(two, nan_ok=True)
    assert error_of_pool(np.array([0.3]), np.array([[0.01]])) == (
        pytest.approx(0.1),
        pytest.approx(np.nan, nan_ok=True),
    )
    assert all(map(math.isnan, error_of_pool(np.array([]), np.zeros((0, 0)))))


def test_effects_that_are_equal_have_no_interval_that_rests_on_their_spread() -> None:
    v = 0.01 * (np.full((3, 3), 0.5) + 0.5 * np.eye(3))
    for method in METHODS:
        result = pool_correlated(np.full(3, 0.3), v, method)
        assert (result["q"], result["tau2"], result["estimate"]) == (0, 0, 0.3)
        assert math.isnan(result["hksj_ci_low"])
    assert math.isnan(error_of_pool(np.full(3, 0.3), v).hksj_std_error)


# ---- by hand


def test_equally_correlated_effects_by_hand() -> None:
    # V = 0.04 with correlation 0.5: 0.02 (I + 11ᵀ). y = 0, 0.3, 0.6; the mean is 0.3 and its deviations are orthogonal
    # to 1, where V⁻¹ is 1 / 0.02: Q = 0.18 / 0.02 = 9, tr P = 2 / 0.02 = 100, so τ² = (9 - 2) / 100 = 0.07.
    # Var = (τ² + 0.02 (1 + 3)) / 3 = 0.05; q = 0.18 / 0.09 / 2 = 1, so HKSJ's error is Wald's.
    y, v = np.array([0.0, 0.3, 0.6]), 0.02 * (np.eye(3) + 1)
    for method in ("dl", "reml", "pm"):
        result = pool_correlated(y, v, method)
        assert result["q"] == pytest.approx(9)
        assert result["tau2"] == pytest.approx(0.07)
        assert result["std_error"] == pytest.approx(math.sqrt(0.05))
        reach = 4.302652730 * math.sqrt(0.05)
        assert (result["estimate"], result["hksj_ci_high"]) == (pytest.approx(0.3), pytest.approx(0.3 + reach))
        assert result["pi_high"] == pytest.approx(0.3 + 4.302652730 * math.sqrt(0.05 + 0.07))
        assert result["i2"] == pytest.approx(100 * 0.07 / (0.07 + 2 / 100))
    # as if independent, τ² = 0.09 - 0.04 = 0.05 and the variance 0.09 / 3: too small by what the effects share
    assert pool(y, np.full(3, 0.2))["std_error"] == pytest.approx(math.sqrt(0.03))
    assert error_of_pool(y, v) == pytest.approx((math.sqrt(0.05), math.sqrt(0.05)))
    assert mean_correlation(v) == pytest.approx(0.5)


def test_the_error_of_any_weights_is_that_of_their_mean() -> None:
    sigma = np.array([[0.04, 0.01], [0.01, 0.09]])
    # weights 3 to 1: (9 · 0.04 + 2 · 3 · 0.01 + 0.09) / 16 = 0.031875
    error = error_of_weighted_mean(np.array([0.1, 0.5]), np.array([3.0, 1.0]), sigma)
    assert error.std_error == pytest.approx(math.sqrt(0.031875))
    # q = (0.4)² / (0.04 + 0.09 - 2 · 0.01) = 16 / 11, over one degree of freedom
    assert error.hksj_std_error == pytest.approx(math.sqrt(0.031875 * 16 / 11))


@some
@given(effects())
def test_the_statistics_are_those_of_dense_matrices(sample: tuple[np.ndarray, np.ndarray]) -> None:
    y, v = sample
    one, k = np.ones(len(y)), len(y)
    for method in METHODS:
        result = pool_correlated(y, v, method)
        w = np.linalg.inv(v + result["tau2"] * np.eye(k))
        estimate = one @ w @ y / (one @ w @ one)
        r = y - estimate
        error, q = math.sqrt(1 / (one @ w @ one)), r @ w @ r / (k - 1)
        assert result["estimate"] == pytest.approx(estimate, abs=1e-6 * error)
        assert result["std_error"] == pytest.approx(error, rel=1e-6)
        half = (result["hksj_ci_high"] - result["hksj_ci_low"]) / 2
        assert half == pytest.approx(t.ppf(0.975, k - 1) * math.sqrt(q) * error, rel=1e-5)
        if method == "pm" and result["tau2"] > 0:
            assert q == pytest.approx(1, rel=1e-6)
        if method == "dl":
            w = np.linalg.inv(v)
            p = w - w @ np.outer(one, one) @ w / (one @ w @ one)
            moment = (y @ p @ y - (k - 1)) / np.trace(p)
            assert result["tau2"] == pytest.approx(max(moment, 0), rel=1e-5, abs=1e-7 / np.trace(p))


def test_tau2_by_moments_is_right_on_average() -> None:
    generator = np.random.default_rng(3)
    errors = np.array([0.1, 0.2, 0.15, 0.3, 0.1, 0.25])
    v = random_covariance(generator, errors)
    root = np.linalg.cholesky(v + 0.2 * np.eye(6))  # so large that τ² is hardly ever cut at 0
    found = [between_variance(root @ generator.standard_normal(6), v) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.2, abs=3 * np.std(found) / math.sqrt(1000))


# ---- invariance


@some
@given(effects(), st.randoms(use_true_random=False))
def test_the_order_of_the_effects_does_not_matter(sample: tuple[np.ndarray, np.ndarray], random: Any) -> None:
    y, v = sample
    order = np.array(random.sample(range(len(y)), len(y)))
    for method in METHODS:
        ours, other = pool_correlated(y, v, method), pool_correlated(y[order], v[np.ix_(order, order)], method)
        assert other["estimate"] == pytest.approx(ours["estimate"], abs=1e-6 * ours["std_error"])
        for name in ("std_error", "tau2", "q", "i2", "tau2_high"):
            assert other[name] == pytest.approx(ours[name], rel=1e-6, abs=1e-9 * ours["std_error"] ** 2), name


@some
@given(effects(), st.floats(-5, 5), st.sampled_from([1e-6, 0.5, 1e6]))
def test_unit_and_origin_do_not_matter(sample: tuple[np.ndarray, np.ndarray], origin: float, unit: float) -> None:
    y, v = sample
    for method in METHODS:
        ours, other = pool_correlated(y, v, method), pool_correlated(unit * (y + origin), unit**2 * v, method)
        error = unit * ours["std_error"]
        assert other["estimate"] == pytest.approx(unit * (ours["estimate"] + origin), abs=1e-6 * error)
        assert other["std_error"] == pytest.approx(error, rel=1e-6)
        assert other["tau2"] == pytest.approx(unit**2 * ours["tau2"], rel=1e-5, abs=1e-6 * error**2)
        assert other["i2"] == pytest.approx(ours["i2"], rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_leaving_one_out_is_pooling_the_others(method: str) -> None:
    generator = np.random.default_rng(5)
    v = random_covariance(generator, np.array([0.1, 0.2, 0.15, 0.3, 0.1]))
    y = generator.normal(0, 0.3, 5)
    found = left_out(y, v, method)
    for out in range(5):
        kept = np.delete(np.arange(5), out)
        alone = pool_correlated(y[kept], v[np.ix_(kept, kept)], method)
        assert {name: found[name][out] for name in STATISTICS} == pytest.approx(
            {name: alone[name] for name in STATISTICS}, rel=1e-9, abs=1e-12
        )


# ---- what is no covariance


@pytest.mark.parametrize(
    ("v", "message"),
    [
        ([[0.01, 0.02], [0.02, 0.01]], "not positive definite, its correlations have an eigenvalue of -1"),
        ([[0.01, 0.01], [0.01, 0.01]], "not positive definite"),
        ([[0.01, 0.002], [0.003, 0.01]], "covariance: not symmetric"),
        ([[0.01, np.nan], [np.nan, 0.01]], "covariance: not a number between every two effects"),
        ([[0.0, 0.0], [0.0, 0.01]], "standard errors must be above 0, got 0.0"),
        ([[0.01]], r"the covariance of 2 estimates must be 2 × 2, got \(1, 1\)"),
    ],
)
def test_what_is_no_covariance_is_refused(v: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool_correlated(np.array([0.1, 0.2]), np.array(v))


def test_hostile_covariances_have_every_number_and_the_highest_likelihood() -> None:
    figures = measure(40, np.random.default_rng(5))
    assert figures[figures > LIMITS].to_dict() == {}
