"""CSV files for people, whose spreadsheets take a text that begins like a formula for one: written harmless, read back.

A text that begins with = + - @, a tab or a carriage return, after blanks or apostrophes too, gets an apostrophe before
it, and so does the name of a column. Reading takes it away again, so that any text comes back as it was.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

FORMULA = re.compile(r"'*\s*[=+\-@\t\r＝＋－＠]")


def guarded(text: object) -> object:
    """A text that no spreadsheet runs; what is no text stays as it is."""
    return f"'{text}" if isinstance(text, str) and FORMULA.match(text) else text


def unguarded(text: object) -> object:
    """The text that `guarded` made this of."""
    return text[1:] if isinstance(text, str) and text.startswith("'") and FORMULA.match(text[1:]) else text


def for_spreadsheet(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its texts and the names of its columns guarded."""
    return _each_text(table, guarded)


def as_csv(table: pd.DataFrame) -> str:
    """The table as a CSV file without its index, fit for a spreadsheet.

    Python's csv leaves a carriage return outside quotes, where it would begin a line: then every text is quoted.
    """
    text = for_spreadsheet(table).to_csv(index=False)
    return for_spreadsheet(table).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """The table of which `as_csv` made the file; empty cells are missing, and nothing else is."""
    return _each_text(pd.read_csv(path, keep_default_na=False, na_values=[""], **options), unguarded)


def _each_text(table: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    changed = table.copy()
    for place, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            changed.isetitem(place, pd.Series([change(cell) for cell in table.iloc[:, place]], index=table.index))
    return changed.set_axis([change(name) for name in table.columns], axis=1)
