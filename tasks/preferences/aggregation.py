"""How the labels of a response become those that train (paper, Experiment 3).

Every function takes labels (response_id, prompt_id, participant_id, order, label) and gives those that remain, in the
same columns. Labels are oriented: more is better. Where they have a `weight`, their rater's, votes and means are
weighted by it, and a label that remains has the mean weight of the ratings that it was made of.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def aggregate(labels: pd.DataFrame, how: str) -> pd.DataFrame:
    """`how`: all, majority, consensus, first or average."""
    if how == "all":
        return labels
    kept = {"majority": _majority, "consensus": _consensus, "first": _first, "average": _average}[how](labels)
    if "weight" not in labels:
        return kept
    parts = behind(labels, kept, how)["part"] * labels["weight"]
    return kept.assign(weight=kept["response_id"].map(parts.groupby(labels["response_id"]).sum()))


def behind(labels: pd.DataFrame, kept: pd.DataFrame, how: str) -> pd.DataFrame:
    """Which of `labels` stand behind those of `kept = aggregate(labels, how)`.

    Returns:
        One row a row of `labels`, in their order. final: the label that its response keeps (under `all` its own), <NA>
        where it keeps none. agrees: whether that is the row's own label. part: the row's part of the final label,
        which is split equally among the ratings that it was made of: the rating itself (`all`), those who voted for it
        (`majority`, `consensus`), the first rating (`first`), all ratings of the response (`average`); 0 for others.
    """
    own = labels["label"]
    final = own if how == "all" else labels["response_id"].map(kept.set_index("response_id")["label"])
    agrees = (final == own).fillna(False).astype(bool)
    if how == "all":
        return pd.DataFrame({"final": final, "agrees": agrees, "part": 1.0})
    makers = {"first": labels.index.isin(kept.index), "average": final.notna()}.get(how, agrees)
    makers = pd.Series(makers, index=labels.index, dtype=float)
    part = makers / makers.groupby(labels["response_id"]).transform("sum").clip(lower=1)
    return pd.DataFrame({"final": final.astype("Int64"), "agrees": agrees, "part": part})


def _majority(labels: pd.DataFrame) -> pd.DataFrame:
    """The label given most often; a tie keeps none."""
    votes = labels.groupby(["response_id", "label"], sort=False)
    counts = (votes["weight"].sum() if "weight" in labels else votes.size()).rename("n").reset_index()
    top = counts[counts["n"] == counts.groupby("response_id")["n"].transform("max")]
    winner = top[~top["response_id"].duplicated(keep=False)].set_index("response_id")["label"]
    return _one_each(labels, winner)


def _consensus(labels: pd.DataFrame) -> pd.DataFrame:
    """The label that all give, where at least two rate: one rater alone is nobody's agreement."""
    groups = labels.groupby("response_id", sort=False)["label"]
    agreed = (groups.transform("nunique") == 1) & (groups.transform("size") >= 2)
    return labels[agreed].drop_duplicates("response_id")


def _first(labels: pd.DataFrame) -> pd.DataFrame:
    """The first rater's label, in the order of the export."""
    return labels.sort_values("order").drop_duplicates("response_id").sort_index()


def _average(labels: pd.DataFrame) -> pd.DataFrame:
    """The mean label, rounded to the nearest category; a half goes to the better one."""
    return _one_each(labels, np.floor(mean_label(labels) + 0.5).astype("int64"))


def mean_label(labels: pd.DataFrame) -> pd.Series:
    """The mean label of each response, weighted where labels have a weight."""
    response = labels["response_id"]
    if "weight" not in labels:
        return labels["label"].groupby(response, sort=False).mean().astype(float)
    total = (labels["label"].astype(float) * labels["weight"]).groupby(response, sort=False).sum()
    return total / labels["weight"].groupby(response, sort=False).sum()


def _one_each(labels: pd.DataFrame, label: pd.Series) -> pd.DataFrame:
    """One row a response of `label` (indexed by response), the other columns from its first rating."""
    kept = labels[labels["response_id"].isin(label.index)].drop_duplicates("response_id")
    return kept.assign(label=kept["response_id"].map(label).astype("Int64"))
