"""What may be removed of a store, of made-up entries; and its removal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from tasks.lineage.needs import Needs
from tasks.lineage.unneeded import DAY, HOUR, age_in_words, describe, find_unneeded, remove, size_in_words, sort_out
from tasks.runtime.files import locked
from tasks.runtime.store import Entry, FolderStore, MemoryStore
from tasks.runtime.stores import open_store

NEEDED = Needs("mine", frozenset({("training-runs", "a"), ("reference", "base-1.txt"), ("checkpoints", "b")}), 2)


def entry(kind: Any, stage: str, key: str, age: float = DAY, size: int = 1000) -> Entry:
    return Entry(kind, stage, key, size, age)


def listed(*entries: Entry, needs: Needs = NEEDED) -> list[tuple[str, str]]:
    return [(each.stage, each.key) for each in sort_out(entries, [needs], HOUR).listed]


def test_what_no_study_needs_is_listed_and_what_one_needs_is_not() -> None:
    kept = [entry("artifact", "training-runs", "a"), entry("workspace", "reference", "base-1.txt")]
    kept.append(entry("workspace", "checkpoints", "b"))
    others = [entry("artifact", "training-runs", "c"), entry("workspace", "reference", "other-1.txt")]
    others.append(entry("workspace", "checkpoints", "a"))  # of a run that is finished
    assert sorted(listed(*kept, *others)) == sorted((each.stage, each.key) for each in others)


def test_what_was_written_lately_is_left_alone() -> None:
    found = sort_out([entry("artifact", "outputs", "x", HOUR - 1), entry("artifact", "outputs", "y")], [NEEDED], HOUR)
    assert [each.key for each in found.young] == ["x"]
    assert [each.key for each in found.listed] == ["y"]
    assert any(
        "1 (1.0 kB) that none of these needs were written in the last 60 min" in line for line in describe(found)
    )


@pytest.mark.parametrize(
    ("kind", "stage", "key"),
    [
        ("workspace", "verdicts.db", ""),
        ("workspace", "vectors.db", ""),
        ("workspace", "something-new", "x"),
        ("artifact", "something-new", "x"),
        ("artifact", "revisions", "x"),
    ],
)
def test_what_was_paid_for_what_is_remembered_and_what_is_not_known_is_never_listed(
    kind: str, stage: str, key: str
) -> None:
    assert listed(entry(kind, stage, key)) == []


def test_what_a_killed_removal_left_of_an_artifact_is_listed() -> None:
    assert listed(entry("workspace", "training-runs", "c")) == [("training-runs", "c")]


@pytest.mark.parametrize(
    "needs",
    [
        Needs("mine", NEEDED.keys, 2, untold=("hub-model",)),
        Needs("mine", NEEDED.keys, 2, 2, absent=True),
    ],
)
def test_where_it_can_t_be_told_what_is_needed_only_leftovers_are_listed(needs: Needs) -> None:
    entries = [entry("artifact", "outputs", "x"), entry("leftover", "outputs", "y.partial")]
    assert listed(*entries, needs=needs) == [("outputs", "y.partial")]
    assert "so nothing is listed but leftovers of builds" in describe(sort_out(entries, [needs], HOUR))


def test_surveys_stay_where_that_of_a_kept_study_may_have_been_made_with_another_machine_s_key() -> None:
    survey, output = entry("artifact", "surveys", "x"), entry("artifact", "outputs", "y")
    assert listed(survey, output, needs=Needs("mine", NEEDED.keys, 2, parts=("surveys",))) == [("outputs", "y")]
    assert listed(survey, output) == [("outputs", "y"), ("surveys", "x")]


def test_a_build_under_way_of_another_study_keeps_everything_and_is_said() -> None:
    under_way = entry("leftover", "training-runs", "c.partial", age=5)
    found = sort_out([under_way, entry("artifact", "outputs", "x")], [NEEDED], HOUR)
    assert not found.listed
    assert found.doubts == [
        "a run of a study that is not named is under way (it makes training-runs): name it too, or wait for its end"
    ]
    own = entry("leftover", "training-runs", "a.partial", age=5)
    assert listed(own, entry("artifact", "outputs", "x")) == [("outputs", "x")]


def test_a_folder_tells_a_build_under_way_from_what_a_killed_one_left(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for key in ("killed", "running"):
        (tmp_path / "outputs" / f"{key}.partial").mkdir(parents=True)
        os.utime(tmp_path / "outputs" / f"{key}.partial", (0, 0))
    with locked(tmp_path / "outputs" / "running.lock"):
        ages = {each.key: each.age for each in store.entries()}
    assert ages["running.partial"] == 0
    assert ages["killed.partial"] > DAY
    killed = [each for each in store.entries() if each.key == "killed.partial"]
    assert remove(killed, store) == []
    assert [each.key for each in store.entries()] == ["running.partial"]


def test_an_object_store_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    store = open_store(f"file://{tmp_path / 'kept'}")
    for key in ("a", "c"):
        store.make("training-runs", key, lambda folder: None)
        checkpoints = store.workspace("checkpoints", key)
        checkpoints.open().mkdir()
        (checkpoints.open() / "state").write_text("1")
        checkpoints.save()
    store.document("history", "mine").update(lambda _: [1])
    store.journal("verdicts").add([1])
    for path in (tmp_path / "kept").rglob("*"):
        os.utime(path, (0, 0))
    with store.building("outputs", "x"):
        assert len(sort_out(list(store.entries()), [NEEDED], HOUR).doubts) == 1
    found = sort_out(list(store.entries()), [NEEDED], HOUR)
    gone = [("checkpoints", "a"), ("checkpoints", "c"), ("training-runs", "c")]
    assert sorted((each.stage, each.key) for each in found.listed) == gone
    assert remove(found.listed, store) == []
    assert [(each.stage, each.key) for each in store.entries()] == [("training-runs", "a")]
    assert store.document("history", "mine").read() == [1]
    assert list(store.journal("verdicts").others(()))


def test_what_can_t_be_removed_is_told_and_the_others_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    for key in ("x", "y"):
        store.make("outputs", key, lambda folder: None)
    discard = store.discard

    def refuse(entry: Entry) -> None:
        if entry.key == "x":
            raise PermissionError("not yours")
        discard(entry)

    monkeypatch.setattr(MemoryStore, "discard", lambda self, entry: refuse(entry))
    assert remove(list(store.entries()), store) == ["memory/outputs/x: not removed: not yours"]
    assert [each.key for each in store.entries()] == ["x"]


def test_what_is_listed_has_sizes_ages_and_sums() -> None:
    entries = [entry("artifact", "outputs", "0123456789abcdef", 3 * DAY, 2_500_000), entry("artifact", "scores", "y")]
    lines = [" ".join(line.split()) for line in describe(sort_out(entries, [NEEDED], HOUR))]
    assert "artifact outputs 0123456789ab 2.5 MB 3 days" in lines
    assert "outputs 1 2.5 MB" in lines
    assert "2 (2.5 MB) that none of these needs; 0 (0 B) stay" in lines
    assert lines[0] == "mine: whole in this store, 2 cells"


def test_a_study_that_is_not_whole_says_what_is_missing() -> None:
    (line, *_) = describe(sort_out([], [Needs("mine", frozenset(), 14, 3, ("judges",))], HOUR))
    assert line == "mine: not whole in this store, whose next run makes what is missing: 3 of 14 cells, judges"


def test_less_than_an_hour_or_no_study_is_refused() -> None:
    with pytest.raises(InputError, match=r"--older-than 0\.01: expected an hour"):
        find_unneeded([], [Path("outputs")], MemoryStore(), lambda name: None, 0.01 * DAY)
    with pytest.raises(InputError, match="no study is named"):
        find_unneeded([], [], MemoryStore(), lambda name: None, HOUR)


def test_sizes_and_ages_are_short() -> None:
    assert [size_in_words(size) for size in (12, 1234, 3_400_000, 25_000_000_000)] == [
        "12 B",
        "1.2 kB",
        "3.4 MB",
        "25.0 GB",
    ]
    assert [age_in_words(seconds) for seconds in (600, 3 * HOUR, 5 * DAY)] == ["10 min", "3 h", "5 days"]
