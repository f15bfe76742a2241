"""A user's ratings through a codebook that was written for them: all of them, or of very many a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.codebook import Codebook, ExportColumn, ExportTable, tidy
from configs.errors import InputError
from tasks.ratings.reading.formats import FileRows
from tasks.ratings.reading.load import Data, load_ratings
from tasks.ratings.reading.shape import DIGEST, TEXT
from tasks.ratings.reading.source import Source, read_strictly, source_of
from tasks.starting.draft import UserTable
from tasks.starting.tables import EncodedRows, Opened, TextColumn

MOST_ROWS = 50_000
"""Rows that are read whole; of larger tables, all ratings of some of the responses."""


def read_data(codebook: Codebook, opened: Opened) -> tuple[Data, str]:
    """The ratings, every row of which is usable, and what to say where they are only a part of them.

    Raises:
        InputError: as `load_ratings`.
    """
    dimensions = list(codebook.ratings.dimensions)
    parts = _parts(codebook, {table.name: table for table in opened.tables})
    compared = bool(codebook.ratings.sides)
    if not parts:
        return replace(load_ratings(dimensions, [codebook], opened.folder), compared=compared), ""

    def read(path: Path, columns: Iterable[str], table: ExportTable) -> Source:
        rows = parts.get(table.file)
        if rows is None:
            return read_strictly(path, columns, table)
        for unread in rows.unread:
            raise InputError(f"{path}: {unread.message}")
        return source_of(path, rows, columns, table)

    data = load_ratings(dimensions, [codebook], opened.folder, read)
    whole = next(table.rows for table in opened.tables if table.name == codebook.ratings.file)
    return (
        replace(data, compared=compared),
        f" in {len(parts[codebook.ratings.file].rows):,} of {len(whole.rows):,} rows, all those of some responses",
    )


def _parts(codebook: Codebook, tables: Mapping[str, UserTable]) -> dict[str, FileRows]:
    """File → its rows about some of the responses, where the ratings are many and their columns stand by themselves."""
    own = tables.get(codebook.ratings.file)
    columns = _columns(own)
    rated = next((columns[base] for base in _bases(codebook.ratings.rated) if base in columns), None)
    if own is None or rated is None or len(rated.codes) <= MOST_ROWS:
        return {}
    order = np.random.default_rng(0).permutation(len(rated.levels))
    taken = order[np.cumsum(rated.counts[order]) <= MOST_ROWS]
    kept = np.isin(rated.codes, taken)
    parts = {own.name: _rows(own.rows, kept)}
    keys = (
        (codebook.participants, codebook.participants.participant, codebook.ratings.participant),
        (codebook.responses, codebook.responses.response, codebook.ratings.rated),
    )
    for table, key, ours in keys:
        other = tables.get(table.file)
        theirs, mine = _columns(other).get(str(key)), columns.get(str(ours))
        if (
            other is not None
            and other is not own
            and theirs is not None
            and mine is not None
            and len(theirs.codes) > MOST_ROWS
        ):
            ids = {tidy(mine.levels[code]) for code in np.unique(mine.codes[kept])}
            known = np.array([tidy(text) in ids for text in theirs.levels], dtype=bool)
            parts[other.name] = _rows(other.rows, known[theirs.codes])
    return parts


def _columns(table: UserTable | None) -> dict[str, TextColumn]:
    """The columns of a large flat table."""
    if table is None or not isinstance(table.rows.values, EncodedRows):
        return {}
    return {column.name: column for column in table.rows.values.columns}


def _bases(column: ExportColumn) -> list[str]:
    return [part.removeprefix(DIGEST) for part in column.parts if not part.startswith((TEXT, "@"))]


def _rows(rows: FileRows, kept: np.ndarray) -> FileRows:
    places = np.flatnonzero(kept).tolist()
    return replace(rows, rows=[rows.rows[place] for place in places], values=[rows.values[place] for place in places])
