"""Any delimited table with all its columns, for commands that need no codebook; what its cells may say, and its faults.

Comma, semicolon, tab or bar between fields, with or without a byte order mark, UTF-8 or UTF-16, any line ends, decimal
points, or decimal commas where no comma separates the fields. A row is named by the line where it begins, as a text
editor counts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.codebook import tidy
from configs.errors import InputError, one_of
from tasks.ratings.reading.formats import FIELDS, SEPARATORS, SURROGATE, Unread, decoded, first_record, records
from tasks.ratings.reading.rejected import visible
from tasks.ratings.reading.source import by_text

ROW = "row"
"""The name of an index of lines."""
MISSING = frozenset({"", "-", "–", "—", ".", "na", "n/a", "n.a.", "nan", "null", "#n/a", "#na", "<na>", "#n/a n/a"})
MISSING_AS_WRITTEN = frozenset({"None", "NONE"})
"""`none` may well be a level: no treatment at all. Among numbers it is missing too."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
MOST_FAULTS, MOST_SPANS = 8, 100
"""So many faults are told in full, the rows of the others in so many spans."""


class Fault(NamedTuple):
    """What is wrong with a row, or with one cell of it."""

    row: int
    column: str
    what: str

    def __str__(self) -> str:
        return f"row {self.row}{f', column {self.column}' if self.column else ''}: {self.what}"


@dataclass(frozen=True)
class Delimited:
    """A table's columns as text, as they stand, indexed by line; whether a comma may be a decimal one; what can't be
    read."""

    path: Path
    frame: pd.DataFrame
    decimal_comma: bool
    faults: tuple[Fault, ...]


def read_delimited(path: Path, wanted: Sequence[str], known: Sequence[str] = ()) -> Delimited:
    """All columns of a table whose header has the `wanted` ones, each once, and no `known` one twice.

    Names are compared as `tidy` has them; the wanted columns are called what they were asked for by. Rows with more
    fields than the header, or that are not UTF-8, are `faults`. What a shorter row lacks is empty.

    Raises:
        InputError: the file can't be read or is empty; a wanted column is missing; one of these stands twice.
    """
    lines = list(io.StringIO(_text(path), newline=""))
    csv.field_size_limit(2**31 - 1)
    readings = [(separator, *first_record(lines, separator)) for separator in SEPARATORS]
    asked = {tidy(column): column for column in wanted}
    separator, after, names = max(readings, key=lambda one: (len(asked.keys() & {*one[2]}), len(one[2])))
    header = [asked.get(name, name) for name in names]
    _check_header(path, header, wanted, known)
    rows, values, faults = [], [], []
    for record in records(lines, after, separator, len(header)):
        fields = record.fields or _short_row(record.fault, separator, len(header))
        if not fields and record.fault is not None:
            faults.append(Fault(record.line, "", record.fault.message.partition(": ")[2]))
        elif SURROGATE.search("".join(fields)):
            faults.append(Fault(record.line, "", "not UTF-8"))
        else:
            rows.append(record.line)
            values.append(fields)
    frame = pd.DataFrame(values, index=pd.Index(rows, dtype="int64", name=ROW), columns=header, dtype="str")
    return Delimited(path, frame, separator != ",", tuple(faults))


def _short_row(fault: Unread | None, separator: str, width: int) -> list[str]:
    """The fields of a row on one line that has too few, filled up; none of another row."""
    if fault is None or fault.reason != FIELDS or "\n" in fault.text.rstrip("\r\n"):
        return []
    fields = next(csv.reader([fault.text], delimiter=separator))
    return fields + [""] * (width - len(fields)) if len(fields) < width else []


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    text = decoded(content)[0]
    if "\0" in text:
        raise InputError(f"{path}: not text (byte {content.index(0)} is zero)")
    return text


def _check_header(path: Path, header: list[str], wanted: Sequence[str], known: Sequence[str]) -> None:
    """Raise unless the header has each wanted column once; a header that is a row of values is not shown."""
    if not header:
        raise InputError(f"{path}: empty; expected a header{' with ' if wanted else ''}{', '.join(wanted)}")
    for column in (*wanted, *known):
        if header.count(column) > 1:
            raise InputError(f"{path}: two columns are called {column!r}; give one of them another name")
    for column in wanted:
        if column not in header and any(NUMBER.fullmatch(name) or is_missing(name) for name in header):
            raise InputError(f"{path}: no column {column!r}; its first line looks like a row of values, not a header")
        if column not in header:
            raise one_of(f"{path}: columns", column, map(visible, header))


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
    rest = {fault.row for fault in ordered[MOST_FAULTS:]}
    raise InputError(f"{path}: {text}" + (f"; more of the like in {spans(rest)}" if rest else ""))


def spans(rows: Iterable[int]) -> str:
    """`row 3`, `rows 3, 5 to 9`; beyond `MOST_SPANS`, how many there are and the last one."""
    ordered = sorted(set(rows))
    runs = [[row for _, row in run] for _, run in groupby(enumerate(ordered), key=lambda item: item[1] - item[0])]
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:MOST_SPANS]]
    rest = f" and so on, {len(ordered)} rows up to row {ordered[-1]}" if len(runs) > MOST_SPANS else ""
    return f"row{'s'[: len(ordered) != 1]} {', '.join(texts)}{rest}"
