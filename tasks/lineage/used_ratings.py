"""Whose ratings a condition's training data was made of."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from configs.schema import Study
from tasks.preferences.aggregation import behind
from tasks.preferences.condition import NoPreferences, condition_labels, from_labels, stratified
from tasks.preferences.strata import strata_shown
from tasks.ratings.reading.load import Data

USED = ["participant_id", "response_id", "prompt_id", "dimension"]


def used_ratings(study: Study, data: Data, experiment: str, conditions: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Condition → the ratings that its training data was made of, one row a participant, response and dimension.

    A rating counts where a label that trains was made of it: the scale and the aggregation leave it, and its response
    is in a pair (dpo) or has a reward (grpo). Nothing for a condition without training data.
    """
    settings = study.experiments[experiment]
    tables = stratified(study, data, settings)
    used = {}
    for name in conditions:
        condition = settings.conditions[name]
        labels, _ = condition_labels(study, condition, tables[name][0])
        try:
            made = from_labels(study, data, condition, labels)
        except NoPreferences:
            used[name] = pd.DataFrame(columns=USED)
            continue
        trained = made.rewards["response_id"] if condition.optimiser == "grpo" else made.pairs[["a", "b"]].stack()
        parts = []
        for dimension, table in labels.items():
            counts = behind(table.scaled, table.final, condition.aggregation)["part"] > 0
            rows = table.scaled[counts & table.scaled["response_id"].isin(set(trained))]
            parts.append(rows.assign(dimension=dimension)[USED])
        used[name] = pd.concat(parts, ignore_index=True)
    return used


def by_stratum(study: Study, data: Data, used: pd.DataFrame) -> pd.DataFrame:
    """stratum, participants, ratings: everybody first, then each stratum that is large enough to be shown."""
    groups = {"all": set(data.participants["participant_id"]), **strata_shown(study, data.participants)}
    parts = {name: used[used["participant_id"].isin(ids)] for name, ids in groups.items()}
    rows = [(name, part["participant_id"].nunique(), len(part)) for name, part in parts.items()]
    return pd.DataFrame(rows, columns=["stratum", "participants", "ratings"])
