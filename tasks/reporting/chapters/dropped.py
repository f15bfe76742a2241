"""What was left out between the ratings and the training data, and why."""

from __future__ import annotations

from tasks.preferences.tables import Drops
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.document import Fold, Part, Table, Text
from tasks.reporting.house.words import whole


def _parts(results: Results) -> list[Part]:
    drops = results.rows(Drops)
    table = Table.of(
        drops,
        ("Condition", "l", lambda r: r["condition"]),
        ("Step", "l", lambda r: r["step"]),
        ("Reason", "l", lambda r: r["reason"]),
        ("Dropped", "r", lambda r: whole(r["dropped"])),
        ("Kept", "r", lambda r: whole(r["kept"])),
    )
    text = "Everything that was left out between the ratings and the training data, and why."
    return [Text(text), Fold(f"{len(drops)} entries", [table])] if drops else []


CHAPTER = Chapter("dropped", "What was dropped", [Drops], parts=_parts)
