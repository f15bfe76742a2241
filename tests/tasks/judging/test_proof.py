"""The proof of a judge: by hand, against well-kept libraries, and with judges of known make."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from tasks.judging.proof import COMPARED, bootstrap_weights, measures, prove, shortfalls, to_category
from tasks.judging.tables import JudgeAgreement
from tasks.runtime.tables import columns_of


def scores(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def once(human: np.ndarray, judge: np.ndarray, categories: int = 5) -> dict[str, float]:
    """The measures with weight 1 for each response."""
    return {name: found[0] for name, found in measures(human, judge, np.ones((1, len(human))), categories).items()}


# ---- measures


def test_agreement_is_the_share_on_the_same_side_of_the_middle() -> None:
    # same side: 0.75/1, 0/0.25; the middle itself is not above it: 0.5/0.25 agree, 0.5/0.75 do not
    values = once(scores(0.75, 0.0, 0.5, 0.5), scores(1.0, 0.25, 0.25, 0.75))
    assert values["agreement"] == 0.75
    # judge - human: (0.25 + 0.25 - 0.25 + 0.25) / 4
    assert values["mean_error"] == 0.125


def test_quadratic_kappa_by_hand() -> None:
    # Categories 0 to 2: pairs (0, 0), (0, 1), (1, 1), (2, 0). Observed Σ (i - j)² / n = (0 + 1 + 0 + 4) / 4 = 5/4.
    # Margins: human 1/2 1/4 1/4, judge 1/2 1/2 0. Expected Σ p_i q_j (i - j)²:
    #   0: 1/2 · 1/2 · 1 = 1/4; 1: 1/4 · 1/2 · 1 = 1/8; 2: 1/4 · (1/2 · 4 + 1/2 · 1) = 5/8; in all 1. κ = 1 - 5/4.
    assert once(scores(0, 0, 0.5, 1), scores(0, 0.5, 0.5, 0), 3)["weighted_kappa"] == pytest.approx(-0.25)


def test_scores_are_rounded_to_the_nearest_category_a_half_up() -> None:
    assert to_category(scores(0, 0.12, 0.125, 0.37, 0.375, 1), 5).tolist() == [0, 0, 1, 1, 2, 4]


def test_rank_correlation_by_hand() -> None:
    # ranks 1 2 3 4 against 2 1 3 4: 1 - 6 · (1 + 1) / (4 · 15) = 0.8
    assert once(scores(0.1, 0.2, 0.3, 0.4), scores(0.5, 0.4, 0.6, 0.9))["spearman"] == pytest.approx(0.8)


def test_a_draws_weights_are_as_good_as_repeating_responses() -> None:
    rng = np.random.default_rng(0)
    human = rng.integers(0, 9, 200) / 8
    judge = np.clip(human + rng.normal(0, 0.25, 200), 0, 1)
    times = rng.multinomial(200, np.full(200, 1 / 200))
    again = np.repeat(np.arange(200), times)
    found = {name: values[0] for name, values in measures(human, judge, times[None].astype(float), 5).items()}
    a, b = to_category(human[again], 5), to_category(judge[again], 5)
    assert found["weighted_kappa"] == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    assert found["spearman"] == pytest.approx(spearmanr(human[again], judge[again]).statistic)
    assert found["agreement"] == pytest.approx(np.mean((human[again] > 0.5) == (judge[again] > 0.5)))
    assert found["mean_error"] == pytest.approx(np.mean(judge[again] - human[again]))


@pytest.mark.parametrize(
    ("human", "judge"), [(scores(0.5, 0.5), scores(0, 1)), (scores(0, 1), scores(0.5, 0.5)), (scores(1), scores(1))]
)
@pytest.mark.filterwarnings("error")
def test_without_variation_there_is_no_kappa_and_no_correlation(human: np.ndarray, judge: np.ndarray) -> None:
    values = once(human, judge)
    assert math.isnan(values["weighted_kappa"])
    assert math.isnan(values["spearman"])
    assert not math.isnan(values["agreement"])


def test_the_first_draw_counts_every_prompt_once_and_the_others_as_many_in_all() -> None:
    weights = bootstrap_weights(7, 20, seed=0)
    assert weights.shape == (21, 7)
    assert (weights[0] == 1).all()
    assert (weights.sum(1) == 7).all()


# ---- the table


def rated(*rows: tuple[str, str, str, int | None]) -> pd.DataFrame:
    """Ratings of x: participant, prompt, response, category."""
    table = pd.DataFrame(rows, columns=["participant_id", "prompt_id", "response_id", "x"])
    return table.astype({"x": "Int64"})


def simulated(n: int = 200, seed: int = 0, raters: int = 3, noise: float = 0.8) -> tuple[pd.DataFrame, pd.Series]:
    """Ratings of n responses to n / 2 prompts, and what each response is really worth on 1 … 5."""
    rng = np.random.default_rng(seed)
    worth = rng.uniform(1, 5, n)
    rows = [
        (f"p{rater}", f"q{number // 2}", f"r{number}", int(np.clip(round(worth[number] + rng.normal(0, noise)), 1, 5)))
        for number in range(n)
        for rater in range(raters)
    ]
    return rated(*rows), pd.Series(worth, index=[f"r{number}" for number in range(n)])


def judged(values: pd.Series) -> pd.DataFrame:
    """A judge's scores on 1 … 5 as the proof wants them."""
    return pd.DataFrame({"response_id": values.index, "x": (np.clip(values, 1, 5) - 1) / 4})


def test_the_table_has_a_row_a_stratum_on_what_both_scored() -> None:
    ratings = rated(("a", "q1", "r1", 5), ("b", "q1", "r1", 3), ("a", "q2", "r2", 1), ("b", "q2", "r3", None))
    judge = pd.DataFrame({"response_id": ["r1", "r2", "r3"], "x": [1.0, np.nan, 0.5]})
    groups = {"all": ratings, "b": ratings[ratings["participant_id"] == "b"], "nobody": ratings.iloc[:0]}
    table = prove(judge, groups, ["x"], 5, draws=10)[0]
    assert list(table.columns) == list(columns_of(JudgeAgreement))
    table = table.set_index("stratum")
    assert table[["n", "n_unscored", "n_human"]].to_dict("index") == {
        "all": {"n": 1, "n_unscored": 1, "n_human": 2}, "b": {"n": 1, "n_unscored": 0, "n_human": 0},
        "nobody": {"n": 0, "n_unscored": 0, "n_human": 0},
    }  # fmt: skip
    assert table.loc["all", "mean_error"] == 0.25  # 1 against the mean of 5 and 3, 0.75
    assert table.loc["b", "mean_error"] == 0.5
    assert math.isnan(table.loc["nobody", "agreement"])


def test_the_spread_of_the_judges_scores_stands_beside_that_of_the_raters_means() -> None:
    # Raters' means of the two responses: (1 + .5) / 2 = .75 and 0, so a deviation of .375; the judge's all the same.
    ratings = rated(("a", "q1", "r1", 5), ("b", "q1", "r1", 3), ("a", "q2", "r2", 1))
    groups = {"all": ratings, "nobody": ratings.iloc[:0]}
    same = pd.DataFrame({"response_id": ["r1", "r2"], "x": [0.75, 0.75]})
    table = prove(same, groups, ["x"], 5, draws=10)[0].set_index("stratum")
    assert table.loc["all", ["spread", "raters_spread"]].tolist() == [0.0, 0.375]
    assert table.loc["nobody", ["spread", "raters_spread"]].isna().all()


def test_draws_without_a_value_are_counted() -> None:
    # Two prompts, one response each: a draw of one prompt twice has no variation, so no kappa and no correlation.
    ratings = rated(("a", "q1", "r1", 5), ("a", "q2", "r2", 1))
    judge = pd.DataFrame({"response_id": ["r1", "r2"], "x": [1.0, 0.0]})
    table, compared = prove(judge, {"all": ratings, "a": ratings}, ["x"], 5, [("all", "a")], draws=400, seed=1)
    weights = bootstrap_weights(2, 400, 1)[1:]
    one_sided = int((weights == 0).any(axis=1).sum())
    assert 150 < one_sided < 250
    assert table[["draws", "undefined"]].to_numpy().tolist() == [[400, one_sided]] * 2
    assert table["spearman_low"].tolist() == [1.0, 1.0]
    lost = compared.set_index("measure")["undefined"].to_dict()
    assert lost == {"mean_error": 0, "alpha": one_sided}


def test_human_alpha_is_that_of_the_krippendorff_package() -> None:
    ratings, worth = simulated(80)
    table, _ = prove(judged(worth), {"all": ratings}, ["x"], 5, draws=2)
    wide = ratings.pivot(index="participant_id", columns="response_id", values="x").astype(float).to_numpy()
    known = krippendorff.alpha(reliability_data=wide, level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
    assert table.loc[0, "human_alpha"] == pytest.approx(known)


def test_a_judge_that_is_one_more_rater_agrees_with_the_raters_as_they_do_among_themselves() -> None:
    """Alpha compares it with single raters, so a fourth rater of the same kind reaches the raters' own alpha."""
    ratings, worth = simulated(4000)
    rng = np.random.default_rng(9)
    fourth = pd.Series(np.round(worth + rng.normal(0, 0.8, len(worth))), index=worth.index)
    row = prove(judged(fourth), {"all": ratings}, ["x"], 5, draws=200)[0].iloc[0]
    assert row["alpha"] == pytest.approx(row["human_alpha"], abs=0.02)
    # a rater is held against the mean of two others, the judge against that of three: about the same, a little less
    assert row["human_weighted_kappa"] < row["weighted_kappa"] < row["human_weighted_kappa"] + 0.05


def test_a_judge_that_guesses_agrees_by_chance() -> None:
    ratings, worth = simulated(1000)
    guesses = worth.sample(frac=1, random_state=3).set_axis(worth.index)
    row = prove(judged(guesses), {"all": ratings}, ["x"], 5, draws=200)[0].iloc[0]
    for name in ("weighted_kappa", "spearman", "alpha"):
        assert row[f"{name}_low"] < 0 < row[f"{name}_high"]
    assert row["human_weighted_kappa_low"] > 0.5


def test_intervals_cover_what_a_large_sample_gives() -> None:
    """Nominally 95%: of 40 samples of 200, 33 or more hold the population's value (fewer: P < 0.1% at a true 95%)."""
    ratings, worth = simulated(8000, seed=1)
    judge = worth + np.random.default_rng(2).normal(0, 1, len(worth))
    truth = prove(judged(judge), {"all": ratings}, ["x"], 5, draws=1)[0].iloc[0]
    held = dict.fromkeys(["agreement", "weighted_kappa", "spearman", "mean_error", "alpha"], 0)
    for sample in range(40):
        ids = worth.index[sample * 200 : (sample + 1) * 200]
        part = prove(judged(judge[ids]), {"all": ratings[ratings["response_id"].isin(ids)]}, ["x"], 5, draws=300)[0]
        for name in held:
            held[name] += part.loc[0, f"{name}_low"] <= truth[name] <= part.loc[0, f"{name}_high"]
    assert min(held.values()) >= 33, held


def test_prompts_are_drawn_with_all_their_responses() -> None:
    """Ten copies of each response in its prompt are no more evidence than one."""
    ratings, worth = simulated(60)
    ratings = ratings.assign(prompt_id=ratings["response_id"])
    judge = worth + np.random.default_rng(0).normal(0, 1, len(worth))
    one = prove(judged(judge), {"all": ratings}, ["x"], 5, draws=500)[0].iloc[0]
    copies = [ratings.assign(response_id=ratings["response_id"] + f"-{copy}") for copy in range(10)]
    more = pd.concat([judge.set_axis(judge.index + f"-{copy}") for copy in range(10)])
    ten = prove(judged(more), {"all": pd.concat(copies)}, ["x"], 5, draws=500)[0].iloc[0]
    for name in ("agreement", "weighted_kappa", "spearman", "mean_error"):
        assert ten[name] == pytest.approx(one[name])
        assert ten[f"{name}_low"] == pytest.approx(one[f"{name}_low"])


def test_a_judge_that_sides_with_one_stratum_is_found_out() -> None:
    ratings, worth = simulated(400)
    others = ratings.assign(participant_id="o" + ratings["participant_id"], x=6 - ratings["x"])
    groups = {"all": pd.concat([ratings, others]), "ours": ratings, "others": others}
    _, differences = prove(judged(worth), groups, ["x"], 5, [("ours", "others")], draws=200)
    rows = differences.set_index("measure")
    assert set(rows["contrast"]) == {"ours - others"}
    assert rows.loc["alpha", "ci_low"] > 1


def test_a_judge_that_sides_with_nobody_is_seldom_accused() -> None:
    """Nominally once in 20 times; six times or more of 20 has P < 0.1%. One group has twice as many raters."""
    accused = dict.fromkeys(COMPARED, 0)
    for seed in range(20):
        ratings, worth = simulated(200, seed, raters=6)
        ours = ratings["participant_id"].isin(["p0", "p1"])
        groups = {"all": ratings, "a": ratings[ours], "b": ratings[~ours]}
        _, differences = prove(judged(worth), groups, ["x"], 5, [("a", "b")], draws=200)
        for row in differences.itertuples():
            accused[row.measure] += row.ci_low > 0 or row.ci_high < 0
    assert max(accused.values()) <= 5, accused


# ---- the floor


def test_the_floor_is_held_against_all_raters_on_every_dimension_and_undefined_is_below() -> None:
    table = pd.DataFrame(
        [("x", "all", 0.8, 0.5), ("y", "all", 0.7, np.nan), ("y", "few", 0.1, 0.1)],
        columns=["dimension", "stratum", "agreement", "weighted_kappa"],
    )
    assert shortfalls(table, {}) == []
    assert shortfalls(table, {"agreement": 0.7}) == []
    assert shortfalls(table, {"agreement": 0.75, "weighted_kappa": 0.5}) == [
        "y: agreement 0.700, floor 0.75", "y: weighted kappa nan, floor 0.5",
    ]  # fmt: skip
