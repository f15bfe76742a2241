"""Holm's adjustment by hand, and as statsmodels makes it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from tasks.survey.holm import holm


def test_holm_by_hand() -> None:
    # ordered .01 .02 .04: 3 x .01 = .03; 2 x .02 = .04; max(.04, 1 x .04) = .04; a missing p is no test
    p, families = pd.Series([0.04, 0.01, np.nan, 0.02, 0.03]), pd.Series(["a", "a", "a", "a", "b"])
    assert holm(p, families).tolist() == pytest.approx([0.04, 0.03, np.nan, 0.04, 0.03], nan_ok=True)
    assert holm(p[:4]).tolist() == pytest.approx([0.04, 0.03, np.nan, 0.04], nan_ok=True)
    assert holm(p[:2]).tolist() == pytest.approx([0.04, 0.02])
    assert holm(pd.Series([], dtype=float)).tolist() == []


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(size=40) ** 4  # some small, with a tie below
    p[7] = p[3]
    assert holm(pd.Series(p)).tolist() == multipletests(p, method="holm")[1].tolist()
