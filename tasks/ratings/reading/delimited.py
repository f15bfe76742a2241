"""Any table with all its columns, for commands that need no codebook; what its cells may say, and its faults.

CSV (any usual separator between fields, with or without a byte order mark, UTF-8 or UTF-16, any line ends, decimal
points, or decimal commas where no comma separates the fields), or by the end of its name Parquet, JSON Lines, JSON or
Excel. A row is named by the line where it begins, as a text editor counts (CSV, JSON Lines), by its number from 1
(Parquet, JSON), or as the sheet has it (Excel): as landing names the rows of an export.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.codebook import tidy
from configs.errors import InputError
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.formats import FIELDS, SEPARATORS, SURROGATE, Unread, decoded, first_record, records
from tasks.ratings.reading.source import by_text

ROW = "row"
"""The name of an index of rows."""
MISSING = frozenset({"", "-", "–", "—", ".", "na", "n/a", "n.a.", "nan", "null", "#n/a", "#na", "<na>", "#n/a n/a"})
MISSING_AS_WRITTEN = frozenset({"None", "NONE"})
"""`none` may well be a level: no treatment at all. Among numbers it is missing too."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
MOST_FAULTS, MOST_SPANS = 8, 100
"""So many faults are told in full, the rows of the others in so many spans."""
MOST_SHEET_ROWS, LARGEST_SHEET = 1_048_576, 2_000_000_000
"""Rows that a sheet can have, and bytes that a workbook may have unpacked."""


class Fault(NamedTuple):
    """What is wrong with a row, or with one cell of it; row 0 is the columns of a file that has no header line."""

    row: int
    column: str
    what: str

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else "columns"
        return f"{place}{f', column {self.column}' if self.column else ''}: {self.what}"


@dataclass(frozen=True)
class Delimited:
    """A table's columns as text, as they stand, indexed by row; whether a comma may be a decimal one; what can't be
    read; the row that faults of the header have."""

    path: Path
    frame: pd.DataFrame
    decimal_comma: bool
    faults: tuple[Fault, ...]
    header: int


class _Cells(NamedTuple):
    """A file's rows with all their cells: texts of CSV, or what the format has."""

    names: list[str]
    rows: list[int]
    values: list[Sequence[Any]]
    faults: list[Fault]
    separator: str = ""
    header: int = 1


def no_advice(names: Sequence[str]) -> str:
    """Nothing to say of a header that lacks a column."""
    return ""


def read_delimited(
    path: Path,
    wanted: Sequence[str],
    known: Sequence[str] = (),
    advice: Callable[[Sequence[str]], str] = no_advice,
) -> Delimited:
    """All columns of a table whose header has the `wanted` ones, each once, and no `known` one twice.

    Names are compared as `tidy` has them; the wanted columns are called what they were asked for by. Numbers of
    Parquet, JSON and Excel become the text that gives the same number again. Rows with more fields than the header, or
    that are no text, and lists or objects in a wanted or known column are `faults`. What a shorter row lacks is empty.

    advice: what to add to the error where a wanted column is missing, given the names that there are.

    Raises:
        InputError: the file can't be read, is not what its name says or is empty; wanted columns are missing; one of
            these stands twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    asked = {tidy(column): column for column in wanted}
    read = FORMATS.get(path.suffix.lower())
    cells = read(path, content) if read else _csv(path, content, asked.keys())
    header = [asked.get(name, name) for name in cells.names]
    if not header:
        refuse(path, cells.faults)
    _check_header(path, header, wanted, known, advice, bool(cells.header))
    values, faults = cells.values, list(cells.faults)
    if read:
        used = [place for place, name in enumerate(header) if name in {*wanted, *known}]
        for row, fields in zip(cells.rows, values, strict=True):
            nested = [header[place] for place in used if isinstance(fields[place], (list, dict, _NotJson))]
            faults += [Fault(row, column, "a list or an object, where one value is expected") for column in nested]
        values = [[_text(cell) for cell in fields] for fields in values]
    bad = {row: what for row, fields in zip(cells.rows, values, strict=True) if (what := _no_text("".join(fields)))}
    faults += [Fault(row, "", what) for row, what in bad.items()]
    kept = [(row, fields) for row, fields in zip(cells.rows, values, strict=True) if row not in bad]
    index = pd.Index([row for row, _ in kept], dtype="int64", name=ROW)
    frame = pd.DataFrame([fields for _, fields in kept], index=index, columns=header, dtype="str")
    return Delimited(path, frame, cells.separator != ",", tuple(faults), cells.header)


def _no_text(text: str) -> str:
    """What is wrong with a row's characters; empty where nothing is."""
    return "not UTF-8" if SURROGATE.search(text) else "a zero character" if "\0" in text else ""


def _check_header(
    path: Path,
    header: list[str],
    wanted: Sequence[str],
    known: Sequence[str],
    advice: Callable[[Sequence[str]], str],
    is_line: bool,
) -> None:
    """Raise unless the header has each wanted column once; a header line that is a row of values is not shown."""
    if not header:
        raise InputError(f"{path}: empty; expected a header{' with ' if wanted else ''}{', '.join(wanted)}")
    for column in (*wanted, *known):
        if header.count(column) > 1:
            raise InputError(f"{path}: two columns are called {column!r}; give one of them another name")
    missing = [column for column in wanted if column not in header]
    if missing and is_line and any(NUMBER.fullmatch(name) or is_missing(name) for name in header):
        raise InputError(f"{path}: no column {missing[0]!r}; its first line looks like a row of values, not a header")
    if missing:
        unknown, there = ", ".join(map(repr, missing)), ", ".join(map(visible, header))
        raise InputError(f"{path}: columns: unknown {unknown}; allowed: {there}{advice(header)}")


# ---- CSV


def _csv(path: Path, content: bytes, asked: Iterable[str]) -> _Cells:
    """The rows, by the separator that makes most of the columns asked for, and of several such most columns."""
    text = decoded(content)[0]
    if "\0" in text:
        raise InputError(f"{path}: not text (byte {content.index(0)} is zero)")
    lines = list(io.StringIO(text, newline=""))
    csv.field_size_limit(2**31 - 1)
    readings = [(separator, *first_record(lines, separator)) for separator in SEPARATORS]
    separator, after, names = max(readings, key=lambda one: (len({*asked} & {*one[2]}), len(one[2])))
    rows, values, faults = [], [], []
    for record in records(lines, after, separator, len(names)):
        fields = record.fields or _short_row(record.fault, separator, len(names))
        if not fields and record.fault is not None:
            faults.append(Fault(record.line, "", record.fault.message.partition(": ")[2]))
        else:
            rows.append(record.line)
            values.append(fields)
    return _Cells(names, rows, values, faults, separator)


def _short_row(fault: Unread | None, separator: str, width: int) -> list[str]:
    """The fields of a row on one line that has too few, filled up; none of another row."""
    if fault is None or fault.reason != FIELDS or "\n" in fault.text.rstrip("\r\n"):
        return []
    fields = next(csv.reader([fault.text], delimiter=separator))
    return fields + [""] * (width - len(fields)) if len(fields) < width else []


# ---- Parquet, JSON Lines, JSON, Excel


def _parquet(path: Path, content: bytes) -> _Cells:
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
        columns = [_values(column) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        raise InputError(f"{path}: not Parquet, or damaged") from None
    values: list[Sequence[Any]] = list(zip(*columns, strict=True))
    return _Cells([tidy(name) for name in table.column_names], list(range(1, len(values) + 1)), values, [], header=0)


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow keeps bytes without looking whether they are text
        return column.cast(pa.large_binary()).to_pylist()


def _json_lines(path: Path, content: bytes) -> _Cells:
    lines = enumerate(decoded(content)[0].split("\n"), 1)
    return _objects((row, _loaded(line)) for row, line in lines if line.strip())


def _json(path: Path, content: bytes) -> _Cells:
    loaded = _loaded(decoded(content)[0])
    if isinstance(loaded, _NotJson):
        raise InputError(f"{path}: {loaded.what}")
    if not isinstance(loaded, list):
        raise InputError(f"{path}: not an array of objects; where each line is an object, call it .jsonl")
    return _objects(enumerate(loaded, 1))


def _objects(items: Iterable[tuple[int, Any]]) -> _Cells:
    """Rows by their number; the columns are all keys, in the order in which they first appear."""
    rows, objects, faults = [], [], []
    for row, item in items:
        if isinstance(item, dict):
            rows.append(row)
            objects.append(item)
        else:
            faults.append(Fault(row, "", item.what if isinstance(item, _NotJson) else "not an object"))
    names = list(dict.fromkeys(chain.from_iterable(objects)))
    return _Cells(names, rows, [[item.get(name) for name in names] for item in objects], faults, header=0)


class _NotJson(NamedTuple):
    what: str


def _loaded(text: str) -> Any:
    """What a text says in JSON, its keys as `tidy` has them; an object in which a key stands twice is `_NotJson`."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        return _NotJson(f"not JSON: {error.msg} at {place}character {error.colno}")
    except (ValueError, RecursionError):
        return _NotJson("not JSON: nested too deep, or a number has thousands of digits")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _NotJson:
    item: dict[str, Any] = {}
    for key, value in pairs:
        name = tidy(key)
        if name in item:
            return _NotJson(f"two values of {shown(name)}")
        item[name] = value
    return item


def _excel(path: Path, content: bytes) -> _Cells:
    """The first sheet, whose first row that is not empty is the header; a formula is what it came to when saved."""
    from openpyxl import load_workbook  # takes a while to import

    names: list[str] = []
    rows, values, faults, header = [], [], [], 1
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(item.file_size for item in archive.infolist()) > LARGEST_SHEET:
                raise InputError(f"{path}: more than {LARGEST_SHEET:,} bytes when unpacked")
        sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
        sheet.reset_dimensions()  # a file may state any
        for row, cells in enumerate(sheet.iter_rows(max_row=MOST_SHEET_ROWS, values_only=True), 1):
            width = _width(cells)
            if width and not names:
                names, header = [tidy(_text(cell)) for cell in cells[:width]], row
            elif width > len(names):
                faults.append(Fault(row, "", f"{width} fields where the header has {len(names)}"))
            elif width:
                rows.append(row)
                values.append([*cells[:width], *[None] * (len(names) - width)])
    except (InputError, MemoryError):
        raise
    except Exception:  # whatever the library meets in a damaged file
        raise InputError(f"{path}: not Excel (.xlsx), or damaged") from None
    return _Cells(names, rows, values, faults, header=header)


def _width(cells: Sequence[Any]) -> int:
    """How many cells there are up to the last one that is not empty."""
    return max((place for place, cell in enumerate(cells, 1) if cell not in (None, "")), default=0)


FORMATS: dict[str, Callable[[Path, bytes], _Cells]] = {
    ".parquet": _parquet,
    **{".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json},
    ".xlsx": _excel,
}
"""By the end of a file's name; all others are CSV."""


def _text(value: Any) -> str:
    """A value as a CSV file would have it: a number as the text that gives it again, a list or an object as JSON."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# ---- cells


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value: empty, NA, N/A, null, None, - and their like."""
    text = text.strip()
    return text.casefold() in MISSING or text in MISSING_AS_WRITTEN


def as_numbers(texts: pd.Series, decimal_comma: bool) -> pd.Series:
    """The cells as floats: infinite where they say so or are too large, NaN where they are no numbers.

    Where one has a decimal point, a comma in another may separate thousands, so it is no number.
    """
    plain = texts.str.strip().str.replace("\N{MINUS SIGN}", "-", regex=False)
    if decimal_comma and not plain.str.contains(r"^[^,]*\d\.\d", regex=True).any():
        plain = plain.str.replace(",", ".", regex=False)
    return pd.Series(by_text(plain, _number), index=texts.index, name=texts.name, dtype=float)


def _number(text: str) -> float:
    return float(text) if NUMBER.fullmatch(text) else np.nan


def shown(text: object) -> str:
    """A cell's value in quotes, short and with control characters as escapes."""
    return f"'{visible(str(text))}'"


# ---- faults


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise an `InputError` that names every fault by its row, the first ones in full; none is no error."""
    if not faults:
        return
    ordered = sorted(faults)
    text = "; ".join(map(str, ordered[:MOST_FAULTS]))
    rest = {fault.row for fault in ordered[MOST_FAULTS:]} - {0}
    raise InputError(f"{path}: {text}" + (f"; more of the like in {spans(rest)}" if rest else ""))


def spans(rows: Iterable[int]) -> str:
    """`row 3`, `rows 3, 5 to 9`; beyond `MOST_SPANS`, how many there are and the last one."""
    ordered = sorted(set(rows))
    runs = [[row for _, row in run] for _, run in groupby(enumerate(ordered), key=lambda item: item[1] - item[0])]
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:MOST_SPANS]]
    rest = f" and so on, {len(ordered)} rows up to row {ordered[-1]}" if len(runs) > MOST_SPANS else ""
    return f"row{'s'[: len(ordered) != 1]} {', '.join(texts)}{rest}"
