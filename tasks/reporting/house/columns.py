"""Columns of the report's tables: a heading, and how the cell of a row is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from configs.schema import Study
from tasks.reporting.house.document import Column
from tasks.reporting.house.effects import contrast_text, trusted
from tasks.reporting.house.words import interval, number, p_value, percent, title_of, whole

Keys = Mapping[str, str]
"""Heading → the column of the study's table that it shows."""


def _columns(keys: Keys, side: str, write: Callable[[Any], str]) -> list[Column]:
    def column(heading: str, key: str) -> Column:
        return heading, side, lambda row: write(row[key])

    return [column(heading, key) for heading, key in keys.items()]


def texts(keys: Keys) -> list[Column]:
    return _columns(keys, "l", str)


def counts(keys: Keys) -> list[Column]:
    """`1,095`."""
    return _columns(keys, "r", whole)


def shares(keys: Keys) -> list[Column]:
    """`85.3%`."""
    return _columns(keys, "r", percent)


def numbers(keys: Keys, digits: int = 3) -> list[Column]:
    """`−0.242`."""
    return _columns(keys, "r", partial(number, digits=digits))


def p_values(keys: Keys) -> list[Column]:
    """`.010`."""
    return _columns(keys, "r", p_value)


def span(heading: str = "95% CI", low: str = "ci_low", high: str = "ci_high", digits: int = 3) -> Column:
    """`−0.301 to −0.183`."""
    return heading, "r", lambda row: interval(row[low], row[high], digits)


def estimate(heading: str) -> list[Column]:
    """An estimate, and the interval to trust."""
    return [*numbers({heading: "estimate"}), ("95% CI", "r", lambda row: interval(*trusted(row)))]


def dimension_column(study: Study) -> Column:
    return "Dimension", "l", lambda row: title_of(study, row["dimension"])


def effect_of(study: Study, heading: str = "Contrast") -> list[Column]:
    """Which effect a line is of: its contrast and its dimension."""
    return [(heading, "l", contrast_text), dimension_column(study)]
