"""How many times as large one pooled effect is as another, with an interval: "53% more" is a ratio of 1.53."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Contrast, Study
from tasks.effects.identity import KEYS, EffectKey
from tasks.meta_analysis.heterogeneity import METHODS, Standardised, fit
from tasks.meta_analysis.tables import Ratios

NO_WIDTH = 1e-7
"""An interval that reaches no farther than this share is one of rounding: the square root of a difference of equals."""


class Ratio(NamedTuple):
    """A ratio and its 95% interval: without bounds where the denominator may be zero, NaN where it has no width."""

    of: float
    to: float
    ratio: float
    low: float
    high: float


class Spread(NamedTuple):
    """Variances and covariance of numerator and denominator, and degrees of freedom of each of the three."""

    of: float
    to: float
    both: float
    df: float

    def at(self, ratio: float) -> float:
        """The variance of A - ratio · B."""
        return self.of - 2 * ratio * self.both + ratio**2 * self.to


def ratios(study: Study, effects: pd.DataFrame, means: pd.DataFrame, method: str = "dl") -> DataFrame[Ratios]:
    """The ratios that the experiments name, over the architectures that have both effects.

    means: the pooled effects of each rater replicate (`tasks.meta_analysis.raters`).
    """
    numbers = effects.set_index("architecture")[[*KEYS, "estimate", "std_error"]]
    rows = []
    for name, experiment in study.experiments.items():
        for item in experiment.ratios:
            keys = [EffectKey(name, Contrast(contrast), item.dimension) for contrast in (item.of, item.to)]
            of, to = (key.rows_of(numbers).drop(columns=KEYS) for key in keys)
            shared = of.join(to, how="inner", lsuffix="_of", rsuffix="_to").dropna()
            a, a_error, b, b_error = (shared[column].to_numpy(float) for column in shared)
            asked = _asked(means, *keys)
            values, total = [np.nan] * 5, [np.nan] * 2
            if len(shared) > 1:
                values = list(ratio(a, a_error, b, b_error, method))
                total = list(ratio(a, a_error, b, b_error, method, asked)[3:]) if asked else total
            n = int(asked.df) + 1 if asked else 0
            rows.append((name, item.of, item.to, item.dimension, len(shared), *values, n, *total, item.published))
    return Ratios.checked(rows)


def _asked(means: pd.DataFrame, of: EffectKey, to: EffectKey) -> Spread | None:
    """What both effects owe to who was asked, over the replicates that both have; None below two."""
    keys = [(str(key.experiment), str(key.contrast), key.dimension) for key in (of, to)]
    if not set(keys) <= set(means.index):
        return None
    a, b = means.loc[keys].dropna(axis="columns").to_numpy(float)
    if len(a) < 2:
        return None
    covariance = np.cov(a, b)
    return Spread(covariance[0, 0], covariance[1, 1], covariance[0, 1], len(a) - 1)


def ratio(
    a: np.ndarray, a_error: np.ndarray, b: np.ndarray, b_error: np.ndarray, method: str = "dl",
    asked: Spread | None = None,
) -> Ratio:  # fmt: skip
    """Ratio A / B of two effects pooled over the same k architectures, with Fieller's interval (1954).

    All r with (A - r B)² ≤ t² (V_A - 2 r C + r² V_B), t with k - 1 degrees of freedom. V are the variances of
    Hartung-Knapp-Sidik-Jonkman, and C is their covariance, Σ √(w_a w_b) r_a r_b / ((k - 1) √(Σw_a Σw_b)) with weights
    w and residuals r: what the two effects share, prompts and control and architectures, is in it. Effects in exact
    proportion say nothing of how their ratio spreads, so it has no interval. `asked` adds what both owe to who was
    asked; t then has the degrees of freedom of Welch and Satterthwaite at the ratio.
    """
    from scipy.stats import t

    k = len(a)
    (mean_a, w_a, r_a), (mean_b, w_b, r_b) = (_pooled(y, e, method) for y, e in ((a, a_error), (b, b_error)))
    covariance = np.sum(np.sqrt(w_a * w_b) * r_a * r_b) / np.sqrt(np.sum(w_a) * np.sum(w_b))
    v_a, v_b = np.sum(w_a * r_a**2) / np.sum(w_a), np.sum(w_b * r_b**2) / np.sum(w_b)
    spread = Spread(v_a / (k - 1), v_b / (k - 1), covariance / (k - 1), k - 1)
    if asked:
        spread = _added(spread, asked, mean_a / mean_b if mean_b else 0.0)
    square = float(t.ppf(0.975, spread.df)) ** 2
    bottom, middle = mean_b**2 - square * spread.to, mean_a * mean_b - square * spread.both
    if bottom <= 0:
        return Ratio(mean_a, mean_b, mean_a / mean_b if mean_b else np.nan, -np.inf, np.inf)
    reach = np.sqrt(max(middle**2 - (mean_a**2 - square * spread.of) * bottom, 0.0)) / bottom
    if reach <= NO_WIDTH * max(abs(mean_a / mean_b), 1.0):
        reach = np.nan
    return Ratio(mean_a, mean_b, mean_a / mean_b, middle / bottom - reach, middle / bottom + reach)


def _added(one: Spread, other: Spread, ratio: float) -> Spread:
    """Two independent sources of error together."""
    variances = one.at(ratio), other.at(ratio)
    parts = variances[0] ** 2 / one.df + variances[1] ** 2 / other.df
    df = sum(variances) ** 2 / parts if parts > 0 else one.df
    return Spread(one.of + other.of, one.to + other.to, one.both + other.both, df)


def _pooled(y: np.ndarray, error: np.ndarray, method: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Pooled estimate, weights and residuals."""
    standard = Standardised.of(y[None, :], error[None, :] ** 2)
    at, unit = fit(standard.effects, METHODS[method](standard.effects)), standard.unit[0]
    return float(standard.centre[0] + unit * at.beta[0, 0]), at.w[0] / unit**2, unit * at.r[0]
