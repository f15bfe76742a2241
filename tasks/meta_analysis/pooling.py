"""Pooling of effects over studies, here architectures: one estimate a group, and how sure it is."""

from __future__ import annotations

import numpy as np

from tasks.meta_analysis.heterogeneity import METHODS, Array, EffectGroups, fit, q_profile, typical_variance
from tasks.survey.intervals import Z95

ALONE = ["k", "estimate", "std_error", "ci_low", "ci_high", "p"]
"""What one effect alone has, too."""
STATISTICS = [*ALONE, "tau2", "q", "q_p", "i2", "pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high", "hksj_p"]
MORE = ["tau2_low", "tau2_high", "i2_low", "i2_high", "egger_z", "egger_p"]
EGGER_FROM = 10
"""A regression on fewer effects than this tells nothing (Sterne et al. 2011)."""
Columns = dict[str, Array]


def pool(estimates: np.ndarray, std_errors: np.ndarray, method: str = "dl") -> dict[str, float]:
    """Pool k independent estimates with their standard errors; `STATISTICS` and `MORE` by name.

    estimate = Σ w y / Σ w, w = 1 / (se² + τ²), with the Wald interval that the paper reports; τ² by `method`, one of
    `METHODS`. hksj: Hartung-Knapp-Sidik-Jonkman, √(Σ w (y - estimate)² / ((k - 1) Σ w)) with t of k - 1 degrees of
    freedom; pi: prediction interval for another study on the same footing, ± t √(τ² + se_hksj²), as in R's metafor
    with test="knha". I² = τ² / (τ² + typical sampling variance), in percent; for a fixed effect (Q - (k - 1)) / Q.

    k = 1 gives the estimate as it is and NaN for all that needs more; k = 0 gives NaN. Equal estimates have an HKSJ
    interval without width and no p of it. Estimates with a missing standard error count for nothing.

    Raises:
        ValueError: a standard error that is zero or negative.
    """
    usable = np.isfinite(estimates) & np.isfinite(std_errors)
    y, se = np.asarray(estimates, float)[usable], np.asarray(std_errors, float)[usable]
    columns = pool_groups(y[None, :], variances(se)[None, :], method)
    return {name: float(column[0]) for name, column in columns.items()} | {"k": len(y)}


def pool_groups(y: Array, v: Array, method: str = "dl") -> Columns:
    """`pool` for every row of (G, K) estimates and variances; places of infinite variance are empty."""
    effects = EffectGroups(y, v, np.ones((*y.shape, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        more = {**_profiled(effects), **_egger(effects, method)}
    return core(y, v, method) | {name: _from(2, effects, more[name]) for name in MORE}


def core(y: Array, v: Array, method: str = "dl") -> Columns:
    """`STATISTICS` of `pool_groups`, without what takes longer."""
    effects = EffectGroups(y, v, np.ones((*y.shape, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = _pooled(effects, method)
    columns = {name: _from(1 if name in ALONE else 2, effects, columns[name]) for name in STATISTICS}
    return columns | {"k": effects.k}


def variances(std_errors: np.ndarray) -> Array:
    """Squares of standard errors. Raises `ValueError` for one that is zero or negative."""
    if np.any(std_errors <= 0):
        raise ValueError(f"standard errors must be above 0, got {std_errors[std_errors <= 0][0]}")
    return np.asarray(std_errors**2, float)


# ---- the parts of a pool


def _from(least: int, effects: EffectGroups, column: Array) -> Array:
    """NaN in groups of fewer effects."""
    return np.where(effects.k < least, np.nan, column)


def _pooled(effects: EffectGroups, method: str) -> Columns:
    """The pooled estimate with its Wald and HKSJ intervals, the prediction interval, Q, τ² and I²."""
    from scipy import stats

    tau2 = METHODS[method](effects)
    at, q = fit(effects, tau2), fit(effects, np.zeros_like(tau2)).q
    estimate, error = at.beta[:, 0], np.sqrt(at.a[:, 0, 0])
    hksj, t = error * np.sqrt(at.q / effects.df), _t(effects.df)
    low, high = interval(estimate, error, Z95)
    hksj_low, hksj_high = interval(estimate, hksj, t)
    pi_low, pi_high = interval(estimate, np.sqrt(tau2 + hksj**2), t)
    i2 = (q - effects.df) / q if method == "fixed" else tau2 / (tau2 + typical_variance(effects))
    return {
        "k": effects.k, "estimate": estimate, "std_error": error, "ci_low": low, "ci_high": high,
        "p": 2 * stats.norm.sf(np.abs(estimate) / error), "tau2": tau2, "q": q, "q_p": stats.chi2.sf(q, effects.df),
        "i2": 100 * np.where(q > 0, np.fmax(i2, 0), 0.0), "pi_low": pi_low, "pi_high": pi_high,
        "hksj_ci_low": hksj_low, "hksj_ci_high": hksj_high,
        "hksj_p": 2 * stats.t.sf(np.where(hksj > 0, np.abs(estimate) / hksj, np.nan), effects.df),
    }  # fmt: skip


def _t(df: Array) -> Array:
    """The 97.5% quantile of t, asked once for each number of degrees of freedom."""
    from scipy import stats

    known, where = np.unique(df, return_inverse=True)
    return stats.t.ppf(0.975, known)[where]


def interval(estimate: Array, error: Array, quantile: Array | float) -> tuple[Array, Array]:
    """estimate ± quantile · error."""
    return estimate - quantile * error, estimate + quantile * error


def _profiled(effects: EffectGroups) -> Columns:
    """Q-profile intervals of τ² and I²."""
    low, high = q_profile(effects)
    typical = typical_variance(effects)
    i2_low, i2_high = (100 * end / (end + typical) for end in (low, high))
    return {"tau2_low": low, "tau2_high": high, "i2_low": i2_low, "i2_high": i2_high}


def _egger(effects: EffectGroups, method: str) -> Columns:
    """Egger's test with a random effect: z and p of the slope on the standard error; NaN below `EGGER_FROM` effects."""
    z, p = np.full((2, len(effects.y)), np.nan)
    enough = effects.k >= EGGER_FROM
    if enough.any():
        test = egger(effects.y[enough], effects.v[enough], method)
        z[enough], p[enough] = test["z"], test["p"]
    return {"egger_z": z, "egger_p": p}


def egger(y: Array, v: Array, method: str) -> Columns:
    """Regression of the effects on their standard errors, as metafor's `regtest(model="rma", predictor="sei")`.

    z, p: of the slope; limit, limit_low, limit_high: the effect of a study without error, with its 95% interval. NaN
    where all standard errors are equal.
    """
    from scipy import stats

    error = np.sqrt(np.where(np.isfinite(v), v, 0.0))
    effects = EffectGroups(y, v, np.stack([np.ones_like(error), error], axis=2))
    at = fit(effects, METHODS[method](effects))
    z = at.beta[:, 1] / np.sqrt(at.a[:, 1, 1])
    low, high = interval(at.beta[:, 0], np.sqrt(at.a[:, 0, 0]), Z95)
    return {"z": z, "p": 2 * stats.norm.sf(np.abs(z)), "limit": at.beta[:, 0], "limit_low": low, "limit_high": high}
