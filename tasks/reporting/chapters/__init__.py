"""The chapters of the report: a file each, which ends with its `CHAPTER`."""

from __future__ import annotations

from importlib import import_module

from tasks.reporting.house.chapter import Chapter
from tasks.runtime.tables import Table, name_of

READING_ORDER = (
    "method",
    "certainty",
    "participants",
    "survey",
    "raters",
    "regression",
    "audit",
    "experiments",
    "groups",
    "published",
    "pooling",
    "budgets",
    "truth",
    "moved",
    "training_runs",
    "failures",
    "health",
    "judge",
    "dropped",
    "provenance",
)
"""The files, without their endings."""
FIRST = ("certainty", "truth")
"""Keys of the chapters whose findings come before all others, in this order."""
DOUBTS = ("judge", "health", "failures")
"""Keys of the chapters whose findings limit what the others found: they come after all others, in this order."""

CHAPTERS: tuple[Chapter, ...] = tuple(import_module(f"{__name__}.{name}").CHAPTER for name in READING_ORDER)
DECLARED: dict[str, type[Table]] = {name_of(table): table for chapter in CHAPTERS for table in chapter.tables}
"""All tables of a study by their name, in the order of reading."""


def in_order_of_findings() -> list[Chapter]:
    """The chapters as their findings follow each other in the first section."""
    order = [*FIRST, "", *DOUBTS]
    return sorted(CHAPTERS, key=lambda chapter: order.index(chapter.key if chapter.key in order else ""))
