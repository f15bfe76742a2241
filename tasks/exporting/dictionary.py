"""The dictionary of an export's columns, made of the declarations of its tables."""

from __future__ import annotations

from collections.abc import Mapping

from pandera.typing import DataFrame

from tasks.exporting.tables import Dictionary
from tasks.runtime.tables import Table, columns_of

TYPES = {
    "str": "text",
    "float64": "number",
    "int64": "whole number",
    "Int64": "whole number",
    "bool": "true or false",
}


def dictionary(files: Mapping[str, type[Table]]) -> DataFrame[Dictionary]:
    """One row a column; `files`: path in the export → declaration."""
    rows = []
    for file, declared in files.items():
        schema = declared.to_schema().columns
        for name, column in columns_of(declared).items():
            missing = "yes" if column.missing else "no"
            rows.append((file, name, TYPES[str(schema[name].dtype.type)], column.unit, column.meaning, missing))
    return Dictionary.checked(rows)
