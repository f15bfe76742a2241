"""The embedded judge learns from words, and is tried only on prompts that it has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.judging.embedded import EmbeddedJudge, cross_validated
from tasks.judging.evidence import mean_ratings

FILLER = ["the", "of", "and", "to", "in", "that", "is", "was", "for", "on"]


def rated(prompts: int = 20, each: int = 3) -> pd.DataFrame:
    """Responses whose score is 0.9 where they say "kind", 0.1 where they say "rude", among filler words."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(prompts * each):
        kind = bool(rng.integers(2))
        words = [*rng.choice(FILLER, 6), "kind" if kind else "rude"]
        rows.append((f"r{number}", f"q{number % prompts}", " ".join(rng.permutation(words)), 0.9 if kind else 0.1))
    return pd.DataFrame(rows, columns=["response_id", "prompt_id", "response", "x"]).assign(prompt="why ?", n=3)


def unseen(table: pd.DataFrame) -> np.ndarray:
    """The scores of a judge that reads words, each without the prompt."""
    return EmbeddedJudge(table, ["x"]).score_rated(table).values[:, 0]


def test_a_judge_recovers_what_a_word_says_on_prompts_that_it_has_not_seen() -> None:
    table = rated()
    scores = unseen(table)
    kind = (table["x"] > 0.5).to_numpy()
    assert np.corrcoef(scores, table["x"])[0, 1] > 0.9
    assert ((scores > 0.5) == kind).mean() > 0.95


def test_no_judge_scores_a_prompt_that_it_has_seen() -> None:
    """Each prompt has a word of its own that tells its score. Who has seen the prompt knows; who has not, knows none of
    its words, and gives all of a fold's texts the same score."""
    rng = np.random.default_rng(0)
    rows = [(f"r{q}{i}", f"q{q}", f"word{q}", float(score), 1) for q, score in enumerate(rng.permutation(20) % 2)
            for i in range(3)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["response_id", "prompt_id", "response", "x", "n"]).assign(prompt="why ?")
    seen = EmbeddedJudge(table, ["x"]).score(table["prompt"].tolist(), table["response"].tolist()).values[:, 0]
    assert np.corrcoef(seen, table["x"])[0, 1] > 0.99
    other = cross_validated(EmbeddedJudge(table, ["x"]).rated, most=4).chosen[:, 0]
    assert len(set(other)) <= 4
    assert ((other > 0.2) & (other < 0.8)).all()


def test_every_response_gets_a_score_in_its_own_row() -> None:
    table = rated(prompts=3)
    order = np.random.default_rng(0).permutation(len(table))
    scores = unseen(table)  # three prompts for five folds: one prompt a fold
    assert ((scores >= 0) & (scores <= 1)).all()
    assert EmbeddedJudge(table, ["x"]).score_rated(table.iloc[order]).values[:, 0].tolist() == scores[order].tolist()


def test_one_prompt_leaves_nothing_to_try_a_judge_on() -> None:
    with pytest.raises(ValueError, match="1 held-out prompts with ratings; the judge's agreement needs at least 2"):
        unseen(rated(prompts=1))


def test_an_empty_text_is_unscored() -> None:
    scores, reasons, final = EmbeddedJudge(rated().assign(y=0.5), ["x", "y"]).score(["?"] * 3, ["kind", "", " \n "])
    assert final
    assert scores.shape == (3, 2)
    assert np.isnan(scores).tolist() == [[False, False], [True, True], [True, True]]
    assert reasons == ["", "empty answer", "empty answer"]


def test_the_same_ratings_give_the_same_scores() -> None:
    np.testing.assert_array_equal(unseen(rated()), unseen(rated()))


def test_mean_ratings_are_on_zero_to_one_and_only_where_every_dimension_is_rated() -> None:
    rows = [("r1", "q1", 1, 5), ("r1", "q1", 4, None), ("r2", "q2", 3, None), ("r3", "q1", 5, 1)]
    columns = ["response_id", "prompt_id", "x", "y"]
    ratings = pd.DataFrame(rows, columns=columns).astype({"x": "Int64", "y": "Int64"})
    table = mean_ratings(ratings, ["x", "y"], 5).set_index("response_id")
    # r1: x (1 + 4) / 2 = 2.5 → 1.5 / 4, y 5 → 1; r2 has no y; r3: x 5 → 1, y 1 → 0
    assert table[["prompt_id", "x", "y", "n"]].to_dict("index") == {
        "r1": {"prompt_id": "q1", "x": 0.375, "y": 1.0, "n": 2},
        "r3": {"prompt_id": "q1", "x": 1.0, "y": 0.0, "n": 1},
    }


def test_nobodys_ratings_have_no_means() -> None:
    ratings = pd.DataFrame({"response_id": ["r"], "prompt_id": ["q"], "x": pd.array([1], dtype="Int64")})
    assert len(mean_ratings(ratings.iloc[:0], ["x"], 5)) == 0
