"""What a rating weighs in training, and which of two responses the training rows prefer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from tasks.preferences.condition import ConditionData


def of_pairs(
    pairs: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
) -> np.ndarray:
    """Each rating's part of the label preferences in the pairs, of all of the dimension's, in the order of its labels.

    A preference counts for either of its two labels, and a label's count is split among the ratings that it was made
    of (`made_of`, from `aggregation.behind`).
    """
    labels = data.labels[dimension]
    if within == "participant":
        counts = _comparisons_by_participants(labels.scaled, pairs)
    else:
        counts = _comparisons_within_prompts(labels.scaled, labels.final, made_of, pairs)
    return counts / max(data.preferences[dimension], 1)


def of_labels(made_of: pd.DataFrame, ratings: pd.Index) -> np.ndarray:
    """Each rating's part of the labels that train, which all have the same weight.

    made_of: from `aggregation.behind`, of those ratings alone whose response's label trains.
    """
    part = made_of["part"].reindex(ratings, fill_value=0.0).to_numpy()
    return part / max(part.sum(), 1)


def _comparisons_by_participants(scaled: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Under `within: participant`, where labels are the ratings themselves: the preferences that each is part of."""
    from tasks.preferences.pairs import pairs_of_participants  # here, since it imports pandas

    own = pairs_of_participants(scaled)
    own = own[own["label_a"] != own["label_b"]].merge(pairs[["a", "b"]], on=["a", "b"])
    keys = [own[["participant_id", side]].set_axis(["participant_id", "response_id"], axis=1) for side in ("a", "b")]
    counts = sum(table.value_counts().reindex(scaled.set_index(list(table)).index, fill_value=0) for table in keys)
    return np.asarray(counts, dtype=float)


def _comparisons_within_prompts(
    scaled: pd.DataFrame, final: pd.DataFrame, made_of: pd.DataFrame, pairs: pd.DataFrame
) -> np.ndarray:
    """A label k of response a meets Σ_b (n_b - h_b[k]) labels that differ.

    h are the histograms of the final labels and n their sums; b are the responses that a is paired with.
    """
    import pandas as pd

    responses, categories = pd.Index(final["response_id"].unique()), pd.Index(sorted(final["label"].unique()))
    h = np.zeros((len(responses), len(categories)))
    np.add.at(h, (responses.get_indexer(final["response_id"]), categories.get_indexer(final["label"])), 1)
    a, b = responses.get_indexer(pairs["a"]), responses.get_indexer(pairs["b"])
    both = (a >= 0) & (b >= 0)
    a, b = a[both], b[both]
    others = h.sum(1, keepdims=True) - h
    met = np.zeros_like(h)
    np.add.at(met, a, others[b])
    np.add.at(met, b, others[a])
    part = made_of["part"].to_numpy()
    counts = part > 0
    row = responses.get_indexer(scaled["response_id"][counts])
    weights = np.zeros(len(scaled))
    weights[counts] = part[counts] * met[row, categories.get_indexer(made_of["final"][counts])]
    return weights


def lead_of_responses(values: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
    """The difference between two responses' values, summed over the dimensions that have one for both.

    values: response_id, dimension, value.
    """
    wide = values.pivot(index="response_id", columns="dimension", values="value")
    first, second = (wide.reindex(side).to_numpy(float) for side in (a, b))
    return np.nan_to_num(first - second).sum(axis=1)
