"""Single ratings for others: under pseudonyms of this export, with declared values only where enough people share them.

Nothing tells when somebody rated: the order of the ratings is that of pseudonyms, which are as good as random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from configs.codebook import Codebook
from configs.errors import InputError, one_of
from configs.schema import Study
from tasks.exporting.small_cells import suppressed, without_small_cells
from tasks.exporting.tables import ReleasedLabels, ReleasedRatings, ReleasedResponses, released_participants
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.study_data import StudyData
from tasks.runtime.tables import Table
from tasks.survey.describe import attributes_of

BETWEEN = "; "
"""Between several values that somebody declares for one attribute."""


@dataclass(frozen=True)
class Released:
    """What is given away of a study's ratings.

    tables: name → its declaration and its rows. suppressed: attribute → participants who declare a value of it that is
    not given away.
    """

    tables: Mapping[str, tuple[type[Table], pd.DataFrame]]
    suppressed: Mapping[str, int]


def export_names(study: Study, ratings: str, key: bytes) -> Callable[[str], str]:
    """Participant's id → pseudonym for an export of these ratings.

    It is keyed, so that nobody without the key can tell who it is, and it is another than in the collection, in other
    studies and in other ratings, so that one export can't be laid beside another by it. The same ratings again give the
    same pseudonyms. `ratings`: their key in the store.
    """
    return pseudonyms(key, f"export\x1f{study.name}\x1f{ratings}")


def attributes_for(study: Study, data: StudyData, wanted: Sequence[str] = ()) -> list[str]:
    """The attributes to give away: those that are wanted, else those of the study's strata, else all.

    Raises:
        InputError: nobody was asked for one of them.
    """
    known = attributes_of(data.participants)
    for name in wanted:
        if name not in known:
            raise one_of("--attributes", name, known)
    of_strata = dict.fromkeys(stratum.attribute for stratum in study.strata.values())
    chosen = list(dict.fromkeys(wanted or of_strata or known))
    if "participant" in chosen:
        raise InputError("--attributes: 'participant' is the column of the pseudonyms; choose others")
    return chosen


def release(
    study: Study,
    data: StudyData,
    codebooks: Sequence[Codebook],
    name: Callable[[str], str],
    attributes: Sequence[str],
) -> Released:
    """The tables ratings, participants, responses and labels; `name`: as `export_names` makes it."""
    few = study.survey.min_participants
    names = pd.Series({own: name(own) for own in data.participants["participant_id"]}, dtype="str")
    declared = data.participants[list(attributes)].map(lambda terms: BETWEEN.join(sorted(set(terms)))).astype("str")
    kept = without_small_cells(declared, few)
    lost = suppressed(declared, kept)
    people = kept.assign(participant=data.participants["participant_id"].map(names))
    cells = {
        attribute: f"empty for {n} participants who declare one that, with their other values here, fewer than {few} "
        "share, and for who declares none"
        for attribute, n in lost.items()
    }
    of_people = released_participants(cells)
    return Released(
        {
            "ratings": (ReleasedRatings, _ratings(study, data, names)),
            "participants": (of_people, of_people.checked(people.sort_values("participant"))),
            "responses": (ReleasedResponses, _responses(data)),
            "labels": (ReleasedLabels, _labels(codebooks)),
        },
        lost,
    )


def _ratings(study: Study, data: StudyData, names: pd.Series) -> pd.DataFrame:
    ids = ["participant_id", "prompt_id", "response_id"]
    table = data.ratings.melt(ids, list(study.dimensions), "dimension", "category").dropna(subset=["category"])
    score = (table["category"].astype(float) - 1) / (data.categories - 1)
    turned = table["dimension"].map({name: own.better == "lower" for name, own in study.dimensions.items()})
    table = table.assign(
        participant=table["participant_id"].map(names),
        categories=data.categories,
        score=score.where(~turned.astype(bool), 1 - score),
    )
    order = ["participant", "prompt_id", "response_id", "dimension"]
    return ReleasedRatings.checked(table.drop(columns="participant_id").sort_values(order))


def _responses(data: StudyData) -> pd.DataFrame:
    held_out = data.responses["prompt_id"].isin(data.held_out_prompts)
    rated = data.responses["response_id"].isin(data.ratings["response_id"])
    table = data.responses.assign(held_out=held_out)[rated].sort_values(["prompt_id", "response_id"])
    return ReleasedResponses.checked(table[["response_id", "prompt_id", "prompt", "response", "held_out"]])


def _labels(codebooks: Sequence[Codebook]) -> pd.DataFrame:
    """The texts that stand for a category; of comparisons and of numbers there are none."""
    rows = []
    for codebook in codebooks:
        texts = {} if codebook.ratings.sides else codebook.ratings.codes
        rows += [(codebook.name, codebook.language, category, text) for text, category in texts.items()]
    return ReleasedLabels.checked(sorted(rows, key=lambda row: (row[0], row[2], row[3])))
