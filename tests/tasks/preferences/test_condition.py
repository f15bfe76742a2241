"""From ratings to a condition's training data: the paper's 18, and small ones by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Condition, Contrast, Study
from tasks.methods import METHODS
from tasks.preferences.condition import ConditionData, condition_data, experiment_data, stratified
from tasks.ratings.reading.load import Data
from tasks.ratings.reading.same_text import SHARED, prompt_groups, shared_texts
from tasks.ratings.study_data import StudyData, held_out
from tests.conftest import make_data

Made = Mapping[str, tuple[Condition, ConditionData]]

# Two responses to one prompt, three raters each; toxicity, where lower is better. Nine comparisons: a's labels
# 1 2 4 against b's 2 5 5. a is better in 1<2 1<5 1<5 2<5 2<5 4<5 4<5, b in 2<4, and 2 = 2 says nothing.
ROWS: list[tuple[str, str, str, int | None]] = [
    ("p1", "q", "a", 1), ("p2", "q", "a", 2), ("p3", "q", "a", 4),
    ("p4", "q", "b", 2), ("p5", "q", "b", 5), ("p6", "q", "b", 5),
]  # fmt: skip


def condition(**settings: Any) -> Condition:
    return Condition(**{"dimensions": ("toxicity",), "scale": "5-point", **settings})


def train(study: Study, data: Data, settings: Condition) -> ConditionData:
    """On all ratings, none held out."""
    return condition_data(study, data.responses, settings, data.ratings)


def digest(data: ConditionData, name: str, study: Study) -> str:
    """Of what the method reads of the data."""
    return METHODS[name].digest(METHODS[name].table(data, study.recipe, study.seed)[0])


@pytest.fixture(scope="module")
def made(paper: Study, simulated: Data) -> Made:
    """The paper's 18 conditions and ours, as experiment/condition, on the simulated ratings."""
    return {
        f"{key}/{name}": (experiment.conditions[name], data)
        for key, experiment in paper.experiments.items()
        for name, data in experiment_data(paper, StudyData.of(paper, simulated), experiment).items()
    }


# ---- the paper's conditions


def test_three_of_the_papers_conditions_are_one_training_run_and_all_others_their_own(paper: Study, made: Made) -> None:
    digests = {name: digest(data, settings.method, paper) for name, (settings, data) in made.items()}
    assert len(digests) == 18 + 2
    assert digests["scale/5-point"] == digests["disagreement/all"] == digests["optimisation/dpo-toxicity"]
    assert digests["methods/dpo-toxicity"] == digests["optimisation/dpo-toxicity"]
    assert sorted(Counter(digests.values()).values()) == [1] * 16 + [4]


def test_no_held_out_prompt_trains_anything(paper: Study, simulated: Data, made: Made) -> None:
    apart = StudyData.of(paper, simulated).evaluation(simulated.ratings)
    prompts, responses = set(apart["prompt_id"]), set(apart["response_id"])
    assert prompts
    for _, data in made.values():
        assert prompts.isdisjoint(data.pairs["prompt_id"])
        assert responses.isdisjoint(data.rewards["response_id"])


def test_every_conditions_pairs_are_well_formed(made: Made) -> None:
    for _, data in made.values():
        assert data.pairs["target"].between(0, 1).all()
        assert (data.pairs["weight"] > 0).all()
        assert data.pairs["weight"].mean() == pytest.approx(1)
        assert data.rewards["reward"].between(0, 1).all()


def test_compared_strata_train_on_equal_numbers_of_ratings(paper: Study, simulated: Data) -> None:
    tables = stratified(paper, StudyData.of(paper, simulated), paper.experiments["demographics"])
    sizes = {name: len(ratings) for name, (ratings, _) in tables.items()}
    assert sizes["female"] == sizes["male"] > 0
    assert sizes["liberal"] == sizes["conservative"] > 0
    assert sizes["white"] == sizes["black"] > 0
    for name, (ratings, _) in tables.items():
        people = simulated.participants.set_index("participant_id").loc[ratings["participant_id"]]
        stratum = paper.strata[name]
        assert all(set(terms) & set(stratum.values) for terms in people[stratum.attribute])


def test_what_is_dropped_and_what_is_kept_add_up_to_what_there_was(paper: Study, simulated: Data) -> None:
    data = StudyData.of(paper, simulated)
    every = len(data.training(simulated.ratings))
    for name, (ratings, drops) in stratified(paper, data, paper.experiments["demographics"]).items():
        left = every
        for _, reason, dropped, kept in drops:  # silent on the dimension, of other strata, beyond the smallest's number
            assert dropped + kept == left, (name, reason)
            left = kept
        assert left == len(ratings)
        assert len(drops) == 3


@pytest.mark.parametrize("aggregation", ["all", "majority", "consensus", "first", "average"])
def test_every_step_of_a_condition_accounts_for_all_that_it_got(
    paper: Study, simulated: Data, aggregation: str
) -> None:
    ratings = StudyData.of(paper, simulated).training(simulated.ratings)
    data = condition_data(paper, simulated.responses, condition(scale="binary", aggregation=aggregation), ratings)
    steps = {reason.removeprefix("toxicity: "): (dropped, kept) for _, reason, dropped, kept in data.drops}
    not_neutral = ratings[ratings["toxicity"] != 3]
    assert steps["ratings that the scale has no label for"] == (len(ratings) - len(not_neutral), len(not_neutral))
    lost, labels = steps["labels merged or lost"]
    assert lost + labels == len(not_neutral)
    if aggregation in ("majority", "consensus"):
        reason = {
            "majority": "responses with tied votes",
            "consensus": "responses with raters who disagree, or one alone",
        }
        assert sum(steps[reason[aggregation]]) == not_neutral["response_id"].nunique()
    alone, several = steps["prompts with one labelled response"]
    same, paired = steps["prompts whose labels don't differ"]
    assert same + paired == several
    prompt_of = dict(zip(ratings["response_id"], ratings["prompt_id"], strict=True))
    assert alone + several == data.rewards["response_id"].map(prompt_of).nunique()
    assert paired == data.pairs["prompt_id"].nunique()
    assert steps["pairs of responses with the same text"][1] == len(data.pairs)


# ---- by hand


def test_where_lower_is_better_the_less_toxic_response_is_preferred(paper: Study) -> None:
    pairs = train(paper, make_data(ROWS), condition()).pairs
    assert pairs[["a", "b", "n", "weight", "text_a", "text_b"]].to_numpy().tolist() == [
        ["a", "b", 8, 1.0, "text of a", "text of b"]
    ]
    assert pairs["target"].tolist() == [7 / 8]


def test_where_higher_is_better_the_same_ratings_prefer_the_other(paper: Study) -> None:
    data = make_data(ROWS, dimension="helpfulness")
    assert train(paper, data, condition(dimensions=("helpfulness",))).pairs["target"].tolist() == [1 / 8]


@pytest.mark.parametrize(
    ("settings", "n", "target"),
    [
        ({"scale": "3-point"}, 5, 4 / 5),  # a: 1 1 3, b: 1 3 3. 1 < 3 four times for a, once for b
        ({"aggregation": "first"}, 1, 1.0),  # 1 against 2
        ({"aggregation": "average"}, 1, 1.0),  # 7/3 -> 2 against 12/3 = 4
    ],
)
def test_scale_and_aggregation_by_hand(paper: Study, settings: dict[str, Any], n: int, target: float) -> None:
    pairs = train(paper, make_data(ROWS), condition(**settings)).pairs
    assert pairs["n"].tolist() == [n]
    assert pairs["target"].tolist() == [target]


def test_a_binary_scale_drops_neutral_ratings_and_counts_them(paper: Study) -> None:
    # a: 1 and neutral, b: neutral and 5. Five points: 1 < 3, 1 < 5, 3 < 5, three for a. Binary: 1 < 5 alone.
    data = make_data([("p1", "q", "a", 1), ("p2", "q", "a", 3), ("p3", "q", "b", 3), ("p4", "q", "b", 5)])
    assert train(paper, data, condition()).pairs["n"].tolist() == [3]
    binary = train(paper, data, condition(scale="binary"))
    assert binary.pairs["n"].tolist() == [1]
    assert ("scale", "toxicity: ratings that the scale has no label for", 2, 2) in binary.drops


def test_only_labels_of_one_participant_are_compared_within_participant(paper: Study) -> None:
    rows = [("p1", "q", "a", 1), ("p1", "q", "b", 2), ("p2", "q", "a", 5), ("p3", "q", "b", 1)]
    assert train(paper, make_data(rows), condition()).pairs["n"].tolist() == [3]  # 1 < 2, 2 < 5, 1 < 5; 1 = 1
    assert train(paper, make_data(rows), condition(within="participant")).pairs["n"].tolist() == [1]


def test_rewards_are_the_mean_oriented_labels_stretched_to_zero_and_one(paper: Study) -> None:
    rewards = train(paper, make_data(ROWS), condition(method="grpo")).rewards
    # turned round, -1 is best and -5 worst: a (5 - 7/3) / 4 = 2/3, b (5 - 4) / 4 = 1/4
    assert rewards["response_id"].tolist() == ["a", "b"]
    assert rewards["reward"].tolist() == pytest.approx([2 / 3, 1 / 4])
    assert rewards["n"].tolist() == [3, 3]


def test_the_digest_depends_on_what_the_method_reads(paper: Study) -> None:
    plain = train(paper, make_data(ROWS), condition())
    other_rating = train(paper, make_data([("p1", "q", "a", 5), *ROWS[1:]]), condition())
    other_text = train(paper, make_data(ROWS, texts={"a": "new"}), condition())
    other_rater = train(paper, make_data([("p9", "q", "a", 1), *ROWS[1:]]), condition())
    for method in METHODS:
        # who rated does not reach the method
        assert digest(plain, method, paper) == digest(other_rater, method, paper)
        digests = {digest(data, method, paper) for data in (plain, other_rating, other_text)}
        assert len(digests) == 3
    assert len({digest(plain, method, paper) for method in METHODS}) == len(METHODS)


def test_a_cap_keeps_a_stable_choice_of_pairs_and_counts_the_rest(simulated: Data) -> None:
    study = load_study("paper", {"recipe.dpo.max_pairs": 50})
    every = condition_data(study, simulated.responses, condition(), simulated.ratings)
    kept, drops = METHODS["dpo"].table(every, study.recipe, study.seed)
    fewer = condition_data(study, simulated.responses, condition(), simulated.ratings.iloc[:-20])
    fewer_kept, _ = METHODS["dpo"].table(fewer, study.recipe, study.seed)
    assert len(kept) == len(fewer_kept) == 50
    assert kept["weight"].mean() == pytest.approx(1)
    assert drops == [("cap", "pairs beyond the recipe's max_pairs", len(every.pairs) - 50, 50)]
    assert len(_pairs(kept) & _pairs(fewer_kept)) >= 40
    whole, drops = METHODS["dpo"].table(every, load_study("paper").recipe, study.seed)
    assert (len(whole), drops) == (len(every.pairs), [])


def _pairs(pairs: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(pairs["a"], pairs["b"], strict=True))


def test_equal_texts_make_no_pair(paper: Study) -> None:
    rows = [*ROWS, ("p7", "q", "c", 3)]
    data = make_data(rows, texts={"a": "same words", "b": "same words"})
    made = train(paper, data, condition())
    assert made.pairs[["a", "b"]].to_numpy().tolist() == [["a", "c"], ["b", "c"]]
    assert made.pairs["weight"].mean() == pytest.approx(1)
    assert ("pairs", "pairs of responses with the same text", 1, 2) in made.drops


@pytest.mark.parametrize(
    "other",
    ["same words ", "\n\u00a0same words", "same  words", "same\u2003words", "cafe\u0301"],
    ids=["blank after", "blanks before", "two blanks", "wide blank", "composed letter"],
)
def test_texts_that_look_the_same_make_no_pair_and_are_counted(paper: Study, other: str) -> None:
    same = "café" if other.startswith("cafe") else "same words"
    data = make_data([*ROWS, ("p7", "q", "c", 3)], texts={"a": same, "b": other})
    made = train(paper, data, condition())
    assert made.pairs[["a", "b"]].to_numpy().tolist() == [["a", "c"], ["b", "c"]]
    assert ("pairs", "pairs of responses with the same text", 1, 2) in made.drops


@pytest.mark.parametrize("other", ["same\nwords", "Same words", "  x\n    same", "same words."])
def test_texts_that_differ_in_more_than_blanks_make_a_pair(paper: Study, other: str) -> None:
    same = "  x\n  same" if "x" in other else "same words"
    assert len(train(paper, make_data(ROWS, texts={"a": same, "b": other}), condition()).pairs) == 1


# ---- nothing to train on


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"aggregation": "majority"}, "scale '5-point' and aggregation 'majority'"),  # a's three labels tie
        ({"aggregation": "consensus"}, "scale '5-point' and aggregation 'consensus'"),
        ({"within": "participant"}, "within: participant, and no participant labelled two responses to one prompt"),
    ],
)
def test_a_condition_without_pairs_says_after_which_step(paper: Study, settings: dict[str, Any], reason: str) -> None:
    made = train(paper, make_data(ROWS), condition(**settings))
    assert reason in made.no_pairs
    assert made.pairs.empty


def test_what_within_participant_cannot_compare_is_counted(paper: Study) -> None:
    # Of q1 one rater labelled two responses, differently; of q2 alike; of q3 two raters one each; q4 has one response.
    rows = [("p1", "q1", "a1", 1), ("p1", "q1", "b1", 2), ("p2", "q1", "a1", 5)]
    rows += [("p1", "q2", "a2", 3), ("p1", "q2", "b2", 3), ("p1", "q3", "a3", 1), ("p2", "q3", "b3", 5)]
    made = train(paper, make_data([*rows, ("p1", "q4", "a4", 1)]), condition(within="participant"))
    assert [drop for drop in made.drops if drop[0] == "pairs"] == [
        ("pairs", "toxicity: labels of who labelled one response", 4, 4),
        ("pairs", "toxicity: prompts with one labelled response", 1, 3),
        ("pairs", "toxicity: prompts of which nobody labelled two responses", 1, 2),
        ("pairs", "toxicity: prompts whose labels don't differ", 1, 1),
        ("pairs", "pairs of responses with the same text", 0, 1),
    ]
    alike = train(paper, make_data(rows[3:5]), condition(within="participant"))
    assert alike.no_pairs.startswith("no preference pair: within: participant, and after scale")
    assert alike.no_pairs.endswith("no prompt has two responses with different labels by one participant")


@pytest.mark.parametrize("aggregation", ["all", "majority", "consensus", "first", "average"])
def test_a_condition_whose_scale_drops_every_rating_says_so(paper: Study, aggregation: str) -> None:
    data = make_data([("p1", "q", "a", 3), ("p2", "q", "b", 3)])
    made = train(paper, data, condition(scale="binary", aggregation=aggregation))
    assert "scale 'binary'" in made.no_pairs
    assert made.pairs.empty
    assert made.rewards.empty


def test_a_stratum_without_ratings_fails_alone_and_leaves_the_other_its_ratings(paper: Study) -> None:
    rows = [(f"p{n}", f"q{n}", response, 1 + n % 5) for n in range(40) for response in (f"a{n}", f"b{n}")]
    data = make_data(rows, attributes={"gender": {f"p{n}": ("she/her/hers",) for n in range(40)},
                                       "political-spectrum": {}, "ethnicity": {}})  # fmt: skip
    experiment = load_study("paper").experiments["demographics"]
    experiment = experiment.model_copy(
        update={
            "conditions": {name: experiment.conditions[name] for name in ("female", "male")},
            "contrasts": {Contrast("female - male"): experiment.contrasts["female - male"]},
        }
    )
    tables = stratified(paper, StudyData.of(paper, data), experiment)
    assert len(tables["female"][0]) == len(StudyData.of(paper, data).training(data.ratings)) > 0
    made = experiment_data(paper, StudyData.of(paper, data), experiment)
    assert len(made["female"].labels["toxicity"].final) == len(tables["female"][0])
    assert made["male"].no_pairs == "stratum 'male' has no rating of a training prompt on toxicity"


def test_a_condition_whose_only_pairs_have_equal_texts_has_none(paper: Study) -> None:
    made = train(paper, make_data(ROWS, texts={"a": "same words", "b": "same words"}), condition())
    assert made.no_pairs == "no preference pair: all pairs are of responses with the same text"


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_a_dimension_that_nobody_rated_leaves_the_condition_its_others(paper: Study, method: str) -> None:
    data = make_data(ROWS)
    data.ratings["helpfulness"] = data.ratings["toxicity"].mask(data.ratings["toxicity"] > 0)
    both = train(paper, data, condition(dimensions=("toxicity", "helpfulness"), method=method))
    assert digest(both, method, paper) == digest(train(paper, data, condition(method=method)), method, paper)


# ---- the split


def test_a_prompt_keeps_its_side_when_others_come_or_go(simulated: Data) -> None:
    prompts = simulated.ratings["prompt_id"]
    apart = held_out(prompts, 0.25, 0)
    some = prompts[prompts > "sim-q-0050"]
    assert held_out(some, 0.25, 0) == apart & set(some)
    assert apart != held_out(prompts, 0.25, 1)
    # 100 prompts at 0.25: standard deviation √(100 · 0.25 · 0.75) = 4.3
    assert 10 <= len(apart) <= 40


def test_no_text_of_a_prompt_trains_and_is_held_out(paper: Study) -> None:
    rows = [(f"p{n}", f"q{n:02}", f"{side}{n}", grade) for n in range(60) for side, grade in (("a", 1), ("b", 5))]
    data = make_data(rows)
    spelt = ("Task {}?", "task  {}? ", "Task\u00a0{}?", "\u200bTask {}\uff1f")
    number = data.responses["prompt_id"].str[1:].astype(int)
    data.responses["prompt"] = [spelt[n % 4].format(n % 15) for n in number]  # each of 15 texts under four ids
    split = StudyData.of(paper, data)
    sides = [{n % 15 for n in (int(prompt[1:]) for prompt in part)} for part in (
        set(split.training(data.responses)["prompt_id"]), split.held_out_prompts)]  # fmt: skip
    assert all(sides)
    assert sides[0].isdisjoint(sides[1])
    first = pd.Series([f"q{n:02}" for n in range(15)])
    assert {prompt for prompt in split.held_out_prompts if int(prompt[1:]) < 15} == held_out(
        first, paper.evaluation.share, paper.seed
    )
    assert shared_texts(data.responses) == {SHARED: 15}


def test_prompts_that_share_a_text_with_a_third_are_on_one_side_and_those_without_a_text_are_not(paper: Study) -> None:
    prompts = [("q3", "one"), ("q1", "two"), ("q2", "one"), ("q2", "two"), ("q4", ""), ("q5", " ")]
    table = pd.DataFrame(prompts, columns=["prompt_id", "prompt"])
    assert prompt_groups(table) == {"q1": "q1", "q2": "q1", "q3": "q1", "q4": "q4", "q5": "q5"}


def test_prompts_whose_texts_are_their_own_keep_their_side(paper: Study, simulated: Data) -> None:
    split = StudyData.of(paper, simulated)
    assert split.held_out_prompts == held_out(simulated.responses["prompt_id"], paper.evaluation.share, paper.seed)
