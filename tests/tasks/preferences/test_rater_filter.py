"""Rater filters: whom they leave out, from what, and that nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import RaterFilter, Study
from tasks.preferences.condition import experiment_data, stratified, whom_filters_leave_out
from tasks.preferences.experiment import keep_preferences
from tasks.preferences.rater_filter import raters_left_out, training_indices
from tasks.preferences.strata import compared_groups
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import MemoryStore

PEOPLE = [f"p{number:03d}" for number in range(40)]


def study(**filters: dict[str, Any] | None) -> Study:
    """Conditions on everybody's ratings of toxicity, with these filters; each is compared with the first."""
    conditions = {
        name: {"dimensions": ["toxicity"], "scale": "5-point", **({"raters": own} if own else {})}
        for name, own in filters.items()
    }
    first, *others = conditions
    contrasts: dict[str, Any] = {f"{name} - {first}": {} for name in others} or {f"{first} - control": {}}
    experiment = {"title": "T", "question": "Q", "conditions": conditions, "contrasts": contrasts}
    changes = {"experiments": {"e": experiment}, "raters": {}, "placebo": 0}
    return Study.model_validate(load_study("demo").model_dump(mode="json") | changes)


def indices(**columns: list[float]) -> pd.DataFrame:
    base = {"lz_p": np.linspace(1, 0, 40), "lz": 0.0, "outfit_p": 0.5, "outfit": 1.0, "even_odd": 0.5, "irv": 1.0}
    return pd.DataFrame({**base, "long_string": 2, **columns}, index=pd.Index(PEOPLE, name="participant_id"))


def left_out(settings: dict[str, Any], table: pd.DataFrame | None = None, people: list[str] = PEOPLE) -> list[str]:
    return raters_left_out("here", RaterFilter(**settings), people, table, seed=0)


# ---- whom


def test_the_most_doubtful_share_is_left_out() -> None:
    assert left_out({"drop": 0.1}, indices()) == ["p039", "p038", "p037", "p036"]
    assert left_out({"drop": 0.05, "by": "long_string"}, indices(long_string=list(range(40)))) == ["p039", "p038"]
    assert left_out({"drop": 0.05, "by": "even_odd"}, indices(even_odd=list(range(40)))) == ["p000", "p001"]


def test_what_is_equal_by_one_number_is_told_apart_by_another() -> None:
    table = indices(lz_p=[0.0005] * 40, outfit=[float(number) for number in range(40)])
    assert left_out({"drop": 0.05}, table) == ["p039", "p038"]
    table = indices(outfit_p=[0.0005] * 40, outfit=[float(number) for number in range(40)])
    assert left_out({"drop": 0.05, "by": "outfit"}, table) == ["p039", "p038"]


def test_as_many_by_chance_as_by_an_index_and_a_larger_share_leaves_out_the_same_and_more() -> None:
    for settings, table in (({}, indices()), ({"by": "chance"}, None)):
        small, large = (left_out({"drop": share, **settings}, table) for share in (0.05, 0.2))
        assert (len(small), len(large)) == (2, 8)
        assert set(small) < set(large)


def test_chance_follows_from_who_it_is_alone() -> None:
    chosen = left_out({"drop": 0.5, "by": "chance"})
    assert left_out({"drop": 0.5, "by": "chance"}, people=PEOPLE[::-1]) == chosen
    assert raters_left_out("here", RaterFilter(drop=0.5, by="chance"), PEOPLE, None, seed=1) != chosen
    fewer = left_out({"drop": 0.5, "by": "chance"}, people=PEOPLE[:20])
    assert len(set(fewer) & set(chosen)) >= 6  # of 10, who stay among the lower half of hashes but for a few


def test_who_has_no_index_is_not_left_out_by_it() -> None:
    table = indices(lz_p=[*[np.nan] * 39, 0.9])
    assert left_out({"drop": 0.1}, table) == ["p039"]
    with pytest.raises(InputError, match=r"^here\.by: no rater has person_fit"):
        left_out({"drop": 0.1}, indices(lz_p=[np.nan] * 40))


# ---- in a condition


@pytest.fixture(scope="module")
def filtered(simulated: Data) -> tuple[Study, StudyData]:
    settings = study(
        all=None, doubtful={"drop": 0.1}, random={"drop": 0.1, "by": "chance"}, runs={"drop": 0.2, "by": "long_string"}
    )
    return settings, StudyData.of(settings, simulated)


@pytest.fixture(scope="module")
def known(filtered: tuple[Study, StudyData]) -> pd.DataFrame:
    return training_indices(*filtered)


def test_the_answers_to_held_out_prompts_have_no_say(filtered: tuple[Study, StudyData], known: pd.DataFrame) -> None:
    """Whatever they are: neither the indices nor whom a filter leaves out changes."""
    settings, data = filtered
    held = data.ratings["prompt_id"].isin(data.held_out_prompts)
    assert 0 < held.sum() < len(data.ratings)
    other = data.ratings.copy()
    for name in settings.dimensions:
        other.loc[held, name] = 6 - other.loc[held, name]
    changed = StudyData.of(settings, Data(other, data.participants, data.responses, data.categories))
    pd.testing.assert_frame_equal(training_indices(settings, changed), known)


def test_every_filter_drops_its_raters_ratings_and_counts_them(
    filtered: tuple[Study, StudyData], known: pd.DataFrame
) -> None:
    settings, data = filtered
    experiment = settings.experiments["e"]
    out = whom_filters_leave_out(settings, data, experiment, known)
    raters = data.training(data.ratings)["participant_id"].nunique()
    assert {name: len(people) for name, people in out.items()} == {
        "doubtful": round(0.1 * raters), "random": round(0.1 * raters), "runs": round(0.2 * raters)
    }  # fmt: skip
    tables = stratified(settings, data, experiment, out)
    for name, people in out.items():
        ratings, drops = tables[name]
        assert not set(ratings["participant_id"]) & set(people)
        (drop,) = [drop for drop in drops if drop[0] == "raters"]
        assert drop[1] == f"ratings of the {len(people)} of {raters} raters whom the filter leaves out"
        assert drop[2] == data.training(data.ratings)["participant_id"].isin(people).sum()
        left = [kept for *_, kept in drops]
        assert left[-1] == len(ratings)
        assert [dropped for *_, dropped, _ in drops][1:] == [a - b for a, b in pairwise(left)]


def test_the_filtered_are_kept_with_the_preferences_and_a_condition_without_a_filter_has_none(
    filtered: tuple[Study, StudyData], known: pd.DataFrame
) -> None:
    settings, data = filtered
    store = MemoryStore()
    ratings = store.make("ratings", "abc", lambda _: {})
    kept = keep_preferences(settings, "e", data, ratings, store)
    made = experiment_data(settings, data, settings.experiments["e"], known)
    for name, own in made.items():
        assert kept.of(name).left_out == own.left_out
    assert made["all"].left_out is None


def test_filtered_conditions_that_are_compared_give_equal_numbers_of_ratings(
    filtered: tuple[Study, StudyData], known: pd.DataFrame
) -> None:
    _, data = filtered
    both = study(doubtful={"drop": 0.1}, random={"drop": 0.1, "by": "chance"})
    assert compared_groups(both.experiments["e"]) == [{"doubtful", "random"}]
    experiment = both.experiments["e"]
    tables = stratified(both, data, experiment, whom_filters_leave_out(both, data, experiment, known))
    assert len(tables["doubtful"][0]) == len(tables["random"][0]) > 0


# ---- keys


def test_without_a_filter_every_key_is_what_it_was(simulated: Data) -> None:
    """Settings are written without `raters`, so that their fingerprints don't know that there is such a key."""
    plain, store = study(all=None), MemoryStore()
    condition = plain.experiments["e"].conditions["all"]
    assert "raters" not in condition.model_dump()
    assert "raters" not in condition.model_dump(mode="json", exclude={"method"})
    assert plain.ratings.simulate is not None
    assert "careless" not in plain.ratings.simulate.model_dump()
    keep_preferences(plain, "e", StudyData.of(plain, simulated), store.make("ratings", "abc", lambda _: {}), store)
    assert store.find("rater-indices", "x") is None


def test_the_filter_is_part_of_the_key(simulated: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "tasks.preferences.rater_filter.training_indices", lambda *_: asked.append(1) or indices().assign(x=1)
    )
    store, keys = MemoryStore(), set()
    monkeypatch.setattr("tasks.preferences.experiment.experiment_data", lambda *_: {})
    ratings = store.make("ratings", "abc", lambda _: {})
    for own in (None, {"drop": 0.1}, {"drop": 0.2}, {"drop": 0.1, "by": "chance"}, {"drop": 0.1, "by": "outfit"}):
        settings = study(all=own)
        keys.add(keep_preferences(settings, "e", StudyData.of(settings, simulated), ratings, store).key)
    assert len(keys) == 5
    assert asked == [1]  # worked out once for all of them


@pytest.mark.parametrize(
    ("raters", "message"),
    [
        ({"drop": 1}, r"experiments\.e\.conditions\.all\.raters\.drop: Input should be less than 1, got 1"),
        ({"drop": 0}, r"raters\.drop: Input should be greater than 0, got 0"),
        ({"by": "chance"}, r"raters\.drop: Field required"),
        ({"drop": 0.1, "share": 0.1}, r"raters: unknown key 'share'; allowed: drop, by"),
        ({"drop": 0.1, "by": "irv"}, r"raters\.by: Input should be 'person_fit', 'outfit', 'even_odd', 'long_string' "),
    ],
)
def test_a_wrong_filter_is_told_in_one_line(raters: dict[str, Any], message: str) -> None:
    settings = {"title": "T", "question": "Q", "contrasts": {"all - control": {}},
                "conditions": {"all": {"dimensions": ["toxicity"], "scale": "5-point", "raters": raters}}}  # fmt: skip
    with pytest.raises(InputError, match=message) as caught:
        load_study("demo", {"experiments.e": settings})
    assert "\n" not in str(caught.value)


def test_consistency_over_one_dimension_is_refused() -> None:
    with pytest.raises(InputError, match=r"raters\.by: even_odd needs three dimensions or more, and the study has 1"):
        load_study("spica", {"experiments.scale.conditions.binary.raters": {"drop": 0.1, "by": "even_odd"}})
