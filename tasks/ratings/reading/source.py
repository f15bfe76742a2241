"""Read the named columns of a CSV, JSON Lines or Parquet file as text; a row that can't be read costs that row only.

CSV is read as it comes: with or without a byte order mark, comma, semicolon or tab between fields, any line ends,
columns in any order. A row is named by the line where it begins (CSV, JSON Lines) or by its number from 1 (Parquet).
Nothing that is raised here quotes a cell, or the name of a column that was not asked for: without its header line, a
file of participants would have its first one there.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.codebook import tidy
from configs.errors import InputError
from tasks.ratings.reading.files import read_file
from tasks.ratings.reading.label_rows import LABEL_ROW, label_rows
from tasks.runtime.fingerprint import content_digest

SEPARATORS = ",;\t"
NOT_UTF8, NOT_CSV, NOT_JSON, FIELDS = "not UTF-8", "not CSV", "not JSON", "wrong number of fields"
SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is not UTF-8 is read as, and half of an escaped pair in JSON; no file can hold it."""


class Unread(NamedTuple):
    """A row that could not be read: `reason` and `detail` for a table of such rows, `message` for a reader that stops
    at the first, and the row's text, which may hold ids."""

    row: int
    reason: str
    detail: str
    message: str
    text: str


@dataclass(frozen=True)
class Source:
    """A file's named columns as text, indexed by row, and the rows that could not be read.

    labels: rows that name the columns once more (`label_rows.py`), which are not in `frame`. nested: column → rows of
    `frame` in which a list or an object stands (JSON Lines, Parquet), as JSON. digest: of the file's content.
    """

    path: Path
    frame: pd.DataFrame
    unread: tuple[Unread, ...]
    labels: tuple[Unread, ...] = ()
    nested: dict[str, frozenset[int]] = field(default_factory=dict)
    digest: str = ""


def read_source(path: Path, columns: Iterable[str], within: Path | None = None) -> Source:
    """The named columns of a file; other columns are left behind at once.

    within: the export that the file must lie in (`files.read_file`).

    Raises:
        InputError: the file is missing, its header lacks a column or has it twice, or it is not what its name says.
    """
    content = read_file(path, within)
    source = _without_label_rows(_read(path, content, list(dict.fromkeys(columns))))
    return replace(source, digest=content_digest(content))


def _read(path: Path, content: bytes, wanted: list[str]) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, content, wanted)
    return _json_lines(path, content, wanted) if suffix in (".jsonl", ".ndjson") else _csv(path, content, wanted)


def _without_label_rows(source: Source) -> Source:
    """The source with its label rows apart."""
    rows = label_rows(source.frame, (one.row for one in source.unread))
    if not rows:
        return source
    apart = source.frame[source.frame.index.isin(rows)]
    texts = zip(apart.index, map("\x1f".join, apart.to_numpy().tolist()), strict=True)
    labels = [Unread(row, LABEL_ROW, "", "", text) for row, text in texts]
    labels += [one for one in source.unread if one.row in rows]
    unread = tuple(one for one in source.unread if one.row not in rows)
    return replace(source, frame=source.frame.drop(apart.index), unread=unread, labels=tuple(labels))


def read_strictly(path: Path, columns: Iterable[str]) -> Source:
    """The same, where every row must be readable and there must be one.

    Raises:
        InputError: as `read_source`, and for the first row that can't be read.
    """
    source = read_source(path, columns)
    for unread in source.unread:
        raise InputError(f"{path}: {unread.message}")
    if source.frame.empty:
        raise InputError(f"{path}: no rows")
    return source


# ---- CSV


class _Record(NamedTuple):
    line: int
    fields: list[str]
    fault: Unread | None = None


def _csv(path: Path, content: bytes, wanted: list[str]) -> Source:
    text, first_bad = decoded(content)
    lines = list(io.StringIO(text, newline=""))
    separator, after, header = _header(path, lines, wanted, first_bad)
    rows, values, unread = [], [], []
    places = [header.index(tidy(column)) for column in wanted]
    for line, fields, fault in records(lines, after, separator, len(header)):
        if fault is None and first_bad is not None and SURROGATE.search("".join(fields)):
            fault = _not_utf8(line, first_bad, separator.join(fields))
        if fault is not None:
            unread.append(fault)
        else:
            rows.append(line)
            values.append([fields[place] for place in places])
    return Source(path, _frame(values, wanted, rows), tuple(unread))


def decoded(content: bytes) -> tuple[str, int | None]:
    """The text, and the place of the first byte that is not UTF-8; such bytes are read as surrogates.

    A byte order mark of UTF-16 is heeded: spreadsheets and survey tools write tab-separated tables that way.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16"), None
        except UnicodeDecodeError as error:
            return content.decode("utf-16", errors="replace").replace("\ufffd", "\udcff"), error.start
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        return content.decode("utf-8-sig", errors="surrogateescape"), error.start


def _header(path: Path, lines: list[str], wanted: list[str], first_bad: int | None) -> tuple[str, int, list[str]]:
    """The separator by which the header has the wanted columns, where the rows after it begin, and its names."""
    csv.field_size_limit(2**31 - 1)  # a very long answer is no fault
    readings = [(separator, *first_record(lines, separator)) for separator in SEPARATORS]
    separator, after, header = max(readings, key=lambda one: sum(one[2].count(tidy(column)) == 1 for column in wanted))
    if first_bad is not None and SURROGATE.search("".join(lines[:after])):
        raise InputError(f"{path}: not UTF-8 (byte {first_bad})")
    check_columns(path, header, wanted, header_line=True)
    return separator, after, header


def first_record(lines: list[str], separator: str) -> tuple[int, list[str]]:
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    try:
        header = next((fields for fields in reader if fields), [])
    except csv.Error:
        header = []
    return reader.line_num, [tidy(name) for name in header]


def check_columns(path: Path, names: Sequence[str], wanted: Sequence[str], header_line: bool = False) -> None:
    """See that each wanted column is there once; names of other columns are never told, they may be cells.

    names: as `tidy` has them. header_line: whether they are what the first line of a file holds.

    Raises:
        InputError: some lack or stand twice; all of them are in the message.
    """
    missing = [column for column in wanted if tidy(column) not in names]
    twice = [column for column in wanted if names.count(tidy(column)) > 1]
    if not any(names):
        raise InputError(f"{path}: no columns in it; wanted: {_quoted(wanted)}")
    if header_line and len(missing) == len(wanted):
        what = "its first line names none of the columns that are wanted, so the header line seems to be missing"
        raise InputError(f"{path}: {what}; wanted: {_quoted(wanted)}")
    faults = [
        f"{what} {_quoted(columns)}" for what, columns in (("no column", missing), ("two columns", twice)) if columns
    ]
    if faults:
        alike = [column for column in missing if any(_letters(name) == _letters(column) for name in names)]
        hint = f" (it has {_quoted(alike)} in another spelling)" if alike else ""
        raise InputError(f"{path}: {'; '.join(faults)}{hint}; wanted: {_quoted(wanted)}")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _letters(name: str) -> str:
    """A column's name without regard to case, blanks, dashes and underscores."""
    return re.sub(r"[\W_]+", "", name.casefold())


def records(lines: list[str], start: int, separator: str, width: int) -> Iterator[_Record]:
    """The rows from line `start` (0-based), faulty ones with their fault; blank rows are none.

    A quote that is never closed, or closed far below, would swallow the rows between. So after a fault that spans lines
    reading goes on with the first of them that is a whole row by itself, or after them where none is.
    """
    at = start
    while at < len(lines):
        reader, begin = csv.reader(map(lines.__getitem__, range(at, len(lines))), delimiter=separator, strict=True), at
        try:
            for fields in reader:
                first, at = at, begin + reader.line_num
                if not any(fields):
                    continue
                if len(fields) == width:
                    yield _Record(first + 1, fields)
                    continue
                what = f"{len(fields)} field{'s'[: len(fields) != 1]} where the header has {width}"
                after, at = at, _next_row(lines, first + 1, at, separator, width)
                yield _fault(lines, first, at, FIELDS, what, what)
                if at < after:
                    break
        except csv.Error as error:
            first, at = at, _next_row(lines, at + 1, begin + reader.line_num, separator, width)
            yield _fault(lines, first, at, NOT_CSV, str(error), f"not CSV: {error}")


def _next_row(lines: list[str], start: int, end: int, separator: str, width: int) -> int:
    """The first line from `start` to before `end` that is a row of `width` fields by itself; `end` if none is."""
    for number in range(start, end):
        try:
            fields = next(csv.reader([lines[number]], delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        if len(fields) == width and any(fields) and lines[number].count('"') % 2 == 0:
            return number
    return end


def _fault(lines: list[str], first: int, after: int, reason: str, detail: str, message: str) -> _Record:
    span, text = f"; lines {first + 1} to {after}" if after > first + 1 else "", "".join(lines[first:after])
    return _Record(first + 1, [], Unread(first + 1, reason, f"{detail}{span}", f"row {first + 1}: {message}", text))


def _not_utf8(row: int, first_bad: int | None, text: str) -> Unread:
    message = f"row {row}: not UTF-8" if first_bad is None else f"not UTF-8 (byte {first_bad})"
    return Unread(row, NOT_UTF8, "", message, text)


# ---- JSON Lines and Parquet


def _json_lines(path: Path, content: bytes, wanted: list[str]) -> Source:
    text, first_bad = decoded(content)
    rows, values, unread, names, nested = [], [], [], dict[str, None](), _Nested(wanted)
    keys = [tidy(column) for column in wanted]
    for row, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        item = _json_object(line)
        if isinstance(item, str):
            unread.append(Unread(row, NOT_JSON, item, f"row {row}: not JSON: {item}", line))
            continue
        names |= dict.fromkeys(item)
        cells = [item.get(key) for key in keys]
        fields = list(map(_text, cells))
        if SURROGATE.search("".join(fields)) or (first_bad is not None and SURROGATE.search(line)):
            unread.append(_not_utf8(row, first_bad, line))
        else:
            rows.append(row)
            values.append(fields)
            nested.note(row, cells)
    if names or not unread:
        check_columns(path, list(names), wanted)
    return Source(path, _frame(values, wanted, rows), tuple(unread), nested=nested.rows())


class _Nested:
    """The cells that hold a list or an object."""

    def __init__(self, columns: list[str]) -> None:
        self._rows: dict[str, set[int]] = {column: set() for column in columns}

    def note(self, row: int, cells: Iterable[Any]) -> None:
        for rows, cell in zip(self._rows.values(), cells, strict=True):
            if isinstance(cell, (list, dict)):
                rows.add(row)

    def rows(self) -> dict[str, frozenset[int]]:
        """Column → rows, of the columns that have any."""
        return {column: frozenset(rows) for column, rows in self._rows.items() if rows}


def _json_object(line: str) -> dict[str, Any] | str:
    """The object on a line, or what is wrong with it."""
    try:
        item = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError):
        return "a key stands twice, it is nested too deep, or a number has thousands of digits"
    return item if isinstance(item, dict) else "not an object"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = {tidy(key): value for key, value in pairs}
    if len(item) < len(pairs):
        raise ValueError("a key stands twice")
    return item


def _parquet(path: Path, content: bytes, wanted: list[str]) -> Source:
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = [tidy(name) for name in file.schema_arrow.names]
        check_columns(path, names, wanted)
        own = [file.schema_arrow.names[names.index(tidy(column))] for column in wanted]
        table = file.read(columns=own)
    except (pa.ArrowException, OSError):
        raise InputError(f"{path}: not Parquet, or damaged") from None
    columns = [_values(table.column(name)) for name in own]
    rows, values, unread, nested = [], [], [], _Nested(wanted)
    for row, cells in enumerate(zip(*columns, strict=True), 1):
        fields = list(map(_text, cells))
        if SURROGATE.search("".join(fields)):
            unread.append(_not_utf8(row, None, "".join(fields)))
        else:
            rows.append(row)
            values.append(fields)
            nested.note(row, cells)
    return Source(path, _frame(values, wanted, rows), tuple(unread), nested=nested.rows())


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow keeps bytes without looking whether they are text
        return column.cast(pa.large_binary()).to_pylist()


def _text(value: Any) -> str:
    """A value as a CSV file would have it; lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# ---- both


def _frame(values: Sequence[Sequence[str]], columns: list[str], rows: list[int]) -> pd.DataFrame:
    by_column = zip(*values, strict=True) if values else [()] * len(columns)
    arrays = {name: pd.array(column, dtype="str") for name, column in zip(columns, by_column, strict=True)}
    return pd.DataFrame(arrays, index=pd.Index(rows, dtype="int64", name="row"), columns=columns)


def by_text(texts: pd.Series, read: Callable[[str], Any]) -> list[Any]:
    """`read` of every text, called once for each different one."""
    codes, different = pd.factorize(texts)
    results = [read(text) for text in different]
    return [results[code] for code in codes]
