"""Who was asked: the error from replicates by hand, its total with the others, and how often it holds zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.meta_analysis.raters import TOTAL, rater_errors, replicate_means, total

KEY = {"experiment": "e", "contrast": "a - b", "dimension": "d"}


def effects(*rows: tuple[str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["architecture", "estimate", "std_error"]).assign(**KEY)


def replicates(**rows: list[float]) -> pd.DataFrame:
    """Architecture → its estimates, replicate 1 first."""
    long = [(name, number, value) for name, values in rows.items() for number, value in enumerate(values, start=1)]
    return pd.DataFrame(long, columns=["architecture", "replicate", "estimate"]).assign(**KEY)


def pooled(tau2: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame([KEY | {"tau2": tau2}])


def test_a_replicates_pool_is_the_mean_at_the_weights_of_the_study() -> None:
    own = effects(("m", 0.1, 0.1), ("n", 0.3, 0.2))
    means = replicate_means(own, pooled(), replicates(m=[0.1, 0.2], n=[0.5, 0.0]))
    # weights 1 / 0.01 and 1 / 0.04: 0.8 and 0.2
    assert means.loc[tuple(KEY.values())].tolist() == pytest.approx([0.8 * 0.1 + 0.2 * 0.5, 0.8 * 0.2])
    # τ² = 0.03 makes them 1 / 0.04 and 1 / 0.07
    means = replicate_means(own, pooled(0.03), replicates(m=[0.1, 0.2], n=[0.5, 0.0]))
    assert means.iloc[0, 0] == pytest.approx((0.1 * 7 + 0.5 * 4) / 11)


def errors_of(**estimates: list[float]) -> tuple[float, float]:
    """raters_std_error and raters_shared_std_error of architectures whose own errors are .1, .2, .1."""
    own = effects(*((name, 0.0, error) for name, error in zip(estimates, (0.1, 0.2, 0.1), strict=False)))
    row = rater_errors(own, pooled(), replicates(**estimates)).iloc[0]
    assert row["n_replicates"] == len(next(iter(estimates.values())))
    return row["raters_std_error"], row["raters_shared_std_error"]


def test_two_architectures_share_their_covariance() -> None:
    # about their means: m -.1, 0, .1; n -.1, .1, 0; pooled .8 : .2
    whole, shared = errors_of(m=[0.1, 0.2, 0.3], n=[0.2, 0.4, 0.3])
    assert shared == pytest.approx(np.sqrt(0.01 / 2))
    assert whole == pytest.approx(np.sqrt((0.1**2 + 0.02**2 + 0.08**2) / 2))


def test_three_share_the_weighted_mean_of_their_covariances() -> None:
    # weights 4 : 1 : 4, covariances over two replicates .1² / 2 · (1 · 2, 1 · 3, 2 · 3)
    _, shared = errors_of(m=[0.0, 0.1], n=[0.0, 0.2], o=[0.0, 0.3])
    assert shared == pytest.approx(np.sqrt(0.01 / 2 * (4 * 2 + 16 * 3 + 4 * 6) / (4 + 16 + 4)))


def test_one_architecture_alone_has_its_own_and_opposite_ones_share_none() -> None:
    assert errors_of(m=[0.1, 0.2]) == pytest.approx((0.1 / np.sqrt(2), 0.1 / np.sqrt(2)))
    whole, shared = errors_of(m=[0.1, 0.2], n=[0.2, 0.1])  # .8 : .2, so .06 / √2 remain, all their own
    assert (whole, shared) == (pytest.approx(0.06 / np.sqrt(2)), 0.0)


def test_one_replicate_tells_no_error() -> None:
    assert np.isnan(errors_of(m=[0.1], n=[0.2])).all()


def test_an_architecture_that_lacks_a_replicate_counts_in_none() -> None:
    own = effects(("m", 0.1, 0.1), ("n", 0.3, 0.1), ("o", 0.2, np.nan))
    found = replicates(m=[0.1, 0.2], n=[0.5], o=[9.0, -9.0])
    assert replicate_means(own, pooled(), found).iloc[0].tolist() == pytest.approx([0.1, 0.2])


def test_without_replicates_there_is_nothing() -> None:
    nothing = effects(("m", 0.1, 0.1)), pooled(), replicates()
    assert replicate_means(*nothing).empty
    assert rater_errors(*nothing).empty


def total_of(**columns: float) -> pd.Series:
    values = {name: pd.Series([value]) for name, value in columns.items()}
    return total(*(values[name] for name in ("estimate", "error", "df", "raters", "shared", "replicates"))).iloc[0]


def test_the_total_by_hand() -> None:
    row = total_of(estimate=0.1, error=0.03, df=6, raters=0.04, shared=0.04, replicates=8)
    assert row["total_std_error"] == pytest.approx(0.05)
    freedom = 0.05**4 / (0.03**4 / 6 + 0.04**4 / 7)
    assert row["total_df"] == pytest.approx(freedom)
    # t with 12.48 degrees of freedom: 2.1697 at 97.5%, so 0.1 ± 0.10848
    assert freedom == pytest.approx(12.4822, abs=1e-3)
    assert row[["total_ci_low", "total_ci_high"]].tolist() == pytest.approx([-0.00848, 0.20848], abs=1e-4)
    assert row["total_p"] == pytest.approx(0.0676, abs=2e-4)


def test_an_own_reading_of_the_raters_counts_once() -> None:
    # of .05² from the raters .04² is an architecture's own, which the spread .06² has: .06² - .04² + .05² = .0045
    row = total_of(estimate=0.1, error=0.06, df=6, raters=0.05, shared=0.03, replicates=8)
    assert row["total_std_error"] == pytest.approx(np.sqrt(0.0045))
    assert row["total_df"] == pytest.approx(0.0045**2 / (0.002**2 / 6 + 0.0025**2 / 7))
    # a spread that happens to be smaller than what the replicates show leaves their error whole
    row = total_of(estimate=0.1, error=0.01, df=6, raters=0.05, shared=0.03, replicates=8)
    assert row[["total_std_error", "total_df"]].tolist() == pytest.approx([0.05, 7])


@pytest.mark.parametrize(("error", "raters"), [(0.03, np.nan), (np.nan, 0.04)])
def test_without_either_error_there_is_no_total(error: float, raters: float) -> None:
    row = total_of(estimate=0.1, error=error, df=6, raters=raters, shared=raters, replicates=8)
    assert row.index.tolist() == TOTAL
    assert row.isna().all()


def test_raters_who_change_nothing_leave_the_error_between_architectures() -> None:
    row = total_of(estimate=0.1, error=0.03, df=6, raters=0.0, shared=0.0, replicates=8)
    assert row[["total_std_error", "total_df"]].tolist() == pytest.approx([0.03, 6])


def test_the_total_holds_the_truth_where_the_plain_interval_does_not() -> None:
    """7 architectures with errors of .01, which read the raters with errors of .01 each and share one of .01; 4,000
    studies of no effect."""
    rng, n, k, b = np.random.default_rng(0), 4000, 7, 8
    asked = rng.normal(0, 0.01, (n, 1, b + 1)) + rng.normal(0, 0.01, (n, k, b + 1))  # the study, then its replicates
    y = asked[..., 0] + rng.normal(0, 0.01, (n, k))
    estimate, error = pd.Series(y.mean(axis=1)), pd.Series(y.std(axis=1, ddof=1) / np.sqrt(k))
    whole, each = asked[..., 1:].mean(axis=1).var(axis=1, ddof=1), asked[..., 1:].var(axis=2, ddof=1).mean(axis=1)
    shared = (whole - each / k).clip(min=0) / (1 - 1 / k)
    df, replicates = (pd.Series(np.full(n, float(value))) for value in (k - 1, b))
    found = total(estimate, error, df, *(pd.Series(np.sqrt(variance)) for variance in (whole, shared)), replicates)
    held = ((found["total_ci_low"] < 0) & (found["total_ci_high"] > 0)).mean()
    plain = (estimate.abs() < 2.447 * error).mean()
    assert 0.93 < held < 0.98
    assert plain < 0.8
