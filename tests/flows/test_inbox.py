"""A sweep of the inbox, and who follows what has landed; the landing itself is made up here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from prefect.states import Completed, Failed, State

from configs.errors import InputError
from flows import follow, inbox
from tasks.ratings.landing.landing import Landing
from tasks.ratings.landing.snapshot import Snapshot
from tests.flows.conftest import STUDY, Place


def landing(folder: Path) -> Landing:
    snapshot = Snapshot("0123456789abcdef", folder, {})
    return Landing(snapshot, False, [], {}, pd.DataFrame({"reason": []}), {}, [], folder)


@pytest.fixture
def dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox with exports called good, bad and unlucky, each landed as it is called."""
    folder = tmp_path / "inbox"
    for name in ("bad", "good"):
        (folder / name).mkdir(parents=True)
        (folder / name / "ratings.csv").write_text("a,b\n")

    def land(exports: list[str], study: str, strict: bool, return_state: bool) -> State:
        assert (study, strict, return_state) == ("demo", False, True)
        results = {
            "good": Completed(data=landing(tmp_path)),
            "bad": Failed(data=InputError("ratings.csv: row 2: no")),
            "unlucky": Failed(data=OSError("no space left on device")),
        }
        return results[Path(exports[0]).name]

    monkeypatch.setattr(inbox, "land_ratings", land)
    return folder


def sweep(folder: Path, study: str | None = "demo") -> State:
    return inbox.sweep_inbox.fn(str(folder), study, quiet_seconds=0)


def test_each_export_is_landed_and_put_away_whatever_becomes_of_another(dropped: Path) -> None:
    state = sweep(dropped)
    assert (state.name, state.message) == ("Refused", "1 of 2 exports refused; bad: ratings.csv: row 2: no")
    assert state.is_failed()
    assert (dropped / "done" / "good" / "ratings.csv").exists()
    assert "snapshot 0123456789abcdef" in (dropped / "done" / "good.txt").read_text()
    assert (dropped / "refused" / "bad" / "ratings.csv").exists()
    assert (dropped / "refused" / "bad.txt").read_text() == "ratings.csv: row 2: no\n"
    assert sweep(dropped).name == "Nothing new"


def test_what_is_not_the_exports_fault_leaves_it_for_the_next_sweep(dropped: Path) -> None:
    (dropped / "good").rename(dropped / "unlucky")
    with pytest.raises(RuntimeError, match="unlucky stays in the inbox"):
        sweep(dropped)
    assert (dropped / "unlucky" / "ratings.csv").exists()


def test_two_sweeps_at_once_are_one(dropped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "try_lock", lambda path: None)
    assert sweep(dropped).name == "Skipped"
    assert (dropped / "good").exists()


def test_exports_that_no_study_reads_wait_and_say_so(dropped: Path) -> None:
    with pytest.raises(InputError, match=r"2 exports wait in .*; say with `study` whose codebooks read them"):
        sweep(dropped, None)
    assert sorted(path.name for path in dropped.iterdir() if path.is_dir()) == ["bad", "good"]


def test_an_inbox_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert sweep(tmp_path / "new", None).name == "Nothing new"
    assert (tmp_path / "new").is_dir()


# ---- follow


@pytest.fixture
def ran(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The studies that were run, in a place with `mine.yaml` that follows the collection `mine` and `pinned.yaml`."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
    source = STUDY[STUDY.index("  simulate") : STUDY.index("  codebooks")]
    Path("mine.yaml").write_text(STUDY.replace(source, "  collection: mine\n"))
    Path("pinned.yaml").write_text(STUDY.replace(source, "  collection: mine\n  snapshot: 012345\n"))
    runs: list[tuple[str, dict[str, Any]]] = []

    def run(study: str, overrides: dict[str, Any], return_state: bool) -> State:
        runs.append((study, overrides))
        return Completed()

    monkeypatch.setattr(follow, "run_study", run)
    return runs


def test_the_studies_that_follow_the_latest_snapshot_run_with_it_once_each(ran) -> None:
    state = follow.follow_latest.fn("mine", "abc", "mine.yaml", ["small.yaml", "pinned.yaml", "mine.yaml"])
    assert state.message == "ran mine.yaml"
    assert ran == [("mine.yaml", {"ratings.snapshot": "abc"})]


def test_a_study_that_cannot_be_read_does_not_stop_the_others(ran, caplog: pytest.LogCaptureFixture) -> None:
    assert follow.follow_latest.fn("mine", "abc", "gone.yaml", ["mine.yaml"]).is_completed()
    assert [name for name, _ in ran] == ["mine.yaml"]
    assert "left out: gone.yaml: No such file or directory" in caplog.text


def test_a_collection_that_nobody_follows_runs_nothing_and_says_so(ran) -> None:
    state = follow.follow_latest.fn("other", "abc", "mine.yaml")
    assert (ran, state.message) == ([], "ran nothing: no study has ratings.collection other")


def test_a_snapshot_that_another_has_followed_runs_nothing(ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "Collection", lambda path: SimpleNamespace(latest=lambda: SimpleNamespace(id="new")))
    assert follow.follow_latest.fn("mine", "old", "mine.yaml").name == "Superseded"
    assert ran == []
    assert follow.follow_latest.fn("mine", "new", "mine.yaml").message == "ran mine.yaml"


def test_an_event_without_a_snapshot_fails_where_it_is_seen(ran) -> None:
    with pytest.raises(InputError, match="expected a collection and a snapshot, got 'mine' and ''"):
        follow.follow_latest.fn("mine")
