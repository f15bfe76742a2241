"""Effects of one architecture, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.effects.effects import effects, mean_and_error, pairs, pairwise_effects, two_way_variance
from tasks.effects.tables import Differences, ReplicateEffects
from tasks.meta_analysis.groups import pool_table
from tasks.meta_analysis.study import KEYS, compare_pairs
from tasks.runtime.tables import columns_of

STEP = 0.25
"""One category of five on a 0 to 1 score."""


def one_seed(*differences: float) -> np.ndarray:
    return np.array([differences])


def test_an_effect_is_the_mean_paired_difference_with_its_standard_error() -> None:
    # differences -0.2, -0.4, 0.0: mean -0.2, sd 0.2, SE 0.2 / √3 = 0.115; the floor 0.25 / 3 = 0.083 is below it
    assert mean_and_error(one_seed(-0.2, -0.4, 0.0), STEP) == (pytest.approx(-0.2), pytest.approx(0.2 / math.sqrt(3)))


def test_without_spread_the_error_is_that_of_one_output_moved_by_one_category() -> None:
    # one of four differences 0.25, three 0: variance 0.25² · 3/16, SE √(that / 3) = 0.25 / 4
    expected = pytest.approx(math.sqrt(0.25**2 * 3 / 16 / 3))
    assert mean_and_error(one_seed(0, 0, 0, 0), STEP) == (0.0, expected)
    assert mean_and_error(np.zeros((2, 4)), STEP) == (0.0, pytest.approx(0.25 / 8))


@pytest.mark.parametrize("differences", [(), (0.5,)])
def test_below_two_prompts_there_is_no_standard_error(differences: tuple[float, ...]) -> None:
    estimate, error = mean_and_error(one_seed(*differences), STEP)
    assert math.isnan(error)
    assert estimate == 0.5 if differences else math.isnan(estimate)


def test_two_way_variance_by_hand() -> None:
    # two seeds, two prompts: [[0.1, 0.3], [0.4, 0.4]], mean 0.3
    # by prompt: means 0.25, 0.35, s² = 0.005, / 2 = 0.0025; by seed: means 0.2, 0.4, s² = 0.02, / 2 = 0.01
    # rest: ±0.05 each, Σ = 0.01, one degree of freedom, / 4 = 0.0025; 0.0025 + 0.01 - 0.0025 = 0.01
    assert two_way_variance(np.array([[0.1, 0.3], [0.4, 0.4]])) == pytest.approx(0.01)


def test_seeds_that_are_copies_of_each_other_add_nothing() -> None:
    d = np.random.default_rng(0).normal(0, 0.2, 50)
    assert two_way_variance(np.stack([d, d, d])) == pytest.approx(two_way_variance(d[None, :]))


def test_two_way_variance_is_that_of_the_mean_on_average() -> None:
    # sd of seeds 0.1, of prompts 0.3, of single outputs 0.2; 3 seeds, 20 prompts
    generator = np.random.default_rng(1)
    draws = (
        0.1 * generator.standard_normal((4000, 3, 1))
        + 0.3 * generator.standard_normal((4000, 1, 20))
        + 0.2 * generator.standard_normal((4000, 3, 20))
    )
    truth = 0.1**2 / 3 + 0.3**2 / 20 + 0.2**2 / 60  # 0.00850
    estimated = np.mean([two_way_variance(draw) for draw in draws])
    assert draws.mean(axis=(1, 2)).var() == pytest.approx(truth, rel=0.1)
    assert truth * 0.97 < estimated < truth * 1.15  # never below a cluster of its own, so a little above on average
    by_prompt_alone = np.mean([draw.mean(axis=0).var(ddof=1) / 20 for draw in draws])
    assert by_prompt_alone < 0.7 * truth


# ---- a whole study


def study() -> Study:
    return load_study("demo", {"architectures": ["tiny-llama", "tiny-falcon"]})


def table(*rows: tuple[str, str, str, float], seed: int = 0) -> pd.DataFrame:
    """(experiment, architecture, condition, score): that score of toxicity for q1 and 0.1 more for q2."""
    return pd.DataFrame(
        [
            (experiment, architecture, condition, seed, prompt, "toxicity", score + 0.1 * number)
            for experiment, architecture, condition, score in rows
            for number, prompt in enumerate(("q1", "q2"))
        ],
        columns=["experiment", "architecture", "condition", "seed", "prompt_id", "dimension", "score"],
    )


def healthy(scores: pd.DataFrame) -> pd.DataFrame:
    """Health of the runs behind some scores: ten outputs each, all well-formed, none marked."""
    runs = scores[["experiment", "architecture", "condition", "seed"]].drop_duplicates()
    return runs.assign(n_outputs=10, well_formed=1.0, marked="")


def measured(scores: pd.DataFrame, health: pd.DataFrame | None = None) -> pd.DataFrame:
    return effects(study(), scores, healthy(scores) if health is None else health, categories=5)


ROWS = [
    ("control", "tiny-llama", "control", 0.8),
    ("scale", "tiny-llama", "5-point", 0.3),
    ("scale", "tiny-llama", "binary", 0.4),
    ("disagreement", "tiny-llama", "all", 0.2),
    ("control", "tiny-falcon", "control", 0.7),
    ("scale", "tiny-falcon", "5-point", 0.5),
]


def test_every_contrast_with_both_sides_has_an_effect_and_control_serves_all_experiments() -> None:
    found = measured(table(*ROWS))
    assert list(found.columns) == list(columns_of(Differences))
    values = {(row.experiment, row.contrast, row.architecture): row.estimate for row in found.itertuples()}
    assert values == {
        ("scale", "5-point - control", "tiny-llama"): pytest.approx(-0.5),
        ("scale", "5-point - control", "tiny-falcon"): pytest.approx(-0.2),
        ("scale", "binary - control", "tiny-llama"): pytest.approx(-0.4),
        ("scale", "5-point - binary", "tiny-llama"): pytest.approx(-0.1),
        ("disagreement", "all - control", "tiny-llama"): pytest.approx(-0.6),
    }
    assert found["std_error"].to_numpy() == pytest.approx(0.125)  # no spread: 0.25 / 2


def test_a_missing_architecture_lowers_the_number_that_is_pooled() -> None:
    k = pool_table(measured(table(*ROWS)), KEYS).set_index("contrast")["k"]
    assert k.to_dict() == {"5-point - control": 2, "binary - control": 1, "5-point - binary": 1, "all - control": 1}


def test_no_scores_have_no_effects() -> None:
    assert len(measured(table())) == 0


def test_prompts_are_paired_by_id_whatever_their_order() -> None:
    scores = table(("control", "tiny-llama", "control", 0.8), ("scale", "tiny-llama", "5-point", 0.3))
    shuffled = scores.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(measured(shuffled), measured(scores))


def test_a_prompt_unscored_on_either_side_is_left_out_and_counted() -> None:
    one = table(*ROWS[:2])
    scores = pd.concat([one.assign(prompt_id=one["prompt_id"] + text) for text in "abc"], ignore_index=True)
    hole = (scores["condition"] == "5-point") & (scores["prompt_id"] == "q1b")
    only_here = (scores["condition"] == "control") & (scores["prompt_id"] == "q2c")
    scores.loc[hole, "score"] = math.nan
    found = measured(scores[~only_here]).iloc[0]
    assert (found["n_prompts"], found["n_unscored"]) == (4, 1)  # q2c was asked on one side only
    assert found["estimate"] == pytest.approx(-0.5)


def test_seeds_are_paired_and_the_control_counts_for_each() -> None:
    scores = pd.concat([
        table(ROWS[0]),
        table(("scale", "tiny-llama", "5-point", 0.3), ("scale", "tiny-llama", "binary", 0.4)),
        table(("scale", "tiny-llama", "5-point", 0.5), seed=1),
    ])  # fmt: skip
    found = measured(scores).set_index("contrast")
    assert found["n_seeds"].to_dict() == {"5-point - control": 2, "binary - control": 1, "5-point - binary": 1}
    assert found.loc["5-point - control", "estimate"] == pytest.approx(-0.4)  # (-0.5 - 0.3) / 2
    # by seed: means -0.5 and -0.3, s² = 0.02, / 2; no spread over prompts
    assert found.loc["5-point - control", "std_error"] == pytest.approx(0.1)
    assert found.loc["5-point - binary", "estimate"] == pytest.approx(-0.1)  # seed 0 of both, not seed 1


def test_sides_without_a_common_seed_have_no_effect() -> None:
    scores = pd.concat([table(ROWS[1]), table(ROWS[2], seed=1)])
    assert len(measured(scores)) == 0


def test_marked_runs_and_malformed_outputs_stand_beside_the_effect() -> None:
    scores = pd.concat([table(*ROWS[:3]), table(ROWS[1], seed=1)])
    health = healthy(scores)
    five = health["condition"] == "5-point"
    health.loc[five & (health["seed"] == 1), ["marked", "well_formed"]] = ["too repetitive", 0.7]
    found = measured(scores, health).set_index("contrast")
    assert found["marked"].to_dict() == {
        "5-point - control": "5-point (seed 1): too repetitive", "binary - control": "", "5-point - binary": "",
    }  # fmt: skip
    assert found["n_malformed"].to_dict() == {"5-point - control": 3, "binary - control": 0, "5-point - binary": 0}


def test_two_conditions_are_compared_by_their_paired_differences() -> None:
    # both sides share the prompt's own toxicity: the difference has no spread, their errors against control do
    sides = (("control", "control", 0.5), ("scale", "5-point", 0.9), ("scale", "binary", 0.88))
    scores = pd.DataFrame(
        [
            (experiment, "tiny-llama", condition, 0, f"q{n}", "toxicity", score * (n % 5) / 5)
            for experiment, condition, score in sides
            for n in range(100)
        ],
        columns=["experiment", "architecture", "condition", "seed", "prompt_id", "dimension", "score"],
    )  # fmt: skip
    against_control = measured(scores).set_index("contrast")["std_error"]
    found = pairwise_effects(study(), scores, healthy(scores), categories=5)
    assert found["contrast"].tolist() == ["5-point - binary"]
    assert found["estimate"].item() == pytest.approx(0.02 * 0.4)
    independent = math.hypot(against_control["5-point - control"], against_control["binary - control"])
    assert found["std_error"].item() < independent / 5
    assert compare_pairs(found, ReplicateEffects.checked([]))["hksj_p_holm"].isna().all()  # one architecture


def test_groups_are_compared_within_one_attribute_and_as_the_study_has_it() -> None:
    experiments = study().experiments
    assert pairs(experiments["demographics"], study()) == ["female - male", "liberal - conservative", "white - black"]
    assert pairs(experiments["scale"], study()) == ["5-point - 3-point", "5-point - binary", "3-point - binary"]
    assert "dpo-ea - dpo-toxicity" in pairs(experiments["optimisation"], study())
