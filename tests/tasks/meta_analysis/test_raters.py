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


def error_of(**estimates: list[float]) -> tuple[int, float]:
    own = effects(*((name, 0.0, error) for name, error in zip(estimates, (0.1, 0.2, 0.1), strict=False)))
    row = rater_errors(own, pooled(), replicates(**estimates)).iloc[0]
    return row["n_replicates"], row["raters_std_error"]


def test_the_error_of_two_architectures_is_their_covariance() -> None:
    # about their means: m -.1, 0, .1; n -.1, .1, 0
    assert error_of(m=[0.1, 0.2, 0.3], n=[0.2, 0.4, 0.3]) == pytest.approx((3, np.sqrt(0.01 / 2)))


def test_the_error_of_three_is_the_weighted_mean_of_their_covariances() -> None:
    # weights 4 : 1 : 4, covariances over two replicates .1² / 2 · (1 · 2, 1 · 3, 2 · 3)
    _, error = error_of(m=[0.0, 0.1], n=[0.0, 0.2], o=[0.0, 0.3])
    assert error == pytest.approx(np.sqrt(0.01 / 2 * (4 * 2 + 16 * 3 + 4 * 6) / (4 + 16 + 4)))


def test_one_architecture_alone_has_its_own_and_opposite_ones_share_none() -> None:
    assert error_of(m=[0.1, 0.2]) == pytest.approx((2, 0.1 / np.sqrt(2)))
    assert error_of(m=[0.1, 0.2], n=[0.2, 0.1]) == (2, 0.0)


def test_one_replicate_tells_no_error() -> None:
    assert np.isnan(error_of(m=[0.1], n=[0.2])[1])


def test_an_architecture_that_lacks_a_replicate_counts_in_none() -> None:
    own = effects(("m", 0.1, 0.1), ("n", 0.3, 0.1), ("o", 0.2, np.nan))
    found = replicates(m=[0.1, 0.2], n=[0.5], o=[9.0, -9.0])
    assert replicate_means(own, pooled(), found).iloc[0].tolist() == pytest.approx([0.1, 0.2])


def test_without_replicates_there_is_nothing() -> None:
    nothing = effects(("m", 0.1, 0.1)), pooled(), replicates()
    assert replicate_means(*nothing).empty
    assert rater_errors(*nothing).empty


def of(**columns: float) -> pd.Series:
    values = {name: pd.Series([value]) for name, value in columns.items()}
    return total(*(values[name] for name in ("estimate", "error", "df", "raters", "replicates"))).iloc[0]


def test_the_total_by_hand() -> None:
    row = of(estimate=0.1, error=0.03, df=6, raters=0.04, replicates=8)
    assert row["total_std_error"] == pytest.approx(0.05)
    freedom = 0.05**4 / (0.03**4 / 6 + 0.04**4 / 7)
    assert row["total_df"] == pytest.approx(freedom)
    # t with 12.48 degrees of freedom: 2.1697 at 97.5%, so 0.1 ± 0.10848
    assert freedom == pytest.approx(12.4822, abs=1e-3)
    assert row[["total_ci_low", "total_ci_high"]].tolist() == pytest.approx([-0.00848, 0.20848], abs=1e-4)
    assert row["total_p"] == pytest.approx(0.0676, abs=2e-4)


@pytest.mark.parametrize(("error", "raters"), [(0.03, np.nan), (np.nan, 0.04)])
def test_without_either_error_there_is_no_total(error: float, raters: float) -> None:
    row = of(estimate=0.1, error=error, df=6, raters=raters, replicates=8)
    assert row.index.tolist() == TOTAL
    assert row.isna().all()


def test_raters_who_change_nothing_leave_the_error_between_architectures() -> None:
    row = of(estimate=0.1, error=0.03, df=6, raters=0.0, replicates=8)
    assert row[["total_std_error", "total_df"]].tolist() == pytest.approx([0.03, 6])


def test_the_total_holds_the_truth_where_the_plain_interval_does_not() -> None:
    """7 architectures with errors of 0.01 each that share one of 0.01 from the raters; 4,000 studies of no effect."""
    rng, n, k, b = np.random.default_rng(0), 4000, 7, 8
    shared = rng.normal(0, 0.01, n)
    y = shared[:, None] + rng.normal(0, 0.01, (n, k))
    estimate, error = pd.Series(y.mean(axis=1)), pd.Series(y.std(axis=1, ddof=1) / np.sqrt(k))
    raters = pd.Series(rng.normal(0, 0.01, (n, b)).std(axis=1, ddof=1))
    df, replicates = (pd.Series(np.full(n, float(value))) for value in (k - 1, b))
    found = total(estimate, error, df, raters, replicates)
    held = ((found["total_ci_low"] < 0) & (found["total_ci_high"] > 0)).mean()
    plain = (estimate.abs() < 2.447 * error).mean()
    assert 0.93 < held < 0.98
    assert plain < 0.8
