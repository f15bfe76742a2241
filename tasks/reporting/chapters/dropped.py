"""What was left out between the ratings and the training data, and why."""

from __future__ import annotations

from tasks.preferences.tables import Drops
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, texts
from tasks.reporting.house.document import Fold, Paragraph, Part, TablePart


def _parts(results: Results) -> list[Part]:
    drops = results.rows(Drops)
    columns = texts({"Condition": "condition", "Step": "step", "Reason": "reason"})
    table = TablePart.of(drops, *columns, *counts({"Dropped": "dropped", "Kept": "kept"}))
    text = "Everything that was left out between the ratings and the training data, and why."
    return [Paragraph(text), Fold(f"{len(drops)} entries", [table])] if drops else []


CHAPTER = Chapter("dropped", "What was dropped", [Drops], parts=_parts)
