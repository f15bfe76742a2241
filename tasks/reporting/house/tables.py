"""The rows of a study's tables, with every value text or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tasks.runtime.tables import Table, columns_of, name_of

Row = dict[str, Any]
Tables = Mapping[str, pd.DataFrame]


def rows(tables: Tables, table: type[Table], **match: object) -> list[Row]:
    """The rows of a table as dictionaries, text as str and the rest as float; none where the study has no such table.

    `match` keeps the rows whose columns have these values.

    Raises:
        KeyError: the table lacks a declared column.
    """
    frame, columns = tables.get(name_of(table)), columns_of(table)
    if frame is None:
        return []
    read = [_text if column.text else _float for column in columns.values()]
    clean = [
        {name: as_read(value) for name, as_read, value in zip(columns, read, values, strict=True)}
        for values in frame[list(columns)].itertuples(index=False)
    ]
    return [row for row in clean if all(row[key] == value for key, value in match.items())]


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
