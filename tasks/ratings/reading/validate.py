"""The tables of one codebook's export: what of them can be used, and why not the rest. Every row is accounted for.

A fault costs as little as can be: an unknown label its rating, an unknown answer its attribute, a bad id its row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from configs.codebook import Attribute, Codebook, ParticipantsTable
from configs.errors import InputError
from tasks.ratings.reading.answers import References, usable_ratings
from tasks.ratings.reading.columns import (
    NESTED_TEXT,
    NOTHING_CHOSEN,
    ROW_LEVEL,
    allowed,
    attribute_reader,
    broken_rules,
    nested_cells,
    participants_rules,
    refuse_nested_columns,
    refuse_platform_ids,
    responses_rules,
)
from tasks.ratings.reading.comparisons import side_by_side
from tasks.ratings.reading.merged import merged_texts
from tasks.ratings.reading.rejected import entries
from tasks.ratings.reading.source import Source, by_text, empty_cells
from tasks.ratings.reading.table_result import (
    Rename,
    TableResult,
    first_like,
    lost,
    names_of_first,
    renamed,
    table_result,
    tidied,
)

CONTRADICTORY = "contradicts an earlier row (counts as not declared)"
ANOTHER_TEXT = "another text for the same response (the first counts)"
WITHOUT_ROW = "raters without a row among the participants (their ratings count, they declare nothing)"
NOBODY = "rows about nobody that say nothing"
COMPARED = "comparisons (what is compared is a prompt of its own, in which each side has a rating)"
TABLES = ("responses", "participants", "ratings")


@dataclass(frozen=True)
class Valid:
    """An export through one codebook. noted: what is no loss, but worth knowing → how many."""

    responses: TableResult
    participants: TableResult
    ratings: TableResult
    noted: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, TableResult]:
        return {name: getattr(self, name) for name in TABLES}


@dataclass(frozen=True)
class Known:
    """Participants and responses that are known beside the export's own."""

    participants: Collection[str] = ()
    responses: Collection[str] = ()


def read_export(codebook: Codebook, paths: dict[str, Path], read: Callable[..., Source]) -> dict[str, Source]:
    """Table → its source; `paths`: file → where it lies. Tables whose rows are the same are read once, with all
    columns."""
    tables = {name: getattr(codebook, name) for name in ("ratings", "participants", "responses")}
    columns: dict[tuple[object, ...], list[str]] = {}
    for table in tables.values():
        columns.setdefault(table.shape, []).extend(table.columns)
    of_shape = {table.shape: table for table in tables.values()}
    sources = {shape: read(paths[table.file], columns[shape], table=table) for shape, table in of_shape.items()}
    return {name: sources[tables[name].shape] for name in TABLES}


def validate(
    codebook: Codebook,
    sources: dict[str, Source],
    rename: Rename,
    siblings: Sequence[Codebook] = (),
    known: Known = Known(),
) -> Valid:
    """What can be used of an export; `siblings`: other questionnaires, whose labels are told as such.

    Raises:
        InputError: an attribute holds a recruitment platform's ids; a column holds lists or objects alone; nobody who
            rated is among the participants.
    """
    refuse_platform_ids(codebook.participants.file, sources["participants"].frame, codebook.participants)
    refuse_nested_columns(codebook, sources)
    responses = usable_responses(codebook, sources["responses"])
    participants = usable_participants(codebook, sources["participants"], rename)
    usable = set(responses.table["response_id"])
    seen = set(tidied(sources["responses"].frame[codebook.responses.response]))
    references = References(responses={*usable, *known.responses}, rejected=seen - usable)
    ratings = usable_ratings(codebook, sources["ratings"], siblings, rename, references)
    participants, without_row = _with_all_raters(codebook, participants, ratings, known)
    compared_rows = 0
    if codebook.ratings.sides:
        compared_rows = len(ratings.table)
        compared = side_by_side(codebook.ratings, sources["ratings"].frame, ratings.table, responses.table)
        ratings, responses = replace(ratings, table=compared.ratings), replace(responses, table=compared.responses)
    noted = {WITHOUT_ROW: without_row, COMPARED: compared_rows, **merged_texts(codebook, sources)}
    return Valid(responses, participants, ratings, {what: n for what, n in noted.items() if n})


# ---- responses


def usable_responses(codebook: Codebook, source: Source) -> TableResult:
    """response_id, prompt_id, prompt, response."""
    table, frame = codebook.responses, source.frame
    texts = [column for column in (table.prompt, table.prompt_text, table.response_text) if column]
    nested = [nested_cells(source, column, NESTED_TEXT) for column in dict.fromkeys(texts)]
    broken = pd.concat([*nested, broken_rules(frame, responses_rules(table), None, {})], ignore_index=True)
    good = frame[~frame.index.isin(broken["row"])]
    columns = {
        "response_id": tidied(good[table.response]),
        "prompt_id": tidied(good[table.prompt or table.response]),
        "prompt": good[table.prompt_text] if table.prompt_text else "",
        "response": good[table.response_text],
    }
    responses = pd.DataFrame(columns).astype("str")
    first = first_like(responses["response_id"])
    own = first == np.arange(len(first))
    same = (responses.to_numpy() == responses.to_numpy()[first]).all(axis=1)
    ids, details = responses["response_id"][~same], names_of_first(source.places, responses.index, first, ~same)
    other = entries(responses.index[~same], ANOTHER_TEXT, table.response, ids, details)
    return table_result(
        source,
        responses[own].reset_index(drop=True),
        kept=responses.index[own],
        rejected=[broken, other],
        repeated=responses.index[same & ~own],
    )


# ---- participants


def usable_participants(codebook: Codebook, source: Source, rename: Rename) -> TableResult:
    """participant_id, language, one column an attribute: a tuple of declared terms.

    Where the rows of a participant disagree nothing is declared; where no cell says anything, there is None.
    """
    table = codebook.participants
    blank = empty_cells(source.frame[table.columns]).all(axis=1)
    said = source.frame[~blank]
    broken = broken_rules(said, participants_rules(table), table.participant, _details(table))
    frame = said[~said.index.isin(broken.loc[broken["reason"].isin(ROW_LEVEL), "row"])]
    ids = renamed(frame[table.participant], rename)
    first = first_like(ids)
    own, rejected = first == np.arange(len(first)), [broken]
    people = pd.DataFrame({"participant_id": ids[own], "language": codebook.language})
    for name, attribute in table.attributes.items():
        cells = frame[attribute.column]
        people[name], before = _declared(cells, attribute, table, first)
        differs = before >= 0
        details = names_of_first(source.places, frame.index, before, differs)
        rejected.append(entries(frame.index[differs], CONTRADICTORY, attribute.column, cells[differs], details))
    people, rows = people.reset_index(drop=True), frame.index
    dropped = [lost(source.frame.index[blank], NOBODY)]
    return table_result(source, people, kept=rows[own], rejected=rejected, dropped=dropped, repeated=rows[~own])


def _with_all_raters(
    codebook: Codebook, participants: TableResult, ratings: TableResult, known: Known
) -> tuple[TableResult, int]:
    """The participants with those who rated and have no row, who declare nothing; and how many these are.

    Raises:
        InputError: there are participants, but nobody who rated is among them, so that the ids are not the same.
    """
    people, raters = participants.table, ratings.table["participant_id"].drop_duplicates()
    without = raters[~raters.isin([*people["participant_id"], *known.participants])]
    if len(people) and len(raters) and len(without) == len(raters):
        files = f"{codebook.ratings.file}: nobody who rated in it stands in {codebook.participants.file}"
        raise InputError(
            f"{files}; do {codebook.ratings.participant} and {codebook.participants.participant} hold the same ids?"
        )
    if without.empty:
        return participants, 0
    unread = pd.Series([None] * len(without), index=without.index, dtype=object)
    added = pd.DataFrame({"participant_id": without, "language": codebook.language})
    added = added.assign(**dict.fromkeys(codebook.participants.attributes, unread))
    return replace(participants, table=pd.concat([people, added], ignore_index=True)), len(without)


def _declared(
    cells: pd.Series, attribute: Attribute, table: ParticipantsTable, first: np.ndarray
) -> tuple[pd.Series, np.ndarray]:
    """What each participant declares, and for each cell the place of an earlier one that it contradicts, or -1.

    `first`: for each cell the place of the participant's first one.
    """
    read = by_text(cells, attribute_reader(attribute, table))
    terms = pd.Series([None if reason and not known else known for known, reason in read], dtype=object)
    codes = pd.factorize(terms.map(lambda known: known and "\x1f".join(sorted(set(known)))))[0]
    says = terms.notna().to_numpy()
    of_participant = pd.Series(np.where(says, np.arange(len(terms)), len(terms))).groupby(first)
    earliest = of_participant.transform("min").to_numpy()
    differs = says & (codes != np.append(codes, 0)[earliest])
    declared = pd.Series([*terms, None], dtype=object).iloc[of_participant.min()]
    empty = pd.Series([reason == NOTHING_CHOSEN for _, reason in read]).groupby(first).any()
    declared = [() if terms is None and none else terms for terms, none in zip(declared, empty, strict=True)]
    contradicted = pd.Series(differs).groupby(first).any().to_numpy()
    declared = [() if no else known for no, known in zip(contradicted, declared, strict=True)]
    own = first == np.arange(len(first))
    return pd.Series(declared, index=cells.index[own], dtype=object), np.where(differs, earliest, -1)


def _details(table: ParticipantsTable) -> dict[str, Callable[[str], str]]:
    """Column → what is allowed in it."""
    return {
        attribute.column: lambda _, values=attribute.values: allowed(values)  # type: ignore[misc]
        for attribute in table.attributes.values()
        if attribute.values is not None
    }
