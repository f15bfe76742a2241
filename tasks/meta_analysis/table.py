"""Read any table of effects to pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from configs.errors import InputError, one_of

NUMBERS = ("estimate", "std_error")


def read_effects(path: Path, by: Sequence[str]) -> pd.DataFrame:
    """The columns `by`, `estimate` and `std_error` of a CSV file; a row that lacks a number counts for nothing.

    Raises:
        InputError: the file can't be read; a column is missing; a number or a group is not one, with its row.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # pandas' own for what is no CSV, and Python's for what is not UTF-8
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    for column in (*by, *NUMBERS):
        if column not in table:
            raise one_of(f"{path}: columns", column, table.columns)
    for column in NUMBERS:
        table[column] = _numbers(table[column], path)
    if bad := [(n, value) for n, value in enumerate(table["std_error"], start=2) if value <= 0]:
        raise InputError(f"{path}: row {bad[0][0]}, column std_error: must be above 0, got {bad[0][1]:g}")
    for column in by:
        if (table[column] == "").any():
            row = int((table[column] == "").to_numpy().argmax()) + 2
            raise InputError(f"{path}: row {row}, column {column}: empty, and it says to which group the row belongs")
    return table[[*by, *NUMBERS]]


def _numbers(texts: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = numbers.isna() & ~texts.str.strip().str.lower().isin(("", "na", "nan"))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(f"{path}: row {row + 2}, column {texts.name}: not a number: {texts.iloc[row]!r}")
    return numbers
