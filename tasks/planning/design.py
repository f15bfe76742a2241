"""What a study could find before it is run: the error of one contrast, by the numbers that its design chooses.

The variance of a pooled effect is made of terms that are measured once, by a run or from ratings, at a reference design
(index 0), and that scale by these laws (R raters, m ratings each, P held-out prompts, k architectures, S seeds):

    raters           (shared + own / k) · f(R, m)      own: what each architecture makes of the raters in its own way
    prompts          (shared + own / k) · P0 / P       own: what the architectures' errors on a prompt don't share
    seeds            s / k · S0 / S
    architectures    τ² / k

    f(R, m) = pair · (R0 m0 / (R m))² + rating · R0 m0 / (R m) + rater · R0 / R

A preference is between two ratings. What two of them say only together (pair) shrinks with the number of preferences;
what is a rating's own, with the number of ratings; what all ratings of a rater have in common (rater), with the number
of raters. The three shares add up to one (`tasks.planning.rater_shares` measures them).

Raters' replicates weigh a preference by both its raters, w_r w_s with w ~ Exp(1): Var(w_r w_s) = 3, Cov(w_r w_s,
w_r w_t) = 1. So they count the pairs' share three times, and the error that a study states is expected to be larger
than the scatter of its estimate: both are predicted. The stated one is `tasks.meta_analysis.raters.total`,

    V = beside + raters + shared prompts,
    beside + raters = shared raters + (own raters + own prompts + seeds + τ²) / k,
    ν = V² / (beside² / (k - 1) + raters² / (B - 1) + shared prompts² / (P - 1)),   estimate ± t_ν √V.

All laws take it that training takes as many steps as in the reference, and that judge and training prompts stay. The
judge's error, which is that of effects on the raters' scale, is in none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self


@dataclass(frozen=True)
class Design:
    """The numbers that a study chooses; at least two of all but ratings and seeds.

    raters: in a contrast between groups those of each group, else all. ratings_each: responses that a rater rates,
    those to held-out prompts among them. prompts: held-out ones.

    Raises:
        ValueError: a number is too small.
    """

    raters: int
    ratings_each: float
    prompts: int
    architectures: int
    replicates: int
    seeds: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name in ("ratings_each", "seeds") else 2
            if value < least:
                raise ValueError(f"{name.replace('_', ' ')}: {value}; at least {least}")


class Term(NamedTuple):
    """A variance, and the ends of its 95% interval; all three are equal where it is assumed."""

    value: float
    low: float
    high: float

    @classmethod
    def assumed(cls, value: float) -> Self:
        return cls(value, value, value)

    @classmethod
    def measured(cls, value: float, df: float) -> Self:
        """With the interval of a variance that has so many degrees of freedom: df · value / χ²."""
        from scipy import stats

        low, high = stats.chi2.ppf([0.975, 0.025], df)
        return cls(value, df * value / low, df * value / high)

    def times(self, factor: float) -> Term:
        return Term(*(factor * end for end in self))

    def plus(self, other: Term) -> Term:
        """The sum of two terms that were measured together, so that both are too large or both too small."""
        return Term(*(a + b for a, b in zip(self, other, strict=True)))


def total(terms: Iterable[Term]) -> Term:
    """The sum of independent terms; its interval by MOVER (Zou & Donner 2008), for variances Graybill & Wang's (1980).

    low = Σ v - √Σ (v - low)², high = Σ v + √Σ (high - v)²
    """
    terms = list(terms)
    value = sum(term.value for term in terms)
    low = value - math.sqrt(sum((term.value - term.low) ** 2 for term in terms))
    return Term(value, max(low, 0.0), value + math.sqrt(sum((term.high - term.value) ** 2 for term in terms)))


class RaterShares(NamedTuple):
    """Of the variance that lies in who was asked, the part of pairs of ratings, of ratings, and of raters; sum 1."""

    pair: float
    rating: float
    rater: float

    def factor(self, design: Design, reference: Design, pairs_count: float = 1.0) -> float:
        """f of the design (see above), with the pairs' share counted so many times."""
        raters = reference.raters / design.raters
        ratings = raters * reference.ratings_each / design.ratings_each
        return pairs_count * self.pair * ratings**2 + self.rating * ratings + self.rater * raters


REPLICATES_COUNT = 3.0
"""How often replicates count the pairs' share: Var(w_r w_s)."""


@dataclass(frozen=True)
class Components:
    """The terms of one contrast's error, on the 0–1 score squared; `own` is of one architecture.

    raters_…: the scatter of the estimate, which is what replicates show less the pairs that they count too often.
    """

    reference: Design
    shares: RaterShares
    raters_shared: Term
    raters_own: Term
    prompts_shared: Term
    prompts_own: Term
    seeds: Term
    architectures: Term


@dataclass(frozen=True)
class Prediction:
    """What a design's study is expected to state, and how far its estimate scatters; ends are 95% intervals.

    std_error: of the interval that knows who was asked. df: its degrees of freedom. scatter: standard deviation of the
    estimate over repetitions of the study.
    """

    std_error: Term
    scatter: Term
    df: float

    @property
    def half_width(self) -> float:
        """t_ν · std_error: the interval is the estimate ± so much."""
        return self.critical * self.std_error.value

    @property
    def critical(self) -> float:
        from scipy import stats

        return float(stats.t.ppf(0.975, self.df))

    def power(self, effect: float) -> Term:
        """How often the 95% interval excludes zero when the effect has this size; low with the high end of the error.

        By the noncentral t: |estimate| > t_ν · std_error with estimate ~ N(effect, scatter²).
        """
        ends = zip(self.std_error, self.scatter, strict=True)
        value, high, low = (
            _power(effect / scatter, self.df, self.critical * error / scatter) for error, scatter in ends
        )
        return Term(value, low, high)


def _power(shift: float, df: float, threshold: float) -> float:
    """P(|t| > threshold) of a noncentral t."""
    from scipy import stats

    above, below = stats.nct.sf(threshold, df, abs(shift)), stats.nct.cdf(-threshold, df, abs(shift))
    if not math.isfinite(above):  # beyond what scipy can tell
        return float(stats.norm.cdf(abs(shift) - threshold))
    return float(above + (below if math.isfinite(below) else 0.0))


def predict(components: Components, design: Design) -> Prediction:
    """The error of the contrast in another design, by the laws above."""
    it, reference, k = components, components.reference, design.architectures
    asked = it.shares.factor(design, reference)
    counted = it.shares.factor(design, reference, REPLICATES_COUNT)
    prompts, seeds = reference.prompts / design.prompts, reference.seeds / design.seeds

    in_prompts = it.prompts_shared.times(prompts).plus(it.prompts_own.times(prompts / k))
    rest = [in_prompts, it.seeds.times(seeds / k), it.architectures.times(1 / k)]
    read = it.raters_own.times(asked / k)
    shown = it.raters_shared.times(counted)  # by replicates
    stated = total([shown.plus(read), *rest])
    scatter = total([it.raters_shared.times(asked).plus(read), *rest])

    shared = it.prompts_shared.value * prompts
    raters = shown.value + it.raters_own.value * counted / k
    beside = max(stated.value - raters - shared, 0.0)
    parts = ((beside, k - 1), (raters, design.replicates - 1), (shared, design.prompts - 1))
    df = stated.value**2 / sum(part**2 / free for part, free in parts)
    return Prediction(_root(stated), _root(scatter), df)


def _root(term: Term) -> Term:
    return Term(*(math.sqrt(end) for end in term))


def fewest_raters(
    components: Components, design: Design, effect: float, power: float, most: int = 1_000_000
) -> int | None:
    """The fewest raters with which the design, else as it is, reaches the power; None where `most` don't."""

    def reaches(raters: int) -> bool:
        changed = Design(**(vars(design) | {"raters": raters}))
        return predict(components, changed).power(effect).value >= power

    low, high = 1, 2
    while not reaches(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
