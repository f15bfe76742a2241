"""The judge's error in the effects: the line, by statsmodels' own; the corrected intervals, by simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from tasks.effects.correction import correct_effects, outside
from tasks.judging.calibration import FEW, FLAT, calibrate
from tasks.judging.tables import JudgeCalibration
from tasks.meta_analysis.groups import pool_table
from tasks.meta_analysis.pooling import pool
from tasks.meta_analysis.study import correct_pooled


def sample(n: int = 120, slope: float = 0.6, seed: int = 0, each: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A judge's scores of n responses, `each` of a prompt, and the ratings of three people: slope * score + noise."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0, 1, n)
    worth = 0.2 + slope * score + np.repeat(rng.normal(0, 0.08, n // each), each)
    rows = [
        (f"p{rater}", f"q{number // each}", f"r{number}", int(np.clip(round(1 + 4 * (worth[number] + noise)), 1, 5)))
        for number in range(n)
        for rater, noise in enumerate(rng.normal(0, 0.1, 3))
    ]
    ratings = pd.DataFrame(rows, columns=["participant_id", "prompt_id", "response_id", "x"]).astype({"x": "Int64"})
    return pd.DataFrame({"response_id": [f"r{number}" for number in range(n)], "x": score}), ratings


def calibration(**changes: object) -> pd.DataFrame:
    row = {"dimension": "x", "n": 40, "n_prompts": 20, "intercept": 0.3, "slope": 0.5, "slope_std_error": 0.1,
           "slope_low": 0.3, "slope_high": 0.7, "score_low": 0.1, "score_high": 0.8, "outside": np.nan,
           "why_not": ""}  # fmt: skip
    return JudgeCalibration.checked([row | changes])


def test_the_line_is_least_squares_with_errors_clustered_by_prompt() -> None:
    judged, ratings = sample()
    row = calibrate(judged, ratings, ["x"], 5).iloc[0]
    human = ratings.astype({"x": float}).groupby("response_id").agg(x=("x", "mean"), prompt=("prompt_id", "first"))
    both = judged.set_index("response_id").join((human[["x"]] - 1) / 4, rsuffix="_human").join(human["prompt"])
    groups = {"groups": pd.factorize(both["prompt"])[0]}
    known = smf.ols("x_human ~ x", both).fit(cov_type="cluster", cov_kwds=groups)
    assert row["slope"] == pytest.approx(known.params["x"])
    assert row["slope_std_error"] == pytest.approx(known.bse["x"])
    assert (row["n"], row["n_prompts"], row["why_not"]) == (120, 60, "")
    assert (row["score_low"], row["score_high"]) == (judged["x"].min(), judged["x"].max())


def test_a_judge_that_errs_everywhere_alike_is_not_corrected_for_it() -> None:
    """A bias changes the intercept alone, and no effect."""
    judged, ratings = sample()
    plain = calibrate(judged, ratings, ["x"], 5).iloc[0]
    biased = calibrate(judged.assign(x=judged["x"] + 0.3), ratings, ["x"], 5).iloc[0]
    assert biased["slope"] == pytest.approx(plain["slope"])
    assert biased["slope_std_error"] == pytest.approx(plain["slope_std_error"])


def test_a_judge_that_stretches_the_scale_is_shrunk_back() -> None:
    judged, ratings = sample()
    plain = calibrate(judged, ratings, ["x"], 5).iloc[0]
    stretched = calibrate(judged.assign(x=2 * judged["x"]), ratings, ["x"], 5).iloc[0]
    assert stretched["slope"] == pytest.approx(plain["slope"] / 2)


def test_the_delta_method_by_hand() -> None:
    # 0.5 · 0.2 = 0.1; variance (0.5 · 0.04)² + (0.2 · 0.1)² = 0.0004 + 0.0004
    effects = pd.DataFrame({"dimension": ["x", "y"], "estimate": [0.2, 0.2], "std_error": [0.04, 0.04]})
    found = correct_effects(effects, calibration())
    assert found.loc[0, "corrected"] == pytest.approx(0.1)
    assert found.loc[0, "corrected_std_error"] == pytest.approx(math.sqrt(0.0008))
    assert math.isnan(found.loc[1, "corrected"])  # no calibration of y
    pooled = correct_pooled(effects, calibration()).iloc[0]
    assert pooled["corrected_ci_high"] == pytest.approx(0.1 + 1.959964 * math.sqrt(0.0008))


def test_a_line_that_says_nothing_corrects_nothing() -> None:
    judged, ratings = sample()
    shuffled = judged.assign(x=judged["x"].sample(frac=1, random_state=1).to_numpy())
    assert calibrate(shuffled, ratings, ["x"], 5).loc[0, "why_not"] == FLAT
    few = ratings[ratings["prompt_id"].isin([f"q{n}" for n in range(19)])]
    assert calibrate(judged, few, ["x"], 5).loc[0, "why_not"] == FEW
    assert "all the same" in calibrate(judged.assign(x=0.5), ratings, ["x"], 5).loc[0, "why_not"]
    effects = pd.DataFrame({"dimension": ["x"], "estimate": [0.2], "std_error": [0.04]})
    assert math.isnan(correct_effects(effects, calibration(why_not=FLAT)).loc[0, "corrected"])


def test_outputs_beyond_the_scores_of_rated_responses_are_counted() -> None:
    scores = pd.DataFrame({"dimension": ["x"] * 5 + ["y"], "score": [0.05, 0.1, 0.5, 0.9, np.nan, 0.5]})
    assert outside(calibration(), scores).loc[0, "outside"] == 0.5


def test_corrected_intervals_cover_the_truth_and_those_that_pool_the_calibration_away_do_not() -> None:
    """400 studies of seven architectures, all with one calibration of 100 responses. Nominal 95%, ± 2.1 at 2 SE."""
    rng, slope, truth, covered, naive = np.random.default_rng(0), 0.5, 0.15, 0, 0
    for _ in range(400):
        score = rng.uniform(0, 1, 100)
        line = np.polyfit(score, slope * score + rng.normal(0, 0.35, 100), 1, cov=True)
        found, error = float(line[0][0]), float(np.sqrt(line[1][0, 0]))
        judged = pd.DataFrame({"dimension": "x", "estimate": rng.normal(truth / slope, 0.03, 7), "std_error": 0.03})
        known = calibration(slope=found, slope_std_error=error)
        row = correct_pooled(pool_table(judged, ["dimension"]), known).iloc[0]
        covered += row["corrected_ci_low"] <= truth <= row["corrected_ci_high"]
        each = correct_effects(judged, known)
        wrong = pool(each["corrected"].to_numpy(), each["corrected_std_error"].to_numpy())
        naive += wrong["ci_low"] <= truth <= wrong["ci_high"]
    assert 0.925 <= covered / 400 <= 0.975
    assert naive / 400 < 0.75
