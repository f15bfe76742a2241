"""The rows of a file as they stand: CSV, JSON, JSON Lines, Parquet, Excel. A row that can't be read costs itself only.

CSV is read as it comes: with or without a byte order mark, any usual separator between fields, any line ends. A row is
named by the line where it begins (CSV, JSON Lines), by its number from 1 (JSON, Parquet) or the sheet's (Excel).
Nothing that is raised here quotes a cell.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from configs.codebook import tidy
from configs.errors import InputError, one_of

SEPARATORS = ",;\t|^~\x1f"
NOT_UTF8, NOT_CSV, NOT_JSON, FIELDS = "not UTF-8", "not CSV", "not JSON", "wrong number of fields"
SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is not UTF-8 is read as, and half of an escaped pair in JSON; no file can hold it."""
KEY = "@key"
"""The column that a JSON object's rows go by."""
ROWS_TO_FIT = 20
"""So many lines under a header tell which separator it has."""
LARGEST_UNPACKED = 2_000_000_000
"""Bytes that a workbook may have unpacked, or that the columns of Parquet that are read may take."""
BYTES_OF_A_CELL = 8
"""That a cell of Parquet takes at least, however well it was packed."""
MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
"""Of a sheet, as Excel has it; no table of another format may have more columns either."""


class Unread(NamedTuple):
    """A row that could not be read: `reason` and `detail` for a table of such rows, `message` for a reader that stops
    at the first, and the row's text, which may hold ids."""

    row: int
    reason: str
    detail: str
    message: str
    text: str


@dataclass(frozen=True)
class FileRows:
    """Rows of a file, in its order.

    names: the columns that were read, as `tidy` has them; twice where the file has them twice. rows: what each row is
    called. values: its cells, one a name; texts (CSV) or what the format has (None, numbers, lists, dicts …).
    all_names: of all columns of the file; where its header is missing, cells of somebody. header: whether they come
    from a first line. texts: whether all cells are texts that a file can hold.
    """

    names: list[str]
    rows: list[int]
    values: Sequence[Sequence[Any]]
    unread: tuple[Unread, ...] = ()
    all_names: Sequence[str] = ()
    header: bool = False
    texts: bool = False


Wanted = Callable[[str], bool]
"""Whether a column, by its name as `tidy` has it, is to be read."""


def check_width(path: Path, columns: int) -> None:
    """Raise `InputError` for more columns than any table of ratings has."""
    if columns > MOST_COLUMNS:
        raise InputError(f"{path}: {columns:,} columns; at most {MOST_COLUMNS:,} can be read")


def everything(name: str) -> bool:
    """All columns are wanted."""
    return True


def read_rows(path: Path, content: bytes, wanted: Wanted = everything, sheet: str | None = None) -> FileRows:
    """The rows of a file with the wanted columns; what it is, its name's end says.

    Raises:
        InputError: it is not what its name says, or has no such sheet.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, content, wanted)
    if suffix == ".xlsx":
        return _excel(path, content, wanted, sheet)
    if suffix == ".json":
        return _json(path, content, wanted)
    return _json_lines(path, content, wanted) if suffix in (".jsonl", ".ndjson") else _csv(path, content, wanted)


# ---- CSV


class _Record(NamedTuple):
    line: int
    fields: list[str]
    fault: Unread | None = None


def _csv(path: Path, content: bytes, wanted: Wanted) -> FileRows:
    text, first_bad = decoded(content)
    lines = list(io.StringIO(text, newline=""))
    separator, after, header = _header(path, lines, wanted, first_bad)
    rows, values, unread = [], [], []
    places = [place for place, name in enumerate(header) if wanted(name)]
    whole = len(places) == len(header)
    for line, fields, fault in records(lines, after, separator, len(header)):
        if fault is None and first_bad is not None and SURROGATE.search("".join(fields)):
            fault = not_utf8(line, first_bad, separator.join(fields))
        if fault is not None:
            unread.append(fault)
        else:
            rows.append(line)
            values.append(fields if whole else [fields[place] for place in places])
    return FileRows(
        [header[place] for place in places], rows, values, tuple(unread), header, header=any(header), texts=True
    )


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


def _header(path: Path, lines: list[str], wanted: Wanted, first_bad: int | None) -> tuple[str, int, list[str]]:
    """The separator by which the header has most of the wanted columns, where the rows after it begin, and its names.

    Where all columns are wanted, one that the rows below fit.
    """
    csv.field_size_limit(2**31 - 1)  # a very long answer is no fault
    readings = [(separator, *first_record(lines, separator)) for separator in SEPARATORS]
    check_width(path, max(len(header) for _, _, header in readings))

    def fit(reading: tuple[str, int, list[str]]) -> tuple[bool, int]:
        separator, after, header = reading
        few = islice(records(lines[: after + ROWS_TO_FIT], after, separator, len(header)), ROWS_TO_FIT)
        good = wanted is not everything or all(record.fault is None for record in few)
        return good and len(header) > 1, len({name for name in header if wanted(name)})

    separator, after, header = max(readings, key=fit)
    if first_bad is not None and SURROGATE.search("".join(lines[:after])):
        raise InputError(f"{path}: not UTF-8 (byte {first_bad})")
    return separator, after, header


def first_record(lines: list[str], separator: str) -> tuple[int, list[str]]:
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    try:
        header = next((fields for fields in reader if fields), [])
    except csv.Error:
        header = []
    return reader.line_num, [tidy(name) for name in header]


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


def not_utf8(row: int, first_bad: int | None, text: str) -> Unread:
    """The fault of a row whose bytes are no text."""
    message = f"row {row}: not UTF-8" if first_bad is None else f"not UTF-8 (byte {first_bad})"
    return Unread(row, NOT_UTF8, "", message, text)


# ---- JSON


def _json_lines(path: Path, content: bytes, wanted: Wanted) -> FileRows:
    text, first_bad = decoded(content)
    rows, items, unread = [], [], []
    for row, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        item = _loaded(line)
        if isinstance(item, dict) and not (first_bad is not None and SURROGATE.search(line)):
            rows.append(row)
            items.append(item)
        elif isinstance(item, dict):
            unread.append(not_utf8(row, first_bad, line))
        else:
            what = item.what if isinstance(item, _NotJson) else "not an object"
            unread.append(Unread(row, NOT_JSON, what, f"row {row}: not JSON: {what}", line))
    return _of_objects(path, rows, items, wanted, tuple(unread))


def _json(path: Path, content: bytes, wanted: Wanted) -> FileRows:
    """A list of objects; or an object of objects, which are the rows by its keys; or one object, which is the row."""
    text, first_bad = decoded(content)
    if first_bad is not None:
        raise InputError(f"{path}: not UTF-8 (byte {first_bad})")
    loaded = _loaded(text)
    if isinstance(loaded, _NotJson):
        hint = "; where each line is an object, its name should end in .jsonl" if "\n{" in text.strip() else ""
        raise InputError(f"{path}: not JSON: {loaded.what}{hint}")
    if isinstance(loaded, dict) and loaded and all(isinstance(item, dict) for item in loaded.values()):
        loaded = [{KEY: key, **item} for key, item in loaded.items()]
    items = loaded if isinstance(loaded, list) else [loaded]
    good = [(row, item) for row, item in enumerate(items, 1) if isinstance(item, dict)]
    if not good:
        raise InputError(f"{path}: expected a list of objects, or an object")
    bad = [row for row, item in enumerate(items, 1) if not isinstance(item, dict)]
    unread = [Unread(row, NOT_JSON, "not an object", f"row {row}: not an object", "") for row in bad]
    return _of_objects(path, [row for row, _ in good], [item for _, item in good], wanted, tuple(unread))


def _of_objects(
    path: Path, rows: list[int], items: list[dict[str, Any]], wanted: Wanted, unread: tuple[Unread, ...]
) -> FileRows:
    all_names = list(dict.fromkeys(chain.from_iterable(items)))
    check_width(path, len(all_names))
    names = [name for name in all_names if wanted(name)]
    return FileRows(names, rows, [[item.get(name) for name in names] for item in items], unread, all_names)


class _NotJson(NamedTuple):
    what: str


def _loaded(text: str) -> Any:
    """What a text says in JSON, its keys as `tidy` has them; or what is wrong with it."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        return _NotJson(f"{error.msg} at {place}character {error.colno}")
    except (ValueError, RecursionError):
        return _NotJson("a key stands twice, it is nested too deep, or a number has thousands of digits")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = {tidy(key): value for key, value in pairs}
    if len(item) < len(pairs):
        raise ValueError("a key stands twice")
    return item


# ---- Parquet and Excel


def _parquet(path: Path, content: bytes, wanted: Wanted) -> FileRows:
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        check_width(path, len(file.schema_arrow.names))
        all_names = list(map(tidy, file.schema_arrow.names))
        own = [name for name in file.schema_arrow.names if wanted(tidy(name))]
        if len(set(own)) < len(own):  # which of them is wanted, nobody can say
            return FileRows(list(map(tidy, own)), [], [], (), all_names)
        if BYTES_OF_A_CELL * file.metadata.num_rows * len(own) > LARGEST_UNPACKED:
            raise InputError(f"{path}: more than {LARGEST_UNPACKED:,} bytes when unpacked")
        table = file.read(columns=own)
        columns = [_values(table.column(name)) for name in own]
    except (InputError, MemoryError):
        raise
    except (
        Exception
    ):  # the library raises what it happens to meet in a damaged file, or in a date of the year 5,881,580
        raise InputError(f"{path}: not Parquet, or damaged") from None
    values = list(zip(*columns, strict=True))
    return FileRows(list(map(tidy, own)), list(range(1, len(values) + 1)), values, (), all_names)


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # Arrow keeps bytes without looking whether they are text
        return column.cast(pa.large_binary()).to_pylist()


def _excel(path: Path, content: bytes, wanted: Wanted, sheet: str | None) -> FileRows:
    """A sheet, its first row that is not empty the header; a formula counts as what it came to when it was saved."""
    from openpyxl import load_workbook  # a second's import, for those who have such a file

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(item.file_size for item in archive.infolist()) > LARGEST_UNPACKED:
                raise InputError(f"{path}: more than {LARGEST_UNPACKED:,} bytes when unpacked")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        if sheet is not None and sheet not in book.sheetnames:
            raise one_of(f"{path}: sheet", sheet, book.sheetnames)
        cells_of = book[sheet or book.sheetnames[0]]
        cells_of.reset_dimensions()  # what a file says of its size may be wrong
        lines = list(enumerate(cells_of.iter_rows(max_row=MOST_ROWS, max_col=MOST_COLUMNS, values_only=True), 1))
    except (InputError, MemoryError):
        raise
    except Exception:  # the library raises what it happens to meet in a damaged file
        raise InputError(f"{path}: not Excel (.xlsx), or damaged") from None
    lines = [(row, cells) for row, cells in lines if any(cell not in (None, "") for cell in cells)]
    if not lines:
        return FileRows([], [], [])
    header = [tidy(as_text(cell)) for cell in lines[0][1]]
    while header and not header[-1]:
        header.pop()
    places = [place for place, name in enumerate(header) if wanted(name)]
    rows, values, unread = [], [], []
    for row, cells in lines[1:]:
        if any(cell not in (None, "") for cell in cells[len(header) :]):
            what = f"cells beyond the {len(header)} columns that the header has"
            unread.append(Unread(row, FIELDS, what, f"row {row}: {what}", "\x1f".join(map(as_text, cells))))
            continue
        rows.append(row)
        values.append([_cell(cells[place]) if place < len(cells) else None for place in places])
    return FileRows([header[place] for place in places], rows, values, tuple(unread), header, header=any(header))


def _cell(value: Any) -> Any:
    """A cell's value; a whole number as one, since Excel has no other kind than decimals."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_text(value: Any) -> str:
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
