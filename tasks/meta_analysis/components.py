"""Where the error of a pooled effect comes from, and what would narrow its interval.

At the weights w of the pool (Σ w = 1), with the sampling covariance V of the architectures' effects and S the part of
it that lies between training seeds, the variance of the estimate is

    raters: the variance over rater replicates        architectures: τ² Σ w², less the raters' own part
    prompts: wᵀ (V - S) w      seeds: wᵀ S w          judge: (estimate · se(slope) / slope)²

What each architecture makes of the raters in a way of its own is in τ²; it counts as the raters'. The judge's part is
that of the correction by its slope, as a share of the effect: it is in the interval of the corrected effect alone. A
source that the study does not measure (raters without replicates, seeds with one) is missing, never zero.

These do not add up to the variance of the full interval, which takes what is not the raters' from how the effects of
architectures are spread (`tasks.meta_analysis.raters`). So `in_interval` has the raters' variance as it is, and the
others, but for the judge's, scaled to what remains. Shares are of `in_interval` and the judge's part; what twice as
many of a source would save is reckoned on the full standard error, at the same degrees of freedom.
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
        inside = _in_interval(parts, row.total_std_error)
        full = np.nansum(list(inside.values()))
        total = full + np.nan_to_num(parts["judge"])
        for source in SOURCES:
            part = inside.get(source, math.nan)
            share = (parts["judge"] if source == "judge" else part) / total if total > 0 else math.nan
            narrower = 1 - np.sqrt(1 - part / full / 2) if full > 0 else math.nan
            rows.append((*key, source, parts[source], part, share, narrower))
    return VarianceComponents.checked(rows)


def _in_interval(parts: dict[str, float], std_error: float) -> dict[str, float]:
    """What each source but the judge is of the full interval's variance; by its own formula where there is none."""
    inside = {source: part for source, part in parts.items() if source != "judge"}
    if not math.isfinite(std_error):
        return inside
    beside = {source: part for source, part in inside.items() if source != "raters"}
    known, rest = np.nansum(list(beside.values())), max(std_error**2 - parts["raters"], 0.0)
    return inside | {source: part * rest / known if known > 0 else part for source, part in beside.items()}


def _shared(weights: pd.Series, covariances: pd.DataFrame | None, std_errors: pd.Series) -> float:
    """wᵀ V w; without covariances, errors share nothing."""
    if covariances is None:
        return float((weights**2 * std_errors**2).sum())
    a, b = (covariances[name].map(weights).fillna(0.0) for name in ("architecture", "other"))
    return float((a * b * covariances["covariance"]).sum())
