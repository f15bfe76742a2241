"""Pooling of effects over studies, here architectures: one estimate a group, and how sure it is."""

from __future__ import annotations

import numpy as np

from tasks.meta_analysis.heterogeneity import (
    METHODS,
    Array,
    EffectGroups,
    Standardised,
    fit,
    q_profile,
    typical_variance,
)
from tasks.survey.intervals import Z95

ALONE = ["k", "estimate", "std_error", "ci_low", "ci_high", "p"]
"""What one effect alone has, too."""
STATISTICS = [*ALONE, "tau2", "q", "q_p", "i2", "pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high", "hksj_p"]
MORE = ["tau2_low", "tau2_high", "i2_low", "i2_high", "egger_z", "egger_p"]
EGGER_FROM = 10
"""A regression on fewer effects than this tells nothing (Sterne et al. 2011)."""
SMALLEST, LARGEST = 1e-50, 1e50
"""Estimates up to this size and standard errors between these can be pooled without over- or underflow."""
Columns = dict[str, Array]


def pool(estimates: np.ndarray, std_errors: np.ndarray, method: str = "dl") -> dict[str, float]:
    """Pool k independent estimates with their standard errors; `STATISTICS` and `MORE` by name.

    estimate = Σ w y / Σ w, w = 1 / (se² + τ²), with the Wald interval that the paper reports; τ² by `method`, one of
    `METHODS`. hksj: Hartung-Knapp-Sidik-Jonkman, √(Σ w (y - estimate)² / ((k - 1) Σ w)) with t of k - 1 degrees of
    freedom; pi: prediction interval for another study on the same footing, ± t √(τ² + se_hksj²), as in R's metafor
    with test="knha". I² = τ² / (τ² + typical sampling variance), in percent; for a fixed effect (Q - (k - 1)) / Q.

    k = 1 gives the estimate as it is and NaN for all that needs more; k = 0 gives NaN. Equal estimates say nothing of
    their spread, so they have no HKSJ and no prediction interval. Estimates with a missing standard error count for
    nothing.

    Raises:
        ValueError: a standard error that is zero or negative, or a number beyond `SMALLEST` and `LARGEST`.
    """
    usable = np.isfinite(estimates) & np.isfinite(std_errors)
    y, se = checked_estimates(np.asarray(estimates)[usable]), np.asarray(std_errors, float)[usable]
    columns = pool_groups(y[None, :], variances(se)[None, :], method)
    return {name: float(column[0]) for name, column in columns.items()} | {"k": len(y)}


def pool_groups(y: Array, v: Array, method: str = "dl") -> Columns:
    """`pool` for every row of (G, K) estimates and variances; places of infinite variance are empty."""
    return whole(Standardised.of(y, v), method)


def whole(standard: Standardised, method: str = "dl") -> Columns:
    """`STATISTICS` and `MORE` of every group."""
    with np.errstate(divide="ignore", invalid="ignore"):
        more = {**_profiled(standard), **_egger(standard, method)}
    return core(standard, method) | {name: _from(2, standard.effects, more[name]) for name in MORE}


def core(standard: Standardised, method: str = "dl") -> Columns:
    """`STATISTICS` of every group, without what takes longer."""
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = _pooled(standard, method)
    columns = {name: _from(1 if name in ALONE else 2, standard.effects, columns[name]) for name in STATISTICS}
    return columns | {"k": standard.effects.k}


def variances(std_errors: np.ndarray) -> Array:
    """Squares of standard errors. Raises `ValueError` for one that is not above zero, or too small or large to pool."""
    if np.any(std_errors <= 0):
        raise ValueError(f"standard errors must be above 0, got {std_errors[std_errors <= 0][0]}")
    beyond = (std_errors < SMALLEST) | ((std_errors > LARGEST) & np.isfinite(std_errors))
    if np.any(beyond):
        raise ValueError(f"standard errors must be from {SMALLEST} to {LARGEST}, got {std_errors[beyond][0]}")
    return np.asarray(std_errors**2, float)


def checked_estimates(estimates: np.ndarray) -> Array:
    """The estimates. Raises `ValueError` for one that is too large to pool."""
    beyond = (np.abs(estimates) > LARGEST) & np.isfinite(estimates)
    if np.any(beyond):
        raise ValueError(f"estimates must be from -{LARGEST} to {LARGEST}, got {estimates[beyond][0]}")
    return np.asarray(estimates, float)


# ---- the parts of a pool


def _from(least: int, effects: EffectGroups, column: Array) -> Array:
    """NaN in groups of fewer effects."""
    return np.where(effects.k < least, np.nan, column)


def _pooled(standard: Standardised, method: str) -> Columns:
    """The pooled estimate with its Wald and HKSJ intervals, the prediction interval, Q, τ² and I²."""
    from scipy import stats

    effects, unit = standard.effects, standard.unit
    tau2 = METHODS[method](effects)
    at, q = fit(effects, tau2), fit(effects, np.zeros_like(tau2)).q
    estimate, error = standard.centre + unit * at.beta[:, 0], unit * np.sqrt(at.a[:, 0, 0])
    hksj, t = np.where(q > 0, error * np.sqrt(at.q / effects.df), np.nan), _t(effects.df)
    low, high = interval(estimate, error, Z95)
    hksj_low, hksj_high = interval(estimate, hksj, t)
    pi_low, pi_high = interval(estimate, np.sqrt(tau2 * unit**2 + hksj**2), t)
    i2 = (q - effects.df) / q if method == "fixed" else tau2 / (tau2 + typical_variance(effects))
    return {
        "k": effects.k, "estimate": estimate, "std_error": error, "ci_low": low, "ci_high": high,
        "p": 2 * stats.norm.sf(np.abs(estimate) / error), "tau2": tau2 * unit**2, "q": q,
        "q_p": stats.chi2.sf(q, effects.df), "i2": 100 * np.where(q > 0, np.fmax(i2, 0), 0.0),
        "pi_low": pi_low, "pi_high": pi_high, "hksj_ci_low": hksj_low, "hksj_ci_high": hksj_high,
        "hksj_p": 2 * stats.t.sf(np.abs(estimate) / hksj, effects.df),
    }  # fmt: skip


def _t(df: Array) -> Array:
    """The 97.5% quantile of t, asked once for each number of degrees of freedom."""
    from scipy import stats

    known, where = np.unique(df, return_inverse=True)
    return stats.t.ppf(0.975, known)[where]


def interval(estimate: Array, error: Array, quantile: Array | float) -> tuple[Array, Array]:
    """estimate ± quantile · error."""
    return estimate - quantile * error, estimate + quantile * error


def _profiled(standard: Standardised) -> Columns:
    """Q-profile intervals of τ² and I²."""
    low, high = q_profile(standard.effects)
    typical, square = typical_variance(standard.effects), standard.unit**2
    i2_low, i2_high = (100 * end / (end + typical) for end in (low, high))
    return {"tau2_low": low * square, "tau2_high": high * square, "i2_low": i2_low, "i2_high": i2_high}


def _egger(standard: Standardised, method: str) -> Columns:
    """Egger's test with a random effect: z and p of the slope on the standard error; NaN below `EGGER_FROM` effects."""
    effects = standard.effects
    z, p = np.full((2, len(effects.y)), np.nan)
    enough = effects.k >= EGGER_FROM
    if enough.any():
        test = regression_on_errors(effects.of(enough), standard.errors[enough], method)
        z[enough], p[enough] = test["z"], test["p"]
    return {"egger_z": z, "egger_p": p}


def egger(y: Array, v: Array, method: str) -> Columns:
    """Regression of the effects on their standard errors, as metafor's `regtest(model="rma", predictor="sei")`.

    z, p: of the slope; limit, limit_low, limit_high: the effect of a study without error, with its 95% interval. NaN
    where all standard errors are equal.
    """
    error = np.sqrt(np.where(np.isfinite(v), v, 0.0))
    return regression_on_errors(EffectGroups(y, v, np.ones((*y.shape, 1))), error, method)


def regression_on_errors(effects: EffectGroups, errors: Array, method: str) -> Columns:
    """`egger` for effects whose mean has one column in the design, with the errors (G, K) as the second."""
    from scipy import stats

    both = EffectGroups(effects.y, effects.v, np.stack([effects.x[..., 0], errors], axis=2))
    at = fit(both, METHODS[method](both))
    z = at.beta[:, 1] / np.sqrt(at.a[:, 1, 1])
    low, high = interval(at.beta[:, 0], np.sqrt(at.a[:, 0, 0]), Z95)
    return {"z": z, "p": 2 * stats.norm.sf(np.abs(z)), "limit": at.beta[:, 0], "limit_low": low, "limit_high": high}
