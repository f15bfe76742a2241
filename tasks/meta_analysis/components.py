"""Where the error of a pooled effect comes from, and what would narrow its interval.

At the weights w of the pool (Σ w = 1), with the sampling covariance V of the architectures' effects and S the part of
it that lies between training seeds, the variance of the estimate is

    raters: the variance over rater replicates        architectures: τ² Σ w², less the raters' own part
    prompts: wᵀ (V - S) w      seeds: wᵀ S w          judge: (estimate · se(slope) / slope)²

What each architecture makes of the raters in a way of its own is in τ²; it counts as the raters'. The judge's part is
that of the correction by its slope, as a share of the effect. A source that the study does not measure (raters without
replicates, seeds with one) is missing, never zero.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from tasks.effects.identity import KEYS
from tasks.meta_analysis.tables import VarianceComponents

SOURCES = ["raters", "prompts", "seeds", "judge", "architectures"]


def variance_components(
    effects: pd.DataFrame, covariances: pd.DataFrame, pooled: pd.DataFrame, calibration: pd.DataFrame
) -> DataFrame[VarianceComponents]:
    """One row a pooled effect and a source of error.

    effects: with std_error and seed_variance. covariances: `EffectCovariances`. pooled: `Pooled`. calibration:
    `JudgeCalibration`.
    """
    lines = calibration[calibration["why_not"] == ""].set_index("dimension")
    relative = (lines["slope_std_error"] / lines["slope"]).abs().to_dict()
    own = {key: table.set_index("architecture") for key, table in effects.groupby(KEYS)}
    shared = {key: table for key, table in covariances.groupby(KEYS)}
    rows = []
    for row in pooled.itertuples():
        key = (row.experiment, row.contrast, row.dimension)
        table = own[key].dropna(subset=["std_error"]) if key in own else pd.DataFrame()
        if table.empty or not math.isfinite(row.estimate):
            continue
        tau2 = row.tau2 if math.isfinite(row.tau2) else 0.0
        w = 1 / (table["std_error"] ** 2 + tau2)
        w = w / w.sum()
        variance = _shared(w, shared.get(key), table["std_error"])
        seeds = float((w**2 * table["seed_variance"]).sum(skipna=False))
        own_reading = row.raters_std_error**2 - row.raters_shared_std_error**2 if row.n_replicates > 1 else 0.0
        parts = {
            "raters": row.raters_std_error**2,
            "prompts": max(variance - (seeds if math.isfinite(seeds) else 0.0), 0.0),
            "seeds": seeds,
            "judge": (row.estimate * relative.get(row.dimension, math.nan)) ** 2,
            "architectures": max(tau2 * float((w**2).sum()) - own_reading, 0.0) if len(w) > 1 else math.nan,
        }
        total = sum(part for part in parts.values() if math.isfinite(part))
        for source in SOURCES:
            share = parts[source] / total if total > 0 else math.nan
            rows.append((*key, source, parts[source], share, 1 - np.sqrt(1 - share / 2)))
    return VarianceComponents.checked(rows)


def _shared(weights: pd.Series, covariances: pd.DataFrame | None, std_errors: pd.Series) -> float:
    """wᵀ V w; without covariances, errors share nothing."""
    if covariances is None:
        return float((weights**2 * std_errors**2).sum())
    a, b = (covariances[name].map(weights).fillna(0.0) for name in ("architecture", "other"))
    return float((a * b * covariances["covariance"]).sum())
