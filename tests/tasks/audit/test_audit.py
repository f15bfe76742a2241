"""Whose voice survives a condition: by hand, against a count of single preferences, and what must always hold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Contrast, ContrastSettings, Study
from tasks.audit.audit import audit, check_audit, filtered_raters, population_weights
from tasks.audit.step import filtered_table, population_table
from tasks.audit.tables import Audit
from tasks.methods import METHODS
from tasks.preferences.aggregation import aggregate
from tasks.preferences.condition import experiment_data
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import MemoryStore
from tasks.runtime.tables import columns_of
from tests.conftest import make_data

EA = "emotional-awareness"
AGGREGATIONS = ["all", "majority", "consensus", "first", "average"]

# Two responses to one prompt, on a dimension where more is better; x1, x2, x3 are of stratum x, y1 is of y.
#   a: y1 1, x1 5, x2 5      b: x1 2, x3 2, y1 5
# x has 4 of the 6 ratings and says a (5 5 over 2 2), y says b (5 over 1).
ROWS: list[tuple[str, str, str, int | None]] = [
    ("y1", "q", "a", 1), ("x1", "q", "a", 5), ("x2", "q", "a", 5),
    ("x1", "q", "b", 2), ("x3", "q", "b", 2), ("y1", "q", "b", 5),
]  # fmt: skip


@cache
def demo() -> dict[str, Any]:
    return load_study("demo").model_dump(mode="json")


def study(
    conditions: Mapping[str, Mapping[str, Any]], strata: str = "xy", max_pairs: int | None = None, **more: Any
) -> Study:
    """One experiment of the conditions, a stratum a letter, next to nothing held out."""
    settings = {name: {"dimensions": [EA], "scale": "5-point", **values} for name, values in conditions.items()}
    contrasts = {f"{name} - control": {} for name in settings}
    experiment = {"title": "T", "question": "Q", "conditions": settings, "contrasts": contrasts, "groups": list(strata)}
    changes = {
        "experiments": {"e": experiment},
        "strata": {letter: {"attribute": "group", "values": [letter]} for letter in strata},
        "evaluation": {"share": 1e-9, "dimensions": [EA]},
        "recipe": {"dpo": {"max_pairs": max_pairs}},
        "raters": {},
        "placebo": 0,
    }
    return Study.model_validate(demo() | changes | more)


def data(rows: list[tuple[str, str, str, int | None]], **settings: Any) -> Data:
    """Participants are of the stratum that their id begins with."""
    groups = {participant: (participant[0],) for participant, *_ in rows}
    return make_data(rows, EA, {"group": groups}, **settings)


def audited(settings: Study, ratings: Data) -> pd.DataFrame:
    """The audit of what the ratings come to."""
    own = StudyData.of(settings, ratings)
    return audit(settings, own, {name: experiment_data(settings, own, e) for name, e in settings.experiments.items()})


def of(table: pd.DataFrame, stratum: str) -> dict[str, Any]:
    """The one row of a stratum."""
    (row,) = table[table["stratum"] == stratum].to_dict("records")
    return row


def x_and_y(settings: Mapping[str, Any], ratings: Data | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    table = audited(study({"c": settings}), ratings or data(ROWS))
    return of(table, "x"), of(table, "y")


# ---- by hand


def test_what_was_asked_by_hand() -> None:
    table = audited(study({"c": {}}), data(ROWS))
    assert list(table.columns) == list(columns_of(Audit))
    assert table[["experiment", "condition", "stratum"]].to_numpy().tolist() == [["e", "c", "x"], ["e", "c", "y"]]
    assert table[["n_participants", "n_ratings", "n_majorities"]].to_numpy().tolist() == [[3, 4, 1], [1, 2, 1]]
    assert table["share_of_participants"].tolist() == [3 / 4, 1 / 4]
    assert table["share_of_ratings"].tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("settings", "retained", "share", "loses"),
    [
        # 1 < 2, 1 < 2, 1 < 5 for b; 5 > 2 four times for a, 5 = 5 says nothing: 7 preferences, 4 for a.
        # Each rating's: a: y1 3, x1 2, x2 2; b: x1 3, x3 3, y1 1. Together 14, x 10 of them.
        ({}, (1, 1), 10 / 14, (0, 1)),
        # 1 1 2 2 as ROWS's 1 2 5: a: y1 1, x1 2, x2 2; b: x1 1, x3 1, y1 2. 2 > 1 four times for a, 1 < 2 once for b.
        # Each rating's: a: y1 1, x1 2, x2 2; b: x1 2, x3 2, y1 1. Together 10, x 8 of them.
        ({"scale": "binary"}, (1, 1), 8 / 10, (0, 1)),
        # a 5 by x1 and x2, b 2 by x1 and x3: y voted for neither.
        ({"aggregation": "majority"}, (1, 0), 1, (0, 1)),
        # a 1 by y1, b 2 by x1, so b, against x. Ratings that equal these: x1's and x3's of b, y1's of a.
        ({"aggregation": "first"}, (2 / 4, 1 / 2), 1 / 2, (1, 0)),
        # a 11/3 -> 4, b 9/3 = 3, of three raters each, two of them x's. No rating is 4, or 3.
        ({"aggregation": "average"}, (0, 0), 2 / 3, (0, 1)),
        # a 11/3 over b 3; the rewards of a and b weigh the same, a third for each rater.
        ({"method": "grpo"}, (1, 1), 2 / 3, (0, 1)),
        # Above and below 3: a has two of three desirable, b one of three. No label is a 3, and all weigh the same.
        ({"method": "kto"}, (1, 1), 2 / 3, (0, 1)),
        # y's own ratings alone: 1 < 5.
        ({"stratum": "y"}, (0, 1), 0, (1, 0)),
    ],
    ids=["all", "binary", "majority", "first", "average", "grpo", "kto", "stratum"],
)
def test_what_a_condition_does_by_hand(
    settings: dict[str, Any], retained: tuple[float, float], share: float, loses: tuple[float, float]
) -> None:
    x, y = x_and_y(settings)
    assert (x["retained"], y["retained"]) == pytest.approx(retained)
    assert (x["share_of_preferences"], y["share_of_preferences"]) == pytest.approx((share, 1 - share))
    assert (x["majority_loses"], y["majority_loses"]) == loses
    assert (x["majority_unheard"], y["majority_unheard"]) == (0, 0)


def test_voices_give_each_group_its_part_and_the_greater_one_its_majority() -> None:
    # x's four preferences say a, y's one says b. With equal voices neither leads; of a population that is like y, b.
    voices = {"equal": {"voices": "equal"}, "population": {"voices": "population"}}
    table = audited(study(voices, population={"group": {"x": 0.2, "y": 0.8}}), data(ROWS))
    for name, parts, unheard, loses in (("equal", (0.5, 0.5), 1, None), ("population", (0.2, 0.8), 0, (1, 0))):
        own = table[table["condition"] == name]
        x, y = of(own, "x"), of(own, "y")
        assert (x["share_of_preferences"], y["share_of_preferences"]) == pytest.approx(parts)
        assert (x["majority_unheard"], y["majority_unheard"]) == (unheard, unheard)
        assert (x["retained"], y["retained"]) == (1, 1)
        if loses:
            assert (x["majority_loses"], y["majority_loses"]) == loses


def test_under_kto_a_label_in_the_middle_is_no_voice() -> None:
    # Of b's 2 2 5 and a's 3 5 5, y1's 3 says neither: x has four of the five labels.
    x, y = x_and_y({"method": "kto"}, data([("y1", "q", "a", 3), *ROWS[1:]]))
    assert (x["share_of_preferences"], y["share_of_preferences"]) == pytest.approx((4 / 5, 1 / 5))
    assert (x["retained"], y["retained"]) == (1, 1)


def test_consensus_by_hand() -> None:
    # a: 5 5 by x1 and x2, b: 1 1 by x3 and y1, c: 3 4, no agreement. One preference, its halves split in two:
    # x has three of the four parts. x's own: a 5 5 over b 1 and c 3, c over b, of which c is not in the pairs.
    rows = [("x1", "q", "a", 5), ("x2", "q", "a", 5), ("x3", "q", "b", 1), ("y1", "q", "b", 1),
            ("x1", "q", "c", 3), ("y1", "q", "c", 4)]  # fmt: skip
    x, y = x_and_y({"aggregation": "consensus"}, data(rows))
    assert (x["retained"], y["retained"]) == (3 / 4, 1 / 2)
    assert (x["share_of_preferences"], y["share_of_preferences"]) == (3 / 4, 1 / 4)
    assert (x["n_majorities"], x["majority_loses"], x["majority_unheard"]) == (3, 0, pytest.approx(2 / 3))
    assert (y["n_majorities"], y["majority_unheard"]) == (1, 1)  # c over b
    assert math.isnan(y["majority_loses"])


def test_average_retains_the_ratings_that_are_the_rounded_mean() -> None:
    # a: 4 5 5 -> 14/3 -> 5, x's two; b: 2 2 1 -> 5/3 -> 2, one of each
    rows = [("y1", "q", "a", 4), ("x1", "q", "a", 5), ("x2", "q", "a", 5),
            ("x1", "q", "b", 2), ("x3", "q", "b", 1), ("y1", "q", "b", 2)]  # fmt: skip
    x, y = x_and_y({"aggregation": "average"}, data(rows))
    assert (x["retained"], y["retained"]) == (3 / 4, 1 / 2)


def test_a_scale_that_drops_a_category_keeps_its_ratings_from_training() -> None:
    rows = [*ROWS, ("x2", "q", "b", 3), ("y1", "q", "c", 3)]
    x, y = x_and_y({"scale": "binary"}, data(rows))
    assert (x["retained"], y["retained"]) == (4 / 5, 2 / 3)
    assert x["share_of_preferences"] == pytest.approx(8 / 10)  # as without them


def test_within_participant_counts_each_persons_own_preferences() -> None:
    # x1: 5 > 2, y1: 1 < 5; x2 and x3 rated one response. One preference each way: the pair is trained on, but leads
    # nowhere, so both majorities are unheard.
    x, y = x_and_y({"within": "participant"})
    assert (x["share_of_preferences"], y["share_of_preferences"]) == (1 / 2, 1 / 2)
    assert (x["retained"], y["retained"]) == (1, 1)
    assert (x["majority_unheard"], y["majority_unheard"]) == (1, 1)
    assert math.isnan(x["majority_loses"])
    assert math.isnan(y["majority_loses"])


def test_under_grpo_every_label_of_the_reward_weighs_the_same() -> None:
    # a and b as above, c rated by y1 alone: x gave 4 of 7 labels. Means a 11/3, b 3, c 3: b and c have the same reward.
    # y says b over a, c over a, b over c: two lost, one unheard.
    x, y = x_and_y({"method": "grpo"}, data([*ROWS, ("y1", "q", "c", 3)]))
    assert x["share_of_preferences"] == pytest.approx(4 / 7)
    assert y["share_of_preferences"] == pytest.approx(3 / 7)
    assert (y["n_majorities"], y["majority_loses"], y["majority_unheard"]) == (3, 1, pytest.approx(1 / 3))


@pytest.mark.parametrize("method", list(METHODS))
def test_every_dimension_has_the_same_part_in_the_weight(method: str) -> None:
    # On toxicity, where less is better, y1 alone rates: a 1 over b 5, all of that dimension's weight. The other as
    # above: dpo x 10/14, grpo and kto x 2/3; half of either. y's own ratings say b on one, a on the other: no majority.
    ratings = data(ROWS)
    ratings.ratings["toxicity"] = ratings.ratings[EA].where(ratings.ratings["participant_id"] == "y1")
    x, y = x_and_y({"dimensions": [EA, "toxicity"], "method": method}, ratings)
    half = {"dpo": 5 / 14, "grpo": 1 / 3, "kto": 1 / 3}[method]
    assert (x["share_of_preferences"], y["share_of_preferences"]) == pytest.approx((half, 1 - half))
    assert (x["n_ratings"], y["n_ratings"]) == (4, 4)
    assert (x["n_majorities"], x["majority_loses"], x["majority_unheard"]) == (1, 0, 0)
    assert y["n_majorities"] == 0
    assert math.isnan(y["majority_loses"])
    assert math.isnan(y["majority_unheard"])


def test_a_tie_between_dimensions_is_a_tie_whatever_the_rounding() -> None:
    # One dimension has 10 preferences, 3 for a and 1 for b of (a, b) among them, the other 10 and 2 for b: 0.3 - 0.1
    # - 0.2 = 0. As floats 0.3 / (0.4 + 0.2) is below a half.
    rows = [("x1", "q", "a", 2), ("x2", "q", "b", 1), ("x3", "q", "b", 1), ("x4", "q", "b", 1), ("x5", "q", "b", 3)]
    rows += [(f"x{n}", "p", "c", 5) for n in range(6)] + [("x9", "p", "d", 1)]
    first = data(rows)
    other = [("x1", "q", "a", 1), ("x2", "q", "b", 2), ("x3", "q", "b", 2)]
    other += [(f"x{n}", "p", "c", 1) for n in range(8)] + [("x9", "p", "d", 5)]
    second = data(other).ratings.rename(columns={EA: "sensitivity"}).drop(columns=["order", "prompt_id"])
    merged = first.ratings.merge(second, on=["participant_id", "response_id"], how="outer")
    prompts = {"a": "q", "b": "q", "c": "p", "d": "p"}
    merged = merged.assign(prompt_id=merged["response_id"].map(prompts), order=range(len(merged)))
    people = pd.DataFrame({"participant_id": merged["participant_id"].unique(), "language": "en"})
    everybody = replace(first, ratings=merged, participants=people.assign(group=[("x",)] * len(people)))
    x = of(audited(study({"c": {"dimensions": [EA, "sensitivity"]}}, "x"), everybody), "x")
    assert x["n_majorities"] == 1  # (c, d) alone: 6/10 for c, 8/10 for d


def test_responses_of_the_same_text_are_no_pair_on_either_side() -> None:
    rows = [*ROWS, ("x1", "q", "c", 1), ("y1", "q", "c", 1)]
    texts = {"a": "same words", "b": "same words"}
    x, y = x_and_y({}, data(rows, texts=texts))
    # (a, c): 5 5 over 1 for x; y's 1 = 1 says nothing. (b, c): 2 2 over 1 for x, 5 over 1 for y.
    assert (x["n_majorities"], y["n_majorities"]) == (2, 1)
    assert (x["majority_unheard"], y["majority_unheard"]) == (0, 0)


# ---- against a count of single preferences


def random_data(seed: int) -> Data:
    """Twelve prompts with up to four responses each, up to five raters of twelve, in three strata, who often agree."""
    rng = np.random.default_rng(seed)
    people = [f"{'xyz'[number % 3]}{number}" for number in range(12)]
    rows = [
        (person, f"q{prompt}", f"q{prompt}r{response}", int(truth if rng.random() < 0.7 else rng.integers(1, 6)))
        for prompt in range(12)
        for response, truth in enumerate(rng.integers(1, 6, 4))
        for person in rng.choice(people, size=rng.integers(0, 6), replace=False)
    ]
    made = data(rows, texts={"q0r0": "same", "q0r1": "same"})
    other = rng.integers(1, 6, len(rows))
    made.ratings["toxicity"] = pd.array(np.where(rng.random(len(rows)) < 0.2, None, other), dtype="Int64")
    return made


def weights_one_by_one(settings: Study, ratings: Data, name: str) -> dict[str, float]:
    """Each participant's weight, half of each preference at a time."""
    condition = settings.experiments["e"].conditions[name]
    made = experiment_data(settings, StudyData.of(settings, ratings), settings.experiments["e"])[name]
    trained, _ = METHODS[condition.method].table(made, settings.recipe, settings.seed)
    pairs = set(zip(trained["a"], trained["b"], strict=True))
    weights: dict[str, float] = defaultdict(float)
    for both in made.labels.values():
        total, found = 0, []
        for _, labels in aggregate(both.scaled, condition.aggregation).groupby("prompt_id"):
            for one, two in combinations(labels.itertuples(), 2):
                same_rater = condition.within == "prompt" or one.participant_id == two.participant_id
                if one.response_id != two.response_id and one.label != two.label and same_rater:
                    total += 1
                    found += [one, two] if tuple(sorted([one.response_id, two.response_id])) in pairs else []
        for label in found:
            raters = both.scaled[both.scaled["response_id"] == label.response_id]
            behind = raters.loc[raters["label"] == label.label, "participant_id"]
            if condition.aggregation in ("all", "first"):
                behind = [label.participant_id]
            if condition.aggregation == "average":
                behind = raters["participant_id"]
            for person in behind:
                weights[person] += 0.5 / total / len(behind)
    return weights


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "settings",
    [
        *({"aggregation": how} for how in AGGREGATIONS),
        {"scale": "binary", "aggregation": "majority"},
        {"scale": "binary", "aggregation": "consensus"},
        {"dimensions": [EA, "toxicity"]},
        {"dimensions": ["toxicity", EA], "aggregation": "average", "scale": "3-point"},
        {"within": "participant", "dimensions": [EA, "toxicity"]},
        {"stratum": "y"},
    ],
)
def test_shares_of_preferences_are_those_of_the_preferences_one_by_one(settings: dict[str, Any], seed: int) -> None:
    ratings = random_data(seed)
    for cap in (None, 5):
        asked = study({"c": settings}, "xyz", max_pairs=cap)
        weights = weights_one_by_one(asked, ratings, "c")
        table = audited(asked, ratings).set_index("stratum")
        for stratum in "xyz":
            own = sum(weight for person, weight in weights.items() if person[0] == stratum)
            assert table.loc[stratum, "share_of_preferences"] == pytest.approx(own / sum(weights.values()))


# ---- what must always hold


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("scale", ["5-point", "binary"])
def test_strata_that_divide_the_participants_share_everything(method: str, aggregation: str, scale: str) -> None:
    settings = {"method": method, "aggregation": aggregation, "scale": scale, "dimensions": [EA, "toxicity"]}
    table = audited(study({"c": settings}, "xyz"), random_data(0))
    shares = table[["share_of_participants", "share_of_ratings", "share_of_preferences"]]
    np.testing.assert_allclose(shares.sum(), 1)
    rates = table[["retained", "majority_loses", "majority_unheard"]]
    assert ((rates >= 0) & (rates <= 1) | rates.isna()).all(axis=None)


def test_everybody_as_one_stratum_loses_nothing_where_all_ratings_train() -> None:
    everybody = make_data(ROWS, EA, {"group": dict.fromkeys(("x1", "x2", "x3", "y1"), ("x",))})
    row = of(audited(study({"c": {}}, "x"), everybody), "x")
    names = ["share_of_participants", "share_of_ratings", "retained", "share_of_preferences"]
    assert [row[name] for name in names] == pytest.approx([1, 1, 1, 1])
    assert (row["majority_loses"], row["majority_unheard"]) == (0, 0)


def test_two_strata_of_the_same_people_have_the_same_row() -> None:
    ratings = random_data(1)
    ratings.participants["group"] = [
        (*terms, "w") if "x" in terms else terms for terms in ratings.participants["group"]
    ]
    table = audited(study({how: {"aggregation": how} for how in AGGREGATIONS}, "xw"), ratings)
    x, w = (table[table["stratum"] == name].drop(columns="stratum").reset_index(drop=True) for name in "xw")
    pd.testing.assert_frame_equal(x, w)


def test_a_minority_that_always_disagrees_loses_every_vote() -> None:
    rows = [
        (person, f"q{n}", f"q{n}{response}", category)
        for n in range(6)
        for response, likes, dislikes in (("a", 5, 1), ("b", 1, 5))
        for person, category in (("x1", likes), ("x2", likes), ("x3", likes), ("y1", dislikes))
    ]
    table = audited(study({how: {"aggregation": how} for how in ("all", "majority")}), data(rows))
    table = table.set_index(["condition", "stratum"])
    for how in ("all", "majority"):
        assert table.loc[(how, "y"), ["n_majorities", "majority_loses", "majority_unheard"]].tolist() == [6, 1, 0]
        assert table.loc[(how, "x"), ["n_majorities", "majority_loses", "majority_unheard"]].tolist() == [6, 0, 0]
    assert table.loc[("majority", "y"), ["retained", "share_of_preferences"]].tolist() == [0, 0]
    assert table.loc[("majority", "x"), ["retained", "share_of_preferences"]].tolist() == [1, 1]
    assert table.loc[("all", "y"), "retained"] == 1
    # all: of a's 5 5 5 1 and b's 1 1 1 5, 5 > 1 nine times and 1 < 5 once: y1 is in 1 + 1 of the 20 halves
    assert table.loc[("all", "y"), "share_of_preferences"] == pytest.approx(2 / 20)


def test_balancing_takes_from_the_larger_stratum() -> None:
    rows = [(f"{stratum}{n}", f"q{n}", f"q{n}{response}", 1 + (n + ord(response)) % 5)
            for stratum, size in (("x", 12), ("y", 9)) for n in range(size) for response in "ab"]  # fmt: skip
    settings = study({"x": {"stratum": "x"}, "y": {"stratum": "y"}})
    tied = settings.experiments["e"].model_copy(update={"contrasts": {Contrast("x - y"): ContrastSettings()}})
    table = audited(settings.model_copy(update={"experiments": {"e": tied}}), data(rows))
    retained = table.set_index(["condition", "stratum"])["retained"]
    assert retained.to_dict() == {("x", "x"): 18 / 24, ("x", "y"): 0, ("y", "x"): 0, ("y", "y"): 1}


def test_only_training_prompts_are_audited(paper: Study, simulated: Data) -> None:
    table = audited(paper, simulated)
    assert len(table) == (18 + 2) * 6
    table = table[table["experiment"] != "methods"].set_index(["condition", "stratum"])
    training = StudyData.of(paper, simulated).training(simulated.ratings)
    for stratum, n in table.loc["all", "n_ratings"].items():
        values = set(paper.strata[stratum].values)
        people = simulated.participants
        own = people.loc[[not values.isdisjoint(t) for t in people[paper.strata[stratum].attribute]], "participant_id"]
        assert n == training["participant_id"].isin(own).sum()
    both = table.loc["dpo-toxicity-ea", "n_ratings"]
    assert (both == 2 * table.loc["dpo-toxicity", "n_ratings"]).all()
    pd.testing.assert_frame_equal(table.loc["all"].drop(columns="experiment"),
                                  table.loc["5-point"].drop(columns="experiment"))  # fmt: skip
    # balanced strata: what a stratum's own condition trains on is its own
    for stratum in paper.strata:
        assert table.loc[(stratum, stratum), "share_of_preferences"] == pytest.approx(1)


# ---- little or nothing to audit


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_a_condition_without_preferences_retains_nothing_and_leaves_all_unheard(method: str) -> None:
    # a's and b's labels disagree: consensus keeps nothing. With c, which x1 and x2 agree on, it keeps the label of one
    # response, which alone trains nothing.
    rows = [*ROWS, ("x1", "q", "c", 4), ("x2", "q", "c", 4)]
    x, y = x_and_y({"aggregation": "consensus", "method": method}, data(rows))
    assert (x["retained"], y["retained"]) == (0, 0)
    assert (x["majority_unheard"], y["majority_unheard"]) == (1, 1)
    assert all(math.isnan(row[name]) for row in (x, y) for name in ("share_of_preferences", "majority_loses"))


def test_a_stratum_without_members_and_one_without_ratings_are_zeros_and_nan() -> None:
    ratings = data(ROWS)
    silent = pd.DataFrame({"participant_id": ["z1"], "language": ["en"], "group": [("z",)]})
    ratings = replace(ratings, participants=pd.concat([ratings.participants, silent], ignore_index=True))
    table = audited(
        study({how: {"aggregation": how} for how in AGGREGATIONS} | {"own": {"stratum": "z"}}, "xyzw"), ratings
    )
    for stratum, members in (("z", 1), ("w", 0)):
        rows = table[table["stratum"] == stratum]
        assert (rows["n_participants"] == members).all()
        assert (rows["share_of_participants"] == members / 5).all()
        assert (rows[["n_ratings", "n_majorities", "share_of_ratings"]] == 0).all(axis=None)
        assert rows[["retained", "majority_loses", "majority_unheard"]].isna().all(axis=None)
        heard = rows[rows["condition"].isin(["all", "majority", "first", "average"])]
        assert (heard["share_of_preferences"] == 0).all()
    own = table[table["condition"] == "own"].set_index("stratum")
    assert own["retained"].to_dict() == pytest.approx({"x": 0, "y": 0, "z": math.nan, "w": math.nan}, nan_ok=True)
    assert own.loc[["x", "y"], "majority_unheard"].tolist() == [1, 1]


def test_a_dimension_that_nobody_rated_changes_nothing() -> None:
    ratings = data(ROWS)
    ratings.ratings["toxicity"] = ratings.ratings[EA].mask(ratings.ratings[EA] > 0)
    one, both = (audited(study({"c": {"dimensions": names}}), ratings) for names in ([EA], [EA, "toxicity"]))
    pd.testing.assert_frame_equal(one, both)


def test_a_study_without_experiments_or_strata_is_told_what_it_lacks() -> None:
    with pytest.raises(InputError, match="popquorn: no experiments; an audit asks what conditions do to strata"):
        check_audit(load_study("popquorn"))
    bare = load_study("popquorn", {"strata": {}})
    with pytest.raises(InputError, match="no experiments and no strata"):
        check_audit(bare)
    check_audit(study({"c": {}}))
    assert list(audited(study({"c": {}}, ""), data(ROWS)).columns) == list(columns_of(Audit))
    assert audited(bare, data(ROWS)).empty


# ---- what a group of the same size would lose by chance


def test_random_groups_of_everybody_lose_what_everybody_loses(simulated: Data) -> None:
    everybody = {"everybody": {"attribute": "country", "values": ["Germany", "United States of America"]}}
    declared = simulated.participants["country"].map(len).gt(0)
    people = simulated.participants[declared]
    ratings = simulated.ratings[simulated.ratings["participant_id"].isin(people["participant_id"])]
    whole = Data(ratings, people, simulated.responses, simulated.categories)
    conditions = {name: {"dimensions": [EA], "aggregation": name, "scale": "5-point"} for name in ("majority", "first")}
    settings = study(conditions).model_copy(update={"strata": load_study("popquorn", {"strata": everybody}).strata})
    table = audited(settings, whole)
    table = table[table["stratum"] == "everybody"]
    assert table["chance_loses"].tolist() == pytest.approx(table["majority_loses"].tolist())
    assert table["chance_sd"].tolist() == pytest.approx([0, 0])
    assert (table["majority_loses"] > 0).all()


def test_a_group_drawn_by_lot_loses_about_what_chance_says(simulated: Data) -> None:
    drawn = np.random.default_rng(1).random(len(simulated.participants)) < 0.3
    people = simulated.participants.assign(group=[("x",) if hit else ("y",) for hit in drawn])
    table = audited(
        study({"all": {"aggregation": "all"}}),
        Data(simulated.ratings, people, simulated.responses, simulated.categories),
    )
    for name in "xy":
        row = of(table, name)
        assert 0 < row["chance_sd"] < 0.1
        assert abs(row["majority_loses"] - row["chance_loses"]) < 3.5 * row["chance_sd"]
    assert of(table, "x")["chance_loses"] > of(table, "y")["chance_loses"]  # the smaller loses more


# ---- rater filters


def filtered(rows: list[tuple[str, str, str, int | None]], few: int = 1, **condition: Any) -> pd.DataFrame:
    settings = study({"c": {"raters": {"drop": 0.25, "by": "chance"}, **condition}, "open": {}})
    settings = settings.model_copy(
        update={"survey": settings.survey.model_copy(update={"min_participants": few}), "seed": 3}
    )
    own = StudyData.of(settings, data(rows))
    made = {name: experiment_data(settings, own, each) for name, each in settings.experiments.items()}
    return filtered_raters(settings, own, made)


RATERS = [(f"{letter}{n}", "q", response, 3) for letter in "xy" for n in range(4) for response in "ab"]


def test_whom_a_filter_leaves_out_is_counted_by_group_beside_everybody() -> None:
    table = filtered(RATERS)
    assert table["condition"].unique().tolist() == ["c"]  # not of a condition without a filter
    everybody, x, y = (of(table, name) for name in ("all", "x", "y"))
    assert (everybody["n_participants"], everybody["left_out"], everybody["share_left_out"]) == (8, 2, 0.25)
    assert (everybody["n_ratings"], everybody["ratings_left_out"]) == (16, 4)
    assert x["left_out"] + y["left_out"] == 2
    assert x["n_participants"] == y["n_participants"] == 4
    assert x["expected"] == y["expected"] == 0.25
    assert x["ratings_left_out"] == 2 * x["left_out"]
    assert math.isnan(everybody["p_chance"])
    # of 8 raters 2 are left out: none, one, two of x's four with probability 6, 16, 6 of 28
    assert x["p_chance"] == pytest.approx(1.0 if x["left_out"] == 1 else 12 / 28)


def test_a_group_of_few_raters_is_not_shown() -> None:
    few = [("y1", "q", "a", 3), *(row for row in RATERS if row[0][0] == "x")]
    assert filtered(few, few=2)["stratum"].tolist() == ["all", "x"]
    assert filtered(few, few=6).empty


def test_a_filter_of_a_stratum_is_held_against_that_stratum() -> None:
    table = filtered(RATERS, stratum="x")
    assert of(table, "all")["n_participants"] == 4
    assert (of(table, "all")["left_out"], of(table, "x")["left_out"]) == (1, 1)


def test_the_stage_reads_whom_the_kept_preferences_leave_out() -> None:
    many: list[tuple[str, str, str, int | None]] = [(f"{name}{n}", "q", "a", 3) for name in "xy" for n in range(12)]
    settings = study({"c": {"raters": {"drop": 0.25, "by": "chance"}}, "open": {}})
    own, store = StudyData.of(settings, data(many)), MemoryStore()
    kept = {"e": keep_preferences(settings, "e", own, store.make("ratings", "abc", lambda _: {}), store)}
    made = {"e": experiment_data(settings, own, settings.experiments["e"])}
    table = filtered_table(settings, own, kept)
    pd.testing.assert_frame_equal(table, filtered_raters(settings, own, made))
    assert (of(table, "all")["left_out"], of(table, "x")["n_participants"]) == (6, 12)
    unfiltered = study({"open": {}})
    assert filtered_table(unfiltered, StudyData.of(unfiltered, data(RATERS)), {}) is None


# ---- weights of a population

POPULATION = {"group": {"x": 0.5, "y": 0.5}}
# Three raters of x, one of y, one of z, whom the shares don't describe.
FIVE: list[tuple[str, str, str, int | None]] = [
    (rater, "q", response, label)
    for rater in ("x1", "x2", "x3", "y1", "z1")
    for response, label in (("a", 5), ("b", 2))
]


def weighted(few: int = 1, **condition: Any) -> pd.DataFrame:
    changes = {"population": POPULATION, "survey": {"min_participants": few}}
    settings = study({"c": {"voices": "population", **condition}, "open": {}}, "xyz", **changes)
    own = StudyData.of(settings, data(FIVE))
    made = {name: experiment_data(settings, own, each) for name, each in settings.experiments.items()}
    return population_weights(settings, own, made)


def test_what_the_weights_of_a_population_cost_by_hand() -> None:
    table = weighted()
    assert table["condition"].unique().tolist() == ["c"]
    everybody, x, y = (of(table, name) for name in ("all", "x", "y"))
    # weights ∝ 1/6, 1/6, 1/6, 1/2: (Σw)² / Σw² = 1 / (3/36 + 1/4) = 3 of 4 raters
    assert (everybody["n_participants"], everybody["n_without"]) == (4, 1)
    assert everybody["effective_participants"] == pytest.approx(3)
    assert everybody["design_effect"] == pytest.approx(4 / 3)
    assert (x["n_participants"], x["effective_participants"], x["design_effect"]) == pytest.approx((3, 3, 1))
    assert (y["n_participants"], y["effective_participants"], y["design_effect"]) == pytest.approx((1, 1, 1))
    assert "z" not in set(table["stratum"])  # nobody of it has a weight


def test_a_filtered_rater_costs_nothing_and_few_raters_are_not_shown() -> None:
    everybody = of(weighted(raters={"drop": 0.2, "by": "chance"}), "all")
    assert everybody["n_participants"] + everybody["n_without"] == 4
    assert weighted(few=3)["stratum"].tolist() == ["all", "x"]


def test_the_stage_weighs_as_the_kept_preferences_do() -> None:
    settings = study({"c": {"voices": "population"}}, population=POPULATION, survey={"min_participants": 1})
    own, store = StudyData.of(settings, data(FIVE)), MemoryStore()
    kept = {"e": keep_preferences(settings, "e", own, store.make("ratings", "abc", lambda _: {}), store)}
    made = {"e": experiment_data(settings, own, settings.experiments["e"])}
    pd.testing.assert_frame_equal(population_table(settings, own, kept), population_weights(settings, own, made))
    plain = study({"open": {}})
    assert population_table(plain, StudyData.of(plain, data(FIVE)), {}) is None
