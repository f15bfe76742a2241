"""Which interval of a pooled effect sentences and verdicts use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CHOICES = ("total_", "hksj_", "")
"""How the columns `…ci_low` and `…ci_high` begin, the most complete interval first."""


def trusted(row: Mapping[str, Any]) -> tuple[float, float]:
    """The 95% interval of a row that knows most of the effect's error, of those that the row has and that are finite.

    In this order: the one with the variance of all sources (`total_ci_low`, `total_ci_high`); HKSJ's, which covers as
    it should also where few are pooled; Wald's, whatever it is.
    """
    for prefix in CHOICES:
        low, high = (row.get(f"{prefix}ci_{end}", math.nan) for end in ("low", "high"))
        if math.isfinite(low) and math.isfinite(high):
            break
    return low, high
