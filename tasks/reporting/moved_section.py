"""What a run of the study moved, against the last one that rested on other ratings or settings."""

from __future__ import annotations

from typing import Any

from configs.schema import Study
from tasks.reporting.document import Fold, Table, Text
from tasks.reporting.facts import Earlier, Facts
from tasks.reporting.tables import Row, Tables, rows, titled
from tasks.reporting.words import MINUS, finite, label_sentence, number, whole


def what_moved(study: Study, tables: Tables, facts: Facts) -> list[Any]:
    """How many pooled effects moved, which by how much, and all of them behind a fold."""
    found = rows(tables, "moved")
    if not found:
        return []
    known = [row for row in found if finite(row["change"])]
    changed = sorted((row for row in known if row["moved"] == 1), key=lambda row: -abs(row["change"]))
    earlier = facts.earlier or Earlier("before", "")
    same = earlier.ratings_digest == facts.ratings_digest
    what = "The ratings are the same, settings changed." if same else "The ratings changed since."
    beyond = sum(row["beyond"] == 1 for row in known)
    text = (
        f"Against the run of {earlier.created}. {what} Of {whole(len(known))} pooled effects that "
        f"both have, {whole(len(changed))} moved in the third digit or before it, {whole(beyond)} beyond the 95% "
        f"interval that it had. The runs share ratings, so a change is not a test. {label_sentence(study)}"
    )
    parts: list[Any] = [Text(text.strip())]
    if changed:
        parts.append(_table(study, changed))
    rest = [row for row in found if row not in changed]
    return [
        *parts,
        *([Fold(f"{whole(len(rest))} that did not, or are new or gone", [_table(study, rest)])] if rest else []),
    ]


def _table(study: Study, found: list[Row]) -> Table:
    header = ["Contrast", "Dimension", "Before", "Now", "Change", "k before", "k now", "Beyond its interval"]
    body = [
        [row["contrast"].replace(" - ", f" {MINUS} "), titled(study, row), number(row["before"]), number(row["after"]),
         number(row["change"]), whole(row["k_before"]), whole(row["k_after"]), "yes" if row["beyond"] == 1 else "no"]
        for row in found
    ]  # fmt: skip
    return Table(header, "llrrrrrl", body)
