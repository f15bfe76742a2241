"""The terms of an error from a run's tables by hand, and what stands in for what no run measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study, parse_assumptions
from configs.schema import Assumptions, Contrast
from tasks.effects.identity import EffectKey
from tasks.meta_analysis.components import variance_components
from tasks.meta_analysis.groups import pool_table
from tasks.meta_analysis.study import hksj_std_error, with_total
from tasks.planning.design import Design, predict
from tasks.planning.design_terms import DEFAULT_SHARES, AskedRaters, ContrastFacts, components_of, run_terms, split
from tasks.planning.finished import FinishedRun
from tasks.planning.rater_shares import Lean
from tasks.runtime.spreadsheet import as_csv

EFFECT = EffectKey("e", Contrast("a - b"), "d")
KEY = {"experiment": "e", "contrast": "a - b", "dimension": "d"}
ASKED = AskedRaters(raters=100, ratings_each=5.0, groups=2, origin="the ratings")
NO_PAIRS = Lean(pair=0.0, rating=4e-4, rater=0.0)


def run(
    folder: Path, estimates: list[float], replicates: np.ndarray | None = None, seeds: float = math.nan
) -> FinishedRun:
    """A run of architectures with these estimates and a standard error of .02, and replicates (B, k) of them."""
    names = [f"m{number}" for number in range(len(estimates))]
    effects = pd.DataFrame({"architecture": names, "estimate": estimates}).assign(**KEY, std_error=0.02)
    effects = effects.assign(seed_variance=seeds, n_prompts=50, n_seeds=1 if math.isnan(seeds) else 3)
    table = pd.DataFrame(np.empty((0, len(names))) if replicates is None else replicates, columns=names)
    long = (
        table.rename_axis("replicate").reset_index().melt("replicate", var_name="architecture", value_name="estimate")
    )
    long = long.assign(**KEY, replicate=long["replicate"] + 1)
    pooled = pool_table(effects, list(KEY))
    pooled = with_total(pooled, hksj_std_error(pooled), effects, long)
    calibration = pd.DataFrame(columns=["dimension", "why_not", "slope", "slope_std_error"])
    tables = {"effects": effects, "pooled": pooled, "replicate_effects": long}
    tables["variance_components"] = variance_components(effects, pd.DataFrame(columns=[*KEY]), pooled, calibration)
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text(as_csv(table))
    return FinishedRun(load_study("demo"), folder, {})


def facts(finished: FinishedRun | None, lean: Lean | None = NO_PAIRS, **assumptions: float) -> ContrastFacts:
    terms = run_terms(finished, EFFECT) if finished else None
    return ContrastFacts(ASKED, 50, 7, 1, 8, terms, lean, Assumptions(**assumptions))


def test_a_runs_own_design_has_the_runs_own_error(tmp_path):
    shared = np.array([[0.01], [-0.02], [0.03], [0.0]]) @ np.ones((1, 4))
    finished = run(tmp_path, [0.0, 0.05, 0.1, 0.15], shared)
    known, _ = components_of(facts(finished))
    row = finished.table("pooled").iloc[0]
    # raters: the variance of .01, -.02, .03, 0 about .005; between: that of 0 to .15 by 4, which is what HKSJ is here
    by_hand = (0.005**2 + 0.025**2 + 0.025**2 + 0.005**2) / 3 + 0.05**2 * 5 / 3 / 4
    predicted = predict(known, Design(100, 5, 50, 4, 4))
    assert predicted.std_error.value**2 == pytest.approx(by_hand)
    assert predicted.std_error.value == pytest.approx(row["total_std_error"])
    assert predicted.df == pytest.approx(row["total_df"])


def test_what_each_architecture_makes_of_the_raters_is_told_from_what_all_share(tmp_path):
    rng = np.random.default_rng(0)
    replicates = 0.03 * rng.normal(size=(400, 1)) + 0.04 * rng.normal(size=(400, 4))
    terms = run_terms(run(tmp_path, [0.0, 0.05, 0.1, 0.15], replicates), EFFECT)
    assert terms.raters_shared.value == pytest.approx(0.03**2, rel=0.15)
    assert terms.raters_own.value == pytest.approx(0.04**2, rel=0.15)
    known, _ = components_of(facts(run(tmp_path, [0.0, 0.05, 0.1, 0.15], replicates)))
    # τ² = .05² 5/3 - .02² has the own reading in it
    assert known.architectures.value == pytest.approx(0.05**2 * 5 / 3 - 0.02**2 - known.raters_own.value)


def test_pairs_that_replicates_count_three_times_leave_the_scatter_smaller(tmp_path):
    finished = run(tmp_path, [0.0, 0.05, 0.1, 0.15], np.array([[0.01], [-0.01]]) @ np.ones((1, 4)))
    known, _ = components_of(facts(finished, Lean(pair=1e-4, rating=1e-4, rater=0.0)))
    assert known.raters_shared.value == pytest.approx(2e-4 / (1 + 2 * 0.5))


@pytest.mark.parametrize(
    ("pooled", "each", "shared", "own"), [(0.4, 1.0, 0.2, 0.8), (0.25, 1.0, 0, 1), (0.2, 1.0, 0, 0.8), (1, 1, 1, 0)]
)
def test_shared_and_own_add_up_to_what_is_pooled(pooled, each, shared, own):
    assert split(pooled, each, 0.25) == pytest.approx((shared, own))


def test_seeds_that_a_run_measured_scale_and_others_are_left_where_they_are(tmp_path):
    measured, _ = components_of(facts(run(tmp_path, [0.0, 0.05, 0.1, 0.15], seeds=1e-4)))
    assert measured.seeds.value == pytest.approx(1e-4)
    assert measured.prompts_own.value == pytest.approx(0.02**2 - 1e-4)
    unmeasured, origins = components_of(facts(run(tmp_path, [0.0, 0.05, 0.1, 0.15])))
    assert unmeasured.seeds.value == 0
    assert next(one.where for one in origins if one.what.startswith("seeds")).startswith("in that of architectures")


def test_without_a_run_every_number_says_that_it_is_assumed_or_from_ratings():
    known, origins = components_of(facts(None, Lean(2e-4, 6e-4, 2e-4)))
    assert known.raters_shared.value == pytest.approx(1e-3)
    assert known.prompts_own.value + known.prompts_shared.value == pytest.approx(0.15**2 / 50)
    assert known.prompts_shared.value == pytest.approx(0.1 * 0.15**2 / 50)
    assert known.architectures.value == pytest.approx(0.01**2)
    where = {one.what.partition(",")[0]: one.where for one in origins}
    assert where.pop("raters of the smaller group") == "the ratings"
    assert where.pop("of their variance") == "estimated from the ratings (the ratings)"
    assert all(text.startswith("assumed") for text in where.values())


def test_values_that_are_given_take_the_place_of_measured_ones(tmp_path):
    finished = run(tmp_path, [0.0, 0.05, 0.1, 0.15], np.array([[0.01], [-0.01]]) @ np.ones((1, 4)))
    given = {"raters": 0.03, "prompts": 0.2, "prompts_shared": 0.5, "architectures": 0.04, "seeds": 0.01}
    known, origins = components_of(facts(finished, **given))
    assert known.raters_shared == pytest.approx((9e-4,) * 3)
    assert (known.prompts_shared.value, known.prompts_own.value) == pytest.approx((4e-4, 4e-4))
    assert (known.architectures.value, known.seeds.value) == pytest.approx((16e-4, 1e-4))
    assert [one.where for one in origins][2:] == ["given"] * 4


def test_without_replicates_training_is_assumed_to_move_the_score_as_far_as_raters_say(tmp_path):
    known, origins = components_of(facts(run(tmp_path, [0.0, 0.05, 0.1, 0.15]), transfer=0.5))
    assert known.raters_shared.value == pytest.approx(4e-4 / 4)
    assert origins[2].where == "given: 0.5 times the ratings' own (the ratings)"


def test_neither_ratings_nor_replicates_nor_a_value_is_an_error():
    with pytest.raises(ValueError, match="neither"):
        components_of(facts(None, None))
    known, _ = components_of(facts(None, None, raters=0.02))
    assert known.shares == DEFAULT_SHARES


def test_an_effect_that_was_not_pooled_has_no_terms(tmp_path):
    assert run_terms(run(tmp_path, [0.1]), EFFECT) is None
    assert run_terms(run(tmp_path, [0.1, 0.2]), EFFECT._replace(dimension="other")) is None


def test_assumptions_are_checked_like_all_settings():
    assert parse_assumptions(["architectures=0.02"]).architectures == 0.02
    with pytest.raises(ValueError, match="--assume: unknown key 'tau'; allowed: raters, transfer, prompts,"):
        parse_assumptions(["tau=0.02"])
    with pytest.raises(ValueError, match=r"--assume tau: expected KEY=VALUE, like architectures=0\.02"):
        parse_assumptions(["tau"])
