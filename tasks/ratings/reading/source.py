"""Read the named columns of an export's table as text; a row that can't be read costs that row only.

Nothing that is raised here quotes a cell, or the name of a column that was not asked for: without its header line, a
file of participants would have its first one there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.codebook import ExportColumn, ExportTable, tidy
from configs.errors import InputError
from tasks.ratings.reading.files import read_file
from tasks.ratings.reading.formats import SURROGATE, FileRows, Unread, as_text, not_utf8, read_rows
from tasks.ratings.reading.label_rows import LABEL_ROW, label_rows
from tasks.ratings.reading.shape import FILE, FROM_ONE_FILE, Places, base_columns, is_plain, shaped
from tasks.runtime.fingerprint import content_digest, fingerprint

AS_IT_IS = ExportTable(file="table.csv")
"""A table whose rows are the file's."""


@dataclass(frozen=True)
class Source:
    """A table's named columns as text, indexed by the number of the row, and the rows that could not be read.

    labels: rows that name the columns once more (`label_rows.py`), which are not in `frame`. left_out: rows that the
    codebook leaves behind. nested: column → rows of `frame` in which a list or an object stands, as JSON.
    digest: of the file's content. places: where the rows stand.
    """

    path: Path
    frame: pd.DataFrame
    unread: tuple[Unread, ...]
    labels: tuple[Unread, ...] = ()
    left_out: tuple[Unread, ...] = ()
    nested: dict[str, frozenset[int]] = field(default_factory=dict)
    digest: str = ""
    places: Places = FROM_ONE_FILE


def read_source(
    path: Path, columns: Iterable[str], within: Path | None = None, table: ExportTable = AS_IT_IS
) -> Source:
    """The named columns of a table; other columns are left behind at once.

    Args:
        path: its file; where the name is a pattern, all files that it fits, one below the other.
        within: the export that the file must lie in (`files.read_file`).
        table: how its rows come from those of the file.

    Raises:
        InputError: the file is missing, its header lacks a column or has it twice, or it is not what its name says.
    """
    wanted = list(dict.fromkeys(map(ExportColumn, columns)))
    paths = matching(path)
    sources = [_read(one, wanted, within, table) for one in paths]
    return sources[0] if len(sources) == 1 else _below_each_other(path, sources)


def matching(path: Path) -> list[Path]:
    """The files that a path's name, which may be a pattern, fits, in the order of their names; itself if none."""
    if path.is_file() or not any(letter in path.name for letter in "*?["):
        return [path]
    return sorted(one for one in path.parent.glob(path.name) if one.is_file()) or [path]


def read_strictly(path: Path, columns: Iterable[str], table: ExportTable = AS_IT_IS) -> Source:
    """The same, where every row must be readable and there must be one.

    Raises:
        InputError: as `read_source`, and for the first row that can't be read.
    """
    source = read_source(path, columns, table=table)
    for unread in source.unread:
        raise InputError(f"{path}: {unread.message}")
    if source.frame.empty:
        raise InputError(f"{path}: no rows")
    return source


def _read(path: Path, wanted: list[ExportColumn], within: Path | None, table: ExportTable) -> Source:
    content = read_file(path, within)
    base = base_columns(table, wanted)
    rows = read_rows(path, content, lambda name: any(_begins(one, name) for one in base), table.sheet)
    return replace(source_of(path, rows, wanted, table), digest=content_digest(content))


def source_of(path: Path, rows: FileRows, columns: Iterable[str], table: ExportTable = AS_IT_IS) -> Source:
    """The named columns of a table, out of rows of its file that were read before.

    Raises:
        InputError: as `read_source`, of its columns.
    """
    wanted = list(dict.fromkeys(map(ExportColumn, columns)))
    if rows.all_names or not rows.unread:
        check_columns(path, rows.all_names, base_columns(table, wanted), header_line=rows.header)
    plain = is_plain(table, wanted) and all(tidy(column) in rows.names for column in wanted)
    return _plain(path, rows, wanted) if plain else _shaped(path, rows, wanted, table)


def _begins(path: str, name: str) -> bool:
    """Whether a path is the column of that name, or a place inside of it."""
    return path == name or path.startswith(f"{name}.")


def _plain(path: Path, rows: FileRows, wanted: list[ExportColumn]) -> Source:
    places = [rows.names.index(tidy(column)) for column in wanted]
    if rows.texts:
        frame = _frame(rows.values, rows.names, rows.rows).iloc[:, places].set_axis(list(map(str, wanted)), axis=1)
        source = Source(path, frame, rows.unread)
    else:
        cells = [[values[place] for place in places] for values in rows.values]
        source = _as_texts(path, rows.rows, cells, wanted, rows.unread)
    labels = label_rows(source.frame, (one.row for one in source.unread))
    if not labels:
        return source
    apart = source.frame[source.frame.index.isin(labels)]
    texts = zip(apart.index, map("\x1f".join, apart.to_numpy().tolist()), strict=True)
    named = [Unread(row, LABEL_ROW, "", "", text) for row, text in texts]
    named += [one for one in source.unread if one.row in labels]
    unread = tuple(one for one in source.unread if one.row not in labels)
    return replace(source, frame=source.frame.drop(apart.index), unread=unread, labels=tuple(named))


def _shaped(path: Path, rows: FileRows, wanted: list[ExportColumn], table: ExportTable) -> Source:
    named: tuple[Unread, ...] = ()
    if rows.header:
        texts = _frame([list(map(as_text, values)) for values in rows.values], rows.names, rows.rows)
        labels = label_rows(texts, (one.row for one in rows.unread))
        good = [place for place, row in enumerate(rows.rows) if row not in labels]
        unread = tuple(one for one in rows.unread if one.row not in labels)
        own = [rows.rows[place] for place in good], [rows.values[place] for place in good]
        named = tuple(
            Unread(row, LABEL_ROW, "", "", "\x1f".join(texts.loc[row])) for row in labels if row in texts.index
        )
        named += tuple(one for one in rows.unread if one.row in labels)
        rows = replace(rows, rows=own[0], values=own[1], unread=unread)
    made = shaped(rows, table, wanted, path.stem)
    if made.missing:
        raise InputError(f"{path}: no column {_quoted(made.missing)}; wanted: {_quoted(wanted)}")
    source = _as_texts(path, made.numbers, made.values, wanted, made.unread)
    named = tuple(one._replace(row=one.row * made.places.per_row) for one in named)
    return replace(source, labels=named, left_out=made.left_out, places=made.places)


def _as_texts(
    path: Path,
    rows: Sequence[int],
    values: Sequence[Sequence[Any]],
    wanted: list[ExportColumn],
    unread: tuple[Unread, ...],
) -> Source:
    """Cells as text; rows that no file can hold are unread."""
    numbers, texts, nested, bad = [], [], dict[str, set[int]](), list(unread)
    for row, cells in zip(rows, values, strict=True):
        fields = list(map(as_text, cells))
        if SURROGATE.search("".join(fields)):
            bad.append(not_utf8(row, None, "".join(fields)))
            continue
        numbers.append(row)
        texts.append(fields)
        for column, cell in zip(wanted, cells, strict=True):
            if isinstance(cell, (list, dict)):
                nested.setdefault(str(column), set()).add(row)
    found = {column: frozenset(of) for column, of in nested.items()}
    return Source(path, _frame(texts, list(map(str, wanted)), numbers), tuple(sorted(bad)), nested=found)


def _below_each_other(path: Path, sources: Sequence[Source]) -> Source:
    """The rows of several files; each has numbers of its own."""
    per_row = max(source.places.per_row for source in sources)

    def number(row: int, place: int) -> int:
        own = sources[place].places.per_row
        return place * FILE + row // own * per_row + row % own

    def moved(rows: Iterable[Unread], place: int) -> list[Unread]:
        name = sources[place].path.name
        return [one._replace(row=number(one.row, place), message=f"{name}: {one.message}") for one in rows]

    each = list(enumerate(sources))
    frames = [source.frame.set_axis([number(row, place) for row in source.frame.index]) for place, source in each]
    nested: dict[str, set[int]] = {}
    for place, source in each:
        for column, rows in source.nested.items():
            nested.setdefault(column, set()).update(number(row, place) for row in rows)
    return Source(
        path,
        pd.concat(frames).rename_axis("row"),
        unread=tuple(chain.from_iterable(moved(source.unread, place) for place, source in each)),
        labels=tuple(chain.from_iterable(moved(source.labels, place) for place, source in each)),
        left_out=tuple(chain.from_iterable(moved(source.left_out, place) for place, source in each)),
        nested={column: frozenset(rows) for column, rows in nested.items()},
        digest=fingerprint([source.digest for source in sources]),
        places=Places(per_row, tuple(source.path.name for source in sources)),
    )


def check_columns(path: Path, names: Sequence[str], wanted: Sequence[str], header_line: bool = False) -> None:
    """See that each wanted column is there once; names of other columns are never told, they may be cells.

    names: as `tidy` has them. header_line: whether they are what the first line of a file holds.

    Raises:
        InputError: some lack or stand twice; all of them are in the message.
    """
    missing = [column for column in wanted if not any(_begins(tidy(column), name) for name in names)]
    twice = [column for column in wanted if names.count(tidy(column)) > 1]
    if header_line and len(missing) == len(wanted):
        what = "its first line names none of the columns that are wanted, so the header line seems to be missing"
        raise InputError(f"{path}: {what}; wanted: {_quoted(wanted)}")
    if not any(names):
        raise InputError(f"{path}: no columns in it; wanted: {_quoted(wanted)}")
    faults = [
        f"{what} {_quoted(columns)}" for what, columns in (("no column", missing), ("two columns", twice)) if columns
    ]
    if faults:
        alike = [column for column in missing if any(_letters(name) == _letters(column) for name in names)]
        hint = f" (it has {_quoted(alike)} in another spelling)" if alike else ""
        raise InputError(f"{path}: {'; '.join(faults)}{hint}; wanted: {_quoted(wanted)}")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(str(name)) for name in names)


def _letters(name: str) -> str:
    """A column's name without regard to case, blanks, dashes and underscores."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _frame(values: Sequence[Sequence[str]], columns: list[str], rows: Sequence[int]) -> pd.DataFrame:
    by_column = zip(*values, strict=True) if values else [()] * len(columns)
    arrays = {name: pd.array(column, dtype="str") for name, column in zip(columns, by_column, strict=True)}
    return pd.DataFrame(arrays, index=pd.Index(rows, dtype="int64", name="row"), columns=columns)


def by_text(texts: pd.Series, read: Callable[[str], Any]) -> list[Any]:
    """`read` of every text, called once for each different one."""
    codes, different = pd.factorize(texts)
    results = [read(text) for text in different]
    return [results[code] for code in codes]


def empty_cells(frame: pd.DataFrame) -> np.ndarray:
    """Which cells of the texts hold nothing but blanks, in the frame's shape."""
    return np.array([by_text(frame[column], lambda text: not tidy(text)) for column in frame], dtype=bool).T
