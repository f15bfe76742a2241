"""Read any table of effects to pool; every fault is one line that names row and column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError, one_of

NUMBERS = ("estimate", "std_error")
STUDY_COLUMNS = ("architecture", "study", "label")
"""The column that names a row, if the table has one of them."""


def read_effects(path: Path, by: Sequence[str]) -> pd.DataFrame:
    """The columns `by`, `label`, `estimate` and `std_error` of a CSV file.

    label: what the file's column architecture, study or label says, else `row N`.

    Raises:
        InputError: the file can't be read or has no row; a column is missing or stands twice; a number is missing, not
            one or not finite; a standard error is not above 0; a group is empty; a row names the same effect as one
            before. With the row, counted as a text editor does where no cell has a line of its own.
    """
    table = _read(path)
    for number, column in enumerate(by):
        if column in NUMBERS or column in by[:number]:
            raise InputError(f"--by {column}: {'named twice' if column in by[:number] else 'a number, not a group'}")
    for column in (*by, *NUMBERS):
        if column not in table:
            raise one_of(f"{path}: columns", column, table.columns)
    for column in by:
        empty = table[column].str.strip() == ""
        _refuse(empty, table, path, column, "empty, and it says to which group the row belongs")
    numbers = {column: _numbers(table, path, column) for column in NUMBERS}
    _refuse(numbers["std_error"] <= 0, table, path, "std_error", "must be above 0, got {value}")
    name = next((column for column in STUDY_COLUMNS if column in table and column not in by), None)
    if name:
        twice = table[[*by, name]].apply(lambda column: column.str.strip()).duplicated()
        _refuse(twice, table, path, name, "{value!r} has an effect in this group already")
    labels = table[name] if name else [f"row {number}" for number in range(2, len(table) + 2)]
    return table[list(by)].assign(label=labels, **numbers)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: empty; expected a header with {' and '.join(NUMBERS)}") from None
    except ValueError as error:  # pandas' own for what is no CSV, and Python's for what is not UTF-8
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(f"{path}: row 2: more values than the header has columns")
    if table.empty:
        raise InputError(f"{path}: no row below the header")
    return table


def _numbers(table: pd.DataFrame, path: Path, column: str) -> pd.Series:
    missing = table[column].str.strip().str.lower().isin(("", "na", "nan", "null", "none"))
    _refuse(missing, table, path, column, "missing; leave the row out if it has no effect")
    numbers = pd.to_numeric(table[column].str.strip(), errors="coerce")
    _refuse(numbers.isna(), table, path, column, "not a number: {value!r}")
    _refuse(~np.isfinite(numbers), table, path, column, "must be finite, got {value}")
    return numbers.astype(float)


def _refuse(wrong: pd.Series, table: pd.DataFrame, path: Path, column: str, why: str) -> None:
    """An `InputError` of the first row that is wrong; `why` may name its {value}."""
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        fault = why.format(value=table[column].iloc[row])
        raise InputError(f"{path}: row {row + 2}, column {column}: {fault}")
