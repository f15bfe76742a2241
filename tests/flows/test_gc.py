"""`pluralign gc` after whole runs: what it keeps is all that they need, and what it lists is what nobody does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs.load import load_study
from flows.cli import main
from tasks.lineage.needs import study_needs
from tasks.runtime.store import FolderStore
from tests.flows.conftest import Place, new_place, read, run
from tests.tasks.lineage.test_needs import grow_old

LONGER = ("--set", "recipe.grpo.epochs=2.0")


def store_of(place: Place) -> FolderStore:
    return FolderStore(place.folder / "home" / "store")


def records(place: Place) -> dict[tuple[str, str], int]:
    """Every artifact → when it was made."""
    kept = [entry for entry in store_of(place).entries() if entry.kind == "artifact"]
    root = store_of(place).root
    return {(each.stage, each.key): (root / each.stage / each.key / "record.json").stat().st_mtime_ns for each in kept}


def swept(place: Place, *arguments: str) -> int:
    """`pluralign gc` in a place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
        patch.chdir(place.folder)
        return main(["gc", *arguments])


@pytest.fixture(scope="module")
def copied(finished: Place, databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The finished study's store, grown old, with what nobody needs and what is never touched, after a gc of it."""
    place = new_place(tmp_path_factory.mktemp("swept")).has(databases)
    ignored = shutil.ignore_patterns("*.lock")
    shutil.copytree(finished.folder / "home" / "store", place.folder / "home" / "store", ignore=ignored)
    shutil.copy(finished.folder / "home" / "secret", place.folder / "home")
    shutil.copytree(finished.folder / "outputs", place.folder / "outputs")
    store = store_of(place)
    store.make("training-runs", "of-nobody", lambda folder: None)
    for names in (("checkpoints", "of-nobody"), ("reference", "of-nobody-1.txt"), ("verdicts.db",)):
        store.workspace(*names).open().write_text("1")
    (store.root / "outputs" / "of-nobody.partial").mkdir()
    store.document("of-nobody").update(lambda _: [1])
    grow_old(store.root)
    assert swept(place, place.study, "--delete") == 0
    return place


@pytest.mark.slow
def test_a_kept_study_runs_again_without_anything_made(copied: Place) -> None:
    before = records(copied)
    state = run(copied)
    assert state.is_completed(), state.message
    assert records(copied) == before
    assert set(read(copied, "cells")["status"]) <= {"cached", "control", "shared"}


@pytest.mark.slow
def test_every_artifact_of_a_whole_run_is_told(copied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of a stage that gc knows nothing of is not listed; here it must know them all."""
    monkeypatch.setenv("PLURALIGN_HOME", str(copied.folder / "home"))
    needs = study_needs(load_study(copied.study), store_of(copied), lambda name: None)
    assert set(records(copied)) <= needs.keys
    assert (needs.cells, needs.missing, needs.parts) == (14, 0, ())


@pytest.mark.slow
def test_what_nobody_needs_is_gone_and_what_is_remembered_is_there(copied: Place) -> None:
    store = store_of(copied)
    assert not [entry for entry in store.entries() if "of-nobody" in entry.key]
    assert store.document("of-nobody").read() == [1]
    assert list(store.root.glob("documents/history/**/*.json"))
    assert store.workspace("verdicts.db").open().exists()


@pytest.mark.slow
def test_with_another_setting_exactly_what_it_changed_is_no_longer_needed(
    copied: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(records(copied))
    shutil.copytree(copied.folder / "outputs" / "small", copied.folder / "outputs" / "before")
    assert run(copied, **{"recipe.grpo.epochs": 2.0}).is_completed()
    changed = _by_stage(set(records(copied)) - before)
    assert changed == {"training-runs": 2, "outputs": 2, "scores": 2, "training-sets": 1, "audits": 1}
    grow_old(store_of(copied).root)
    capsys.readouterr()
    assert swept(copied, copied.study, *LONGER) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    listed = {(line[1], line[2]) for line in printed if line and line[0] == "artifact"}
    assert _by_stage(listed) == changed
    assert {key for _, key in listed} <= {key[:12] for _, key in before}
    assert set(records(copied)) >= before  # a dry run
    assert swept(copied, copied.study, *LONGER, "--keep-finished") == 0
    assert "0 (0 B) that none of these needs" in capsys.readouterr().out  # the run in outputs/before does


def _by_stage(keys: set[tuple[str, str]]) -> dict[str, int]:
    stages = [stage for stage, _ in keys]
    return {stage: stages.count(stage) for stage in stages}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "no study is named whose artifacts are to be kept"),
        (["demo", "nope"], "studies: unknown 'nope'; allowed: "),
        (["--keep-finished"], "outputs: no finished run there"),
        (["demo", "--older-than", "0.01"], "--older-than 0.01: expected an hour"),
        (["demo", "--store", "ftp://host/folder"], "ftp://host/folder: a store is a folder, or a URL"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_listed(
    place: Place, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert swept(place, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"pluralign: {line}")
    assert printed.err.count("\n") == 1
