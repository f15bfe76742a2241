"""Who was asked: the error of a pooled effect from its raters, and the total of all sources of error.

In each of B replicates of the Bayesian bootstrap (Rubin 1981) an architecture i has an effect y_ib. C_ij is the
covariance of y_i and y_j over replicates, w = 1 / (se² + τ²) are the weights of the study's own pool.

    μ_b = Σ w_i y_ib / Σ w_i,   V_raters = Σ (μ_b - mean μ)² / (B - 1),
    V_shared = Σ_{i≠j} w_i w_j C_ij / Σ_{i≠j} w_i w_j,   V_rest = V_pooled - (V_raters - V_shared),
    V = V_rest + V_raters,   estimate ± t_ν √V,   ν = V² / (V_rest² / (k - 1) + V_raters² / (B - 1))

by Welch (1938) and Satterthwaite (1946). V_raters is all that the pooled effect owes to who was asked, V_shared what
architectures share of it. What each makes of the raters in a way of its own, V_raters - V_shared, spreads their
effects, so that V_pooled has it already; V_rest is what V_pooled has beside it, at least nothing. A covariance below
zero is no shared error, and one architecture alone shares with none: its V_shared is its variance.
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
    """`KEYS`, n_replicates, raters_std_error (√V_raters), raters_shared_std_error (√V_shared) of what `replicate_means`
    takes; errors are NaN below two replicates."""
    rows = []
    for key, own, w in _weighted(effects, pooled, replicates):
        squares = w**2
        variance = shared = (own.T @ w).var(ddof=1)
        if len(w) > 1:
            shared = max(variance - squares @ own.var(axis=1, ddof=1), 0.0) / (1 - squares.sum())
        rows.append((*key, own.shape[1], np.sqrt(variance), np.sqrt(shared)))
    table = pd.DataFrame(rows, columns=[*KEYS, "n_replicates", "raters_std_error", "raters_shared_std_error"])
    return table.astype({name: int if name == "n_replicates" else float for name in table if name not in KEYS})


def total(
    estimate: pd.Series, error: pd.Series, df: pd.Series, raters: pd.Series, shared: pd.Series, replicates: pd.Series
) -> pd.DataFrame:
    """`TOTAL` of pooled effects, from standard errors: √V_pooled with `df` degrees of freedom, √V_raters and √V_shared
    of so many replicates.

    NaN where either error is missing: an interval that does not know who was asked is no total.
    """
    from scipy import stats

    asked = raters**2
    rest = (error**2 - (asked - shared**2)).clip(lower=0)
    variance = rest + asked
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (rest**2 / df + asked**2 / (replicates - 1))
        std_error = np.sqrt(variance)
        reach = stats.t.ppf(0.975, freedom) * std_error
        p = 2 * stats.t.sf(np.abs(estimate) / std_error, freedom)
    return pd.DataFrame(dict(zip(TOTAL, (std_error, freedom, estimate - reach, estimate + reach, p), strict=True)))
