"""Labels to collapsed preferences: one row a pair of responses, with its soft target and weight.

Two labels of two different responses to one prompt that differ are one preference. A pair's preferences n(a ≻ b) and
n(b ≻ a) are kept as target = n(a ≻ b) / n and weight ∝ n: weight · [target · ℓ(a, b) + (1 - target) · ℓ(b, a)] is the
loss of the n expanded rows, to the digit. Where labels have a weight, their rater's, a preference between labels of r
and s counts w_r · w_s, and one within a rater w_r.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tasks.ratings.reading.same_text import same_response
from tasks.ratings.reading.source import by_text


def count_preferences(labels: pd.DataFrame, within: str) -> pd.DataFrame:
    """Labels (response_id, prompt_id, participant_id, label) → prompt_id, a, b, n_a, n_b with n_a = n(a ≻ b).

    `within="prompt"` compares any two labels of a prompt, `within="participant"` only those of one participant. Pairs
    that no two labels tell apart are left out; a < b. With a column weight, n are sums of the preferences' weights.
    """
    if labels.empty:
        return pd.DataFrame(columns=["prompt_id", "a", "b", "n_a", "n_b"])
    if within == "participant":
        pairs = pairs_of_participants(labels)
        counts_as = pairs["weight_a"] if "weight" in labels else np.int64(1)
        pairs["n_a"] = (pairs["label_a"] > pairs["label_b"]) * counts_as
        pairs["n_b"] = (pairs["label_b"] > pairs["label_a"]) * counts_as
        counts = pairs.groupby(["prompt_id", "a", "b"], as_index=False)[["n_a", "n_b"]].sum()
    else:
        counts = _by_prompt(labels)
    return counts[counts["n_a"] + counts["n_b"] > 0].sort_values(["prompt_id", "a", "b"], ignore_index=True)


def _by_prompt(labels: pd.DataFrame) -> pd.DataFrame:
    """Through each response's histogram h over the ordered labels: n(a ≻ b) = Σ_k h_a[k] Σ_{j<k} h_b[j]."""
    groups = labels.groupby(["prompt_id", "response_id", "label"])
    histogram = (groups["weight"].sum() if "weight" in labels else groups.size()).unstack(fill_value=0)
    h = histogram.to_numpy()
    below = np.cumsum(h, axis=1) - h
    rows = histogram.index.to_frame(index=False).assign(row=np.arange(len(h)))
    pairs = pairs_sharing(rows, on=["prompt_id"])
    a, b = pairs["row_a"].to_numpy(), pairs["row_b"].to_numpy()
    return pairs[["prompt_id", "a", "b"]].assign(n_a=(h[a] * below[b]).sum(1), n_b=(h[b] * below[a]).sum(1))


def pairs_of_participants(labels: pd.DataFrame) -> pd.DataFrame:
    """Every two labels that one participant gave to two responses of a prompt.

    Returns:
        prompt_id, participant_id, a, label_a, b, label_b, and both weights where labels have one; a < b.
    """
    columns = ["prompt_id", "participant_id", "response_id", "label", *labels.columns.intersection(["weight"])]
    return pairs_sharing(labels[columns], on=["prompt_id", "participant_id"])


def has_partner(labels: pd.DataFrame) -> pd.Series:
    """Which labels are by a participant who labelled another response to the prompt too."""
    return labels.groupby(["prompt_id", "participant_id"])["response_id"].transform("nunique") > 1


def pairs_sharing(rows: pd.DataFrame, on: list[str]) -> pd.DataFrame:
    """All pairs a < b of responses whose rows (response_id and more) share `on`; the other columns end in _a and _b."""
    pairs = rows.merge(rows, on=on, suffixes=("_a", "_b"))
    pairs = pairs.rename(columns={"response_id_a": "a", "response_id_b": "b"})
    return pairs[pairs["a"] < pairs["b"]].reset_index(drop=True)


def differing(first: pd.Series, second: pd.Series) -> pd.Series:
    """Where two responses can be told apart, by whoever reads them and once their chat template has stripped them."""
    forms = by_text(pd.concat([first, second]), same_response)
    differ = [a != b for a, b in zip(forms[: len(first)], forms[len(first) :], strict=True)]
    return pd.Series(differ, index=first.index, dtype=bool)


def unite(counts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The union of several dimensions' preferences, each dimension with the same total weight.

    Returns:
        prompt_id, a, b, n (preferences), target in [0, 1], weight (mean 1). The loss is linear in weight and
        weight · target, so adding both over the dimensions of a pair is exact.
    """
    shares = []
    for table in counts:
        if len(table):
            n = table["n_a"] + table["n_b"]
            shares.append(table.assign(n=n, weight=n / n.sum(), for_a=table["n_a"] / n.sum()))
    if not shares:
        return pd.DataFrame(columns=["prompt_id", "a", "b", "n", "target", "weight"])
    summed = pd.concat(shares).groupby(["prompt_id", "a", "b"], as_index=False)[["n", "weight", "for_a"]].sum()
    summed["target"] = (summed["for_a"] / summed["weight"]).clip(0, 1)
    summed["weight"] /= summed["weight"].mean()
    return summed[["prompt_id", "a", "b", "n", "target", "weight"]]
