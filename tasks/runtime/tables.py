"""Tables that stages hand on: each is declared once, by the room that makes it, and checked when it is made."""

from __future__ import annotations

from typing import Any

import pandera.pandas as pa


class Table(pa.DataFrameModel):
    """A table's columns in their order; `Config.name` is the name of its file in `tables/`.

    A missing or an unknown column, and a value missing where none may, raise `pandera.errors.SchemaError`.
    """

    class Config:
        strict = True
        ordered = True


def column(meaning: str, unit: str = "", missing: bool = False) -> Any:
    """A column: what it says, in which unit ("" for text and plain numbers), and whether a value may be missing."""
    return pa.Field(description=meaning, nullable=missing, metadata={"unit": unit})
