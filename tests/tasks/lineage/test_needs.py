"""What a study needs of a store, of parts that train nothing; whole runs are in tests/flows/test_gc.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from configs.load import load_study
from flows.parts import audit_alone, survey_alone
from tasks.lineage.needs import Needs, finished_needs, precisions, study_needs
from tasks.lineage.unneeded import HOUR, Unneeded, find_unneeded, remove
from tasks.methods.step import RUNS
from tasks.planning.finished import finished_run
from tasks.runtime.store import FolderStore, Store
from tasks.runtime.stores import open_store
from tests.flows.conftest import STUDY

FILTERED = {"experiments.scale.conditions.binary.raters": {"drop": 0.1, "by": "long_string"}}
FEW: Mapping[str, Any] = {"architectures": ["tiny-llama"], "survey.draws": 20}
OF_RATINGS = {"simulated-export", "ratings", "surveys"}
OF_CONDITIONS = {"preferences", "training-sets", "rater-indices", "audits"}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(STUDY)
    return "small.yaml"


def nobody(name: str) -> None:
    """No key for pseudonyms is kept elsewhere."""


def needs(study: str, store: Store, **overrides: Any) -> Needs:
    return study_needs(load_study(study, {**FEW, **overrides}), store, nobody)


def unneeded(study: str, store: Store, **overrides: Any) -> Unneeded:
    return find_unneeded([load_study(study, {**FEW, **overrides})], [], store, nobody, HOUR)


def grow_old(folder: Path, seconds: float = 2 * HOUR) -> None:
    """All below the folder, as if it had been written before."""
    for path in [folder, *folder.rglob("*")]:
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def keys(store: Store) -> set[tuple[str, str]]:
    return {(entry.stage, entry.key) for entry in store.entries()}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_all_that_a_survey_and_an_audit_made_is_needed_and_nothing_else(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """In a folder, and in an object store."""
    monkeypatch.setenv("PLURALIGN_STORE", f"{scheme}{tmp_path / 'kept'}")
    survey_alone(study, {**FEW, **FILTERED})
    audit_alone(study, {**FEW, **FILTERED})
    store = open_store(os.environ["PLURALIGN_STORE"])
    made = keys(store)
    assert {stage for stage, _ in made} == OF_RATINGS | OF_CONDITIONS
    own = needs(study, store, **FILTERED)
    assert made <= own.keys
    assert (own.cells, own.missing) == (7, 7)
    assert set(own.parts) == {"judges"}
    assert keys(store) == made  # only asked
    store.make("scores", "abc", lambda folder: None)
    grow_old(tmp_path / "kept")
    assert not unneeded(study, store, **FILTERED).listed  # of its cells none is there, which may be a mistake
    survey_alone(study, {**FEW, "experiments": {}})
    found = unneeded(study, store, experiments={})
    assert {entry.stage for entry in found.listed} == OF_CONDITIONS | {"scores", "surveys"}
    assert remove(found.listed, store) == []
    assert {stage for stage, _ in keys(store)} == OF_RATINGS
    assert keys(store) <= needs(study, store, experiments={}).keys


def test_what_is_missing_of_the_ratings_is_made_beside_the_store_so_that_the_keys_beneath_are_told(
    study: str, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path / "home" / "store")
    audit_alone(study, dict(FEW))
    before = needs(study, store)
    for entry in list(store.entries()):
        store.discard(entry)
    after = needs(study, store)
    assert after.keys == before.keys
    assert {"ratings", "preferences", "training-sets"} <= set(after.parts)
    assert keys(store) == set()


def test_a_chat_model_is_not_asked_and_needs_no_key(study: str, tmp_path: Path) -> None:
    own = needs(study, FolderStore(tmp_path / "home" / "store"), judge={"kind": "llm", "model": "m"})
    assert "judges" in own.parts
    assert own.absent


def test_a_hub_model_of_which_no_commit_is_known_keeps_everything(study: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "home" / "store")
    hub = {"name": "mine", "title": "Mine", "family": "llama", "parameters": 1, "hub": "me/mine"}
    store.make("outputs", "abc", lambda folder: None)
    grow_old(tmp_path / "home" / "store")
    own = needs(study, store, architectures=[hub])
    assert own.untold == ("mine",)
    found = find_unneeded([load_study(study, {**FEW, "architectures": [hub]})], [], store, nobody, HOUR)
    assert not found.listed


def test_a_precision_that_machines_choose_is_any_of_theirs() -> None:
    hub, tiny = load_study("small").architectures[0], load_study("demo").architectures[0]
    assert [each.dtype for each in precisions(hub)] == ["bfloat16", "float32"]
    assert precisions(tiny) == [tiny]


def test_a_finished_run_rests_on_its_ratings_and_its_training_runs(study: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "home" / "store")
    audit_alone(study, dict(FEW), "outputs/small")
    cells = "experiment,training_run\nscale,abc\nscale,def/3\ncontrol,\n"
    (tmp_path / "outputs" / "small" / "tables" / "cells.csv").write_text(cells)
    (tmp_path / "small.yaml").unlink()  # what the study is now does not matter
    run = finished_run(tmp_path / "outputs" / "small")
    own = finished_needs(run, "outputs/small", store, nobody)
    assert keys(store) <= own.keys
    assert {(RUNS, "abc"), ("replicate-runs", "def")} <= own.keys
    assert own.parts == ("judges", "surveys")  # only the audit has run
    for entry in list(store.entries()):
        store.discard(entry)
    gone = finished_needs(run, "outputs/small", store, nobody)
    assert gone.parts == ("ratings",)
    assert (RUNS, "abc") in gone.keys
