"""The tables of a study by name, and their rows with every value text or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from configs.schema import Study
from tasks.audit.tables import Audit
from tasks.effects.tables import Cells, Doses, Effects, Scores
from tasks.generation.tables import Health
from tasks.judging.tables import JudgeAgreement, JudgeCalibration, JudgeStrata, Unscored
from tasks.meta_analysis.tables import LeaveOneOut, Moved, Pairwise, Pooled, PoolingMethods, Ratios
from tasks.preferences.tables import Drops
from tasks.reporting.words import MINUS, finite, title_of
from tasks.runtime.tables import Table, columns_of, name_of
from tasks.survey.tables import (
    Cooccurrence,
    Disagreement,
    OrdinalModels,
    OrdinalRegression,
    Participants,
    Reliability,
    SurveyContrasts,
)

Row = dict[str, Any]
Tables = Mapping[str, pd.DataFrame]

DECLARED: dict[str, type[Table]] = {
    name_of(table): table
    for table in (
        *(Participants, Disagreement, Cooccurrence, Reliability, SurveyContrasts, OrdinalRegression, OrdinalModels),
        *(Audit, Drops, Cells, Doses, Health, JudgeAgreement, JudgeStrata, JudgeCalibration, Unscored, Scores, Effects),
        *(Pooled, PoolingMethods, LeaveOneOut, Pairwise, Ratios, Moved),
    )
}
"""All tables of a study by their name, in the order of reading."""


def rows(tables: Tables, table: type[Table] | str, **match: object) -> list[Row]:
    """The rows of a table as dictionaries, text as str and the rest as float; none where the study has no such table.

    `match` keeps the rows whose columns have these values. A declared column that the table lacks is a KeyError.
    """
    table = DECLARED[table] if isinstance(table, str) else table
    frame, columns = tables.get(name_of(table)), columns_of(table)
    if frame is None:
        return []
    read = [_text if column.text else _float for column in columns.values()]
    clean = [
        {name: as_read(value) for name, as_read, value in zip(columns, read, values, strict=True)}
        for values in frame[list(columns)].itertuples(index=False)
    ]
    return [row for row in clean if all(row[key] == value for key, value in match.items())]


def pooled_rows(study: Study, tables: Tables, experiment: str) -> list[Row]:
    """The pooled effects of an experiment's contrasts, in the order of its settings.

    Adds `first` and `second` (the sides of the contrast), `focus` (whether the dimension is what it is about: named
    in its focus, or no focus given) and, where the table lacks them, `published` and `published_p` of the settings.
    """
    by_key = {(row["contrast"], row["dimension"]): row for row in rows(tables, "pooled", experiment=experiment)}
    found = []
    for name, contrast in study.experiments[experiment].contrasts.items():
        for dimension in study.evaluation.dimensions:
            row, known = by_key.get((name, dimension)), contrast.published.get(dimension)
            if row is None:
                continue
            row |= {
                "first": name.first,
                "second": name.second,
                "focus": not contrast.focus or dimension in contrast.focus,
            }
            if known and not finite(row["published"]):
                row["published"] = _float(known.estimate)
            row["published_p"] = row["published_p"] or (known.p if known and known.p else "")
            found.append(row)
    return found


def contrast_text(row: Row) -> str:
    """`5-point − binary`, with a proper minus."""
    return f"{row['first']} {MINUS} {row['second']}"


def titled(study: Study, row: Row) -> str:
    """The title of a row's dimension."""
    return title_of(study, row["dimension"])


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
