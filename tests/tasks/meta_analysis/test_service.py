"""How well ways serve, pooled: each architecture beside the pool, replicates in the total, and what intervals hold."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.schema import Contrast
from tasks.groups.service import measure_service
from tasks.meta_analysis.groups import pool_table
from tasks.meta_analysis.service import pool_service
from tests.tasks.groups.simulated_scores import BETTER, simulated_scores

WAYS = {"pooled": {"a": 0.6, "b": 0.4}, "robust": {"a": 0.55, "b": 0.5}, "own": {"a": 0.65, "b": 0.6}}
CONTRASTS = {"e": [Contrast("robust - pooled")]}


def pooled(scores: pd.DataFrame, draws: int = 200) -> pd.DataFrame:
    return pool_service(*measure_service(scores, BETTER, CONTRASTS, 5, draws=draws))


def test_each_architecture_stands_beside_the_pool() -> None:
    table = pooled(simulated_scores(WAYS, architectures=3))
    own = table[(table["contrast"] == "robust - pooled") & (table["measure"] == "worst group")]
    assert own["architecture"].tolist() == ["", "m0", "m1", "m2"]
    assert own["k"].tolist() == [3, 1, 1, 1]
    alone = own[own["architecture"] != ""]
    assert own["estimate"].iloc[0] == pytest.approx(pool_table(alone, [])["estimate"][0])
    assert own["estimate"].iloc[0] == pytest.approx(0.1, abs=0.05)
    assert alone["hksj_ci_low"].isna().all()
    assert table["n_prompts"].eq(40).all()


def test_a_level_has_an_interval_but_no_test() -> None:
    table = pooled(simulated_scores(WAYS, replicates=2))
    levels = ~table["contrast"].str.contains(" - ")
    assert table.loc[levels, ["p", "hksj_p", "total_p"]].isna().all(axis=None)
    assert table.loc[~levels, "p"].notna().all()
    assert table["ci_low"].notna().all()


def test_who_was_asked_is_in_the_total_where_there_are_replicates() -> None:
    without, replicated = (pooled(simulated_scores(WAYS, replicates=n)) for n in (0, 4))
    assert (without["n_replicates"] == 0).all()
    assert without["total_ci_low"].isna().all()
    own = replicated[(replicated["architecture"] == "") & (replicated["contrast"] == "robust - pooled")]
    assert (own["n_replicates"] == 4).all()
    mean = own.set_index("measure").loc["mean"]
    assert mean["raters_std_error"] > 0.005
    # all groups of a way move together in a replicate, so the gap knows nothing of it
    assert own.set_index("measure").loc["gap", "raters_std_error"] == pytest.approx(0, abs=1e-6)
    assert mean["total_std_error"] > mean["raters_std_error"]


def test_shared_prompts_widen_the_interval_of_a_level_beyond_the_spread_of_architectures() -> None:
    table = pooled(simulated_scores(WAYS, architectures=5, prompts=200))
    row = table[(table["contrast"] == "pooled") & (table["measure"] == "mean") & (table["architecture"] == "")].iloc[0]
    assert row["mean_correlation"] > 0.2
    assert row["hksj_ci_high"] - row["hksj_ci_low"] > row["ci_high"] - row["ci_low"]


def test_nothing_measured_gives_an_empty_table() -> None:
    scores = simulated_scores({"control": {"a": 0.5, "b": 0.5}})
    assert pooled(scores).empty


def held(utilities: dict[str, dict[str, float]], measure: str, contrast: str, truth: float, studies: int = 60) -> float:
    """How often the pooled interval holds the truth, in studies that are experiments of one table."""
    scores = [
        simulated_scores(utilities, architectures=5, prompts=30, seed=seed, experiment=f"e{seed}")
        for seed in range(studies)
    ]
    contrasts = {f"e{seed}": CONTRASTS["e"] for seed in range(studies)}
    measured = measure_service(pd.concat(scores), BETTER, contrasts, 5, draws=60)
    chosen = [table[table["measure"] == measure] for table in measured]
    table = pool_service(*(own[own["contrast"] == contrast] for own in chosen))
    own = table[table["architecture"] == ""]
    assert len(own) == studies
    return float(((own["hksj_ci_low"] <= truth) & (truth <= own["hksj_ci_high"])).mean())


def test_intervals_of_a_contrast_of_worst_groups_hold_what_is_true() -> None:
    ways = {"pooled": {"a": 0.6, "b": 0.45}, "robust": {"a": 0.52, "b": 0.52}}
    assert held(ways, "worst group", "robust - pooled", 0.07) >= 0.85


def test_the_gap_of_groups_that_are_alike_holds_zero() -> None:
    assert held({"pooled": {"a": 0.5, "b": 0.5, "c": 0.5}}, "gap", "pooled", 0.0) >= 0.85
