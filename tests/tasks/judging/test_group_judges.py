"""Judges of groups: who judges alike gets none, who judges the other way does, and all is tried on unseen prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tasks.judging.calibration import FEW
from tasks.judging.group_fits import (
    Array,
    GroupSample,
    IsotonicModel,
    LineModel,
    TextModel,
    fit_line,
    fit_words,
    gain,
    unseen,
)
from tasks.judging.group_judges import GroupJudge, GroupJudges, make_group_judges
from tasks.judging.judge import Judge
from tests.tasks.judging.simulated_groups import CATEGORIES, chat_scores, embedded_scores, ratings_of_groups


def judges_of(slopes: dict[str, float], chat: bool = False, **size: int) -> tuple[GroupJudges, tuple]:
    responses, ratings, groups = ratings_of_groups(slopes, **size)
    judge, scores = embedded_scores(responses, ratings)
    fit = judge.group_fit
    if chat:
        scores, fit = chat_scores(responses), fit_line
    made = make_group_judges(fit, scores, responses, ratings, groups, ["x"], CATEGORIES, draws=50)
    return made, (responses, ratings, groups, scores)


@pytest.mark.parametrize("chat", [False, True])
def test_groups_that_judge_alike_have_everybodys_judge(chat: bool) -> None:
    made, (_, _, _, scores) = judges_of({"a": 1.0, "b": 1.0}, chat)
    assert not made.table["used"].any()
    assert (made.table["why_not"] != "").all()
    both = [judge.score(scores[["x"]].to_numpy(), ["value1 value2"] * len(scores)) for judge in made.judges.values()]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("chat", [False, True])
def test_groups_that_judge_the_other_way_have_judges_of_opposite_sign(chat: bool) -> None:
    made, (responses, _, _, scores) = judges_of({"a": 1.0, "b": -1.0}, chat)
    table = made.table.set_index("group")
    assert table["used"].all()
    assert (table["spearman_own"] > 0.5).all()
    assert (table["spearman_others"] < -0.5).all()
    assert table.loc["b", "spearman_own"] > table.loc["b", "spearman_everybody"] + 0.3
    new, _, _ = ratings_of_groups({"a": 1.0}, seed=0)  # the same words, so that their values are known
    own = {name: judge.score(scores[["x"]].to_numpy(), new["response"].tolist()) for name, judge in made.judges.items()}
    assert np.corrcoef(own["a"][:, 0], responses["quality"])[0, 1] > 0.5
    assert np.corrcoef(own["b"][:, 0], responses["quality"])[0, 1] < -0.5


def test_a_minority_of_raters_is_heard_where_it_judges_the_other_way() -> None:
    responses, ratings, groups = ratings_of_groups({"a": 1.0, "b": -1.0, "c": 1.0, "d": 1.0}, prompts=80)
    groups = {"most": groups["a"] | groups["c"] | groups["d"], "few": groups["b"]}
    _, scores = embedded_scores(responses, ratings)
    table = make_group_judges(fit_words, scores, responses, ratings, groups, ["x"], CATEGORIES, draws=50).table
    few = table.set_index("group").loc["few"]
    assert few["used"]
    assert few["spearman_everybody"] < 0 < few["spearman_own"]


def test_a_group_of_few_ratings_has_everybodys_judge_and_the_table_says_why() -> None:
    made, _ = judges_of({"a": 1.0, "b": -1.0}, prompts=19)
    assert made.table["why_not"].tolist() == [FEW, FEW]
    assert made.table["n_ratings"].tolist() == [19 * 3 * 4] * 2
    assert made.table["gain"].isna().all()


def test_a_participant_in_two_groups_counts_in_both() -> None:
    responses, ratings, groups = ratings_of_groups({"a": 1.0, "b": 1.0})
    groups = {"a": groups["a"], "all": groups["a"] | groups["b"], "nobody": set()}
    table = make_group_judges(fit_line, chat_scores(responses), responses, ratings, groups, ["x"], CATEGORIES, 50).table
    assert table["n_ratings"].tolist() == [720, 1440, 0]
    # everybody is a group that can't differ from everybody, and has no others
    row = table.set_index("group").loc["all"]
    assert not row["used"]
    assert row["gain"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(row["spearman_others"])


def test_what_everybodys_judge_could_not_score_stays_unscored() -> None:
    made, (responses, _, _, scores) = judges_of({"a": 1.0, "b": -1.0})
    values = scores[["x"]].to_numpy().copy()
    values[3] = np.nan
    own = made.judges["a"].score(values, responses["response"].tolist())
    assert np.flatnonzero(np.isnan(own[:, 0])).tolist() == [3]
    assert np.nanmin(own) >= 0
    assert np.nanmax(own) <= 1
    assert np.isnan(made.judges["a"].score(np.full((2, 1), np.nan), ["", ""])).all()


def test_a_judge_that_is_too_kind_to_all_makes_no_group_differ() -> None:
    """Its scores lie around .7 and cover a fifth of the scale; against them as they are, every group would differ."""
    made, (responses, ratings, _, scores) = judges_of({"a": 1.0, "b": 1.0}, chat=True)
    assert not made.table["used"].any()
    human = (ratings.groupby("response_id")["x"].mean().astype(float) - 1) / (CATEGORIES - 1)
    own = made.judges["a"].score(scores[["x"]].to_numpy(), responses["response"].tolist())[:, 0]
    assert own.mean() == pytest.approx(human.mean(), abs=0.01)


def test_the_order_of_groups_and_of_rows_changes_nothing() -> None:
    responses, ratings, groups = ratings_of_groups({"a": 1.0, "b": -1.0}, prompts=30)
    scores = chat_scores(responses)
    one = make_group_judges(fit_line, scores, responses, ratings, groups, ["x"], CATEGORIES, 20).table
    turned = dict(reversed(groups.items()))
    mixed = ratings.sample(frac=1, random_state=1)
    other = make_group_judges(fit_line, scores, responses, mixed, turned, ["x"], CATEGORIES, 20).table
    for column in ("gain", "gain_low", "slope", "spearman_own_low"):
        np.testing.assert_allclose(one.set_index("group")[column], other.set_index("group")[column].loc[["a", "b"]])


# ---- the fits


def sample(n: int, human: Array, score: Array, prompts: int | None = None, texts: Sequence[str] = ()) -> GroupSample:
    words = np.array(list(texts) or [f"word{i % 7} more" for i in range(n)], dtype=object)
    return GroupSample(words, score, human, np.full(n, 2.0), np.arange(n) % (prompts or n))


def test_a_gain_is_that_of_prompts() -> None:
    # differences .2, .4 | .1, .3 of two prompts, all of weight 1: mean .25, sums of deviations .1 and -.1
    found = gain(np.array([0.2, 0.4, 0.1, 0.3]), np.zeros(4), np.ones(4), np.array([0, 0, 1, 1]))
    assert found[:2] == pytest.approx((0.25, np.sqrt(2 * (0.01 + 0.01)) / 4))
    # twice the weight is the response twice
    double = gain(np.array([0.2, 0.1, 0.3]), np.zeros(3), np.array([2.0, 1.0, 1.0]), np.array([0, 1, 2]))
    same = gain(np.array([0.2, 0.2, 0.1, 0.3]), np.zeros(4), np.ones(4), np.array([0, 0, 1, 2]))
    assert double == pytest.approx(same)
    assert np.isnan(gain(np.ones(2), np.zeros(2), np.ones(2), np.zeros(2, int)).low)


def test_a_line_is_kept_where_it_is_one_and_steps_are_taken_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(size=200)
    noise = 0.05 * rng.normal(size=200)
    assert isinstance(fit_line(sample(200, 0.2 + 0.5 * score + noise, score)), LineModel)
    step = fit_line(sample(200, np.where(score > 0.8, 0.9, 0.1) + noise, score))
    assert isinstance(step, IsotonicModel)
    two, empty = np.array([0.3, 0.95]), np.array(["", ""], object)
    low, high = step.predict(two, empty)
    assert (low, high) == pytest.approx((0.1, 0.9), abs=0.05)
    falls = fit_line(sample(200, np.where(score > 0.8, 0.1, 0.9) + noise, score))
    assert np.diff(falls.predict(two, empty))[0] < -0.7


def test_nothing_to_deviate_by_gives_an_infinite_penalty_and_everybodys_score() -> None:
    score = np.linspace(0, 1, 60)
    model = TextModel(sample(60, score, score))
    assert model.penalty == np.inf
    np.testing.assert_array_equal(model.predict(score, np.array(["word1"] * 60, object)), score)


def test_words_tell_what_the_score_does_not() -> None:
    texts = [f"{'kind' if i % 2 else 'rude'} word{i % 5}" for i in range(60)]
    human = np.where(np.arange(60) % 2, 0.9, 0.1)
    found = unseen(fit_words, sample(60, human, np.full(60, 0.5), texts=texts))
    assert np.abs(found - human).max() < 0.15


def test_no_response_is_predicted_by_who_has_seen_its_prompt() -> None:
    """Each prompt has a word of its own that tells its score; without it nothing does."""
    prompt = np.repeat(np.arange(20), 3)
    human = (prompt % 2).astype(float)
    own = GroupSample(np.array([f"word{p}" for p in prompt], object), np.full(60, 0.5), human, np.ones(60), prompt)
    assert np.abs(TextModel(own).predict(own.score, own.texts) - 0.5).max() <= 0.5
    assert np.ptp(unseen(fit_words, own)) < 0.5


def test_any_judge_has_a_way_to_make_those_of_groups() -> None:
    class Other(Judge):
        identity = "other"

    assert Other().group_fit is fit_line
    assert GroupJudge([], []).score(np.empty((0, 0)), []).shape == (0, 0)
