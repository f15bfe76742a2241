"""Declared tables: what is not as declared raises where it is made, and the report reads no missing column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.meta_analysis.tables import Pooled
from tasks.reporting.chapters import DECLARED
from tasks.reporting.house.tables import rows
from tasks.runtime.tables import Table, column, columns_of, name_of


class Made(Table):
    """One row a test."""

    name: str = column("what it is")
    n: int = column("how many")
    maybe: pd.Int64Dtype = column("how many, if counted", missing=True)
    share: float = column("of all", "share", missing=True)
    done: bool = column("whether it is done")

    class Config:
        name = "made"


ROW: dict[str, Any] = {"name": "a", "n": 1, "maybe": None, "share": np.nan, "done": True}


def example(table: type[Table]) -> pd.DataFrame:
    """Two rows of a table, with nothing in them."""
    types = {name: str(column.dtype) for name, column in table.to_schema().columns.items()}
    empty = {"bool": False, "int64": 0, "Int64": 0, "float64": 0.0}
    return table.checked([{name: empty.get(type_, "") for name, type_ in types.items()}] * 2)


def test_rows_become_columns_of_the_declared_types_in_their_order() -> None:
    table = Made.checked([dict(reversed(ROW.items())), ROW | {"maybe": 3}])
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        "name": "str", "n": "int64", "maybe": "Int64", "share": "float64", "done": "bool"
    }  # fmt: skip
    assert table.to_csv(index=False) == "name,n,maybe,share,done\na,1,,,True\na,1,3,,True\n"
    same = Made.checked([tuple((ROW | {"maybe": 3}).values())])
    pd.testing.assert_frame_equal(same, table[1:].reset_index(drop=True))


def test_an_empty_table_has_all_columns_with_their_types() -> None:
    assert Made.checked([]).dtypes.equals(Made.checked([ROW]).dtypes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({key: value for key, value in ROW.items() if key != "n"}, "table made: no column 'n'"),
        (ROW | {"m": 1}, "table made: an undeclared column 'm'"),
        (ROW | {"n": None}, "table made.*'n'"),
        (ROW | {"name": None}, "table made.*'name'"),
        (ROW | {"share": "much"}, "table made.*'share'"),
        (ROW | {"n": 1.5}, "table made.*'n'"),
    ],
)
def test_what_is_not_as_declared_raises(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Made.checked([row])


@pytest.mark.parametrize("name", DECLARED)
def test_a_renamed_column_raises_where_it_is_made_and_where_it_is_read(name: str) -> None:
    table = DECLARED[name]
    made = example(table)
    assert len(rows({name: made}, table)) == 2
    for known in columns_of(table):
        renamed = made.rename(columns={known: f"{known}_renamed"})
        with pytest.raises(ValueError, match=f"table {name}: no column '{known}'"):
            table.checked(renamed)
        with pytest.raises(KeyError, match=known):
            rows({name: renamed}, table)


def test_every_table_says_what_a_row_is_and_every_column_what_it_means() -> None:
    for name, table in DECLARED.items():
        assert name_of(table) == name
        assert (table.__doc__ or "").startswith("One row "), name
        assert all(column.meaning for column in columns_of(table).values()), name


def test_a_table_that_the_study_has_not_made_has_no_rows() -> None:
    assert rows({}, Pooled) == []
