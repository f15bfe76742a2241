"""The rows of a table out of those of its file: elements of lists, values of objects, columns one below the other.

A row of the table is known by a number that says which row of the file it came from, and which of them it was
(`Places`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.codebook import ExportColumn, ExportTable, normal, tidy
from tasks.ratings.reading.formats import KEY, SURROGATE, FileRows, Unread, as_text, not_utf8
from tasks.runtime.fingerprint import fingerprint

ROW, FILE_NAME, NUMBER, TEXT, DIGEST, ONLY_ONE = "@row", "@file", "@number", "=", "#", "*"
WITH_TEXT_BEFORE = re.compile(rf"^(?P<text>[^.@=#]+)(?P<place>{KEY}|{ROW})$")
"""`Ann@key`: a key or a row's number with a text before it."""
PARALLEL = "lists of different lengths"
NOT_WANTED = "rows that the codebook leaves behind (only)"
FILE = 10**13
"""Above all numbers of rows: numbers of the second file's rows begin here."""


class _Absent:
    """No such place; as a text, nothing."""

    def __str__(self) -> str:
        return ""


ABSENT = _Absent()


@dataclass(frozen=True)
class Places:
    """Where the rows of a table stand: so many numbers for each row of a file, and the files' names if several."""

    per_row: int = 1
    files: tuple[str, ...] = ()

    def row(self, number: int) -> int:
        """The row of the file, as a person would look for it."""
        return int(number) % FILE // self.per_row

    def file(self, number: int) -> str:
        """The name of the file, "" where there is one only."""
        return self.files[int(number) // FILE] if self.files else ""

    def named(self, number: int) -> str:
        """`row 3`, or `row 3 of part-2.csv`."""
        file = self.file(number)
        return f"row {self.row(number)}{f' of {file}' if file else ''}"


FROM_ONE_FILE = Places()


@dataclass(frozen=True)
class Shaped:
    """Rows of a table: their numbers, the cells of each, what could not be read, which rows are left behind (`only`),
    and which columns were nowhere."""

    places: Places
    numbers: list[int]
    values: list[list[Any]]
    unread: tuple[Unread, ...]
    left_out: tuple[Unread, ...]
    missing: list[str]


def is_plain(table: ExportTable, columns: Iterable[ExportColumn]) -> bool:
    """Whether the table's rows are the file's, and no column needs more than a look at the header."""
    simple = all(len(column.parts) == 1 and not column.startswith((TEXT, DIGEST, "@")) for column in columns)
    return simple and not (table.each or table.stack or table.only)


def base_columns(table: ExportTable, columns: Iterable[ExportColumn]) -> list[str]:
    """What a file is asked for: the paths that the columns, and the table's shape, begin with."""
    stacked = [tidy(name) for name in (table.stack[0] if table.stack else ())]
    paths = [part for column in columns for part in column.parts] + list(table.only)
    paths += [path for step in table.each for path in _paths(step)]
    paths = [path for path in map(_looked_at, paths) if not _begins_with_any(path, stacked)]
    paths += [_looked_at(path) for one in table.stack for path in one.values()]
    own = [path for path in paths if not path.startswith((TEXT, "@")) or path == KEY]
    return list(dict.fromkeys(path.partition(f".{KEY}")[0].partition(f".{NUMBER}")[0] for path in own))


def shaped(rows: FileRows, table: ExportTable, columns: Sequence[ExportColumn], file: str = "") -> Shaped:
    """The rows of the table, a cell for each column: a text, or what the format has; `file`: what `@file` says."""
    stacked = [tidy(name) for name in (table.stack[0] if table.stack else ())]
    steps = [tuple(map(tidy, _paths(step))) for step in table.each]
    after = [paths for paths in steps if any(_begins_with_any(path, stacked) for path in paths)]
    before = [paths for paths in steps if paths not in after]
    only = {tidy(name): frozenset(map(normal, texts)) for name, texts in table.only.items()}
    separators = {tidy(path): separator for path, separator in table.separators.items()}
    asked = [tuple(map(tidy, column.parts)) for column in columns]
    different = list(dict.fromkeys(part for parts in asked for part in parts))
    numbered: list[tuple[int, int, list[Any]]] = []
    left_out: list[tuple[int, int, str]] = []
    unread, found = [], set[str]()
    for row, values in zip(rows.rows, rows.values, strict=True):
        record = {ROW: row, FILE_NAME: file} | dict(zip(rows.names, values, strict=True))
        try:
            whole = _exploded([record], before, separators)
            records = [
                ({name: as_text(_cell(one, name)) for name in only}, {part: _cell(one, part) for part in different})
                for one in _exploded(_stacked(whole, table), after, separators)
            ]
        except UnicodeEncodeError:  # half a surrogate pair, of which there is no digest
            unread.append(not_utf8(row, None, ""))
            continue
        except ValueError as error:
            unread.append(Unread(row, str(error), "", f"row {row}: {error}", ""))
            continue
        for number, (said, given) in enumerate(records):
            if any(normal(said[name]) not in texts for name, texts in only.items()):
                text = "\x1f".join([*said.values(), *map(as_text, given.values())])
                left_out.append((row, number, SURROGATE.sub("?", text)))
                continue
            there = {part: value for part, value in given.items() if value is not ABSENT}
            found.update(there)
            numbered.append((row, number, [_together([there.get(part) for part in parts]) for parts in asked]))
    most = max([number for _, number, _ in numbered] + [number for _, number, _ in left_out], default=0) + 1
    per_row = 10 ** math.ceil(math.log10(most))
    return Shaped(
        places=Places(per_row),
        numbers=[row * per_row + number for row, number, _ in numbered],
        values=[cells for _, _, cells in numbered],
        unread=tuple(one._replace(row=one.row * per_row) for one in (*rows.unread, *unread)),
        left_out=tuple(Unread(row * per_row + number, NOT_WANTED, "", "", text) for row, number, text in left_out),
        missing=[part for part in different if part not in found] if numbered else [],
    )


def _looked_at(part: str) -> str:
    """The place that a part of a column looks at: itself, or what its digest is of, or what its text stands before."""
    path = tidy(part).removeprefix(DIGEST)
    before = WITH_TEXT_BEFORE.match(path)
    return before["place"] if before else path


def _paths(step: str | Sequence[str]) -> tuple[str, ...]:
    return (step,) if isinstance(step, str) else tuple(step)


def _begins_with_any(path: str, names: Iterable[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _exploded(
    records: Iterable[dict[str, Any]], steps: Sequence[Sequence[str]], separators: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Each record once for every element of the lists, or value of the objects, at these places.

    separators: place → what stands between the elements, where they are one text.

    Raises:
        ValueError: parallel lists differ in length.
    """
    if not steps:
        yield from records
        return
    first, *rest = steps
    for record in records:
        elements = [_elements(_split(resolve(record, path), separators.get(path))) for path in first]
        if len({len(one) for one in elements}) > 1:
            raise ValueError(f"{PARALLEL}: {', '.join(map(repr, first))}")
        for together in zip(*elements, strict=True):
            one = dict(record)
            for path, (name, number, value) in zip(first, together, strict=True):
                one |= {path: value, f"{path}.{NUMBER}": number}
                one |= {f"{path}.{KEY}": name} if name is not None else {}
            yield from _exploded([one], rest, separators)


def _split(value: Any, separator: str | None) -> Any:
    """A text of several elements as a list of them; any other value as it is."""
    if separator is None or not isinstance(value, str) or not tidy(value):
        return value
    return list(map(tidy, value.split(separator)))


def _elements(value: Any) -> list[tuple[str | None, int, Any]]:
    """Key (of an object's), number from 1 and value of each element; one thing alone is its only element."""
    value = _opened(value)
    if isinstance(value, dict):
        return [(key, number, one) for number, (key, one) in enumerate(value.items(), 1)]
    if value is ABSENT or value is None or value == "":
        return []
    return [(None, number, one) for number, one in enumerate(value if isinstance(value, list) else [value], 1)]


def _stacked(records: Iterable[dict[str, Any]], table: ExportTable) -> Iterator[dict[str, Any]]:
    """Each record once for every set of columns in which anything stands."""
    if not table.stack:
        yield from records
        return
    for record in records:
        for names in table.stack:
            found = {tidy(name): _cell(record, tidy(path)) for name, path in names.items()}
            read = [found[tidy(name)] for name, path in names.items() if not path.startswith(TEXT)]
            if not read or any(as_text(value) for value in read):
                yield record | {name: value for name, value in found.items() if value is not ABSENT}


def _cell(record: Mapping[str, Any], part: str) -> Any:
    if part.startswith(TEXT):
        return part[len(TEXT) :]
    if part.startswith(DIGEST) and part not in record:
        text = as_text(value := resolve(record, part[len(DIGEST) :]))
        return value if value is ABSENT else text and fingerprint(text)
    if part not in record and (before := WITH_TEXT_BEFORE.match(part)):
        value = as_text(_cell(record, before["place"]))
        return value and before["text"] + value
    return resolve(record, part)


def _together(values: list[Any]) -> Any:
    """The cell of a column; of several, their texts with a stroke between them, nothing where one is empty."""
    if len(values) == 1:
        return values[0]
    texts = list(map(as_text, values))
    return "/".join(texts) if all(texts) else ""


def resolve(record: Mapping[str, Any], path: str) -> Any:
    """What stands at a place; `ABSENT` where there is no such place. A name with points of its own goes first."""
    if path in record:
        return record[path]
    for end in range(len(path) - 1, 0, -1):
        if path[end] == "." and path[:end] in record:
            return _within(record[path[:end]], path[end + 1 :])
    return ABSENT


def _within(value: Any, path: str) -> Any:
    value = _opened(value)
    if path == ONLY_ONE:
        while isinstance(value, (dict, list)) and len(value) == 1:
            value = next(iter(value.values())) if isinstance(value, dict) else value[0]
        return value
    if isinstance(value, dict):
        return resolve(value, path)
    head, _, rest = path.partition(".")
    if isinstance(value, list) and head.isdecimal() and len(head) < 10 and int(head) < len(value):
        return _within(value[int(head)], rest) if rest else value[int(head)]
    return ABSENT


def _opened(value: Any) -> Any:
    """A text that is a list or an object in JSON, or as Python writes them, as that; any other value as it is."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    for text in (value, value.replace("'", '"')):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    return value
