"""Where the error of a pooled effect comes from, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.effects.identity import KEYS
from tasks.meta_analysis.components import variance_components

KEY = dict(zip(KEYS, ("who", "a - b", "toxicity"), strict=True))
EFFECTS = pd.DataFrame(
    [KEY | {"architecture": name, "std_error": 0.02, "seed_variance": math.nan} for name in ("one", "two")]
)
NO_COVARIANCES = pd.DataFrame(columns=[*KEYS, "architecture", "other", "covariance"])
LINE = pd.DataFrame([{"dimension": "toxicity", "why_not": "", "slope": 0.5, "slope_std_error": 0.05}])


def components(std_error: float = math.nan, raters: float = math.nan, shared: float = math.nan) -> pd.DataFrame:
    """Of two architectures with equal weights; τ² is 0.0004."""
    known = math.isfinite(raters)
    pooled = pd.DataFrame([KEY | {
        "estimate": 0.1, "tau2": 4e-4, "total_std_error": std_error, "n_replicates": 8 if known else 0,
        "raters_std_error": raters, "raters_shared_std_error": shared,
    }])  # fmt: skip
    return variance_components(EFFECTS, NO_COVARIANCES, pooled, LINE).set_index("source")


def test_in_the_full_interval_the_others_are_scaled_to_what_the_raters_leave():
    table = components(std_error=0.03, raters=0.02, shared=0.018)
    # by their own formulas: prompts 2 · (1/2)² · 0.0004; architectures τ²/2 less 0.0004 - 0.000324; judge (0.1 · 0.1)²
    assert table["variance"].to_dict() == pytest.approx(
        {"raters": 4e-4, "prompts": 2e-4, "seeds": math.nan, "judge": 1e-4, "architectures": 1.24e-4}, nan_ok=True
    )
    inside = table["in_interval"].dropna()
    assert inside.sum() == pytest.approx(0.03**2)
    assert inside.to_dict() == pytest.approx(
        {"raters": 4e-4, "prompts": 5e-4 * 2 / 3.24, "architectures": 5e-4 * 1.24 / 3.24}
    )
    assert table["share"].sum() == pytest.approx(1)
    assert table.loc["judge", "share"] == pytest.approx(1e-4 / 1e-3)
    assert table.loc["raters", "narrower"] == pytest.approx(1 - np.sqrt((9e-4 - 2e-4) / 9e-4))
    assert math.isnan(table.loc["judge", "narrower"])


def test_without_replicates_each_counts_by_its_own_formula_and_raters_are_missing():
    table = components()
    assert table["in_interval"].dropna().to_dict() == pytest.approx({"prompts": 2e-4, "architectures": 2e-4})
    assert table["share"].to_dict() == pytest.approx(
        {"raters": math.nan, "prompts": 0.4, "seeds": math.nan, "judge": 0.2, "architectures": 0.4}, nan_ok=True
    )


def test_where_the_interval_has_nothing_beside_the_raters_they_are_all_of_it():
    table = components(std_error=0.02, raters=0.02, shared=0.02)
    assert table["in_interval"].dropna().to_dict() == pytest.approx({"raters": 4e-4, "prompts": 0, "architectures": 0})
    assert table.loc["raters", "narrower"] == pytest.approx(1 - np.sqrt(1 / 2))
