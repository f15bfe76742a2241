"""How the report reads an effect and its intervals, and how it words them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from configs.schema import CONTROL, Contrast, Study
from tasks.meta_analysis.trusted import trusted
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import DASH, MINUS, finite, interval, joined, number, spoken

SIGNIFICANT = 0.05
INTERVALS = {"": "Wald's", "hksj_": "HKSJ's", "total_": "the full"}
"""The intervals of a pooled effect: how their columns begin → what they are called."""


def direction(row: Row) -> int:
    """-1 or 1 where the 95% interval lies wholly below or above zero; 0 where it doesn't, or where there is none.

    A pooled effect has up to three, Wald's, HKSJ's and the one that knows who was asked: all must agree.
    """
    if not finite(row["estimate"], row["ci_low"], row["ci_high"]):
        return 0
    ends = list(known_intervals(row).values())
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return 1 if low > 0 else -1 if high < 0 else 0


def known_intervals(row: Row) -> dict[str, tuple[float, float]]:
    """How its columns begin → both ends of each 95% interval that an effect has."""
    every = {kind: (row.get(f"{kind}ci_low", math.nan), row.get(f"{kind}ci_high", math.nan)) for kind in INTERVALS}
    return {kind: ends for kind, ends in every.items() if finite(*ends)}


def excludes_zero(row: Row, kind: str) -> bool:
    """Whether an effect has the interval, a key of `INTERVALS`, and it lies wholly on one side of zero."""
    low, high = known_intervals(row).get(kind, (0.0, 0.0))
    return not low <= 0 <= high


def excluding_zero(row: Row) -> str:
    """`Wald's and HKSJ's intervals exclude zero`, of the intervals that an effect has; nothing where none does."""
    names = [name for kind, name in INTERVALS.items() if excludes_zero(row, kind)]
    several = len(names) > 1
    return f"{joined(names)} {'intervals exclude' if several else 'interval excludes'} zero" if names else ""


def asked(row: Row) -> bool:
    """Whether an effect's interval knows who was asked."""
    return finite(row.get("total_ci_low", math.nan))


def which_interval(rows: Sequence[Row]) -> str:
    """What the 95% intervals to trust of some effects are called: the full one, HKSJ's, or both."""
    known = sorted({"full" if asked(row) else "HKSJ" for row in rows if finite(*trusted(row))})
    return joined(known, " or ") or "HKSJ"


def not_asked(row: Row) -> str:
    """What must stand beside the interval of a contrast between groups of raters that does not know who was asked."""
    return ", not knowing who was asked" if row.get("of_raters") and not asked(row) else ""


def unmarked(row: Row) -> Row:
    """Estimate and intervals of a pooled effect without the architectures whose runs are marked."""
    return {name.removeprefix("unmarked_"): value for name, value in row.items() if name.startswith("unmarked_")}


def of_dimensions(dimensions: tuple[str, ...], pooled: list[Row]) -> list[tuple[str, list[Row]]]:
    """The effects on each dimension, in the study's order; a dimension without any is left out."""
    own = {name: [row for row in pooled if row["dimension"] == name] for name in dimensions}
    return [(name, effects) for name, effects in own.items() if effects]


# ---- in words


def contrast_text(row: Row) -> str:
    """`5-point − binary`, with a proper minus."""
    return row["contrast"].replace(" - ", f" {MINUS} ")


def effect_text(study: Study, row: Row) -> str:
    """`5-point − binary on toxicity`."""
    return f"{contrast_text(row)} on {spoken(study, row['dimension'])}"


def side_text(contrast: str) -> str:
    """`5-point`, of a contrast against control; `5-point − binary` of another."""
    first, second = Contrast(contrast).sides
    return first if second == CONTROL else f"{first} {MINUS} {second}"


def with_interval(row: Row) -> str:
    """`−0.210 (−0.270 to −0.150)`: an estimate and the interval to trust."""
    return f"{number(row['estimate'])} ({interval(*trusted(row))}{not_asked(row)})"


def by_how_much(row: Row) -> str:
    """`by 0.210 (0.150 to 0.270)`, of a clear difference, without its sign."""
    low, high = sorted(abs(end) for end in trusted(row))
    return f"by {number(abs(row['estimate']))} ({interval(low, high)}{not_asked(row)})"


def not_clear(row: Row) -> str:
    """`(−0.010, −0.050 to 0.030)`: an estimate and its interval; says which of its intervals would call it clear."""
    span = interval(*trusted(row))
    doubt = f"; {excluding_zero(row)}" if excluding_zero(row) else ""
    return f"({number(row['estimate'])}, {'no interval' if span == DASH else span}{not_asked(row)}{doubt})"
