"""What was left out between the ratings and the training data, and why."""

from __future__ import annotations

from tasks.preferences.tables import Drops
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, texts
from tasks.reporting.house.document import Fold, Paragraph, Part, TablePart
from tasks.reporting.house.words import whole


def _parts(results: Results) -> list[Part]:
    drops = results.rows(Drops)
    columns = texts({"Condition": "condition", "Step": "step", "Reason": "reason"})
    table = TablePart.of(drops, *columns, *counts({"Dropped": "dropped", "Kept": "kept"}))
    text = "Everything that was left out between the ratings and the training data, and why."
    parts: list[Part] = [Paragraph(text), Fold(f"{len(drops)} entries", [table])] if drops else []
    noted = "; ".join(f"{what}: {whole(n)}" for what, n in results.facts.noted.items())
    return [
        *parts,
        *([Paragraph(f"Of the ratings as they were read. {noted[:1].upper()}{noted[1:]}.")] if noted else []),
    ]


CHAPTER = Chapter("dropped", "What was dropped", [Drops], parts=_parts)
