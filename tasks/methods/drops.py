"""What the way from ratings to training data leaves out, of all conditions."""

from __future__ import annotations

from collections.abc import Mapping

from pandera.typing import DataFrame

from tasks.methods.training_set import TrainingSet
from tasks.preferences.tables import Drops
from tasks.ratings.study_data import StudyData


def drops_table(data: StudyData, training_sets: Mapping[str, Mapping[str, TrainingSet]]) -> DataFrame[Drops]:
    """`training_sets`: experiment → condition → what it trains on. What reading left out concerns all conditions."""
    rows = [("all", "reading", reason, rows, len(data.ratings)) for reason, rows in data.dropped.items()]
    for experiment, conditions in training_sets.items():
        for condition, own in conditions.items():
            rows += [(f"{experiment} / {condition}", *drop) for drop in own.drops]
    return Drops.checked(rows)
