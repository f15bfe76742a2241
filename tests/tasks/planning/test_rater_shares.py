"""What pairs, ratings and raters have in a contrast's dependence on who was asked: by hand, and over repetitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from configs.schema import Condition, Contrast, ContrastSettings, Experiment
from tasks.planning.rater_shares import lean
from tasks.preferences.condition import ConditionData, Labels

Rating = tuple[str, str, str, int]
"""Participant, prompt, response, label."""


def experiment(**settings: str) -> Experiment:
    sides = {name: Condition(dimensions=("d",), scale="5-point", **settings) for name in ("one", "two")}
    contrasts = {Contrast("one - two"): ContrastSettings(), Contrast("one - control"): ContrastSettings()}
    return Experiment(title="", question="", conditions=sides, contrasts=contrasts)


def side(ratings: Sequence[Rating], first: int = 0) -> ConditionData:
    """A condition's labels; `first`: number of the first rating."""
    table = pd.DataFrame(ratings, columns=["participant_id", "prompt_id", "response_id", "label"])
    table.index = range(first, first + len(table))
    table["order"] = table.index
    empty = pd.DataFrame()
    return ConditionData({"d": Labels(table, table, 3.0)}, empty, empty, [])


# prompt p: ana likes a better than bob likes b and cem likes c; bob and cem agree
THREE = [("ana", "p", "a", 5), ("bob", "p", "b", 2), ("cem", "p", "c", 2)]
SCORES = pd.Series({"a": 0.6, "b": 0.4, "c": 0.8})


def test_the_parts_by_hand():
    # preferences: a over b, h = 0.2; a over c, h = -0.2. T = 0, d = 0.1 and -0.1.
    parts = lean(experiment(), {"one": side(THREE)}, Contrast("one - control"), SCORES)
    # pairs 0.02; sums of ratings 0 (ana's), 0.1, -0.1: 0.02 - 2 * 0.02 < 0, so the ratings have nothing of their own
    assert parts == pytest.approx((0.02, 0.0, 0.0))
    assert parts.shares == pytest.approx((1.0, 0.0, 0.0))


def test_a_rater_of_two_ratings_has_something_in_common():
    # two prompts alike; ana rates the better response of each: d = h - T = 0 but for one pair that says otherwise
    ratings = [
        *[("ana", "p", "a", 5), ("bob", "p", "b", 1), ("ana", "q", "c", 5), ("cem", "q", "d", 1)],
        *[("dan", "r", "e", 1), ("eve", "r", "f", 5)],
    ]
    scores = pd.Series({"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0, "e": 1.0, "f": 0.0})
    # h = 1, 1, -1; T = 1/3; d = 2/9, 2/9, -4/9: pairs 24/81, ratings 2 * 24/81 - 2 * 24/81 = 0,
    # raters: ana 4/9, others alone: (16 + 4 + 4 + 16 + 16) / 81 - 48 / 81 = 8/81
    # of 6 ratings 2 share a rater: mean others 2 / 6, so a rater's part is 8/81 * 4, cut to all there is, 8/81
    parts = lean(experiment(), {"one": side(ratings)}, Contrast("one - control"), scores)
    assert parts == pytest.approx((24 / 81, 0.0, 8 / 81))


def test_groups_add_up_and_the_same_raters_cancel():
    alone = lean(experiment(), {"one": side(THREE)}, Contrast("one - control"), SCORES)
    others = side([(f"{name}-2", *rest) for name, *rest in THREE], first=10)
    both = lean(experiment(), {"one": side(THREE), "two": others}, Contrast("one - two"), SCORES)
    assert both.variance == pytest.approx(2 * alone.variance)
    assert lean(experiment(), {"one": side(THREE), "two": side(THREE)}, Contrast("one - two"), SCORES) is None


def test_equal_labels_or_equal_scores_tell_nothing():
    agreed = [(*rest, 3) for *rest, _ in THREE]
    assert lean(experiment(), {"one": side(agreed)}, Contrast("one - control"), SCORES) is None
    assert lean(experiment(), {"one": side(THREE)}, Contrast("one - control"), SCORES * 0) is None


def test_a_method_that_reads_no_pairs_has_none():
    parts = lean(experiment(method="kto"), {"one": side(THREE)}, Contrast("one - control"), SCORES)
    assert parts.pair == 0


def drawn(rng: np.random.Generator, raters: int, each: int, sharpness: float) -> ConditionData:
    """Ratings of 30 responses to 10 prompts; raters tell good ones apart by their own sharpness."""
    ratings = []
    for rater in range(raters):
        slope = 1 + sharpness * rng.normal()
        for response in rng.choice(30, each, replace=False):
            label = round(slope * QUALITY[response] + rng.normal())
            ratings.append((f"r{rater}", f"p{response // 3}", f"{response}", label))
    return side(ratings)


QUALITY = np.random.default_rng(5).normal(size=30)
WORTH = pd.Series(QUALITY, index=[str(response) for response in range(30)])


def preferred(data: ConditionData) -> pd.DataFrame:
    """Every two labels of a prompt of which the first is higher, with h; those of one rater too."""
    table = data.labels["d"].scaled
    pairs = table.merge(table, on="prompt_id", suffixes=("_a", "_b"))
    pairs = pairs[(pairs["response_id_a"] != pairs["response_id_b"]) & (pairs["label_a"] > pairs["label_b"])]
    return pairs.assign(h=pairs["response_id_a"].map(WORTH) - pairs["response_id_b"].map(WORTH))


def test_the_parts_add_up_to_the_variance_over_repetitions():
    rng = np.random.default_rng(2)
    every = [drawn(rng, 25, 4, sharpness=2.0) for _ in range(100)]
    parts = [lean(experiment(), {"one": data}, Contrast("one - control"), WORTH) for data in every]
    leans = [preferred(data)["h"].mean() for data in every]
    # 100 repetitions tell a variance to 14% (one standard error)
    assert np.mean([one.variance for one in parts]) == pytest.approx(np.var(leans, ddof=1), rel=0.3)


@pytest.mark.parametrize(("sharpness", "low", "high"), [(0.0, 0.0, 0.12), (2.0, 0.2, 0.6)])
def test_raters_who_differ_in_sharpness_have_something_in_common(sharpness, low, high):
    rng = np.random.default_rng(4)
    every = [drawn(rng, 25, 4, sharpness) for _ in range(20)]
    shares = [lean(experiment(), {"one": data}, Contrast("one - control"), WORTH).shares for data in every]
    assert low <= np.mean([one.rater for one in shares]) <= high


def test_replicates_count_what_pairs_say_three_times():
    rng = np.random.default_rng(3)
    data = drawn(rng, 20, 3, 0.0)
    parts = lean(experiment(), {"one": data}, Contrast("one - control"), WORTH)
    pairs = preferred(data)
    d = ((pairs["h"] - pairs["h"].mean()) / len(pairs)).to_numpy()
    weights = rng.exponential(size=(40_000, 20))
    x, y = (pairs[f"participant_id_{one}"].str[1:].astype(int).to_numpy() for one in "ab")
    shown = (weights[:, x] * weights[:, y] @ d).var()
    assert shown == pytest.approx(3 * parts.pair + parts.rating + parts.rater, rel=0.06)
