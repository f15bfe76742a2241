"""Pooling with a half-normal prior on τ: what to believe of μ and τ where few effects say little of their spread.

τ ~ |N(0, scale²)|, μ flat. Given τ, μ is normal with the mean and the variance of generalised least squares; so the
posterior of τ is prior times restricted likelihood, and all of μ is a mixture over it, by one integral (Röver 2020,
bayesmeta, with V full).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from configs.schema import Pooling
from tasks.meta_analysis.correlated import rotated, usable
from tasks.meta_analysis.heterogeneity import Array, EffectGroups, Standardised, fit, restricted_likelihood

POINTS, ROUNDS = 1001, 12
"""Places of log τ, and how often they are drawn in to where the posterior is."""
NEGLIGIBLE, NOTHING = 40.0, 1e-12
"""Places whose log density is so far below the highest are left out; so is τ below this share of the least scale."""
SCALE = Pooling().tau_scale
"""Of the prior, for effects on a score of 0 to 1."""


class Posterior(NamedTuple):
    """Means, standard deviations and central 95% intervals of μ and τ, and that of another effect (pi)."""

    mean: float
    sd: float
    low: float
    high: float
    tau: float
    tau_sd: float
    tau_low: float
    tau_high: float
    pi_low: float
    pi_high: float


def half_normal(estimates: Array, covariance: Array, scale: float = SCALE) -> Posterior:
    """The posterior of μ and τ from estimates (k,) with the covariance V (k, k) of their errors.

    One estimate leaves τ at its prior. NaN without any; estimates without a variance count for nothing.

    Raises:
        ValueError: V is no covariance; the scale is not above 0.
    """
    if not 0 < scale < np.inf:
        raise ValueError(f"the scale of the prior must be above 0, got {scale}")
    y, v = usable(estimates, covariance)
    if not len(y):
        return Posterior(*[np.nan] * 10)
    standard = rotated(y[None], v[None])
    unit, centre = float(standard.unit[0]), float(standard.centre[0])
    t, density = _posterior(standard, scale / unit)
    tau, shares = np.exp(t), density / density.sum()
    at = fit(_repeated(standard, len(t)), tau**2)
    means, errors = at.beta[:, 0], np.sqrt(at.a[:, 0, 0])
    mean, tau_mean = float(shares @ means), float(shares @ tau)
    low, high = (_mixture_quantile(p, shares, means, errors) for p in (0.025, 0.975))
    pi_low, pi_high = (_mixture_quantile(p, shares, means, np.hypot(errors, tau)) for p in (0.025, 0.975))
    tau_low, tau_high = (_density_quantile(p, t, density) for p in (0.025, 0.975))
    sd, tau_sd = (float(np.sqrt(value)) for value in (
        shares @ (errors**2 + (means - mean) ** 2), shares @ (tau - tau_mean) ** 2,
    ))  # fmt: skip
    return Posterior(
        centre + unit * mean, unit * sd, centre + unit * low, centre + unit * high,
        unit * tau_mean, unit * tau_sd, unit * tau_low, unit * tau_high,
        centre + unit * pi_low, centre + unit * pi_high,
    )  # fmt: skip


def _repeated(standard: Standardised, times: int) -> EffectGroups:
    return standard.effects.of(np.zeros(times, int))


def _posterior(standard: Standardised, scale: float) -> tuple[Array, Array]:
    """Places of log τ in equal steps, and the density there, up to a factor.

    An integral over log τ by sums in equal steps is exact to all digits once the steps are short beside the density's
    width: it dies away on both sides, and is smooth. Beyond τ² = Σ r², r the residuals of the unweighted regression,
    the likelihood falls (`tasks.meta_analysis.heterogeneity.reml`), and the prior with it.
    """
    effects = standard.effects
    spread = float(np.sum(standard.effects.y**2))  # of differences from one effect: not less than Σ r²
    low = np.log(NOTHING * min(scale, float(np.sqrt(effects.v.min()))))
    high = 0.5 * np.log(spread + 2 * NEGLIGIBLE * scale**2)
    for _ in range(ROUNDS):
        t = np.linspace(low, high, POINTS)
        tau2 = np.exp(2 * t)
        height = restricted_likelihood(_repeated(standard, POINTS), tau2) - tau2 / (2 * scale**2) + t
        held = np.flatnonzero(height > height.max() - NEGLIGIBLE)
        low, high = t[max(held[0] - 1, 0)], t[min(held[-1] + 1, POINTS - 1)]
    return t, np.exp(height - height.max())


def _mixture_quantile(p: float, shares: Array, means: Array, errors: Array) -> float:
    """The quantile of a mixture of normal distributions."""
    from scipy.stats import norm

    z = float(norm.ppf(p))
    ends = means + z * errors
    return _root(lambda x: float(shares @ norm.cdf((x - means) / errors)) - p, float(ends.min()), float(ends.max()))


def _density_quantile(p: float, t: Array, density: Array) -> float:
    """exp of the quantile of a density that is known at places t."""
    from scipy.interpolate import CubicSpline

    below = CubicSpline(t, density).antiderivative()
    return float(np.exp(_root(lambda x: float(below(x) / below(t[-1])) - p, float(t[0]), float(t[-1]))))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    if function(low) >= 0:
        return low
    return float(brentq(function, low, high, xtol=1e-300, rtol=1e-14)) if function(high) > 0 else high
