"""The faults of an export for people: a table of all, or a line for the first of each kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from configs.codebook import Codebook, normal
from tasks.ratings.reading.answers import UNKNOWN_RESPONSE
from tasks.ratings.reading.columns import (
    ATTENTION,
    FOREIGN_LABEL,
    NO_LIST,
    UNKNOWN_ANSWER,
    UNKNOWN_DIMENSION,
    UNKNOWN_LABEL,
)
from tasks.ratings.reading.rejected import COLUMNS, Ids
from tasks.ratings.reading.source import Source, by_text
from tasks.ratings.reading.table_result import TableResult
from tasks.ratings.reading.validate import CONTRADICTORY, Valid

EXPECTED = (ATTENTION,)
"""Reasons that are no fault of the export: the questionnaire does what it is for."""


def ids_of(codebook: Codebook, sources: dict[str, Source]) -> set[str]:
    """The participants' ids in an export, and whatever may be one in the rows that can't be read."""
    people = sources["participants"].frame[codebook.participants.participant]
    raters = sources["ratings"].frame[codebook.ratings.participant]
    torn = "\n".join(row.text for name in ("ratings", "participants") for row in sources[name].unread)
    answers = [*codebook.ratings.labels, *codebook.participants.not_declared]
    answers += [text for one in codebook.participants.attributes.values() for text in one.values or ()]
    known = set(map(normal, answers))
    return {*people, *raters, *(text for text in re.split(r'[,;"\t\r\n]+', torn) if normal(text) not in known)}


def rejected_of(
    codebook: Codebook, valid: Valid, ids: Iterable[str], names: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """All entries of an export, by table and row, each once, with the file (by its name in `names`).

    `ids`: what participants are called in the exports; no value has one of them.
    """
    files = {name: getattr(codebook, name).file for name in valid.parts}
    shown = {name: (names or {}).get(file, file) for name, file in files.items()}
    parts = [_placed(part, shown[name]) for name, part in valid.parts.items()]
    stacked = pd.concat(parts, ignore_index=True).drop_duplicates(["file", "number", "column", "reason"])
    return stacked.assign(value=by_text(stacked["value"], Ids(ids).shown))[COLUMNS].reset_index(drop=True)


def _placed(part: TableResult, file: str) -> pd.DataFrame:
    """The entries with the file, the row in it, and the row's number."""
    numbers, places = part.rejected["row"], part.places
    folder = f"{file.rpartition('/')[0]}/" if "/" in file else ""
    files = [f"{folder}{places.file(number)}" if places.files else file for number in numbers]
    return part.rejected.assign(file=files, row=np.array(list(map(places.row, numbers)), dtype="int64"), number=numbers)


def faults_of(rejected: pd.DataFrame) -> pd.DataFrame:
    """The entries that are faults of the export."""
    return rejected[~rejected["reason"].isin(EXPECTED)]


def describe_faults(faults: pd.DataFrame) -> list[str]:
    """A line for the first fault of each kind in each column, by file and row."""
    firsts = faults.drop_duplicates(["file", "reason", "column"])
    return list(dict.fromkeys(describe_fault(entry, faults) for _, entry in firsts.iterrows()))


def describe_fault(entry: pd.Series, faults: pd.DataFrame) -> str:
    """One line for an entry: file, row, column, value, what is allowed; `faults`: all, to count those of its like.

    What a participant answers about themselves is not shown: lines are logged.
    """
    file, reason, value, detail = entry["file"], entry["reason"], entry["value"], entry["detail"]
    place = f"{file}: row {entry['row']}" + (f", column {entry['column']}" if entry["column"] else "")
    alike = faults.loc[(faults["file"] == file) & (faults["reason"] == reason), "row"].nunique()
    if reason in (UNKNOWN_LABEL, FOREIGN_LABEL, UNKNOWN_DIMENSION):
        return f"{place}: unknown '{value}'; {detail}"
    if reason == UNKNOWN_ANSWER:
        return f"{place}: {reason}; {detail}"
    if reason == NO_LIST:
        return f"{place}: expected a JSON list of texts"
    if reason == UNKNOWN_RESPONSE:
        return f"{file}: row of response '{value}' that {detail.removesuffix(' it')} ({alike} such rows)"
    if reason == CONTRADICTORY:
        return f"{file}: a participant stands twice with different answers ({alike} such)"
    return f"{place}: {reason}" + (f" ({detail})" if detail else "")
