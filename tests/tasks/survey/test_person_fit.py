"""Person fit: by hand, p-values that are uniform under the model, and answers at random that it does not expect."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from tasks.survey.clmm.model import fit
from tasks.survey.person_fit import fit_of_answers, person_fit, predictions

THRESHOLDS = np.array([-1.6, 0.05, 1.05, 2.6])


def simulated(raters: int, responses: int, each: int, careless: int = 0, seed: int = 0) -> pd.DataFrame:
    """Ratings of the model with σ = 0.6 of raters and 1.6 of responses; the first `careless` raters draw any label."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(raters), each)
    what = np.concatenate([rng.choice(responses, each, replace=False) for _ in range(raters)])
    level, shown = rng.normal(0, 0.6, raters), rng.normal(0, 1.6, responses)
    latent = level[who] + shown[what] + rng.logistic(size=len(who))
    rating = 1 + (latent[:, None] > THRESHOLDS).sum(axis=1)
    rating = np.where(who < careless, rng.integers(1, 6, len(who)), rating)
    names = {"participant_id": [f"p{n:04d}" for n in who], "response_id": [f"r{n}" for n in what]}
    return pd.DataFrame({**names, "d": rating}).astype({"d": "Int64"})


def test_outfit_and_lz_by_hand() -> None:
    """One answer of three categories 1, 2, 3 with p = .5, .25, .25: E = 1.75, Var = .5·.5625 + .25·.0625 + .25·1.5625.

    log₂ p = −1, −2, −2: mean −1.5, variance .25, so that l_z = (−1 + 1.5) / .5 = 1 for the first category and −1 for
    the others. Of two such answers 1 and 3, l_z = 0.
    """
    p = np.array([0.5, 0.25, 0.25])[None, :, None]
    outfit, lz = fit_of_answers(p, np.array([[0, 1, 2]]), np.array([1.0, 2, 3]), np.zeros(1))
    assert outfit.tolist() == pytest.approx([0.5625 / 0.6875, 0.0625 / 0.6875, 1.5625 / 0.6875])
    assert lz.tolist() == pytest.approx([1, -1, -1])
    two, both = fit_of_answers(np.repeat(p, 2, axis=0), np.array([[0], [2]]), np.array([1.0, 2, 3]), np.zeros(1))
    assert two.tolist() == pytest.approx([(0.5625 + 1.5625) / 2 / 0.6875])
    assert both.tolist() == pytest.approx([0])


def test_a_raters_level_is_the_one_that_their_own_answers_make_likeliest() -> None:
    low, high = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8])
    p = np.repeat(np.stack([low, high], axis=-1)[None], 3, axis=0)
    _, lz = fit_of_answers(p, np.array([[2], [2], [2]]), np.array([1.0, 2, 3]), np.zeros(2))
    entropy = 0.8 * math.log(0.8) + 0.2 * math.log(0.1)
    variance = 0.8 * math.log(0.8) ** 2 + 0.2 * math.log(0.1) ** 2 - entropy**2
    assert lz.tolist() == pytest.approx([(math.log(0.8) - entropy) * 3 / math.sqrt(3 * variance)])


def test_predictions_are_probabilities_that_do_not_know_the_answer_itself() -> None:
    ratings = simulated(60, 90, 5)
    groups = {"participant": ratings["participant_id"], "response": ratings["response_id"]}
    model = fit(ratings["d"].to_numpy(float), pd.DataFrame(index=ratings.index), groups)
    p = predictions(model, ratings, "d").of(np.arange(300))
    assert p.sum(axis=1) == pytest.approx(1)
    other = ratings.copy()
    other.loc[0, "d"] = 6 - int(ratings.loc[0, "d"]) if ratings.loc[0, "d"] != 3 else 1
    changed = predictions(model, other, "d").of(np.arange(300))
    assert changed[0] == pytest.approx(p[0])
    mates = ratings["response_id"] == ratings.loc[0, "response_id"]
    assert not np.allclose(changed[mates][1:], p[mates][1:])


@pytest.mark.parametrize("each", [5, 15])
def test_p_values_are_uniform_where_the_model_holds_however_few_the_answers(each: int) -> None:
    table = person_fit(simulated(400, 400, each), "d", seed=0, simulated=300).table
    assert table["n"].between(1, each).all()
    for p in (table["lz_p"], table["outfit_p"]):
        assert kstest(p, "uniform").pvalue > 0.01
        assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)  # 400 raters: 2.75 standard errors
        assert p.between(0, 1, inclusive="neither").all()


def test_answers_at_random_are_not_expected() -> None:
    ratings = simulated(200, 150, 15, careless=20)
    table = person_fit(ratings, "d", seed=0, simulated=300).table
    careless = table.index < "p0020"
    assert (table.loc[careless, "lz_p"] < 0.05).mean() > 0.7
    assert (table.loc[~careless, "lz_p"] < 0.05).mean() < 0.05
    assert table.loc[careless, "outfit"].mean() > 1.2 > table.loc[~careless, "outfit"].mean()


def test_neither_the_names_of_raters_nor_the_order_of_rows_matter_but_the_seed() -> None:
    ratings = simulated(60, 60, 5)
    one = person_fit(ratings, "d", seed=0, simulated=50).table
    shuffled = person_fit(ratings.sample(frac=1, random_state=1), "d", seed=0, simulated=50).table
    np.testing.assert_allclose(shuffled[["outfit", "lz"]], one[["outfit", "lz"]], rtol=1e-4, atol=1e-4)
    assert not person_fit(ratings, "d", seed=1, simulated=50).table["lz_p"].equals(one["lz_p"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("a", "r", 1), ("b", "s", 2)], "no response has two raters"),
        ([("a", "r", 3), ("b", "r", 3)], "all 2 ratings are 3; the model needs at least two categories"),
    ],
)
def test_a_dimension_without_a_model_says_why(rows: list[tuple[str, str, int]], reason: str) -> None:
    ratings = pd.DataFrame(rows, columns=["participant_id", "response_id", "d"])
    found = person_fit(ratings, "d", seed=0)
    assert (len(found.table), found.reason) == (0, reason)


def test_an_answer_that_nobody_else_gave_is_no_part_of_person_fit() -> None:
    ratings = simulated(40, 20, 5)
    alone = pd.DataFrame({"participant_id": ["p0000", "new"], "response_id": ["x", "y"], "d": [1, 5]})
    table = person_fit(pd.concat([ratings, alone], ignore_index=True), "d", seed=0, simulated=20).table
    assert "new" not in table.index
    assert table.loc["p0000", "n"] == 5
