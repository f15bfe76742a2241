"""Between-study variance τ² of many groups of effects at once.

Shapes: G groups of at most K effects each and P columns of the design; `y` and `v` (G, K), `x` (G, K, P), τ² (G,).
A group of fewer effects is filled up with places of infinite variance, which weigh nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_STEPS, EXACT, REML_EXACT = 200, 1e-12, 1e-9
"""How many steps at most, and how small the last one, against τ²; Fisher scoring creeps where the
likelihood is flat, and may take ten times as many."""


@dataclass(frozen=True)
class EffectGroups:
    """Effects with their sampling variances, and the design that explains their mean: one column of ones, or two."""

    y: Array
    v: Array
    x: Array

    @property
    def k(self) -> Array:
        """How many effects each group has."""
        return np.isfinite(self.v).sum(axis=1).astype(float)

    @property
    def df(self) -> Array:
        """Degrees of freedom, k - P."""
        return self.k - self.x.shape[2]

    def of(self, groups: NDArray[np.bool_]) -> EffectGroups:
        """Some of the groups."""
        return EffectGroups(self.y[groups], self.v[groups], self.x[groups])


@dataclass(frozen=True)
class WeightedFit:
    """Weighted least squares with w = 1 / (v + τ²): β = A Xᵀ W y, A = (Xᵀ W X)⁻¹, residuals r = y - X β."""

    w: Array
    a: Array
    beta: Array
    r: Array

    @property
    def q(self) -> Array:
        """Σ w r², Cochran's Q where τ² = 0."""
        return np.sum(self.w * self.r**2, axis=1)


def fit(effects: EffectGroups, tau2: Array) -> WeightedFit:
    """The regression at a given τ²; NaN where a group's design has no inverse."""
    w = 1 / (effects.v + tau2[:, None])
    weighted = np.swapaxes(effects.x * w[..., None], 1, 2)
    a = _inverse(weighted @ effects.x)
    beta = (a @ (weighted @ effects.y[..., None]))[..., 0]
    return WeightedFit(w, a, beta, effects.y - (effects.x @ beta[..., None])[..., 0])


def fixed(effects: EffectGroups) -> Array:
    """τ² = 0: all studies have one true effect."""
    return np.zeros(len(effects.y))


def der_simonian_laird(effects: EffectGroups) -> Array:
    """τ² = max(0, (Q - (k - P)) / tr(P₀)), P₀ = W - W X A Xᵀ W at τ² = 0 (DerSimonian & Laird 1986)."""
    at_zero = fit(effects, fixed(effects))
    return np.fmax((at_zero.q - effects.df) / _traces(effects, at_zero)[0], 0)


def paule_mandel(effects: EffectGroups) -> Array:
    """The τ² at which Q(τ²) = k - P (Paule & Mandel 1982), 0 where Q is below that already."""
    return where_q_is(effects, effects.df)


def reml(effects: EffectGroups) -> Array:
    """Restricted maximum likelihood by Fisher scoring (Viechtbauer 2005), from DerSimonian-Laird.

    τ² += (yᵀPPy - tr P) / tr PP, at least 0. Where a step went too far, so that the next one would go back, the secant
    between the two is taken. NaN where it has not converged.
    """
    tau2 = der_simonian_laird(effects)
    before, step = tau2.copy(), _scoring(effects, tau2)
    open_ = np.ones(len(tau2), bool)
    last = np.zeros_like(step)
    for _ in range(10 * MOST_STEPS):
        open_[open_] = np.abs(step[open_]) > REML_EXACT * (tau2[open_] + _scale(effects.of(open_)))
        if not open_.any():
            break
        now, turned = tau2[open_], (step * last < 0)[open_]
        secant = step[open_] * (before - tau2)[open_] / (step - last)[open_]
        before[open_], last[open_] = now, step[open_]
        tau2[open_] = np.fmax(now + np.where(turned, secant, step[open_]), 0)
        step[open_] = _scoring(effects.of(open_), tau2[open_])
    return np.where(open_, np.nan, tau2)


METHODS = {"fixed": fixed, "dl": der_simonian_laird, "reml": reml, "pm": paule_mandel}
"""Name of a method → its τ²."""
TITLES = {"fixed": "Fixed effect", "dl": "DerSimonian–Laird", "reml": "REML", "pm": "Paule–Mandel"}


def q_profile(effects: EffectGroups, level: float = 0.95) -> tuple[Array, Array]:
    """Confidence interval of τ²: where Q(τ²) is the upper and the lower quantile of χ² (Viechtbauer 2007).

    Both ends are 0 where even Q(0) is below the lower quantile: effects more alike than their errors allow.
    """
    from scipy.stats import chi2

    tail = (1 - level) / 2
    return tuple(where_q_is(effects, chi2.ppf(p, effects.df)) for p in (1 - tail, tail))  # type: ignore[return-value]


def where_q_is(effects: EffectGroups, target: Array) -> Array:
    """The τ² ≥ 0 at which Q(τ²) = target, 0 where Q is below it already; Q falls and is convex in τ².

    Newton from 0 therefore comes from the left and never goes beyond: τ² += (Q - target) / Σ w² r².
    """
    tau2 = fixed(effects)
    open_ = np.ones(len(tau2), bool)
    for _ in range(MOST_STEPS):
        some, now = effects.of(open_), tau2[open_]
        at = fit(some, now)
        excess, slope = at.q - target[open_], np.sum(at.w**2 * at.r**2, axis=1)
        step = np.divide(excess, slope, out=np.zeros_like(slope), where=(excess > 0) & (slope > 0))
        tau2[open_] = now + step
        open_[open_] = step > EXACT * (now + step)
        if not open_.any():
            break
    return tau2


def typical_variance(effects: EffectGroups) -> Array:
    """(k - P) / tr(P₀), the sampling variance that I² sets beside τ² (Higgins & Thompson 2002)."""
    return effects.df / _traces(effects, fit(effects, fixed(effects)))[0]


def _traces(effects: EffectGroups, at: WeightedFit) -> tuple[Array, Array]:
    """tr P and tr PP of P = W - W X A Xᵀ W."""
    second, third = (_crossed(effects.x, at.w**power) for power in (2, 3))
    as2, as3 = at.a @ second, at.a @ third
    first = np.sum(at.w, axis=1) - np.trace(as2, axis1=1, axis2=2)
    squared = np.sum(at.w**2, axis=1) - 2 * np.trace(as3, axis1=1, axis2=2) + np.trace(as2 @ as2, axis1=1, axis2=2)
    return first, squared


def _crossed(x: Array, weights: Array) -> Array:
    return np.swapaxes(x * weights[..., None], 1, 2) @ x


def _scoring(effects: EffectGroups, tau2: Array) -> Array:
    at = fit(effects, tau2)
    first, squared = _traces(effects, at)
    step = (np.sum(at.w**2 * at.r**2, axis=1) - first) / squared
    return np.where((effects.df > 0) & np.isfinite(step) & ~((tau2 == 0) & (step < 0)), step, 0.0)


def _scale(effects: EffectGroups) -> Array:
    """The smallest sampling variance of each group: what a τ² is large or small against."""
    return np.where(effects.k > 0, np.min(effects.v, axis=1), 1.0)


def _inverse(m: Array) -> Array:
    """The inverses of 1 × 1 or 2 × 2 matrices, by hand: a singular one must not stop the others."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if m.shape[1] == 1:
            return 1 / m
        adjugate = np.stack([m[:, 1, 1], -m[:, 0, 1], -m[:, 1, 0], m[:, 0, 0]], axis=1).reshape(-1, 2, 2)
        determinant = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
        flat = np.abs(determinant) <= 1e-12 * np.abs(m[:, 0, 0] * m[:, 1, 1])
        return adjugate / np.where(flat, np.nan, determinant)[:, None, None]
