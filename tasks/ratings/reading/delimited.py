"""Any table with all its columns, for commands that need no codebook; what its cells may say, and its faults.

CSV (any usual separator between fields, with or without a byte order mark, UTF-8 or UTF-16, any line ends, decimal
points, or decimal commas where no comma separates the fields), or by the end of its name Parquet, JSON Lines, JSON or
Excel. A row is named by the line where it begins, as a text editor counts (CSV, JSON Lines), by its number from 1
(Parquet, JSON), or as the sheet has it (Excel): as landing names the rows of an export.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.codebook import tidy
from configs.errors import InputError
from tasks.ratings.reading.formats import (
    FIELDS,
    SEPARATORS,
    SURROGATE,
    FileRows,
    Unread,
    as_text,
    check_width,
    decoded,
    everything,
    first_record,
    read_rows,
    records,
)
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.source import by_text

ROW = "row"
"""The name of an index of rows."""
MISSING = frozenset({"", "-", "–", "—", ".", "na", "n/a", "n.a.", "nan", "null", "#n/a", "#na", "<na>", "#n/a n/a"})
MISSING_AS_WRITTEN = frozenset({"None", "NONE"})
"""`none` may well be a level: no treatment at all. Among numbers it is missing too."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
MOST_NAMES = 100
"""So many of a header's names are told."""
MOST_FAULTS, MOST_SPANS = 8, 100
"""So many faults are told in full, the rows of the others in so many spans."""
TYPED = (".parquet", ".jsonl", ".ndjson", ".json", ".xlsx")
"""Ends of names of files whose cells have kinds; every other file is CSV."""
NESTED = "a list or an object, where one value is expected"


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


def no_advice(names: Sequence[str]) -> str:
    """Nothing to say of a header that lacks a column."""
    return ""


def read_delimited(
    path: Path,
    wanted: Sequence[str],
    known: Sequence[str] = (),
    advice: Callable[[Sequence[str]], str] = no_advice,
) -> Delimited:
    """A table whose header has the `wanted` columns, each once, and no `known` one twice; of CSV with all its columns.

    Where nothing is wanted, all columns of any format. Names are compared as `tidy` has them; the wanted columns are
    called what they were asked for by. Numbers of Parquet, JSON and Excel become the text that gives the same number
    again. Rows with more fields than the header, or that are no text, and lists or objects in a wanted or known column
    are `faults`. What a shorter row lacks is empty.

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
    used = {*asked, *known}
    if path.suffix.lower() in TYPED:
        table, decimal_comma = read_rows(path, content, used.__contains__ if wanted else everything), True
    else:
        table, decimal_comma = _csv(path, content, asked.keys())
    faults = [Fault(one.row, "", one.message.partition(": ")[2] or one.reason) for one in table.unread]
    if not table.all_names:
        refuse(path, faults)
    _check_header(path, [asked.get(name, name) for name in table.all_names], wanted, known, advice, table.header)
    header = [asked.get(name, name) for name in table.names]
    values = table.values
    if path.suffix.lower() in TYPED:
        for row, cells in zip(table.rows, values, strict=True):
            nested = [place for place, cell in enumerate(cells) if isinstance(cell, (list, dict))]
            faults += [Fault(row, header[place], NESTED) for place in nested if table.names[place] in used]
        values = [list(map(as_text, cells)) for cells in values]
    bad = {row: what for row, fields in zip(table.rows, values, strict=True) if (what := _no_text("".join(fields)))}
    faults += [Fault(row, "", what) for row, what in bad.items()]
    kept = [(row, fields) for row, fields in zip(table.rows, values, strict=True) if row not in bad]
    index = pd.Index([row for row, _ in kept], dtype="int64", name=ROW)
    frame = pd.DataFrame([fields for _, fields in kept], index=index, columns=header, dtype="str")
    return Delimited(path, frame, decimal_comma, tuple(faults), 1 if table.header else 0)


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
    if unreadable := [name for name in header if SURROGATE.search(name)]:
        refuse(path, [Fault(1 if is_line else 0, visible(name), "its name is not UTF-8") for name in unreadable])
    for column in (*wanted, *known):
        if header.count(column) > 1:
            raise InputError(f"{path}: two columns are called {column!r}; give one of them another name")
    missing = [column for column in wanted if column not in header]
    if missing and is_line and any(NUMBER.fullmatch(name) or is_missing(name) for name in header):
        raise InputError(f"{path}: no column {missing[0]!r}; its first line looks like a row of values, not a header")
    if missing:
        unknown, there = ", ".join(map(repr, missing)), ", ".join(map(visible, header[:MOST_NAMES]))
        there += f" and {len(header) - MOST_NAMES:,} more" if len(header) > MOST_NAMES else ""
        raise InputError(f"{path}: columns: unknown {unknown}; allowed: {there}{advice(header)}")


# ---- CSV


def _csv(path: Path, content: bytes, asked: Iterable[str]) -> tuple[FileRows, bool]:
    """The rows, by the separator that makes most of the columns asked for, and of several such most columns; whether a
    comma may be a decimal one."""
    text = decoded(content)[0]
    if "\0" in text:
        raise InputError(f"{path}: not text (byte {content.index(0)} is zero)")
    lines = list(io.StringIO(text, newline=""))
    csv.field_size_limit(2**31 - 1)
    readings = [(separator, *first_record(lines, separator)) for separator in SEPARATORS]
    check_width(path, max(len(names) for _, _, names in readings))
    separator, after, names = max(readings, key=lambda one: (len({*asked} & {*one[2]}), len(one[2])))
    rows, values, unread = [], [], []
    for line, own, fault in records(lines, after, separator, len(names)):
        fields = own or _short_row(fault, separator, len(names))
        if not fields and fault is not None:
            unread.append(fault)
        else:
            rows.append(line)
            values.append(fields)
    return FileRows(names, rows, values, tuple(unread), names, header=True), separator != ","


def _short_row(fault: Unread | None, separator: str, width: int) -> list[str]:
    """The fields of a row on one line that has too few, filled up; none of another row."""
    if fault is None or fault.reason != FIELDS or "\n" in fault.text.rstrip("\r\n"):
        return []
    fields = next(csv.reader([fault.text], delimiter=separator))
    return fields + [""] * (width - len(fields)) if len(fields) < width else []


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
    nested = {(fault.row, fault.column) for fault in faults if fault.what == NESTED}
    ordered = sorted(fault for fault in faults if fault.what == NESTED or (fault.row, fault.column) not in nested)
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
