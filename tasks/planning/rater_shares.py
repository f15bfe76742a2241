"""How a contrast depends on who was asked, from the ratings alone: what pairs, ratings and raters have in it.

A preference between labels of responses a and b says by how much the one that is preferred scores higher on the judged
dimension: h = ± (score_a - score_b). A condition's lean T is the mean of h over its preferences; a contrast's is the
difference of two. Training moves the score the way that T says. With d = (h - T) / n for each preference (of the second
side with the sign turned; those that both sides have add up), and sums of d over the preferences of a rating or a rater

    pair = Σ d²,   ratings = Σ over ratings (Σ d)² - 2 pair,   raters = Σ over raters (Σ d)² - Σ over ratings (Σ d)²

are unbiased for three parts of the variance of T: of preferences, of those that share a rating, of those that share a
rater but no rating. A preference is in the sums of both its ratings, so that the squares have it twice; one between two
ratings of one rater counts once, as a rating. With n_r ratings of rater r, raters is n̄ - 1 = Σ n_r (n_r - 1) / Σ n_r
times what a rating has in common with another of its rater, which is in ratings too; so

    rater = raters · n̄ / (n̄ - 1),   rating = ratings + raters - rater.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.schema import CONTROL, Contrast, Experiment
from tasks.methods import METHODS
from tasks.planning.design import RaterShares
from tasks.preferences.condition import ConditionData
from tasks.preferences.pairs import pairs_sharing
from tasks.runtime.fingerprint import stable_hash

MOST_PAIRS = 3_000_000
"""So many pairs of labels are looked at; where there are more, those of prompts that a stable hash chooses."""
COLUMNS = ["prompt_id", "response_id", "participant_id", "label"]
UNITS = ["rating_a", "rating_b", "rater_a", "rater_b"]


class Lean(NamedTuple):
    """The parts of the variance of a contrast's lean, in squared score; none is below zero."""

    pair: float
    rating: float
    rater: float

    @property
    def variance(self) -> float:
        return sum(self)

    @property
    def shares(self) -> RaterShares:
        return RaterShares(*(part / self.variance for part in self))


def lean(
    experiment: Experiment, data: Mapping[str, ConditionData], contrast: Contrast, scores: pd.Series
) -> Lean | None:
    """The parts for a contrast; None where no two ratings differ, or nothing that is preferred scores differently.

    A method that reads no pairs weighs labels, not preferences: what pairs say together is then the ratings' own.

    Args:
        data: condition → what its ratings come to.
        scores: response → score on the judged dimension.
    """
    sides = {name: sign for name, sign in zip(contrast.sides, (1, -1), strict=True) if name != CONTROL}
    tables = [
        table.assign(d=sign * table["d"])
        for name, sign in sides.items()
        for table in _preferences(data[name], experiment.conditions[name].within, scores)
    ]
    if not tables:
        return None
    both = pd.concat(tables).groupby(UNITS, as_index=False)["d"].sum()
    alone = both["rater_a"] == both["rater_b"]
    pair, own = (float((both["d"][which] ** 2).sum()) for which in (~alone, alone))
    rating = _squares(both["d"], both["rating_a"], both["rating_b"])
    rater = _squares(both["d"], both["rater_a"], both["rater_b"].where(~alone))
    parts = Lean(pair, *_between(rating - 2 * pair - own, rater - rating + own, _ratings_of_each(both)))
    if any(METHODS[experiment.conditions[name].method].reads != "pairs" for name in sides):
        parts = Lean(0.0, parts.pair + parts.rating, parts.rater)
    return parts if parts.variance > 0 else None


def _between(ratings: float, raters: float, each: np.ndarray) -> tuple[float, float]:
    """rating and rater (see above), from ratings, raters, and how many ratings each rater has."""
    whole, others = max(ratings + raters, 0.0), float((each * (each - 1)).sum() / each.sum())
    rater = min(max(raters * (1 + 1 / others), 0.0), whole) if others else 0.0
    return whole - rater, rater


def _ratings_of_each(preferences: pd.DataFrame) -> np.ndarray:
    """How many ratings each rater has among the preferences."""
    sides = [preferences[[f"rating_{side}", f"rater_{side}"]].set_axis(["rating", "rater"], axis=1) for side in "ab"]
    return pd.concat(sides).drop_duplicates()["rater"].value_counts().to_numpy()


def _squares(d: pd.Series, first: pd.Series, second: pd.Series) -> float:
    """Σ over units of (Σ d)²; a preference is in the sums of its `first` and its `second` unit, if it has one."""
    sums = pd.concat([d.groupby(first).sum(), d.groupby(second).sum()]).groupby(level=0).sum()
    return float((sums**2).sum())


def _preferences(data: ConditionData, within: str, scores: pd.Series) -> list[pd.DataFrame]:
    """Of each dimension: rating_a, rating_b, rater_a, rater_b and d of every preference."""
    tables = []
    for labels in data.labels.values():
        table = labels.scaled[COLUMNS].assign(rating=labels.scaled.index, rater=labels.scaled["participant_id"])
        on = ["prompt_id"] if within == "prompt" else ["prompt_id", "participant_id"]
        pairs = pairs_sharing(_some_prompts(table), on)
        pairs = pairs[pairs["label_a"] != pairs["label_b"]]
        if len(pairs):
            lead = (pairs["a"].map(scores) - pairs["b"].map(scores)).to_numpy(float)
            h = np.where(pairs["label_a"] > pairs["label_b"], lead, -lead)
            tables.append(pairs[UNITS].assign(d=(h - h.mean()) / len(h) / len(data.labels)))
    return tables


def _some_prompts(labels: pd.DataFrame) -> pd.DataFrame:
    """The labels, or those of so many prompts that they make about `MOST_PAIRS` pairs."""
    sizes = labels.groupby("prompt_id").size()
    order = stable_hash(pd.DataFrame({"prompt_id": sizes.index}), 0).sort_values().index
    pairs = (sizes.iloc[order] ** 2).cumsum()
    return labels[labels["prompt_id"].isin(pairs.index[pairs - sizes.iloc[order] ** 2 < MOST_PAIRS])]
