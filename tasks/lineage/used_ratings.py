"""Whose ratings a condition's training data was made of."""

from __future__ import annotations

import pandas as pd

from configs.schema import Condition, Study
from tasks.methods import METHODS
from tasks.preferences.aggregation import behind
from tasks.preferences.condition import ConditionData
from tasks.ratings.study_data import StudyData

USED = ["participant_id", "response_id", "prompt_id", "dimension"]


def used_ratings(study: Study, condition: Condition, made: ConditionData) -> pd.DataFrame:
    """The ratings that a condition's training data was made of, one row a participant, response and dimension.

    A rating counts where a label that trains was made of it: the scale and the aggregation leave it, and its response
    is among those that the method trains on. Nothing for a condition without training data.
    """
    method = METHODS[condition.method]
    if method.lacks(made):
        return pd.DataFrame(columns=USED)
    trained = method.responses(method.table(made, study.recipe, study.seed)[0])
    parts = []
    for dimension, labels in made.labels.items():
        counts = behind(labels.scaled, labels.final, condition.aggregation)["part"] > 0
        rows = labels.scaled[counts & labels.scaled["response_id"].isin(trained)]
        parts.append(rows.assign(dimension=dimension)[USED])
    return pd.concat(parts, ignore_index=True)


def by_stratum(data: StudyData, used: pd.DataFrame) -> pd.DataFrame:
    """stratum, participants, ratings: everybody first, then each stratum that is large enough to be shown."""
    groups = {"all": set(data.participants["participant_id"]), **data.strata_shown}
    parts = {name: used[used["participant_id"].isin(ids)] for name, ids in groups.items()}
    rows = [(name, part["participant_id"].nunique(), len(part)) for name, part in parts.items()]
    return pd.DataFrame(rows, columns=["stratum", "participants", "ratings"])
