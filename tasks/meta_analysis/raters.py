"""Who was asked: the error of a pooled effect from its raters, and the total of all sources of error.

Replicate b gives a pooled effect μ_b, the mean of its effects over the architectures at the weights w = 1 / (se² + τ²)
of the study's own pool. With B replicates of the Bayesian bootstrap (Rubin 1981)

    V_raters = Σ (μ_b - mean μ)² / (B - 1),   V = V_pooled + V_raters,   estimate ± t_ν √V,
    ν = V² / (V_pooled² / (k - 1) + V_raters² / (B - 1))

by Welch (1938) and Satterthwaite (1946). V_pooled is the error between architectures, which reads the same raters
everywhere; V_raters is what all of them share of who was asked.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.effects.identity import KEYS

TOTAL = ["total_std_error", "total_df", "total_ci_low", "total_ci_high", "total_p"]


def replicate_means(effects: pd.DataFrame, pooled: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """Pooled effects by replicate: one row a group of `KEYS`, one column a replicate.

    effects: the study's, with std_error. pooled: with tau2. replicates: with architecture, replicate, estimate.
    Architectures that lack a replicate count in none of the group's.
    """
    named = effects.merge(pooled[[*KEYS, "tau2"]], on=KEYS)
    weight = 1 / (named["std_error"] ** 2 + named["tau2"].fillna(0))
    weights = pd.Series(weight.to_numpy(), pd.MultiIndex.from_frame(named[[*KEYS, "architecture"]]))
    wide = replicates.pivot(index=[*KEYS, "architecture"], columns="replicate", values="estimate")
    rows = {}
    for key, own in wide.groupby(level=KEYS, sort=False):
        whole = own.dropna(axis="columns", how="all").dropna()
        w = weights.reindex(whole.index).dropna()
        if len(w):
            rows[key] = (whole.loc[w.index].mul(w, axis=0).sum() / w.sum()).reindex(wide.columns)
    index = pd.MultiIndex.from_tuples(rows, names=KEYS) if rows else pd.MultiIndex.from_arrays([[]] * 3, names=KEYS)
    return pd.DataFrame(list(rows.values()), index=index, columns=wide.columns)


def rater_errors(means: pd.DataFrame) -> pd.DataFrame:
    """n_replicates and raters_std_error of each group in `replicate_means`; NaN below two replicates."""
    return pd.DataFrame({"n_replicates": means.notna().sum(axis=1), "raters_std_error": means.std(axis=1, ddof=1)})


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
