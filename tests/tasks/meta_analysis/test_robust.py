"""CR2 against R's clubSandwich, and what it must be by its definition."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg, stats

from tasks.meta_analysis.correlated import between_variance, pool_correlated
from tasks.meta_analysis.robust import cr2
from tests.tasks.meta_analysis.test_correlated import random_covariance

REFERENCE = json.loads((Path(__file__).parent / "reference" / "correlated.json").read_text())
CLUSTERED = [name for name, case in REFERENCE["cases"].items() if "cr2" in case]


@pytest.mark.parametrize("name", CLUSTERED)
def test_it_is_clubsandwichs_with_satterthwaites_degrees_of_freedom(name: str) -> None:
    # with τ² from rma.mv, which has six digits
    case = REFERENCE["cases"][name]
    y, v = np.array(case["y"]), np.array(case["V"])
    ours = cr2(y, v + between_variance(y, v, "reml") * np.eye(len(y)), REFERENCE["cluster"])
    assert ours.clusters == 5
    assert {key: getattr(ours, key) for key in case["cr2"]} == pytest.approx(case["cr2"], abs=1e-6)


def by_definition(y: np.ndarray, sigma: np.ndarray, clusters: list[str]) -> tuple[float, float]:
    """Variance and degrees of freedom with dense matrices; a cluster's A is the geometric mean of S⁻¹ and Σ."""
    k = len(y)
    a = np.linalg.solve(sigma, np.ones(k))
    a /= a.sum()
    maker = np.eye(k) - np.outer(np.ones(k), a)
    s = maker @ sigma @ maker.T
    between, rows = float(a @ sigma @ a), []
    for label in sorted(set(clusters)):
        c = np.array([other == label for other in clusters])
        s_c, sigma_c = s[np.ix_(c, c)], sigma[np.ix_(c, c)]
        inner = linalg.sqrtm(linalg.sqrtm(s_c) @ sigma_c @ linalg.sqrtm(s_c))
        half = np.linalg.inv(linalg.sqrtm(s_c))
        rows.append(a[c] @ (half @ inner @ half) @ maker[c])
        between -= float(a[c] @ sigma_c @ a[c])
    g = np.array(rows)
    p, between = g @ sigma @ g.T, max(between, 0.0)
    return between + float(np.sum((g @ y) ** 2)), float((between + np.trace(p)) ** 2 / np.sum(p**2))


@pytest.mark.parametrize("seed", range(6))
def test_any_covariance_and_any_clusters_are_as_defined(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sigma = random_covariance(generator, generator.uniform(0.1, 0.4, 8))
    y, clusters = generator.normal(0, 0.5, 8), list("aaabbccd")
    ours = cr2(y, sigma, clusters)
    variance, df = by_definition(y, sigma, clusters)
    assert (ours.std_error, ours.df) == pytest.approx((math.sqrt(variance), df), rel=1e-9)
    assert ours.estimate == pytest.approx(pool_correlated(y, sigma, "fixed")["estimate"])
    assert ours.ci_high - ours.estimate == pytest.approx(stats.t.ppf(0.975, df) * ours.std_error)
    order = generator.permutation(8)
    again = cr2(y[order], sigma[np.ix_(order, order)], [clusters[n] for n in order])
    assert again == pytest.approx(ours, rel=1e-9)
    assert cr2(3 + 10 * y, 100 * sigma, clusters)[2:4] == pytest.approx((10 * ours.std_error, ours.df), rel=1e-9)


def test_independent_effects_of_equal_errors_are_students_t() -> None:
    # equal weights: 1/k² Σ e² / (1 - 1/k) = s² / k with k - 1 degrees of freedom
    y = np.array([0.1, 0.5, 0.2, 0.9])
    ours, theirs = cr2(y, 0.04 * np.eye(4), range(4)), stats.ttest_1samp(y, 0)
    assert (ours.df, ours.p) == pytest.approx((3, theirs.pvalue))
    assert ours.std_error == pytest.approx(y.std(ddof=1) / 2)


@pytest.mark.parametrize("clusters", [list("aabbcc"), list("abcdef")])
def test_its_variance_is_unbiased_under_the_working_covariance(clusters: list[str]) -> None:
    # effects that all share something, within and between clusters
    generator = np.random.default_rng(2)
    errors = generator.uniform(0.2, 0.4, 6)
    sigma = np.outer(errors, errors) * (0.3 + 0.7 * np.eye(6))
    root, truth = np.linalg.cholesky(sigma), pool_correlated(np.zeros(6), sigma, "fixed")["std_error"] ** 2
    found = np.array([cr2(root @ generator.standard_normal(6), sigma, clusters)[2] ** 2 for _ in range(1500)])
    assert found.mean() == pytest.approx(truth, abs=4 * found.std() / math.sqrt(1500))
    assert 4 * found.std() / math.sqrt(1500) < truth / 5


def test_one_cluster_shows_no_spread_and_no_effect_no_estimate() -> None:
    y, sigma = np.array([0.1, 0.3]), np.array([[0.04, 0.01], [0.01, 0.04]])
    alone = cr2(y, sigma, ["a", "a"])
    assert alone[:2] == (1, pytest.approx(0.2))
    assert all(map(math.isnan, alone[2:]))
    none = cr2(np.array([np.nan]), np.array([[0.04]]), ["a"])
    assert none.clusters == 0
    assert all(map(math.isnan, none[1:]))


def test_an_effect_that_is_missing_takes_its_cluster_with_it() -> None:
    y, sigma = np.array([0.1, np.nan, 0.3, 0.6]), 0.04 * np.eye(4)
    assert cr2(y, sigma, list("abcd")) == cr2(y[[0, 2, 3]], 0.04 * np.eye(3), list("acd"))
