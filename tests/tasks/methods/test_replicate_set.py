"""What replicates train on: rows in the order of the study, and each replicate's own targets and weights."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.methods import METHODS
from tasks.methods.replicate_set import ReplicateSet, one_of_them, replicate_sets, side_by_side
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import FolderStore

Sets = tuple[FolderStore, dict[str, TrainingSet], dict[str, ReplicateSet]]


def sets(study: Study, simulated: Data, name: str, folder: Path) -> Sets:
    store, data = FolderStore(folder), StudyData.of(study, simulated)
    ratings = store.make("ratings", "0123456789abcdef", lambda _: {})
    preferences = keep_preferences(study, name, data, ratings, store)
    own = training_sets(study, name, preferences, store)
    return store, own, replicate_sets(study, name, preferences, own, data.responses, store)


@pytest.fixture(scope="module")
def disagreement(simulated: Data, tmp_path_factory: pytest.TempPathFactory) -> Sets:
    study = load_study("paper", {"raters": {"replicates": 3}})
    return sets(study, simulated, "disagreement", tmp_path_factory.mktemp("store"))


def test_where_all_labels_train_the_rows_are_those_of_the_study_in_its_order(disagreement: Sets) -> None:
    store, own, found = disagreement
    rows = ["prompt", "text_a", "text_b"]
    plain, wide = (pd.read_parquet(sets["all"].table.fetch(store)) for sets in (own, found))
    pd.testing.assert_frame_equal(plain[rows], wide[rows])
    assert (found["all"].size, found["all"].steps) == (own["all"].size, None)
    assert set(found["all"].digests) == {1, 2, 3}
    assert len({*found["all"].digests.values(), own["all"].digest}) == 4


def test_where_votes_decide_a_replicate_may_have_other_rows_and_as_many_steps(disagreement: Sets) -> None:
    store, own, found = disagreement
    method, wide = METHODS["dpo"], pd.read_parquet(found["majority"].table.fetch(store))
    assert len(wide) == found["majority"].size > own["majority"].size
    assert found["majority"].steps == method.steps(own["majority"].size, load_study("paper").recipe)
    for number in (1, 2, 3):
        table = one_of_them(method, wide, number)
        assert table["weight"].mean() == pytest.approx(1)
        assert 0 < (table["weight"] == 0).sum() < len(table) / 2
        assert method.digest(table) == found["majority"].digests[number]


def test_the_same_study_finds_what_it_made_and_more_replicates_leave_the_first_as_they_are(
    disagreement: Sets, simulated: Data
) -> None:
    store, _, found = disagreement
    study = load_study("paper", {"raters": {"replicates": 5, "experiments": ["disagreement"]}})
    again = sets(study, simulated, "disagreement", store.root)[2]
    assert {number: again["all"].digests[number] for number in (1, 2, 3)} == found["all"].digests
    assert sets(study, simulated, "scale", store.root)[2] == {}


def test_rewards_and_ratings_of_single_responses_are_reweighted_too(simulated: Data, tmp_path: Path) -> None:
    study = load_study("paper", {"raters": {"replicates": 2}})
    for experiment, condition, method in (
        ("optimisation", "grpo-toxicity-ea", "grpo"),
        ("methods", "kto-toxicity", "kto"),
    ):
        store, own, found = sets(study, simulated, experiment, tmp_path)
        plain = pd.read_parquet(own[condition].table.fetch(store))
        wide = pd.read_parquet(found[condition].table.fetch(store))
        value = METHODS[method].weighed[0]
        first, second = (one_of_them(METHODS[method], wide, number) for number in (1, 2))
        assert len(first) == len(plain)
        assert not first[value].equals(second[value])
        assert first[value].corr(plain[value]) > 0.5


def test_side_by_side_by_hand() -> None:
    texts = {"prompt_id": "q", "prompt": "p"}
    rows = {
        pair: {**texts, "a": pair[0], "b": pair[1], "text_a": pair[0], "text_b": pair[1]} for pair in ("wx", "yz", "xz")
    }

    def table(**weights: float) -> pd.DataFrame:
        return pd.DataFrame([{**rows[pair], "target": w / 10, "weight": w, "n": w} for pair, w in weights.items()])

    wide = side_by_side(METHODS["dpo"], table(yz=1, wx=1), {1: table(yz=1.0, wx=2.0), 2: table(xz=3.0, wx=1.0)})
    assert (wide["a"] + wide["b"]).tolist() == ["yz", "wx", "xz"]
    assert wide["weight_1"].tolist() == [1, 2, 0]  # mean 1
    assert wide["weight_2"].tolist() == pytest.approx([0, 0.75, 2.25])
    assert wide["target_2"].tolist() == pytest.approx([0.5, 0.1, 0.3])
