"""The pooled tables of a study."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.load import load_study
from tasks.judging.tables import JudgeCalibration
from tasks.meta_analysis.groups import LEFT_OUT
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import STATISTICS, pool
from tasks.meta_analysis.published import published_interval
from tasks.meta_analysis.study import KEYS, other_methods, pool_contrasts, without_each

DESIGN = (
    "experiment contrast dimension k estimate std_error ci_low ci_high p tau2 q q_p i2 pi_low pi_high hksj_ci_low "
    "hksj_ci_high hksj_p published"
)
UNCALIBRATED = JudgeCalibration.checked([])
CONTRASTS = {"5-point - control": (-0.2, -0.3, -0.25, -0.9), "binary - control": (-0.1, -0.12, -0.14, -0.1)}


def table(marked: str = "") -> pd.DataFrame:
    """Four architectures; `marked` is what the last one's 5-point effect says."""
    rows = [
        ("scale", contrast, "toxicity", f"m{n}", estimate, 0.02, marked if estimate == -0.9 else "")
        for contrast, estimates in CONTRASTS.items()
        for n, estimate in enumerate(estimates)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "architecture", "estimate", "std_error", "marked"])


def test_the_columns_of_the_design_come_first() -> None:
    pooled = pool_contrasts(load_study("paper"), table(), UNCALIBRATED)
    assert " ".join(pooled.columns).startswith(f"{DESIGN} published_p ")
    assert pooled["published"].tolist() == [-0.242, -0.198]
    for row in pooled.itertuples():
        expected = published_interval(row.published, row.published_p)
        assert (row.published_low, row.published_high, row.published_at_most) == pytest.approx(expected, nan_ok=True)


def test_marked_effects_are_pooled_counted_and_left_out_beside() -> None:
    pooled = pool_contrasts(load_study("paper"), table("too repetitive"), UNCALIBRATED).set_index("contrast")
    five, binary = (pooled.loc[name] for name in CONTRASTS)
    assert (five["k"], five["n_marked"], five["unmarked_k"]) == (4, 1, 3)
    assert five["unmarked_estimate"] == pytest.approx(-0.25)  # (-0.2 - 0.3 - 0.25) / 3, equal errors
    assert five["estimate"] == pytest.approx(pool_contrasts(load_study("paper"), table(), UNCALIBRATED)["estimate"][0])
    assert binary["n_marked"] == 0
    assert pd.isna(binary["unmarked_estimate"])


def test_all_effects_marked_leave_nothing_beside() -> None:
    pooled = pool_contrasts(load_study("paper"), table().assign(marked="broken"), UNCALIBRATED)
    assert pooled["n_marked"].tolist() == [4, 4]
    assert pooled["unmarked_estimate"].isna().all()


def test_p_values_are_adjusted_within_the_experiment() -> None:
    pooled = pool_contrasts(load_study("paper"), table(), UNCALIBRATED)
    for name in ("p", "hksj_p"):
        low, high = sorted(pooled[name])
        assert sorted(pooled[f"{name}_holm"]) == pytest.approx(
            [min(2 * low, high), high] if 2 * low > high else [2 * low, high]
        )


def test_every_method_and_every_architecture_left_out_has_its_row() -> None:
    methods, without = other_methods(table()), without_each(table())
    assert list(methods.columns) == [*KEYS, "method", *STATISTICS]
    assert methods["method"].tolist() == [name for name in METHODS for _ in CONTRASTS]
    assert list(without.columns) == [*KEYS, "without", *LEFT_OUT]
    row = without[(without["contrast"] == "5-point - control") & (without["without"] == "m3")].iloc[0]
    alone = pool(pd.Series([-0.2, -0.3, -0.25]).to_numpy(), pd.Series([0.02] * 3).to_numpy())
    assert row["estimate"] == pytest.approx(alone["estimate"])


def test_no_effects_have_empty_tables() -> None:
    for made in (
        pool_contrasts(load_study("paper"), table()[:0], UNCALIBRATED),
        other_methods(table()[:0]),
        without_each(table()[:0]),
    ):
        assert len(made) == 0
