"""What is planted in a simulated study, beside what the study found."""

from __future__ import annotations

import math

import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Study
from tasks.effects.identity import KEYS
from tasks.meta_analysis.tables import Truth
from tasks.meta_analysis.trusted import trusted
from tasks.simulation.truth import planted


def truth_table(study: Study, pooled: pd.DataFrame) -> DataFrame[Truth]:
    """One row each effect whose truth is known (`tasks.simulation.truth`); one that was not pooled has no estimate."""
    by_key = {tuple(row[key] for key in KEYS): row for row in pooled.to_dict("records")}
    rows = []
    for truth in planted(study):
        row = by_key.get((truth.experiment, truth.contrast, truth.dimension), {})
        low, high = trusted(row)
        found = {"estimate": row.get("estimate", math.nan), "ci_low": low, "ci_high": high}
        rows.append({**vars(truth), **found, "verdict": verdict(truth.sign, low, high)})
    return Truth.checked(pd.DataFrame(rows, columns=list(Truth.to_schema().columns)))


def verdict(sign: int, low: float, high: float) -> str:
    """What an interval says of an effect whose planted sign is known; one that ends at zero holds it.

    Of a planted effect: found, missed where the interval holds zero, wrong sign. Of a null: kept where it holds zero,
    broken. Without an interval: not measured.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not measured"
    seen = 1 if low > 0 else -1 if high < 0 else 0
    if sign == 0:
        return "broken" if seen else "kept"
    return "found" if seen == sign else "wrong sign" if seen else "missed"
