"""A user's files as tables: all columns as texts, each different one kept once, so that a million rows are small.

    codes: for each row the place of its text among the column's `levels`, shape (rows,).

Large CSV and Parquet files are read by Arrow, which is the faster where a file has no fault; any other by the product's
own reader, which knows what to do with the rest.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from configs.codebook import SUFFIXES, ExportColumn, ExportTable, normal, tidy
from configs.errors import InputError
from tasks.ratings.reading.delimited import NUMBER
from tasks.ratings.reading.files import read_file
from tasks.ratings.reading.formats import SEPARATORS, SURROGATE, FileRows, decoded, first_record, read_rows
from tasks.ratings.reading.label_rows import FIRST_ROWS, label_rows
from tasks.ratings.reading.shape import as_text, shaped
from tasks.starting.draft import UserTable

LARGE = 20_000_000
"""Bytes from which Arrow is asked first."""
HEAD = 1_000_000
"""Bytes that show a large file's header and separator."""
MOST_FILES = 200
LONGEST_NAME = 2000
"""Characters of a column's name, which may be a question's whole text."""
MOST_COLUMNS = 2000
"""Each is looked at in many ways, so that more take minutes."""
MANY_LEVELS = 10_000
"""Different texts, beyond which those that are as frequent stay in the file's order."""
ID_IN_HEADER = re.compile(r"@|^[0-9a-fA-F]{24}$|^\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class TextColumn:
    """A column: the place of each row's text, shape (rows,), and the different texts."""

    name: str
    codes: np.ndarray
    levels: list[str]

    @cached_property
    def counts(self) -> np.ndarray:
        """How many rows have each level, shape (levels,)."""
        return np.bincount(self.codes, minlength=len(self.levels))

    @cached_property
    def empty(self) -> np.ndarray:
        """Which levels say nothing, shape (levels,)."""
        return np.array([not text[:1].isalnum() and not tidy(text) for text in self.levels], dtype=bool)

    @cached_property
    def said(self) -> dict[str, int]:
        """Text → rows, without empty ones, the most frequent first."""
        places = np.flatnonzero((self.counts > 0) & ~self.empty)
        if len(places) <= MANY_LEVELS:
            places = np.array(sorted(places, key=lambda place: self.levels[place]), dtype=int)
        ordered = places[np.argsort(-self.counts[places], kind="stable")].tolist()
        return {self.levels[place]: int(self.counts[place]) for place in ordered}

    @cached_property
    def normals(self) -> frozenset[str]:
        """Its different texts without regard to case and blanks."""
        return frozenset(map(normal, self.said))

    @property
    def filled(self) -> int:
        """Rows in which something stands."""
        return sum(self.said.values())

    @cached_property
    def is_filled(self) -> np.ndarray:
        """In which rows something stands, shape (rows,)."""
        return ~self.empty[self.codes] if len(self.levels) else np.zeros(len(self.codes), dtype=bool)


@dataclass(frozen=True)
class FlatTable:
    """A table whose rows may be ratings. shape: what a codebook says of it beside its columns (file, sheet, each …)."""

    shape: dict[str, Any]
    columns: dict[str, TextColumn]
    rows: int
    unread: int = 0

    @property
    def file(self) -> str:
        return str(self.shape["file"])


@dataclass(frozen=True)
class EncodedRows(Sequence[list[str]]):
    """The rows of encoded columns, made when they are asked for."""

    columns: Sequence[TextColumn]
    rows: int = field(default=0)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self.rows))]
        if not -self.rows <= place < self.rows:
            raise IndexError(place)
        return [column.levels[column.codes[place]] for column in self.columns]


# ---- the user's files


class Opened(NamedTuple):
    """The folder that all files lie in, their tables, and what was wrong with files of a folder that were left out."""

    folder: Path
    tables: list[UserTable]
    faults: tuple[str, ...]


def read_tables(paths: Sequence[Path]) -> Opened:
    """The folder that all files lie in, and their tables; of a workbook, each sheet. Files of a folder that can't be
    read as tables are left out, and told.

    Raises:
        InputError: no such file, nothing that could be read, a file that is not what its name says, a header that is
            missing.
    """
    named = {Path(path).absolute() for path in paths}
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    if not files:
        raise InputError(f"{', '.join(map(str, paths))}: no file that ends in {', '.join(SUFFIXES)}")
    if len(files) > MOST_FILES:
        raise InputError(f"{len(files)} files; name the ones that are meant, at most {MOST_FILES}")
    folder = files[0].parent
    while not all(file.is_relative_to(folder) for file in files):
        folder = folder.parent
    tables, faults = list[UserTable](), list[InputError]()
    for file in files:
        try:
            tables += _tables(file, file.relative_to(folder).as_posix())
        except InputError as fault:
            if file in named:
                raise
            faults.append(fault)
    if not tables:
        raise faults[0]
    return Opened(folder, tables, tuple(map(str, faults)))


def _files(path: Path) -> list[Path]:
    """The files that a path means: itself, or those in the folder that can be tables; hidden ones are none."""
    place = Path(path).absolute()
    if place.is_dir():
        found = sorted(one for one in place.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
        return [one for one in found if not one.name.startswith((".", "~")) and one.name.lower() != "readme.txt"]
    if not place.is_file():
        raise InputError(f"{path}: no such file or folder")
    if place.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    return [place]


def _tables(path: Path, name: str) -> list[UserTable]:
    if path.suffix.lower() == ".xlsx":
        sheets = _sheets(path)
        whole = [UserTable(path, name, read_rows(path, read_file(path), sheet=sheet), sheet) for sheet in sheets]
        return [_with_header(table) for table in whole if len(table.rows.rows)] or [_with_header(whole[0])]
    content = read_file(path)
    rows = _by_arrow(path, content) if len(content) > LARGE else None
    if rows is None:
        rows = read_rows(path, content)
    return [_with_header(UserTable(path, name, rows))]


def _sheets(path: Path) -> list[str]:
    from openpyxl import load_workbook  # a second's import, for those who have such a file

    try:
        sheets = list(load_workbook(path, read_only=True).sheetnames)
    except Exception:  # the library raises what it happens to meet in a damaged file
        raise InputError(f"{path}: not Excel (.xlsx), or damaged") from None
    if not sheets:
        raise InputError(f"{path}: no sheet in it; expected one with a header line and rows")
    return sheets


def _with_header(table: UserTable) -> UserTable:
    """The table, if its first line names columns.

    Raises:
        InputError: it has no rows; its first line seems to be a row of answers, or names two columns alike. Names are
            not shown: they may be somebody's answers.
    """
    rows, path = table.rows, table.path
    names = list(rows.all_names) or list(rows.names)
    if not any(names):
        raise InputError(f"{path}: nothing in it; expected a header line and rows")
    odd = [place for place, name in enumerate(names, 1) if len(name) > LONGEST_NAME or SURROGATE.search(name)]
    if odd:
        raise InputError(f"{path}: the name of column {odd[0]} is no text, or longer than {LONGEST_NAME:,} characters")
    if len(names) > MOST_COLUMNS:
        own = "write a codebook that names those that matter (configs/codebooks/template.yaml)"
        raise InputError(f"{path}: {len(names):,} columns, of which init looks at {MOST_COLUMNS:,} at most; {own}")
    if not len(rows.rows):
        unread = f" ({rows.unread[0].message})" if rows.unread else ""
        raise InputError(f"{path}: a header line and no row that can be read{unread}")
    first = {name: place for place, name in reversed([*enumerate(names)])}
    twice = [place + 1 for place, name in enumerate(names) if name and first[name] != place]
    if twice:
        raise InputError(f"{path}: column {twice[0]} has the name of another; give each a name of its own")
    blank = [place for place, name in enumerate(rows.names) if not name]
    if rows.header and len(blank) > 1 and any(as_text(rows.values[0][place]).strip() for place in blank):
        raise InputError(
            f"{path}: {len(blank)} columns have no name in the first line; where names stand in two lines, as"
            " SurveyMonkey writes them, put both into one: 'How helpful is it? [this answer]'"
        )
    if rows.header and _seems_a_row(names, rows):
        raise InputError(
            f"{path}: its first line looks like a row of values, not a header; put the columns' names there"
        )
    return table


def _seems_a_row(names: Sequence[str], rows: FileRows) -> bool:
    """Whether the names of columns look like cells: numbers that don't count the columns, ids, or what stands below."""
    if any(ID_IN_HEADER.search(name) for name in names):
        return True
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    counts = {str(number) for number in range(len(names) + 1)}
    if (
        numbers
        and (len(numbers) == len(names) or not set(numbers) <= counts)
        and numbers != sorted(counts)[: len(names)]
    ):
        return set(numbers) - counts != set() or (len(names) == len(numbers) and sorted(numbers) != numbers)
    few = [rows.values[place] for place in range(min(len(rows.rows), 200))]
    below = [{as_text(values[place]) for values in few} for place in range(len(rows.names))]
    again = sum(bool(name) and name in texts for name, texts in zip(rows.names, below, strict=True))
    return again >= max(2, len(names) / 2) and len(few) > FIRST_ROWS


# ---- Arrow


def _by_arrow(path: Path, content: bytes) -> FileRows | None:
    """A large flat table, its rows made when they are asked for; None where it is for the product's own reader."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pa.parquet.ParquetFile(io.BytesIO(content)).read()
            if any(pa.types.is_nested(kind) for kind in table.schema.types):
                return None
        elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
            table = _csv_by_arrow(path, content)
        else:
            return None
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
    names = list(map(tidy, table.column_names))
    if len(set(names)) < len(names):
        return None
    columns = [_of_arrow(name, table.column(place)) for place, name in enumerate(names)]
    first = 1 if path.suffix.lower() == ".parquet" else 2
    header = path.suffix.lower() != ".parquet"
    rows = range(first, first + table.num_rows)
    return FileRows(names, rows, EncodedRows(columns, table.num_rows), (), names, header)  # type: ignore[arg-type]


def _csv_by_arrow(path: Path, content: bytes) -> pa.Table:
    head = content[: content.find(b"\n", HEAD) + 1 or len(content)]
    names = read_rows(path, head).all_names
    text, _ = decoded(head)
    lines = io.StringIO(text, newline="").readlines()
    separator = next((one for one in SEPARATORS if first_record(lines, one)[1] == names), ",")
    own = first_record(lines, separator)
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    read = pa.csv.ReadOptions(column_names=list(names), skip_rows_after_names=0, skip_rows=own[0])
    kinds = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    convert = pa.csv.ConvertOptions(column_types=kinds, strings_can_be_null=False, quoted_strings_can_be_null=False)
    return pa.csv.read_csv(pa.BufferReader(content), read, parse, convert)


def _of_arrow(name: str, column: pa.ChunkedArray) -> TextColumn:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    levels = [as_text(value) for value in whole.dictionary.to_pylist()]
    codes = whole.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False).astype(np.int32)
    return TextColumn(name, codes, [*levels, ""])


# ---- flat tables


def encoded(name: str, texts: Iterable[str]) -> TextColumn:
    """A column of texts."""
    codes, levels = pd.factorize(np.array(list(texts), dtype=object))
    return TextColumn(name, codes.astype(np.int32), list(levels))


def flat(table: UserTable, shape: Mapping[str, Any] | None = None, columns: Sequence[str] = ()) -> FlatTable:
    """The table as it stands; or with the rows of a shape (`each`, `stack`), and what stands at the given paths."""
    own: dict[str, Any] = {"file": table.name}
    own |= {"sheet": table.sheet} if table.sheet else {}
    rows = without_label_rows(table.rows)
    if not shape and not columns:
        if isinstance(rows.values, EncodedRows):
            return FlatTable(own, {column.name: column for column in rows.values.columns}, len(rows.values))
        cells: Iterable[Sequence[str]] = zip(*(list(map(as_text, values)) for values in rows.values), strict=True)
        found = {name: encoded(name, texts) for name, texts in zip(rows.names, cells, strict=True) if name}
        return FlatTable(own, found, len(rows.rows), len(rows.unread))
    own |= dict(shape or {})
    wanted = [ExportColumn(name) for name in columns]
    made = shaped(rows, ExportTable.model_validate(own), wanted)
    texts = [list(map(as_text, values)) for values in made.values]
    cells = zip(*texts, strict=True) if texts else [()] * len(wanted)
    found = {name: encoded(name, column) for name, column in zip(map(str, wanted), cells, strict=True)}
    return FlatTable(own, found, len(made.values), len(made.unread))


def without_label_rows(rows: FileRows) -> FileRows:
    """The rows without those under a header that name the columns once more."""
    if not rows.header:
        return rows
    size = min(FIRST_ROWS, len(rows.rows))
    few = [list(map(as_text, rows.values[place])) for place in range(size)]
    frame = pd.DataFrame(few, columns=range(len(rows.names)), index=list(rows.rows[:size]), dtype="str")
    named = label_rows(frame.set_axis(list(rows.names), axis=1), (one.row for one in rows.unread)) if size else set()
    if not named:
        return rows
    kept = [place for place, row in enumerate(rows.rows) if row not in named]
    values = [rows.values[place] for place in kept]
    return FileRows(rows.names, [rows.rows[place] for place in kept], values, rows.unread, rows.all_names, rows.header)
