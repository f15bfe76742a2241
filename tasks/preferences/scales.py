"""From the questionnaire's categories to the labels of a scale, oriented so that more is better."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd


def to_scale(categories: pd.Series, scale: tuple[int | None, ...], better: Literal["lower", "higher"]) -> pd.Series:
    """Category c → `scale[c - 1]`, or <NA> where the scale drops it; the sign turned where lower is better."""
    labels = pd.array([pd.NA if label is None else label for label in scale], dtype="Int64")
    mapped = pd.Series(labels.take(categories.to_numpy(dtype=np.int64) - 1), index=categories.index)
    return -mapped if better == "lower" else mapped


def middle_of(scale: tuple[int | None, ...], better: Literal["lower", "higher"]) -> float:
    """Half way between the scale's lowest and highest label, turned as `to_scale` turns them; NaN if it drops all."""
    labels = [label for label in scale if label is not None]
    middle = (min(labels) + max(labels)) / 2 if labels else np.nan
    return -middle if better == "lower" else middle
