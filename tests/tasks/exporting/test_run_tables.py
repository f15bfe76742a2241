"""The tables of a run come back as they are declared: every type, every digit, every text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from tasks.exporting.run_tables import run_tables
from tasks.exporting.tables import ReleasedRaters
from tasks.meta_analysis.tables import Pooled
from tasks.reporting.chapters import DECLARED
from tasks.runtime.spreadsheet import as_csv
from tasks.runtime.tables import Table, columns_of
from tasks.survey.tables import RaterIndices

TEXTS = ["", "007", "=1+1", "NA", "True"]
VALUES = {
    "str": TEXTS,
    "float64": [0.1 + 0.2, np.nan, -1e-300, 1 / 3, 12.0],
    "int64": [0, 1, -5, 2**53, 7],
    "Int64": [0, None, 2**53 + 1, 7, None],
    "bool": [True, False, False, True, True],
}


def filled(declared: type[Table]) -> pd.DataFrame:
    """Five rows with what is hard to bring through a CSV file; nothing is missing where it may not be."""
    columns = {}
    for name, column in declared.to_schema().columns.items():
        values = VALUES[str(column.dtype.type)]
        columns[name] = [1.5 if value is np.nan and not column.nullable else value for value in values]
    return declared.checked(pd.DataFrame(columns))


def written(folder: Path, name: str, table: pd.DataFrame) -> Path:
    (folder / f"{name}.csv").write_text(as_csv(table))
    return folder


@pytest.mark.parametrize("name", sorted(set(DECLARED) - {"raters"}))
def test_a_table_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    table = filled(DECLARED[name])
    found = run_tables(written(tmp_path, name, table), {})
    assert list(found) == [name]
    pd.testing.assert_frame_equal(found[name][1], table, check_exact=True)
    found[name][1].to_parquet(tmp_path / "table.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table, check_exact=True)


def test_raters_get_the_pseudonyms_of_the_export_and_its_order(tmp_path: Path) -> None:
    table = filled(RaterIndices).assign(rater=["one", "one", "two", "gone", "two"], n_answers=[1, 2, 3, 4, 5])
    declared, found = run_tables(written(tmp_path, "raters", table), {"one": "zz", "two": "aa"})["raters"]
    assert found[["rater", "n_answers"]].to_numpy().tolist() == [["aa", 3], ["aa", 5], ["zz", 1], ["zz", 2]]
    assert declared is ReleasedRaters
    assert list(columns_of(ReleasedRaters)) == list(columns_of(RaterIndices))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda table: table.drop(columns="k"), "table pooled: no column 'k'"),
        (lambda table: table.assign(more=1), "table pooled: an undeclared column 'more'"),
        (lambda table: table.assign(k="many"), "invalid literal"),
        (lambda table: table.assign(estimate="much"), "could not convert"),
    ],
)
def test_a_table_of_another_version_is_one_clear_line(change, what: str, tmp_path: Path) -> None:
    written(tmp_path, "pooled", change(filled(Pooled)))
    with pytest.raises(InputError, match=f"pooled.csv: .*{what}.*; run the study again") as error:
        run_tables(tmp_path, {})
    assert "\n" not in str(error.value)


def test_a_folder_without_tables_has_none(tmp_path: Path) -> None:
    assert run_tables(tmp_path, {}) == {}
