"""From an experiment's kept preferences to what each condition trains on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from tasks.methods import METHODS, methods_of
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.preferences.condition import experiment_data
from tasks.preferences.experiment import Preferences, keep_preferences
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import FolderStore, Store
from tests.conftest import make_data


def study(budget: str = "epochs", **changes: object) -> Study:
    """One experiment, a condition a method, next to nothing held out."""
    conditions = {name: {"dimensions": ["toxicity"], "scale": "5-point", "method": name} for name in METHODS}
    contrasts = {f"{name} - control": {} for name in METHODS}
    experiment = {"title": "e", "question": "e?", "conditions": conditions, "contrasts": contrasts, "budget": budget}
    alone = {"experiments": {"e": experiment}, "placebo": 0, "raters": {}, "evaluation.share": 1e-9}
    return load_study("demo", alone | changes)


def kept(settings: Study, data: Data, store: Store) -> Preferences:
    ratings = store.make("ratings", "abc", lambda _: {})
    return keep_preferences(settings, "e", StudyData.of(settings, data), ratings, store)


def sets(settings: Study, data: Data, folder: Path) -> dict[str, TrainingSet]:
    store = FolderStore(folder)
    return training_sets(settings, "e", kept(settings, data, store), store)


def test_what_is_kept_reads_as_it_was_made(paper: Study, simulated: Data, tmp_path: Path) -> None:
    name = "disagreement"
    data, store = StudyData.of(paper, simulated), FolderStore(tmp_path)
    read = keep_preferences(paper, name, data, store.make("ratings", "abc", lambda _: {}), store)
    for condition, made in experiment_data(paper, data, paper.experiments[name]).items():
        own = read.of(condition)
        assert (own.drops, own.preferences, own.no_pairs) == (made.drops, made.preferences, made.no_pairs)
        pd.testing.assert_frame_equal(own.pairs, made.pairs)
        pd.testing.assert_frame_equal(own.rewards, made.rewards)
        for dimension, labels in made.labels.items():
            assert own.labels[dimension].middle == labels.middle
            pd.testing.assert_frame_equal(own.labels[dimension].scaled, labels.scaled)
            pd.testing.assert_frame_equal(own.labels[dimension].final, labels.final)


def test_each_method_trains_on_its_own_table_of_the_same_preferences(simulated: Data, tmp_path: Path) -> None:
    settings = study()
    made = sets(settings, simulated, tmp_path)
    assert list(made) == [method.name for method in methods_of(settings)] == list(METHODS)
    assert len({item.digest for item in made.values()}) == len(METHODS)
    for name, item in made.items():
        table = pd.read_parquet(item.table.fetch(FolderStore(tmp_path)))
        assert METHODS[name].digest(table) == item.digest
        assert METHODS[name].size(table) == item.size > 0
        assert item.error == ""
    assert len({item.n_pairs for item in made.values()}) == 1


def test_preferences_are_the_same_artifact_whichever_methods_train_on_them(simulated: Data, tmp_path: Path) -> None:
    store, other = FolderStore(tmp_path), study(**{"experiments.e.conditions.kto.method": "dpo"})
    assert kept(study(), simulated, store).key == kept(other, simulated, store).key
    assert kept(study(**{"scales.5-point": [1, 1, 1, 2, 2]}), simulated, store).key != kept(other, simulated, store).key


def test_single_responses_train_where_the_method_needs_no_pairs(tmp_path: Path) -> None:
    attributes = {name: {} for name in ("gender", "political-spectrum", "ethnicity")}
    data = make_data([("p1", "q", "a", 1), ("p2", "s", "b", 5)], attributes=attributes)
    made = sets(study(), data, tmp_path)
    assert made["kto"].error == ""
    assert (made["kto"].size, made["kto"].n_pairs, made["kto"].weight) == (2, 0, 0)
    for name in ("dpo", "grpo"):
        assert made[name].error.startswith("no preference pair: after scale '5-point'")
        assert (made[name].size, made[name].digest) == (0, "")


def test_equal_steps_are_equal_among_conditions_of_a_method(simulated: Data, tmp_path: Path) -> None:
    few = {"dimensions": ["toxicity"], "scale": "5-point", "aggregation": "consensus", "method": "kto"}
    made = sets(study("steps", **{"experiments.e.conditions.few": few}), simulated, tmp_path)
    assert made["kto"].steps is None
    assert made["few"].steps == METHODS["kto"].steps(made["kto"].size, study().recipe)


@pytest.mark.parametrize("name", list(METHODS))
def test_an_unknown_method_is_answered_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"method: unknown 'rlhf'; allowed: .*{name}"):
        METHODS["rlhf"]
