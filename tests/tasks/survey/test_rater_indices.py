"""Indices of how raters answer: by hand, against careless-py, and what must always hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tasks.survey.rater_indices import COLUMNS, EVERY, even_odd, rater_indices, together

REFERENCE = json.loads((Path(__file__).parent / "reference" / "careless.json").read_text())
NAMES = ["first", "second", "third"]


def table(answers: np.ndarray) -> pd.DataFrame:
    """Ratings of (raters, responses, dimensions) answers, 0 for none; every rater rates the same responses."""
    raters, responses, dimensions = answers.shape
    rows = [(f"p{p:02d}", f"r{r}", p * responses + r) for p in range(raters) for r in range(responses)]
    flat = pd.DataFrame(answers.reshape(-1, dimensions), columns=NAMES[:dimensions]).astype("Int64")
    flat = flat.mask(flat == 0)
    return pd.concat([pd.DataFrame(rows, columns=["participant_id", "response_id", "order"]), flat], axis=1)


def indices(answers: np.ndarray, dimension: str = EVERY) -> pd.DataFrame:
    ratings = table(answers)
    found, _ = rater_indices(ratings, [name for name in NAMES if name in ratings], seed=0, simulated=20)
    return found[found["dimension"] == dimension].reset_index(drop=True)


@pytest.fixture(scope="module")
def careless() -> pd.DataFrame:
    return indices(np.array(REFERENCE["answers"]))


@pytest.mark.parametrize("index", ["long_string", "irv", "even_odd"])
def test_an_index_is_careless_pys(careless: pd.DataFrame, index: str) -> None:
    expected = np.array(REFERENCE[index], float)
    if index == "even_odd":  # where a half does not vary careless-py says 0; there is no correlation
        answers = np.array(REFERENCE["answers"])
        halves = np.stack([answers[:, side::2].mean(axis=1) for side in (0, 1)])
        alike = (np.ptp(halves, axis=2) == 0).any(axis=0)
        assert (alike.sum(), expected[alike].any()) == (3, False)
        expected[alike] = math.nan
    np.testing.assert_allclose(careless[index], expected, rtol=1e-12)


def test_a_run_goes_on_from_response_to_response_and_ends_with_the_rater() -> None:
    answers = np.array([[[1, 2, 2], [2, 5, 1]], [[1, 1, 4], [3, 3, 5]]])  # p00 ends on 1, and p01 begins with it
    assert indices(answers)["long_string"].tolist() == [3, 2]
    assert indices(answers, "first")["long_string"].tolist() == [1, 1]
    assert indices(answers, "second")["long_string"].tolist() == [1, 1]


def test_a_missing_answer_counts_nowhere() -> None:
    answers = np.array([[[1, 0, 1], [1, 5, 0]], [[1, 1, 4], [3, 3, 5]]])
    every, second = indices(answers), indices(answers, "second")
    assert every["n_answers"].tolist() == [4, 6]
    assert every["long_string"].tolist() == [3, 2]  # 1 1 1 5
    assert every["irv"][0] == pytest.approx(math.sqrt(3))  # mean 2: (1 + 1 + 1 + 9) / 4
    assert second["n_answers"].tolist() == [1, 2]


def test_the_order_of_the_export_is_the_order_of_the_answers() -> None:
    ratings = table(np.array([[[1], [2], [1], [2]], [[1], [1], [2], [2]]]))
    turned = ratings.sample(frac=1, random_state=3)
    same, other = (rater_indices(rows, ["first"], 0, 20)[0] for rows in (ratings, turned))
    pd.testing.assert_frame_equal(same, other)
    assert same.loc[same["dimension"] == "first", "long_string"].tolist() == [1, 2]


def test_even_odd_consistency_by_hand() -> None:
    answers = np.array([
        [[1, 2, 5], [2, 3, 4], [3, 4, 5], [2, 1, 4]],  # means 2 3 5 and 2 2 4
        [[1, 2, 0], [2, 3, 4], [3, 4, 0], [2, 1, 4]],  # two dimensions in both halves: too few
        [[3, 3, 3], [2, 3, 4], [3, 3, 3], [2, 1, 4]],  # nothing varies in one half
    ])  # fmt: skip
    found = even_odd(table(answers), NAMES)
    expected = np.corrcoef([2, 3, 5], [2, 2, 4])[0, 1]
    assert found["p00"] == pytest.approx(expected)
    assert found[["p01", "p02"]].isna().all()


def test_one_response_each_has_no_halves() -> None:
    assert even_odd(table(np.array([[[1, 2, 5]], [[2, 3, 1]]])), NAMES).isna().all()


def test_every_rater_has_a_row_for_each_dimension_and_one_for_all() -> None:
    answers = np.array([[[1, 2, 0], [2, 5, 0]], [[1, 1, 4], [3, 3, 5]]])
    found, reasons = rater_indices(table(answers), NAMES, seed=0, simulated=20)
    assert list(found) == COLUMNS
    assert found["dimension"].tolist() == [EVERY, "first", "second", EVERY, "first", "second", "third"]
    assert reasons["third"] == "no response has two raters"
    assert found.loc[found["dimension"] == "third", ["outfit", "lz_p"]].isna().all(axis=None)
    assert found["n_fit"].tolist()[-1] == 0


# ---- dimensions together


def scores(*columns: list[float]) -> dict[str, pd.DataFrame]:
    """Person fit of dimensions of four answers each, from their p's."""
    index = pd.Index([f"p{number}" for number in range(len(columns[0]))], name="participant_id")
    return {
        name: pd.DataFrame({"n": 4.0, "outfit": 1.0, "outfit_p": p, "lz": 0.0, "lz_p": p}, index)
        for name, p in zip(NAMES, columns, strict=False)
    }


def test_dimensions_that_go_their_own_ways_add_up_as_independent_ones() -> None:
    # signs + + − − and + − + −: ρ = 0, so that Z = (z + z') / √2
    found = together(scores([0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.9, 0.1]))
    assert found["lz"].tolist() == pytest.approx([math.sqrt(2) * norm.ppf(0.9), 0, 0, -math.sqrt(2) * norm.ppf(0.9)])
    assert found["lz_p"].tolist() == pytest.approx(norm.cdf(found["lz"]))


def test_a_dimension_that_only_repeats_another_is_no_second_surprise() -> None:
    p = [0.02, 0.2, 0.7, 0.9]
    assert together(scores(p, p, p))["lz_p"].tolist() == pytest.approx(p)  # ρ = 1


def test_more_answers_weigh_more_and_who_lacks_a_dimension_has_the_others() -> None:
    tables = scores([0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.9, 0.1])
    tables["second"] = tables["second"].assign(n=16.0).drop("p3")
    tables["second"].loc["p2", "outfit"] = 2.0
    found = together(tables)  # ρ: signs + − − over p0, p1, p2 → −1/3, taken for 0
    z = norm.ppf(0.9)
    assert found.loc["p1", "lz"] == pytest.approx((2 * z - 4 * z) / math.sqrt(4 + 16))
    assert found.loc["p3", "lz_p"] == pytest.approx(0.1)
    assert found.loc["p2", "outfit"] == pytest.approx((4 * 1 + 16 * 2) / 20)
