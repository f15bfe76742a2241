"""Read any table of effects to pool; every fault is told with its row and column, all of a file at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.errors import InputError
from tasks.meta_analysis.beside import BESIDE
from tasks.meta_analysis.pooling import LARGEST, MORE, SMALLEST, STATISTICS
from tasks.ratings.reading.delimited import Fault, as_numbers, is_missing, read_delimited, refuse, shown

NUMBERS = ("estimate", "std_error")
STUDY_COLUMNS = ("architecture", "study", "label")
"""The column that names a row, if the table has one of them."""
NAME, WITHOUT = "name of the effect", "without"
"""What names a row here, and in the table where each is left out."""
SHARED, WEIGHT = "what effects share", "share of the weight"
"""What a row has in common with others, and its share in the pool where that is not as its own error says."""
TAKEN = (*STATISTICS, *MORE, "p_holm", "hksj_p_holm", *BESIDE, WITHOUT, NAME, SHARED, WEIGHT)
"""Columns of the results, so that none of them can name a group."""


class NamedEffects(NamedTuple):
    """The columns of `by`, `NAME`, estimate and std_error, and `SHARED` if asked for, indexed by line, and what a
    reader should know of them."""

    table: pd.DataFrame
    notes: list[str]


def read_effects(path: Path, by: Sequence[str], shares: str | None = None) -> NamedEffects:
    """The effects of a delimited file, named by its column architecture, study or label, else `row N`.

    Blanks around the names of groups and effects don't count. shares: the column that says what a row has in common
    with others; where it is missing, with none.

    Raises:
        InputError: the file can't be read or has no row; a column is missing or stands twice; a number is missing, not
            one, not finite or beyond what can be pooled; a standard error is not above 0; a group is empty; a row names
            the same effect as one before; `by` has a column twice, or one that the results have too; `shares` is one of
            the numbers.
    """
    _check_by(by)
    if shares in NUMBERS:
        raise InputError(f"--shares {shares}: a number, not what effects share")
    wanted = dict.fromkeys([*by, *([shares] if shares else []), *NUMBERS])
    source = read_delimited(path, list(wanted), STUDY_COLUMNS)
    if source.frame.empty and not source.faults:
        raise InputError(f"{path}: no row below the header")
    texts = source.frame.apply(lambda column: column.str.strip())
    naming = next((column for column in STUDY_COLUMNS if column in texts and column not in by), None)
    numbers = {column: as_numbers(texts[column], source.decimal_comma) for column in NUMBERS}
    table = texts[list(by)].assign(**{NAME: _names(texts, naming)}, **numbers)
    bad = (fault for name in NUMBERS for fault in _bad_numbers(texts[name], numbers[name]))
    refuse(path, [*source.faults, *_empty_groups(table, by), *bad, *_repeated(table[[*by, NAME]], naming)])
    notes = _blanks(source.frame[list(by)], table)
    if shares:
        table[SHARED] = ["" if is_missing(text) else text for text in texts[shares]]
        alone = int((table[SHARED] == "").sum())
        notes += [f"{shares} is missing in {alone} of {len(table)} rows, which share it with none"] if alone else []
    return NamedEffects(table, notes)


def _check_by(by: Sequence[str]) -> None:
    for number, column in enumerate(by):
        if column in by[:number]:
            raise InputError(f"--by {column}: named twice")
        if column in NUMBERS:
            raise InputError(f"--by {column}: a number, not a group")
        if column in TAKEN:
            raise InputError(f"--by {column}: the results have a column of this name; give the table's another one")


def _names(texts: pd.DataFrame, naming: str | None) -> list[str]:
    """What each row is called; a row without a name is `row N`."""
    own = texts[naming] if naming else pd.Series("", index=texts.index)
    return [f"row {row}" if is_missing(name) else name for row, name in own.items()]


# ---- faults and notes


def _empty_groups(texts: pd.DataFrame, by: Sequence[str]) -> Iterator[Fault]:
    for column in by:
        for row, text in texts[column].items():
            if is_missing(text):
                what = f"missing ({shown(text)})" if text else "empty"
                yield Fault(row, column, f"{what}, and it says to which group the row belongs")


def _bad_numbers(texts: pd.Series, numbers: pd.Series) -> Iterator[Fault]:
    of_error = texts.name == "std_error"
    rules: list[tuple[Callable[[float], bool], str]] = [
        (np.isnan, "not a number: {text}"),
        (np.isinf, "must be finite, got {number}"),
        (lambda number: of_error and number <= 0, "must be above 0, got {number:g}"),
        (
            lambda number: of_error and not SMALLEST <= number <= LARGEST,
            f"must be from {SMALLEST} to {LARGEST}, got {{number}}",
        ),
        (lambda number: abs(number) > LARGEST, f"must be from -{LARGEST} to {LARGEST}, got {{number}}"),
    ]
    for row, text, number in zip(texts.index, texts, numbers, strict=True):
        if is_missing(text) or text.casefold() == "none":
            yield Fault(row, str(texts.name), "missing; leave the row out if it has no effect")
            continue
        broken = next((why for rule, why in rules if rule(number)), None)
        if broken:
            yield Fault(row, str(texts.name), broken.format(text=shown(text), number=number))


def _repeated(named: pd.DataFrame, naming: str | None) -> Iterator[Fault]:
    for row, name in named.loc[named.duplicated(), NAME].items():
        yield Fault(row, naming or "", f"{shown(name)} has an effect in this group already")


def _blanks(raw: pd.DataFrame, texts: pd.DataFrame) -> list[str]:
    """A sentence on each column whose groups differ by blanks only."""
    notes = []
    for column in raw:
        if raw[column].nunique() > texts[column].nunique():
            rows = raw.index[raw[column] != texts[column]]
            notes.append(f"{column}: blanks around a group's name don't count, first in row {rows[0]}")
    return notes
