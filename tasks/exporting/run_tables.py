"""The tables of a finished run, read back as they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from tasks.exporting.tables import ReleasedRaters
from tasks.reporting.chapters import DECLARED
from tasks.runtime.spreadsheet import read_csv
from tasks.runtime.tables import Table, name_of


def run_tables(folder: Path, names: Mapping[str, str]) -> dict[str, tuple[type[Table], pd.DataFrame]]:
    """Name → declaration and rows of every table in `folder`, in the order of the report.

    names: rater in the run's table of raters → pseudonym of the export. Raters whom it does not have are left out.

    Raises:
        InputError: a table is not as this version declares it.
    """
    found = {}
    for name, declared in DECLARED.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            continue
        table = read_csv(path, dtype=str)
        if name == name_of(ReleasedRaters):
            declared = ReleasedRaters
            known = table[table["rater"].isin(names)]
            table = known.assign(rater=known["rater"].map(names)).sort_values("rater", kind="stable")
        try:
            found[name] = declared, declared.checked(typed(declared, table))
        except ValueError as error:
            raise InputError(f"{path}: {error}; run the study again") from None
    return found


def typed(declared: type[Table], texts: pd.DataFrame) -> pd.DataFrame:
    """A table of texts with the types that its columns are declared to have; columns that are not stay text.

    Raises:
        ValueError: a cell is none of its type.
    """
    table = texts.copy()
    for name, column in declared.to_schema().columns.items():
        if name not in texts:
            continue
        own, kind = texts[name], column.dtype.type
        if kind == "str":
            table[name] = own.fillna("").astype("str")
        elif kind == "bool":
            if not own.isin(["True", "False"]).all():
                raise ValueError(f"column {name!r} is not true or false throughout")
            table[name] = own == "True"
        elif kind == "float64":
            table[name] = own.map(float, na_action="ignore").astype(float)
        else:
            table[name] = own.map(int, na_action="ignore").astype("Int64")
    return table
