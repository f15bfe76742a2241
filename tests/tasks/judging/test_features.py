"""What the embedded judge reads is chosen on prompts that it learns from, and proved on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.judging.embedded import EmbeddedJudge, cross_validated
from tasks.judging.features import (
    FEATURES,
    EmbeddingRegression,
    Penalties,
    RatedTexts,
    TextProducts,
    choose,
)
from tasks.judging.group_fits import TextModel, fit_words
from tasks.judging.group_judges import make_group_judges
from tasks.judging.proof import compare
from tasks.judging.vectors import Vectors
from tasks.methods.text_regression import TextRegression


class FirstLetters:
    """An encoder that knows which first letters mean the same, and counts what it has encoded."""

    key = "first letters"

    def __init__(self, letters: str = "kr") -> None:
        self.letters, self.encoded = letters, list[str]()

    def settle(self) -> None:
        return

    def close(self) -> None:
        return

    def encode(self, text: str) -> np.ndarray:
        self.encoded.append(text)
        counts = np.array([1e-3, *(sum(word[0] == letter for word in text.split()) for letter in self.letters)])
        return (counts / np.linalg.norm(counts)).astype(np.float32)


def rated(repeated: bool = False, prompts: int = 20, each: int = 3) -> pd.DataFrame:
    """Responses whose score is 0.9 where a word begins with k, and 0.1 where it begins with r. No such word stands
    twice, unless they are `repeated`."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(prompts * each):
        kind = bool(rng.integers(2))
        telling = ("k" if kind else "r") + ("" if repeated else str(number))
        words = [*(f"filler{word}" for word in rng.integers(0, 9, 5)), telling + "word"]
        rows.append((f"r{number}", f"q{number % prompts}", " ".join(rng.permutation(words)), 0.9 if kind else 0.1))
    table = pd.DataFrame(rows, columns=["response_id", "prompt_id", "response", "x"])
    return table.assign(prompt="why ?", n=3, y=1 - table["x"])


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return Vectors(FirstLetters(), tmp_path / "vectors.db")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedJudge:
    """One that may choose, of what only embeddings tell, in two dimensions that are each other's opposite."""
    kept = tmp_path_factory.mktemp("kept") / "vectors.db"
    return EmbeddedJudge(rated(), ["x", "y"], "best", Vectors(FirstLetters(), kept))


def agreement(scores: np.ndarray, table: pd.DataFrame) -> float:
    return float(((scores[:, 0] > 0.5) == (table["x"] > 0.5)).mean())


def test_embeddings_are_chosen_where_only_they_tell(judge: EmbeddedJudge) -> None:
    table = rated()
    assert judge.features in ("embeddings", "both")
    assert agreement(judge.score_rated(table).values, table) > 0.95
    tried = {one.name: one for one in judge.tried(table)}
    assert list(tried) == list(FEATURES)
    assert agreement(tried["words"].scores.values, table) < 0.7
    assert agreement(tried["embeddings"].scores.values, table) > 0.95
    assert (tried["words"].chosen, sum(one.chosen for one in tried.values())) == (0, 5)
    assert [one.name for one in tried.values() if one.used] == [judge.features]
    assert judge.score(["?"] * 3, ["knew it", "really", " "]).reasons == ["", "", "empty answer"]
    high, low, empty = judge.score(["?"] * 3, ["knew it", "really", " "]).values[:, 0]
    assert high > 0.7 > 0.3 > low
    assert np.isnan(empty)


def test_words_are_chosen_where_the_encoder_tells_nothing(tmp_path: Path) -> None:
    table = rated(repeated=True)
    judge = EmbeddedJudge(table, ["x"], "best", Vectors(FirstLetters("z"), tmp_path / "vectors.db"))
    assert judge.features == "words"
    assert judge.group_fit is fit_words
    words = EmbeddedJudge(table, ["x"])
    np.testing.assert_array_equal(judge.score_rated(table).values, words.score_rated(table).values)
    np.testing.assert_array_equal(judge.score(["?"], ["kword"]).values, words.score(["?"], ["kword"]).values)


def test_the_choice_for_a_prompt_knows_nothing_of_it(vectors: Vectors) -> None:
    """Other ratings of a part of the prompts change neither what the others choose nor how they score that part."""
    table = rated()
    learned = EmbeddedJudge(table, ["x"], "best", vectors).rated
    first = cross_validated(learned, FEATURES)
    part = learned.prompts == learned.prompts[0]
    means = np.where(part[:, None], 1 - learned.means, learned.means)
    other = cross_validated(learned._replace(means=means), FEATURES)
    np.testing.assert_array_equal(first.chosen[part], other.chosen[part])
    assert not np.array_equal(first.chosen[~part], other.chosen[~part])


def test_the_same_ratings_give_the_same_judge_also_from_kept_vectors(tmp_path: Path) -> None:
    table, encoders = rated(), (FirstLetters(), FirstLetters())
    judges = [EmbeddedJudge(table, ["x"], "best", Vectors(one, tmp_path / "vectors.db")) for one in encoders]
    scores = [[judge.score_rated(table).values, judge.score(["?"], ["kind"]).values] for judge in judges]
    np.testing.assert_array_equal(scores[0][0], scores[1][0])
    np.testing.assert_array_equal(scores[0][1], scores[1][1])
    assert sorted(encoders[0].encoded) == sorted({*table["response"], "kind"})  # each once
    assert encoders[1].encoded == []
    assert judges[0].identity == judges[1].identity


def test_what_a_judge_reads_and_by_which_encoder_is_part_of_its_identity(vectors: Vectors, tmp_path: Path) -> None:
    table, other = rated(), Vectors(FirstLetters(), tmp_path / "vectors.db")
    other.encoder.key = "another"  # type: ignore[misc]
    made = [EmbeddedJudge(table, ["x"])]
    made += [EmbeddedJudge(table, ["x"], reads, vectors) for reads in ("embeddings", "both", "best")]  # type: ignore[arg-type]
    made += [EmbeddedJudge(table, ["x"], "best", other)]
    assert len({judge.identity for judge in made}) == 5


def test_one_encoders_vectors_are_not_anothers(tmp_path: Path) -> None:
    other = FirstLetters("z")
    other.key = "another"
    first, second = (Vectors(one, tmp_path / "vectors.db").of(["kind"]) for one in (FirstLetters(), other))
    assert first.shape == (1, 3)
    assert second.shape == (1, 2)
    assert Vectors(other, tmp_path / "vectors.db").of([]).shape == (0, 0)


def test_with_words_alone_in_it_the_regression_is_that_of_words() -> None:
    """Vectors of nothing, penalty 1: ridge regression by its dual form, against the library's."""
    rng = np.random.default_rng(0)
    table = rated(repeated=True)
    learned = EmbeddedJudge(table, ["x", "y"]).rated._replace(weights=rng.integers(1, 9, 60).astype(float))
    line = EmbeddingRegression(TextProducts(learned, words=True), Penalties(1.0, 1.0))
    known = TextRegression(learned.texts, learned.means, learned.weights)
    texts = ["kword filler1", "rword filler2 filler3", "nothing known"]
    np.testing.assert_allclose(line.predict(texts, np.zeros((3, 0))), known.predict(texts), atol=2e-3)


def test_on_vectors_it_is_weighted_ridge_regression_with_a_free_intercept() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    vectors, weights = rng.normal(size=(40, 6)), rng.integers(1, 9, 40).astype(float)
    means = 0.5 + 0.05 * vectors[:, :2] + rng.normal(0, 0.02, (40, 2))
    learned = RatedTexts(["text"] * 40, vectors, means, weights, np.arange(40))
    line = EmbeddingRegression(TextProducts(learned, words=False), Penalties(3.0))
    known = Ridge(alpha=3.0).fit(vectors, means, sample_weight=weights)
    np.testing.assert_allclose(line.predict(["?"] * 40, vectors), known.predict(vectors), atol=1e-9)


def test_one_prompt_leaves_the_simplest(vectors: Vectors) -> None:
    learned = EmbeddedJudge(rated(prompts=1, each=6), ["x"], "best", vectors).rated
    assert choose(learned, FEATURES).best == "words"


def test_a_groups_judge_reads_what_everybodys_does(vectors: Vectors) -> None:
    """Two groups of whom one likes what begins with k and the other what begins with r."""
    table = rated(prompts=40)
    rows = [
        (f"{group}{rater}", response, prompt, 5 if (score > 0.5) == (group == "a") else 1)
        for response, prompt, score in zip(table["response_id"], table["prompt_id"], table["x"], strict=True)
        for group, raters in (("a", 3), ("b", 1))
        for rater in range(raters)
    ]
    columns = ["participant_id", "response_id", "prompt_id", "x"]
    ratings = pd.DataFrame(rows, columns=columns).astype({"x": "Int64"})
    means = (ratings.groupby("response_id")["x"].mean() - 1) / 4
    everybody = EmbeddedJudge(table.assign(x=table["response_id"].map(means)), ["x"], "best", vectors)
    judged = pd.DataFrame(everybody.score_rated(table).values, columns=["x"]).assign(response_id=table["response_id"])
    groups = {"a": {"a0", "a1", "a2"}, "b": {"b0"}}
    made = make_group_judges(everybody.group_fit, judged, table, ratings, groups, ["x"], 5, draws=20)
    assert made.table["used"].all()
    assert set(made.table["kind"]) == {everybody.features}
    everybodys = everybody.score(["?"] * 2, ["knew", "really"]).values
    liked = {name: judge.score(everybodys, ["knew", "really"])[:, 0] for name, judge in made.judges.items()}
    assert liked["a"][0] > 0.5 > liked["a"][1]
    assert liked["b"][0] < 0.5 < liked["b"][1]


def test_a_groups_fit_takes_words_and_embeddings_together(vectors: Vectors) -> None:
    table = rated()
    judge = EmbeddedJudge(table, ["x"], "both", vectors)
    model = judge.group_fit.func  # type: ignore[attr-defined]
    assert model is TextModel
    assert judge.group_fit.keywords["kind"] == "both"  # type: ignore[attr-defined]
    assert judge.tried(table) == []


def test_the_table_has_a_row_for_each_of_them_and_one_is_used(judge: EmbeddedJudge) -> None:
    table = rated()
    ratings = table[["response_id", "prompt_id"]].assign(participant_id="p", x=np.where(table["x"] > 0.5, 5, 1))
    tried = [
        (one, pd.DataFrame(one.scores.values, columns=["x", "y"]).assign(response_id=table["response_id"]))
        for one in judge.tried(table)
    ]
    rows = compare(tried, ratings.astype({"x": "Int64"}), ["x"], 5, draws=20)
    assert rows["features"].tolist() == list(FEATURES)
    assert rows["used"].sum() == 1
    assert rows["chosen"].sum() == rows["parts"].iloc[0] == 5
    assert rows.set_index("features")["spearman"]["embeddings"] > 0.8 > rows.set_index("features")["spearman"]["words"]
