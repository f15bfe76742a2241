"""What the ratings say before any model: disagreement, co-occurrence, differences between groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandera.typing import DataFrame
from scipy.special import stdtrit

from tasks.survey.tables import Cooccurrence, Disagreement, Participants

CONSTANT = 10 * np.finfo(float).eps
"""A standard error of at most this share of a mean is rounding, as in R's t.test."""


def disagreement(ratings: pd.DataFrame, dimensions: Sequence[str]) -> DataFrame[Disagreement]:
    """Share of responses whose ratings vary, of those with two or more (paper, Pervasive Disagreement)."""
    rows = []
    for dimension in dimensions:
        groups = ratings.dropna(subset=[dimension]).groupby("response_id")[dimension]
        several = groups.size() >= 2
        varied = (groups.nunique() > 1)[several]
        rows.append((dimension, int(several.sum()), float(varied.mean()) if several.any() else np.nan))
    return Disagreement.checked(rows)


def cooccurrence(ratings: pd.DataFrame, dimensions: Sequence[str], positive_from: int) -> DataFrame[Cooccurrence]:
    """P(column positive | row positive) over ratings; positive is `positive_from` or more (paper, Figure 1)."""
    rows = []
    for row in dimensions:
        positive = ratings[(ratings[row] >= positive_from).fillna(False)]
        for column in dimensions:
            also = positive[column].dropna() >= positive_from
            rows.append((row, column, float(also.mean()) if len(also) else np.nan, len(also)))
    return Cooccurrence.checked(rows)


def group_difference(
    ratings: pd.DataFrame, a: set[str], b: set[str], dimension: str, categories: int
) -> dict[str, float]:
    """Difference of the mean rating on [0, 1] between two groups of participants, with Welch's 95% interval.

    A participant's mean is one observation, so that somebody's several ratings are not taken for several people. Where
    neither group varies there is no error and no interval, as R's t.test refuses data that are essentially constant.
    """
    means = ratings.dropna(subset=[dimension]).groupby("participant_id")[dimension].mean().astype(float)
    means = (means - 1) / (categories - 1)
    x, y = means[means.index.isin(a)].to_numpy(), means[means.index.isin(b)].to_numpy()
    sizes = {"n_a": len(x), "n_b": len(y)}
    if min(len(x), len(y)) < 2:
        return dict.fromkeys(("estimate", "std_error", "ci_low", "ci_high"), np.nan) | sizes
    difference, (error, reach) = float(x.mean() - y.mean()), _welch(x, y)
    ends = {"ci_low": difference - reach, "ci_high": difference + reach}
    return {"estimate": difference, "std_error": error, **ends} | sizes


def _welch(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Standard error of a difference of means, and the reach of its 95% interval (Welch 1947); NaN without spread."""
    parts = np.array([side.var(ddof=1) / len(side) for side in (x, y)])
    error = float(np.sqrt(parts.sum()))
    if error <= CONSTANT * max(abs(x.mean()), abs(y.mean())):
        return np.nan, np.nan
    df = parts.sum() ** 2 / np.sum(parts**2 / [len(x) - 1, len(y) - 1])
    return error, float(stdtrit(df, 0.975) * error)


def attributes_of(participants: pd.DataFrame) -> list[str]:
    """The columns of the participants' table that hold declared terms."""
    return [column for column in participants.columns if column not in ("participant_id", "language")]


def participants_table(participants: pd.DataFrame, attributes: Sequence[str], few: int = 1) -> DataFrame[Participants]:
    """How many participants declare each value of each attribute.

    Values that fewer than `few` declare are one row together; where those are still fewer, its numbers are left out.
    """
    rows = []
    for attribute in attributes:
        counts = participants[attribute].explode().dropna().value_counts()
        rare = counts[counts < few]
        shown: list[tuple[str, float]] = [(str(value), float(n)) for value, n in counts[counts >= few].items()]
        if len(rare):
            anybody = participants[attribute].map(lambda terms, rare=rare: any(term in rare for term in terms)).sum()
            shown.append((f"others, fewer than {few} each", float(anybody) if anybody >= few else np.nan))
        if silent := int((participants[attribute].str.len() == 0).sum()):
            shown.append(("not declared", silent))
        rows += [(attribute, value, n, n / len(participants)) for value, n in shown]
    return Participants.checked(rows)
