"""Tables that stages hand on: each is declared once, by the room that makes it, and checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame


class Table(pa.DataFrameModel):
    """A table's columns in their order; the docstring says what a row is.

    Its file in `tables/` has the name of the class, in lower case with underscores.

    An integer that may be missing is a `pd.Int64Dtype`; text that may be missing is "" and never missing.
    """

    class Config:
        strict = True
        coerce = True

    @classmethod
    def checked(cls, data: pd.DataFrame | list[Any]) -> DataFrame[Self]:
        """A frame, or rows (dictionaries, or tuples in the order of the columns), as this table.

        The columns get their order and their types.

        Raises:
            ValueError: a column is missing or not declared; a value is missing where none may, or of another type.
        """
        names = list(columns_of(cls))
        if isinstance(data, list):
            data = pd.DataFrame(data, columns=None if data and isinstance(data[0], Mapping) else names)
        for kind, wrong in (("no", set(names) - set(data)), ("an undeclared", set(data) - set(names))):
            if wrong:
                raise ValueError(f"table {name_of(cls)}: {kind} column {', '.join(map(repr, sorted(wrong)))}")
        for name, declared in cls.to_schema().columns.items():
            if declared.dtype.type == "int64" and not (pd.to_numeric(data[name], errors="coerce") % 1 == 0).all():
                raise ValueError(f"table {name_of(cls)}: column {name!r} is not whole numbers throughout")
        try:
            return cls.validate(data[names].reset_index(drop=True))
        except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
            raise ValueError(f"table {name_of(cls)}: {' '.join(str(error).split())}") from None


def column(meaning: str, unit: str = "", missing: bool = False, name: str | None = None) -> Any:
    """A column: what it says, in which unit ("" for text and plain numbers), and whether a value may be missing.

    `name`: its name in the table, where that is one that a class can't give to its attribute.
    """
    return pa.Field(description=meaning, nullable=missing, metadata={"unit": unit}, alias=name)


class Column(NamedTuple):
    """A column as it is declared."""

    meaning: str
    unit: str
    missing: bool
    text: bool


def name_of(table: type[Table]) -> str:
    """The name of a table's file in `tables/`, without its ending."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(table.to_schema().name)).lower()


def columns_of(table: type[Table]) -> dict[str, Column]:
    """A table's columns by name, in their order."""
    return {
        name: Column(column.description, column.metadata["unit"], column.nullable, str(column.dtype.type) == "str")
        for name, column in table.to_schema().columns.items()
    }
