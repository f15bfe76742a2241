"""Whom a condition's rater filter leaves out: those with the most doubtful answers, or as many at random.

The indices (`tasks/survey/rater_indices.py`) are those over all dimensions of the study, of the answers to *training*
prompts alone. The answers to held-out prompts have no say in who trains: the embedded judge learns from them, and every
judge is proved against them, so that a filter that kept who agrees with others there would choose the raters by the
measure that their models are judged by. So these numbers differ a little from those of the survey's table.

Of n raters of a condition, round(drop · n) are left out whichever the index, so that a filter by an index and one by
chance leave out as many; by chance they are those with the lowest stable hash, so that a larger share leaves out the
same raters and more. Who has no index (too few answers) is not left out by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from configs.errors import InputError
from configs.schema import RaterFilter, Study
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint, stable_share
from tasks.runtime.store import Artifact, Record, Store
from tasks.survey.rater_indices import EVERY, rater_indices

VERSION = 1
CHANCE = "chance"


class Doubt(NamedTuple):
    """The column that a filter goes by, whether a low value is doubtful, and what decides between equal values."""

    column: str
    low: bool
    then: str
    then_low: bool


DOUBT = {
    "person_fit": Doubt("lz_p", True, "outfit", False),
    "outfit": Doubt("outfit_p", True, "outfit", False),
    "even_odd": Doubt("even_odd", True, "irv", False),
    "long_string": Doubt("long_string", False, "irv", True),
}
"""`RaterFilter.by` → how raters are ordered; a spread is doubtful at both ends, so that there is no filter by it."""


def training_indices(study: Study, data: StudyData) -> pd.DataFrame:
    """The indices over all dimensions that filters go by, indexed by participant."""
    table, _ = rater_indices(data.training(data.ratings), list(study.dimensions), study.seed)
    return table[table["dimension"] == EVERY].set_index("participant_id")


def asks_for_indices(filters: Iterable[RaterFilter | None]) -> bool:
    """Whether one of them goes by an index."""
    return any(each is not None and each.by != CHANCE for each in filters)


def keep_training_indices(study: Study, data: StudyData, ratings: Artifact, store: Store) -> tuple[str, pd.DataFrame]:
    """The key and the table of `training_indices`, found or made: the same for every experiment of a study."""
    key = fingerprint([VERSION, ratings.key, list(study.dimensions), study.evaluation.share, study.seed])

    def build(folder: Path) -> Record:
        training_indices(study, data).reset_index().to_parquet(folder / "indices.parquet", index=False)
        return {}

    artifact = store.make("rater-indices", key, build)
    return key, pd.read_parquet(artifact.path / "indices.parquet").set_index("participant_id")


def raters_left_out(
    place: str, settings: RaterFilter, raters: Iterable[str], indices: pd.DataFrame | None, seed: int
) -> list[str]:
    """Whom a filter leaves out of a condition's raters, the most doubtful first.

    Args:
        place: where the filter stands in the settings.
        indices: as `training_indices` gives them; None where the filter goes by chance.

    Raises:
        InputError: none of the raters has the index.
    """
    people = pd.DataFrame({"participant_id": sorted(set(raters))})
    count = int(settings.drop * len(people) + 0.5)
    people["chance"] = [stable_share("left out", seed, name) for name in people["participant_id"]]
    if settings.by == CHANCE:
        return people.nsmallest(count, "chance")["participant_id"].tolist()
    doubt = DOUBT[settings.by]
    known = people.join(indices, on="participant_id").dropna(subset=[doubt.column])
    if len(people) and known.empty:
        raise InputError(f"{place}.by: no rater has {settings.by} (person fit needs responses that several raters "
                         "rate, even_odd three dimensions and two responses each)")  # fmt: skip
    order = known.sort_values([doubt.column, doubt.then, "chance"], ascending=[doubt.low, doubt.then_low, True])
    return order["participant_id"].head(count).tolist()
