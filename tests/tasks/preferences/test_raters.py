"""Raters reweighted: against brute force over raters, and that weights of one give the data of the study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.load import load_study
from configs.schema import Condition, Study
from tasks.methods import METHODS
from tasks.preferences.aggregation import aggregate
from tasks.preferences.condition import ConditionData, condition_data, reweighted
from tasks.preferences.pairs import count_preferences
from tasks.preferences.raters import rater_weights
from tasks.ratings.reading.load import Data
from tests.conftest import make_data

HOW = ["all", "majority", "consensus", "first", "average"]
some = settings(deadline=None, max_examples=40, database=None)
Label = tuple[str, int, float]
"""Rater, label, weight."""


# ---- weights


def test_weights_are_exponential_and_independent_over_raters_and_replicates() -> None:
    people = pd.Series([f"p{number}" for number in range(20_000)])
    first, second = (rater_weights(people, replicate, seed=0) for replicate in (1, 2))
    for weights in (first, second):
        assert weights.min() > 0
        assert weights.mean() == pytest.approx(1, abs=0.03)
        assert weights.var() == pytest.approx(1, abs=0.08)
        assert (weights > 2).mean() == pytest.approx(np.exp(-2), abs=0.01)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first.to_numpy()[1:], first.to_numpy()[:-1])[0, 1]) < 0.03
    assert not first.equals(rater_weights(people, 1, seed=1))


def test_new_raters_change_nobodys_weight() -> None:
    before = rater_weights(pd.Series(["ann", "bob", "ann"]), 3, seed=0)
    after = rater_weights(pd.Series(["zoe", "bob", "ann"]), 3, seed=0)
    assert before.index.tolist() == ["ann", "bob"]
    pd.testing.assert_series_equal(after[["ann", "bob"]], before)


# ---- counts


@st.composite
def ratings(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 24 labels of up to six responses to two prompts by up to five weighted raters, once a response each."""
    places = draw(st.lists(st.tuples(st.sampled_from("vwxyz"), st.integers(0, 5)), max_size=24, unique=True))
    weights = dict(zip("vwxyz", draw(st.lists(st.floats(0.1, 9), min_size=5, max_size=5)), strict=True))
    rows = [
        (rater, f"q{number % 2}", f"r{number}", draw(st.integers(1, 4)), order, weights[rater])
        for order, (rater, number) in enumerate(places)
    ]
    columns = ["participant_id", "prompt_id", "response_id", "label", "order", "weight"]
    return pd.DataFrame(rows, columns=columns).astype({"label": "Int64", "weight": float})


def remaining(labels: list[Label], how: str) -> list[Label]:
    """The labels of one response, in the order in which they were given, as the aggregation leaves them."""
    if how == "all" or not labels:
        return labels
    if how == "first":
        return labels[:1]
    rater = labels[0][0]
    if how == "consensus":
        alike = len(labels) > 1 and len({label for _, label, _ in labels}) == 1
        return [(rater, labels[0][1], float(np.mean([weight for *_, weight in labels])))] if alike else []
    if how == "average":
        total = sum(weight for *_, weight in labels)
        mean = sum(label * weight for _, label, weight in labels) / total
        return [(rater, int(np.floor(mean + 0.5)), total / len(labels))]
    votes: Mapping[int, list[float]] = defaultdict(list)
    for _, label, weight in labels:
        votes[label].append(weight)
    top = max(map(sum, votes.values()))
    winners = [label for label, own in votes.items() if sum(own) == top]
    return [(rater, winners[0], float(np.mean(votes[winners[0]])))] if len(winners) == 1 else []


def counted(table: pd.DataFrame, how: str, within: str) -> dict[tuple[str, str], float]:
    """(preferred, other) → weight, rater by rater."""
    own: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for row in table.itertuples():
        own[row.prompt_id, row.response_id].append((row.participant_id, int(row.label), row.weight))
    kept = {key: remaining(labels, how) for key, labels in own.items()}
    counts: dict[tuple[str, str], float] = defaultdict(float)
    for (prompt, a), (other, b) in combinations(kept, 2):
        for (r, one, w_r), (s, two, w_s) in product(kept[prompt, a], kept[other, b]):
            if prompt == other and one != two and (within == "prompt" or r == s):
                counts[(a, b) if one > two else (b, a)] += w_r * w_s if within == "prompt" else w_r
    return dict(counts)


WAYS = [*((how, "prompt") for how in HOW), ("all", "participant")]


@pytest.mark.parametrize(("how", "within"), WAYS)
@some
@given(table=ratings())
def test_weighted_counts_are_those_of_brute_force_over_raters(how: str, within: str, table: pd.DataFrame) -> None:
    found = count_preferences(aggregate(table, how), within)
    both = {(row.a, row.b): row.n_a for row in found.itertuples() if row.n_a}
    both |= {(row.b, row.a): row.n_b for row in found.itertuples() if row.n_b}
    assert both == pytest.approx(counted(table, how, within))


@some
@given(table=ratings(), times=st.lists(st.integers(1, 3), min_size=5, max_size=5))
def test_a_whole_weight_is_as_good_as_so_many_raters_of_the_same_mind(table: pd.DataFrame, times: list[int]) -> None:
    weight = table["participant_id"].map(dict(zip("vwxyz", times, strict=True))).astype(float)
    weighted = table.assign(weight=weight)
    copies = table.drop(columns="weight").loc[table.index.repeat(weight.astype(int))]
    for how in ("all", "majority", "average"):
        one, other = aggregate(weighted, how), aggregate(copies.reset_index(drop=True), how)
        by_response = [list(zip(kept["response_id"], kept["label"], strict=True)) for kept in (one, other)]
        assert set(by_response[0]) == set(by_response[1])
    one, other = count_preferences(weighted, "prompt"), count_preferences(copies, "prompt")
    pd.testing.assert_frame_equal(one, other, check_dtype=False)


# ---- a condition's data


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("paper")


@pytest.mark.parametrize(("how", "within"), WAYS)
def test_weights_of_one_give_what_every_method_trains_on_to_the_byte(study: Study, how: str, within: str) -> None:
    data, condition, plain = condition_on(study, how, within)
    same = reweighted(condition, plain, data.responses, pd.Series(1.0, index=data.ratings["participant_id"].unique()))
    assert len(plain.pairs) > 5
    for name, method in METHODS.items():
        one, other = (method.table(made, study.recipe, study.seed)[0] for made in (plain, same))
        assert method.digest(one.astype({"n": float})) == method.digest(other.astype({"n": float})), name


def test_other_weights_give_the_same_pairs_with_other_targets(study: Study) -> None:
    data, condition, plain = condition_on(study, "all", "prompt")
    replicates = [
        reweighted(condition, plain, data.responses, rater_weights(data.ratings["participant_id"], replicate, 0))
        for replicate in (1, 2)
    ]
    for made in replicates:
        pd.testing.assert_frame_equal(made.pairs[["a", "b", "text_a"]], plain.pairs[["a", "b", "text_a"]])
        assert made.pairs["weight"].mean() == pytest.approx(1)
        assert not np.allclose(made.pairs["target"], plain.pairs["target"])
    assert not np.allclose(replicates[0].pairs["target"], replicates[1].pairs["target"])


def condition_on(study: Study, how: str, within: str) -> tuple[Data, Condition, ConditionData]:
    """Ratings of 60 responses to 20 prompts by twelve raters, who agree on half of them; what becomes of them."""
    rng = np.random.default_rng(0)
    rows = [
        (f"p{rater}", f"q{number % 20}", f"r{number}", number // 20 + 1 if number % 2 else int(rng.integers(1, 6)))
        for number in range(60)
        for rater in rng.choice(12, size=5, replace=False)
    ]
    data = make_data(rows)
    condition = Condition(dimensions=("toxicity",), scale="5-point", aggregation=how, within=within)
    return data, condition, condition_data(study, data.responses, condition, data.ratings)
