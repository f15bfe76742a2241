"""Somebody is forgotten: their rows leave every snapshot, whole or not at all, and never land again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from configs.errors import InputError
from tasks.ratings.landing import forget as module
from tasks.ratings.landing.forget import (
    FORGOTTEN,
    REMOVED,
    UNDER_WAY,
    Removal,
    find_person,
    finish_forgetting,
    forget,
    forgotten,
    is_called,
)
from tasks.ratings.landing.landing import Landing, land
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.landing.snapshot import Collection, Snapshot
from tasks.ratings.landing.summary import lines, page
from tasks.ratings.reading.load import narrowed
from tasks.runtime.files import locked
from tests.tasks.ratings.by_hand import CHECKS, german, person, rating, response, write_export
from tests.tasks.ratings.by_hand import DE as ALL_DE
from tests.tasks.ratings.by_hand import EN as ALL_EN

EN, DE = (narrowed(codebook, ["toxicity"]) for codebook in (ALL_EN, ALL_DE))
KEY = b"a key that is long enough"
BOB = pseudonyms(KEY, EN.name)("bob-2")
FEW = [("ann-1", "r1", "agree"), ("bob-2", "r1", "neutral"), ("ann-1", "r2", "disagree"), ("bob-2", "r3", "agree")]


def export_of(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    people = dict.fromkeys(name for name, _, _ in rows)
    responses = [response(f"r{n}", f"text {n}") for n in range(1, 5)]
    write_export(folder, EN, [rating(*row) for row in rows], [person(name) for name in people], responses)
    return folder


def land_rows(collection: Collection, folder: Path, rows: list[tuple[str, str, str]]) -> Landing:
    return land(collection, [export_of(folder, rows)], [EN], KEY)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def collection(tmp_path: Path, export: Path) -> Collection:
    """Four snapshots: Ann; Bob too; Bob corrected, with a label of his that nobody knows; Cat too."""
    found = Collection(tmp_path / "home" / "collections" / "ours")
    land_rows(found, export, FEW[:1])
    land_rows(found, export, FEW)
    land_rows(found, export, [*FEW[:3], ("bob-2", "r3", "disagree"), ("bob-2", "r2", "=his words")])
    land_rows(found, export, [*FEW[:3], ("cat-3", "r1", "agree")])
    return found


def forget_bob(collection: Collection, who: str = "bob-2") -> Removal:
    """As the command does: what was interrupted is ended first."""
    with locked(collection.path / "lock"):
        done = finish_forgetting(collection)
        if done is not None and is_called(collection, who, done.pseudonym, lambda: KEY):
            return done
        return forget(collection, find_person(collection, who, lambda: KEY))


def is_there(snapshot: Snapshot, pseudonym: str) -> bool:
    tables = snapshot.tables()
    return pseudonym in {*tables.ratings["participant_id"], *tables.participants["participant_id"]}


def contents(collection: Collection) -> dict[str, bytes]:
    files = [path for path in collection.path.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(collection.path)): path.read_bytes() for path in files}


# ---- who it is


@pytest.mark.parametrize("who", ["bob-2", " bob-2\u00a0", BOB])
def test_somebody_is_found_by_id_or_pseudonym_in_every_snapshot_that_holds_them(
    collection: Collection, who: str
) -> None:
    before = contents(collection)
    found = find_person(collection, who, lambda: KEY)
    assert (found.pseudonym, found.codebook) == (BOB, EN.name)
    counts = [(holding.snapshot.id, holding.ratings, holding.responses) for holding in found.holdings]
    assert counts == [(snapshot.id, 2, 2) for snapshot in collection.snapshots()[1:]]
    assert contents(collection) == before


@pytest.mark.parametrize("who", ["bob", "zed-9", "0" * 20, ""])
def test_who_is_not_there_is_one_line_without_the_id(collection: Collection, who: str) -> None:
    with pytest.raises(InputError) as caught:
        find_person(collection, who, lambda: KEY)
    assert str(caught.value) == "collection 'ours': no snapshot holds anybody of this id or pseudonym"


def test_an_id_needs_the_collections_key_and_a_pseudonym_none(collection: Collection) -> None:
    with pytest.raises(InputError, match="the secret is not the one that it was landed with, so no id can be told"):
        find_person(collection, "bob-2", lambda: KEY[1:])

    def refuse() -> bytes:
        raise AssertionError("not asked for")

    assert find_person(collection, BOB, refuse).pseudonym == BOB


def test_an_id_of_two_questionnaires_is_two_people(collection: Collection, tmp_path: Path) -> None:
    folder = tmp_path / "german"
    folder.mkdir()
    write_export(folder, DE, [rating("bob-2", "r1", "stimme zu", **CHECKS)], [german("bob-2")], [response("r1")])
    land(collection, [folder], [DE], KEY)
    other = pseudonyms(KEY, DE.name)("bob-2")
    with pytest.raises(InputError) as caught:
        find_person(collection, "bob-2", lambda: KEY)
    named = f"{other} ({DE.name}), {BOB} ({EN.name})"
    assert str(caught.value) == f"collection 'ours': this id stands for several people; name one of {named}"
    forget_bob(collection, BOB)
    assert is_there(collection.find(), other)
    assert not is_there(collection.find(), BOB)


def test_nobody_is_forgotten_while_a_snapshot_is_damaged(collection: Collection) -> None:
    second = collection.snapshots()[1]
    before = contents(collection)
    for file, what in (
        ("ratings.parquet", "does not hold what was written"),
        ("manifest.json", "is gone, or not what"),
    ):
        (second.path / file).write_bytes(b"")
        with pytest.raises(InputError, match=f"snapshot '{second.id}': {file} {what}"):
            forget_bob(collection)
        (second.path / file).write_bytes(before[f"snapshots/{second.id}/{file}"])
    assert contents(collection) == before


# ---- the removal


def test_their_rows_leave_every_table_of_every_snapshot_and_all_else_stays(collection: Collection) -> None:
    before = collection.snapshots()
    removal = forget_bob(collection)
    after = collection.snapshots()
    # without Bob, the second and the third are as the first, but for the text of a response that came with him
    assert [snapshot.id for snapshot in after] == list(
        dict.fromkeys(removal.replaced.get(snapshot.id, snapshot.id) for snapshot in before)
    )
    assert [snapshot.manifest["created"] for snapshot in after] == sorted(s.manifest["created"] for s in after)
    assert set(removal.replaced) == {snapshot.id for snapshot in before[1:]}
    assert all(not is_there(snapshot, BOB) and not snapshot.damaged() for snapshot in after)
    latest = collection.find()
    assert latest.id == removal.replaced[before[-1].id]
    tables = latest.tables()
    assert tables.ratings["toxicity"].tolist() == [4, 2, 4]
    assert set(tables.responses["response_id"]) == {"r1", "r2", "r3", "r4"}
    counts = latest.manifest["counts"]
    assert (counts["ratings"], counts["participants"], counts["responses"]) == (3, 2, 2)
    assert {parent for snapshot in after for parent in snapshot.manifest["parents"]} < {one.id for one in after}
    texts = b"".join(content for name, content in contents(collection).items() if name != FORGOTTEN)
    assert BOB.encode() not in texts


def test_a_snapshot_that_was_made_by_them_alone_gives_way_to_the_one_before(tmp_path: Path, export: Path) -> None:
    found = Collection(tmp_path / "collections" / "ours")
    first = land_rows(found, export, FEW[:1]).snapshot
    second = land_rows(found, export, FEW[:2]).snapshot
    assert forget_bob(found).replaced == {second.id: first.id}
    assert [snapshot.id for snapshot in found.snapshots()] == [first.id]
    assert found.find() == first


def test_the_only_one_leaves_empty_snapshots(tmp_path: Path, export: Path) -> None:
    found = Collection(tmp_path / "collections" / "ours")
    land_rows(found, export, [row for row in FEW if row[0] == "bob-2"])
    forget_bob(found)
    assert found.find().manifest["counts"]["ratings"] == 0
    assert land_rows(found, export, FEW).snapshot.tables().ratings["toxicity"].tolist() == [4, 2]


def test_no_value_of_theirs_stays_in_a_landings_report(collection: Collection, export: Path) -> None:
    with pytest.raises(InputError, match="unknown '=his words'"):
        land(collection, [export_of(export, [*FEW, ("bob-2", "r2", "=his words")])], [EN], KEY, strict=True)
    reports = sorted((collection.path / "landings").glob("*/*"))
    told = [path for path in reports if "his words" in path.read_text()]
    assert len(told) == 3  # two tables of what was rejected, one refusal
    forget_bob(collection)
    assert not [path for path in reports if "his words" in path.read_text()]
    rejected = pd.concat(map(pd.read_csv, (path for path in told if path.suffix == ".csv")))
    assert rejected["value"].tolist() == [REMOVED] * 2
    assert rejected["reason"].tolist() == ["unknown label"] * 2


def test_the_list_of_the_forgotten_is_its_owners_alone_and_holds_no_id(collection: Collection) -> None:
    for umask in (0, 0o077):
        before = os.umask(umask)
        try:
            forget_bob(collection) if umask == 0 else forget_bob(collection, "cat-3")
        finally:
            os.umask(before)
        assert (collection.path / FORGOTTEN).stat().st_mode & 0o777 == 0o600
    cat = pseudonyms(KEY, EN.name)("cat-3")
    assert (collection.path / FORGOTTEN).read_text().split() == sorted([BOB, cat])


def test_who_is_forgotten_already_is_told_so(collection: Collection) -> None:
    forget_bob(collection)
    for who in ("bob-2", BOB):
        with pytest.raises(InputError, match="forgotten already; no snapshot holds anything of them"):
            forget_bob(collection, who)


# ---- landing afterwards


def test_the_same_export_brings_nobody_back_and_says_so(collection: Collection, export: Path) -> None:
    forget_bob(collection)
    latest = collection.find().id
    landing = land_rows(collection, export, [*FEW, ("cat-3", "r1", "agree"), ("bob-2", "r2", "=his words")])
    assert (landing.fresh, landing.snapshot.id) == (False, latest)
    assert landing.forgotten == (1, 4)  # three ratings, and a row among the participants
    said = "1 participant asked to be forgotten: 4 rows left out"
    assert said in lines(landing)
    assert said in page(landing)
    assert landing.rejected.empty
    landing = land_rows(collection, export, [*FEW, ("dan-4", "bob-2", "agree"), ("dan-4", "r4", "agree")])
    assert landing.fresh
    assert not is_there(landing.snapshot, BOB)
    assert "bob-2" not in (landing.folder / "rejected.csv").read_text()


def test_an_export_of_nobody_else_is_refused_with_the_reason(collection: Collection, export: Path) -> None:
    forget_bob(collection)
    with pytest.raises(InputError) as caught:
        land_rows(collection, export, FEW[1:2])
    expected = "df_ratings.csv: no rating in it can be used; 1 participant asked to be forgotten: 2 rows left out"
    assert str(caught.value) == expected


# ---- killed half-way


class Killed(BaseException):
    """In the place of a kill: what is under way goes no further."""


def dies_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the change of files with this number not happen; how many there were."""
    seen = [0]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            seen[0] += 1
            if seen[0] > number:
                raise Killed
            return change(*arguments, **settings)

        return wrapped

    monkeypatch.setattr(module, "os", SimpleNamespace(rename=counted(os.rename)))
    monkeypatch.setattr(module, "shutil", SimpleNamespace(rmtree=counted(shutil.rmtree)))
    for name in ("write_atomically", "write_sealed"):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    for name in ("prepare", "clear"):
        monkeypatch.setattr(Collection, name, counted(getattr(Collection, name)))
    return lambda: seen[0]


def test_a_kill_before_any_change_of_a_file_leaves_the_old_or_the_new_and_the_next_time_ends_it(
    collection: Collection, tmp_path: Path
) -> None:
    old, undisturbed = contents(collection), Collection(tmp_path / "undisturbed" / "ours")
    shutil.copytree(collection.path, undisturbed.path)
    removal = forget_bob(undisturbed)
    expected, ids = contents(undisturbed), {collection.find().id, undisturbed.find().id}
    number, ends = 0, 0
    while not ends:
        here = Collection(tmp_path / str(number) / "ours")
        shutil.copytree(collection.path, here.path)
        with pytest.MonkeyPatch.context() as patch:
            dies_at(number, patch)
            try:
                forget_bob(here)
                ends = number
            except Killed:
                pass
        assert here.find().id in ids
        assert not here.find().damaged()
        owners = [path for name in (FORGOTTEN, UNDER_WAY) if (path := here.path / name).exists()]
        assert {path.stat().st_mode & 0o777 for path in owners} <= {0o600}
        if not ends and not (here.path / UNDER_WAY).exists() and not forgotten(here):
            assert {name: now for name, now in contents(here).items() if ".partial" not in name} == old
        if not ends:
            assert forget_bob(here).replaced == removal.replaced
        assert contents(here) == expected
        number += 1
    assert ends > 10


@pytest.mark.parametrize("moment", [UNDER_WAY, "latest", "rejected.csv"])
def test_a_process_that_is_killed_leaves_a_collection_that_the_next_landing_puts_right(
    collection: Collection, export: Path, moment: str
) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_forget_and_die, args=(collection, moment))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    land_rows(collection, export, [*FEW, ("cat-3", "r2", "agree")])
    if moment == UNDER_WAY:  # nothing was to be seen of it
        assert is_there(collection.find(), BOB)
        forget_bob(collection)
    assert not any(is_there(snapshot, BOB) for snapshot in collection.snapshots())
    assert forgotten(collection) == {BOB}
    assert not (collection.path / UNDER_WAY).exists()
    assert not list(collection.path.rglob("*.partial"))


def _forget_and_die(collection: Collection, moment: str) -> None:
    """Forget Bob, and be killed where a file of this name would be written."""
    write = module.write_atomically

    def dying(path: Path, *content: Any) -> None:
        if path.name == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, *content)

    module.write_atomically = dying
    forget_bob(collection)
