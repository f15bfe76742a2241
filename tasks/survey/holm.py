"""Holm's step-down adjustment of p values for several tests at once."""

from __future__ import annotations

import numpy as np
import pandas as pd


def holm(p: pd.Series, families: pd.Series | None = None) -> pd.Series:
    """Adjusted p values within each family, or over all of them; a missing p is no test and stays missing.

    Of m tests the i-th smallest p becomes p · (m − i + 1), at least what the one before it became, at most 1
    (Holm 1979).
    """

    def adjust(family: pd.Series) -> pd.Series:
        ordered = family.dropna().sort_values()
        steps = ordered * np.arange(len(ordered), 0, -1)
        return steps.cummax().clip(upper=1).reindex(family.index)

    return adjust(p) if families is None else p.groupby(families, group_keys=False).transform(adjust)
