"""Between-study variance τ² of many groups of effects at once.

Shapes: G groups of at most K effects each and P columns of the design; `y` and `v` (G, K), `x` (G, K, P), τ² (G,).
A group of fewer effects is filled up with places of infinite variance, which weigh nothing. Standard errors may differ
by a factor of 10¹⁸ within a group: what an effect of nearly all the weight leaves to the others is never a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_STEPS, EXACT = 200, 1e-13
"""How many steps at most, and how small the last one, against τ²."""
GRID_STEP, GRID_FROM = 0.35, 0.01
"""Where tops of the restricted likelihood are looked for: steps of log τ², from this share of the smallest variance."""
EQUAL_HEIGHT = 1e-12
"""Share of a log-likelihood that is rounding."""
SAME = 4 * np.finfo(float).eps
"""Effects that differ by no more than this share of the most precise one are equal: the rest is rounding."""


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

    def of(self, groups: NDArray[np.bool_] | NDArray[np.int_]) -> EffectGroups:
        """Some of the groups."""
        return EffectGroups(self.y[groups], self.v[groups], self.x[groups])


@dataclass(frozen=True)
class Standardised:
    """Effects as differences from the most precise one of their group, in units of its standard error.

    centre, unit (G,): that effect and its error; errors (G, K): all errors in that unit, 0 in empty places. An effect
    alone, and effects that are equal, become exact zeros.
    """

    effects: EffectGroups
    errors: Array
    centre: Array
    unit: Array

    @classmethod
    def of(cls, y: Array, v: Array) -> Standardised:
        """From estimates and variances (G, K), places of infinite variance being empty."""
        rows, first = np.arange(len(y)), (np.argmin(v, axis=1) if v.size else np.zeros(len(y), int))
        if not v.shape[1]:
            return cls(EffectGroups(y, v, np.ones((*y.shape, 1))), v, np.full(len(y), np.nan), np.full(len(y), np.nan))
        centre, smallest = y[rows, first], v[rows, first]
        unit = np.sqrt(np.where(np.isfinite(smallest), smallest, 1.0))
        apart = np.where(np.isfinite(v), y - centre[:, None], 0.0)
        apart = np.where(np.abs(apart) <= SAME * np.abs(centre)[:, None], 0.0, apart)
        scaled = EffectGroups(apart / unit[:, None], v / unit[:, None] ** 2, np.ones((*y.shape, 1)))
        return cls(scaled, np.sqrt(np.where(np.isfinite(v), scaled.v, 0.0)), centre, unit)


@dataclass(frozen=True)
class WeightedFit:
    """Weighted least squares with w = 1 / (v + τ²): β = A Xᵀ W y, A = (Xᵀ W X)⁻¹, residuals r = y - X β.

    free: 1 - h, h the leverages of the effects: how far each is from deciding its own fitted value alone.
    """

    w: Array
    a: Array
    beta: Array
    r: Array
    free: Array

    @property
    def q(self) -> Array:
        """Σ w r², Cochran's Q where τ² = 0."""
        return np.sum(self.w * self.r**2, axis=1)

    @property
    def trace(self) -> Array:
        """tr P of P = W - W X A Xᵀ W."""
        return np.sum(self.w * self.free, axis=1)

    @property
    def spread(self) -> Array:
        """yᵀ P P y = Σ w² r², by which Q falls as τ² grows."""
        return np.sum((self.w * self.r) ** 2, axis=1)


def fit(effects: EffectGroups, tau2: Array) -> WeightedFit:
    """The regression at a given τ²; NaN where a group's design has no inverse.

    Where an effect has nearly all the weight, y - x β and 1 - h would be rounding. So they are taken from the fit b
    without that effect, as (1 - h) (y - x b) and 1 / (1 + w x A xᵀ), for the P effects of most leverage.
    """
    w = 1 / (effects.v + tau2[:, None])
    a, beta = _solve(effects, w)
    r = effects.y - (effects.x @ beta[..., None])[..., 0]
    h = w * _form(effects.x, a)
    free, rows = 1 - h, np.arange(len(w))
    for _ in range(min(effects.x.shape[1:])):
        place = np.argmax(h, axis=1)
        free[rows, place], r[rows, place] = _without(effects, w, rows, place)
        h[rows, place] = -1
    return WeightedFit(w, a, beta, r, free)


def _solve(effects: EffectGroups, w: Array) -> tuple[Array, Array]:
    """A and β at weights w; β is NaN where the weights are all 0."""
    weighted = np.swapaxes(effects.x * w[..., None], 1, 2)
    a = _inverse(weighted @ effects.x)
    with np.errstate(invalid="ignore"):
        return a, (a @ (weighted @ effects.y[..., None]))[..., 0]


def _form(x: Array, a: Array) -> Array:
    """x A xᵀ of every effect."""
    return np.sum((x @ a) * x, axis=2)


def _without(effects: EffectGroups, w: Array, rows: NDArray[np.int_], place: NDArray[np.int_]) -> tuple[Array, Array]:
    """1 - h and the residual of one effect a group, from the fit to its others; 0 where these decide nothing."""
    others = w.copy()
    others[rows, place] = 0
    a, beta = _solve(effects, others)
    x = effects.x[rows, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        free = 1 / (1 + w[rows, place] * _form(x[:, None, :], a)[:, 0])
        r = free * (effects.y[rows, place] - np.sum(x * beta, axis=1))
    return np.where(free > 0, free, 0.0), np.where(free > 0, r, 0.0)


def fixed(effects: EffectGroups) -> Array:
    """τ² = 0: all studies have one true effect."""
    return np.zeros(len(effects.y))


def der_simonian_laird(effects: EffectGroups) -> Array:
    """τ² = max(0, (Q - (k - P)) / tr(P₀)), P₀ = W - W X A Xᵀ W at τ² = 0 (DerSimonian & Laird 1986)."""
    at_zero = fit(effects, fixed(effects))
    enough = effects.df > 0
    return np.where(enough, np.fmax((at_zero.q - effects.df) / np.where(enough, at_zero.trace, 1), 0), 0.0)


def paule_mandel(effects: EffectGroups) -> Array:
    """The τ² at which Q(τ²) = k - P (Paule & Mandel 1982), 0 where Q is below that already."""
    return where_q_is(effects, effects.df)


def reml(effects: EffectGroups) -> Array:
    """Restricted maximum likelihood (Viechtbauer 2005): the highest of all tops of the likelihood, τ² = 0 among them.

    A top is where the score falls through zero between two places of a grid of τ². None lies beyond Σ r², r the
    residuals of the unweighted regression: with the eigenvalues λ of the variances among residuals and their
    coordinates z, the score is Σ (z² - λ - τ²) / (λ + τ²)², and z² ≤ Σ r². Of tops that are equally high, to rounding,
    the smallest counts.
    """
    grid = _grid(effects)
    rises = np.stack([score(effects, tau2) > 0 for tau2 in grid.T], axis=1)
    group, place = np.nonzero(rises[:, :-1] & ~rises[:, 1:])
    some = effects.of(group)
    inside = _root(lambda tau2, which: score(some.of(which), tau2), grid[group, place], grid[group, place + 1])
    level = np.flatnonzero(~rises[:, 0])
    return _highest(effects, np.concatenate([level, group]), np.concatenate([np.zeros(len(level)), inside]))


def _highest(effects: EffectGroups, group: NDArray[np.int_], tops: Array) -> Array:
    """The top of the most restricted likelihood of each group, the smallest of equals; 0 in groups without any."""
    heights = restricted_likelihood(effects.of(group), tops)
    best = np.full(len(effects.y), -np.inf)
    np.fmax.at(best, group, heights)
    equal = heights >= best[group] - EQUAL_HEIGHT * np.fmax(np.abs(best[group]), 1)
    tau2 = np.full(len(best), np.inf)
    np.fmin.at(tau2, group[equal], tops[equal])
    return np.where(np.isfinite(tau2), tau2, 0.0)


def restricted_likelihood(effects: EffectGroups, tau2: Array) -> Array:
    """-½ (Σ log(v + τ²) + log|Xᵀ W X| + Q): the restricted log-likelihood, less what does not depend on τ²."""
    at = fit(effects, tau2)
    variances = np.where(np.isfinite(effects.v), effects.v + tau2[:, None], 1.0)
    determinant = at.a[:, 0, 0] if at.a.shape[1] == 1 else np.linalg.det(at.a)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -0.5 * (np.log(variances).sum(axis=1) - np.log(determinant) + at.q)


def score(effects: EffectGroups, tau2: Array) -> Array:
    """Twice the slope of the restricted log-likelihood, yᵀ P P y - tr P."""
    at = fit(effects, tau2)
    return at.spread - at.trace


def _grid(effects: EffectGroups) -> Array:
    """0 and τ² from below the smallest variance to beyond every top, in equal steps of log τ²; (G, T)."""
    known = np.isfinite(effects.v) & (effects.df > 0)[:, None]
    _, beta = _solve(effects, known.astype(float))
    r = np.where(known, effects.y - (effects.x @ beta[..., None])[..., 0], 0.0)
    low = GRID_FROM * np.min(np.where(known, effects.v, np.inf), axis=1, initial=np.inf)
    low = np.where(np.isfinite(low), low, 1.0)
    beyond = np.fmax(2 * np.sum(r**2, axis=1), low)
    widest = np.log(np.max(beyond / low, initial=1.0))
    places = np.linspace(0, 1, 2 + int(np.ceil(widest / GRID_STEP)))
    return np.column_stack([np.zeros(len(low)), low[:, None] * (beyond / low)[:, None] ** places])


def _root(score: Callable[[Array, NDArray[np.int_]], Array], low: Array, high: Array) -> Array:
    """Where the score falls through zero between low and high (N,)."""
    from scipy.optimize.elementwise import find_root

    if not len(low):
        return low

    def at(share: Array, which: Array) -> Array:
        places = which.astype(int)
        return score(low[places] + share * (high - low)[places], places)

    ends = np.zeros_like(low), np.ones_like(low)
    result = find_root(at, ends, args=(np.arange(len(low), dtype=float),), tolerances={"xatol": 1e-15, "xrtol": 1e-15})
    return low + np.where(result.success, result.x, 1) * (high - low)


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
    """The τ² ≥ 0 at which Q(τ²) = target, 0 where Q is below it already, or where there is no degree of freedom.

    1 / Q grows and is concave in τ². Newton from 0 on it therefore comes from the left and never goes beyond:
    τ² += Q (Q - target) / (target Σ w² r²).
    """
    tau2 = fixed(effects)
    open_ = (effects.df > 0) & (target > 0)
    for _ in range(MOST_STEPS):
        if not open_.any():
            break
        some, now, aim = effects.of(open_), tau2[open_], target[open_]
        at = fit(some, now)
        excess, slope = at.q / aim * (at.q - aim), at.spread
        step = np.divide(excess, slope, out=np.zeros_like(slope), where=(excess > 0) & (slope > 0))
        tau2[open_] = now + step
        open_[open_] = step > EXACT * (now + step)
    return tau2


def typical_variance(effects: EffectGroups) -> Array:
    """(k - P) / tr(P₀), the sampling variance that I² sets beside τ² (Higgins & Thompson 2002)."""
    return effects.df / fit(effects, fixed(effects)).trace


def _inverse(m: Array) -> Array:
    """The inverses of 1 × 1 or 2 × 2 matrices, by hand: a singular one must not stop the others."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if m.shape[1] == 1:
            return 1 / m
        adjugate = np.stack([m[:, 1, 1], -m[:, 0, 1], -m[:, 1, 0], m[:, 0, 0]], axis=1).reshape(-1, 2, 2)
        determinant = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]
        flat = np.abs(determinant) <= 1e-12 * np.abs(m[:, 0, 0] * m[:, 1, 1])
        return adjugate / np.where(flat, np.nan, determinant)[:, None, None]
