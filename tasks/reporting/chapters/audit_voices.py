"""What the audit found, row by row: a row is a condition and a group of raters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tasks.audit.tables import Audit
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, stratum_title


def voices(results: Results) -> list[Row]:
    """The rows of the audit.

    Adds `name` (the condition, with its experiment where two share a name), `small` (few participants), `group` (the
    stratum as people call it, marked where it is small), `open` (whether everybody's ratings go in), `voice` (share of
    preferences over share of ratings) and `heard` (majorities of the group on which the condition has a preference).
    """
    study, audited = results.study, results.rows(Audit)
    times = Counter(name for _, name in {(row["experiment"], row["condition"]) for row in audited})
    for row in audited:
        experiment, condition = row["experiment"], row["condition"]
        small = row["n_participants"] < study.survey.min_participants
        conditions = study.experiments[experiment].conditions if experiment in study.experiments else {}
        stratum = conditions[condition].stratum if condition in conditions else None
        weight, asked = row["share_of_preferences"], row["share_of_ratings"]
        heard = row["n_majorities"] * (1 - row["majority_unheard"])
        row |= {
            "name": condition if times[condition] == 1 else f"{experiment} / {condition}",
            "small": small,
            "group": f"{stratum_title(study, row['stratum'])}{' †' if small else ''}",
            "open": stratum is None,
            "voice": weight / asked if finite(weight, asked) and asked > 0 else math.nan,
            "heard": round(heard) if finite(heard) else math.nan,
        }
    return audited


def each_group(rows: Sequence[Row]) -> list[Row]:
    """A row for each group, of the first condition that everybody's ratings go into, or else of the first at all."""
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: not row["open"]):
        first.setdefault(row["stratum"], row)
    return [first[name] for name in dict.fromkeys(row["stratum"] for row in rows)]
