"""What moved since an earlier run."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tasks.meta_analysis.moved import moved


def pooled(**estimates: float) -> pd.DataFrame:
    """Effects with an interval of 0.1 to both sides, k = 7."""
    rows = [("scale", name, "toxicity", value, value - 0.1, value + 0.1, 7) for name, value in estimates.items()]
    columns = ["experiment", "contrast", "dimension", "estimate", "ci_low", "ci_high", "k"]
    return pd.DataFrame(rows, columns=columns)


def test_what_moved_is_told_with_its_size_and_whether_it_left_the_earlier_interval() -> None:
    before, after = pooled(same=0.1, little=0.1, much=0.1, gone=0.1), pooled(same=0.1004, little=0.15, much=-0.2, new=0)
    table = moved(before, after).set_index("contrast")
    assert table["change"].round(4).to_dict() == pytest.approx(
        {"same": 0.0004, "little": 0.05, "much": -0.3, "gone": math.nan, "new": math.nan}, nan_ok=True
    )
    assert table.index[table["moved"]].tolist() == ["little", "much"]
    assert table.index[table["beyond"]].tolist() == ["much"]  # −0.2 lies outside 0.0 … 0.2
    assert math.isnan(table.loc["new", "before"])
    assert math.isnan(table.loc["gone", "after"])
