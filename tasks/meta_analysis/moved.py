"""How pooled effects changed since an earlier run."""

from __future__ import annotations

import pandas as pd
from pandera.typing import DataFrame

from tasks.effects.identity import KEYS
from tasks.meta_analysis.tables import Moved

VISIBLE = 0.0005
"""A change of an effect that shows in its third digit."""


def moved(before: pd.DataFrame, after: pd.DataFrame) -> DataFrame[Moved]:
    """How each pooled effect changed; one that either run lacks is NaN there, and neither moved nor beyond."""
    columns = [*KEYS, "estimate", "k"]
    both = after[columns].merge(before[[*columns, "ci_low", "ci_high"]], on=KEYS, how="outer", suffixes=("", "_before"))
    change = both["estimate"] - both["estimate_before"]
    outside = (both["estimate"] < both["ci_low"]) | (both["estimate"] > both["ci_high"])
    both = both.rename(columns={"estimate_before": "before", "estimate": "after", "k": "k_after"})
    both = both.drop(columns=["ci_low", "ci_high"])
    return Moved.checked(both.assign(change=change, moved=change.abs() >= VISIBLE, beyond=outside))
