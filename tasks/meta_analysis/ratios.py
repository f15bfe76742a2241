"""How many times as large one pooled effect is as another, with an interval: "53% more" is a ratio of 1.53."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Contrast, Study
from tasks.effects.identity import KEYS, EffectKey
from tasks.meta_analysis.heterogeneity import METHODS, EffectGroups, fit
from tasks.meta_analysis.tables import Ratios


class Ratio(NamedTuple):
    """A ratio and its 95% interval, which has no bounds where the denominator may be zero."""

    of: float
    to: float
    ratio: float
    low: float
    high: float


def ratios(study: Study, effects: pd.DataFrame, method: str = "dl") -> DataFrame[Ratios]:
    """The ratios that the experiments name, over the architectures that have both effects."""
    numbers = effects.set_index("architecture")[[*KEYS, "estimate", "std_error"]]
    rows = []
    for name, experiment in study.experiments.items():
        for item in experiment.ratios:
            keys = [EffectKey(name, Contrast(contrast), item.dimension) for contrast in (item.of, item.to)]
            of, to = (key.rows_of(numbers).drop(columns=KEYS) for key in keys)
            shared = of.join(to, how="inner", lsuffix="_of", rsuffix="_to").dropna()
            a, a_error, b, b_error = (shared[column].to_numpy(float) for column in shared)
            values = list(ratio(a, a_error, b, b_error, method)) if len(shared) > 1 else [np.nan] * 5
            rows.append((name, item.of, item.to, item.dimension, len(shared), *values, item.published))
    return Ratios.checked(rows)


def ratio(a: np.ndarray, a_error: np.ndarray, b: np.ndarray, b_error: np.ndarray, method: str = "dl") -> Ratio:
    """Ratio A / B of two effects pooled over the same k architectures, with Fieller's interval (1954).

    All r with (A - r B)² ≤ t² (V_A - 2 r C + r² V_B), t with k - 1 degrees of freedom. V are the variances of
    Hartung-Knapp-Sidik-Jonkman, and C is their covariance, Σ √(w_a w_b) r_a r_b / ((k - 1) √(Σw_a Σw_b)) with weights
    w and residuals r: what the two effects share, prompts and control and architectures, is in it.
    """
    from scipy.stats import t

    k = len(a)
    (mean_a, w_a, r_a), (mean_b, w_b, r_b) = (_pooled(y, e, method) for y, e in ((a, a_error), (b, b_error)))
    square = float(t.ppf(0.975, k - 1)) ** 2 / (k - 1)
    v_a, v_b = np.sum(w_a * r_a**2) / np.sum(w_a), np.sum(w_b * r_b**2) / np.sum(w_b)
    c = np.sum(np.sqrt(w_a * w_b) * r_a * r_b) / np.sqrt(np.sum(w_a) * np.sum(w_b))
    bottom, middle = mean_b**2 - square * v_b, mean_a * mean_b - square * c
    if bottom <= 0:
        return Ratio(mean_a, mean_b, mean_a / mean_b if mean_b else np.nan, -np.inf, np.inf)
    reach = np.sqrt(max(middle**2 - (mean_a**2 - square * v_a) * bottom, 0.0))
    return Ratio(mean_a, mean_b, mean_a / mean_b, (middle - reach) / bottom, (middle + reach) / bottom)


def _pooled(y: np.ndarray, error: np.ndarray, method: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Pooled estimate, weights and residuals."""
    effects = EffectGroups(y[None, :], error[None, :] ** 2, np.ones((1, len(y), 1)))
    at = fit(effects, METHODS[method](effects))
    return float(at.beta[0, 0]), at.w[0], at.r[0]
