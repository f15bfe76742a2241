"""Who was asked: the error of a pooled effect from its raters, and the total of all sources of error.

In each of B replicates of the Bayesian bootstrap (Rubin 1981) an architecture i has an effect y_ib. C_ij is the
covariance of y_i and y_j over replicates, w = 1 / (se² + τ²) are the weights of the study's own pool.

    V_raters = Σ_{i≠j} w_i w_j C_ij / Σ_{i≠j} w_i w_j,   V = V_pooled + V_raters,   estimate ± t_ν √V,
    ν = V² / (V_pooled² / (k - 1) + V_raters² / (B - 1))

by Welch (1938) and Satterthwaite (1946). V_raters is what architectures share of who was asked. What each makes of the
raters in a way of its own spreads their effects and is in V_pooled already: the variance over replicates of the pooled
effect μ_b = Σ w_i y_ib / Σ w_i has both, and added to V_pooled would count the own part twice. A covariance below zero
is no shared error, and one architecture alone shares with none: its V_raters is its variance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tasks.effects.identity import KEYS

TOTAL = ["total_std_error", "total_df", "total_ci_low", "total_ci_high", "total_p"]


def replicate_means(effects: pd.DataFrame, pooled: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """Pooled effects by replicate: one row a group of `KEYS`, one column a replicate.

    effects: the study's, with std_error. pooled: with tau2. replicates: with architecture, replicate, estimate.
    Architectures that lack a replicate count in none of the group's.
    """
    columns = pd.Index(sorted(replicates["replicate"].unique()), name="replicate")
    rows = {key: (own.T @ w).reindex(columns) for key, own, w in _weighted(effects, pooled, replicates)}
    index = pd.MultiIndex.from_tuples(rows, names=KEYS) if rows else pd.MultiIndex.from_arrays([[]] * 3, names=KEYS)
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)


def _weighted(
    effects: pd.DataFrame, pooled: pd.DataFrame, replicates: pd.DataFrame
) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame, pd.Series]]:
    """Of each group of `KEYS` the effects (architectures × replicates) and the architectures' weights, sum 1."""
    named = effects.merge(pooled[[*KEYS, "tau2"]], on=KEYS)
    weight = 1 / (named["std_error"] ** 2 + named["tau2"].fillna(0))
    weights = pd.Series(weight.to_numpy(), pd.MultiIndex.from_frame(named[[*KEYS, "architecture"]]))
    wide = replicates.pivot(index=[*KEYS, "architecture"], columns="replicate", values="estimate")
    for key, own in wide.groupby(level=KEYS, sort=False):
        whole = own.dropna(axis="columns", how="all").dropna()
        w = weights.reindex(whole.index).dropna()
        if len(w):
            yield key, whole.loc[w.index], w / w.sum()


def rater_errors(effects: pd.DataFrame, pooled: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """`KEYS`, n_replicates, raters_std_error (√V_raters; NaN below two replicates) of what `replicate_means` takes."""
    rows = []
    for key, own, w in _weighted(effects, pooled, replicates):
        squares = w**2
        variance = (own.T @ w).var(ddof=1)
        if len(w) > 1:
            variance = max(variance - squares @ own.var(axis=1, ddof=1), 0.0) / (1 - squares.sum())
        rows.append((*key, own.shape[1], np.sqrt(variance)))
    table = pd.DataFrame(rows, columns=[*KEYS, "n_replicates", "raters_std_error"])
    return table.astype({"n_replicates": int, "raters_std_error": float})


def total(
    estimate: pd.Series, error: pd.Series, df: pd.Series, raters: pd.Series, replicates: pd.Series
) -> pd.DataFrame:
    """`TOTAL` of pooled effects: `error` with `df` degrees of freedom, `raters` with those of so many replicates.

    NaN where either error is missing: an interval that does not know who was asked is no total.
    """
    from scipy import stats

    pooled, asked = error**2, raters**2
    variance = pooled + asked
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (pooled**2 / df + asked**2 / (replicates - 1))
        std_error = np.sqrt(variance)
        reach = stats.t.ppf(0.975, freedom) * std_error
        p = 2 * stats.t.sf(np.abs(estimate) / std_error, freedom)
    return pd.DataFrame(dict(zip(TOTAL, (std_error, freedom, estimate - reach, estimate + reach, p), strict=True)))
