"""What the audit found, row by row: a row is a condition and a group of raters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from configs.schema import Study
from tasks.reporting.tables import Row, Tables, rows
from tasks.reporting.words import FEW, finite, stratum_title


def voices(study: Study, tables: Tables) -> list[Row]:
    """The rows of the audit.

    Adds `name` (the condition, with its experiment where two share a name), `group` (the stratum as people call it,
    marked where it is small), `open` (whether everybody's ratings go in), `voice` (share of preferences over share of
    ratings) and `heard` (majorities of the group on which the condition has a preference).
    """
    found = rows(tables, "audit")
    times = Counter(name for _, name in {(row["experiment"], row["condition"]) for row in found})
    for row in found:
        experiment, condition = row["experiment"], row["condition"]
        row |= {
            "name": condition if times[condition] == 1 else f"{experiment} / {condition}",
            "group": f"{stratum_title(study, row['stratum'])}{' †' if row['n_participants'] < FEW else ''}",
            "open": _stratum(study, experiment, condition) is None,
            "voice": ratio(row["share_of_preferences"], row["share_of_ratings"]),
            "heard": _heard(row),
        }
    return found


def _stratum(study: Study, experiment: str, condition: str) -> str | None:
    """The stratum that a condition trains on; none for a condition that the study doesn't know."""
    if experiment not in study.experiments or condition not in study.experiments[experiment].conditions:
        return None
    return study.experiments[experiment].conditions[condition].stratum


def _heard(row: Row) -> float:
    return round(row["n_majorities"] * (1 - row["majority_unheard"])) if _counted(row) else math.nan


def _counted(row: Row) -> bool:
    return finite(row["n_majorities"], row["majority_unheard"])


def ratio(part: float, whole: float) -> float:
    """Part over whole; NaN where that is no number."""
    return part / whole if finite(part, whole) and whole > 0 else math.nan


def each_group(found: Sequence[Row]) -> list[Row]:
    """A row for each group, of the first condition that everybody's ratings go into, or else of the first at all."""
    first: dict[str, Row] = {}
    for row in sorted(found, key=lambda row: not row["open"]):
        first.setdefault(row["stratum"], row)
    return [first[name] for name in dict.fromkeys(row["stratum"] for row in found)]
