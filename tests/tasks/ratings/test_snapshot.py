"""Snapshots of a collection: found by id, read by studies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Simulation, Study
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection, collection_of, snapshot_data
from tasks.ratings.reading.load import narrowed
from tasks.ratings.step import load_data, read_ratings
from tasks.runtime.store import FolderStore
from tasks.simulation.simulate import simulate_export
from tests.tasks.ratings.by_hand import DE, EN, edit, person, rating, response, write_export

KEY = b"a key that is long enough"
BOOK = narrowed(EN, ["toxicity"])


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """A collection of two snapshots; the later one has one rating corrected."""
    found, export = Collection(tmp_path / "home" / "collections" / "ours"), tmp_path / "export"
    export.mkdir()
    write_export(export, BOOK, [rating("ann-1", "r1", "agree")], [person("ann-1")], [response("r1")])
    land(found, [export], [BOOK], KEY)
    edit(export / BOOK.ratings.file, "agree", "neutral")
    land(found, [export], [BOOK], KEY)
    return found


def test_a_snapshot_is_found_by_its_id_or_how_that_begins(collection: Collection) -> None:
    first, second = collection.snapshots()
    assert collection.latest() == second == collection.find()
    assert collection.find(first.id) == collection.find(first.id[:6]) == first
    assert second.manifest["parents"] == [first.id]
    assert first.tables().ratings["toxicity"].tolist() == [4]
    assert second.tables().ratings["toxicity"].tolist() == [3]


@pytest.mark.parametrize("which", ["12345", "first", "../../x", "ABCDEF1", ""])
def test_what_is_no_id_is_told(collection: Collection, which: str) -> None:
    with pytest.raises(InputError, match="expected 'latest' or 6 or more digits of an id"):
        collection.find(which)


def test_an_unknown_id_is_told_with_those_that_there_are(collection: Collection) -> None:
    ids = ", ".join(snapshot.id for snapshot in collection.snapshots())
    with pytest.raises(InputError) as caught:
        collection.find("0123456")
    assert str(caught.value) == f"snapshots of 'ours': unknown '0123456'; allowed: {ids}"


def test_an_empty_collection_has_no_snapshot(tmp_path: Path) -> None:
    empty = Collection(tmp_path / "none")
    assert empty.latest() is None
    assert empty.snapshots() == []
    with pytest.raises(InputError, match="collection 'none' has no snapshot yet; land an export: pluralign land"):
        empty.find()


TABLES = ("ratings.parquet", "participants.parquet", "responses.parquet", "lost.parquet")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip_a_bit, cut, Path.unlink])
@pytest.mark.parametrize("file", TABLES)
def test_a_damaged_table_is_refused_with_the_snapshots_that_are_whole(
    collection: Collection, file: str, damage: Callable[[Path], None]
) -> None:
    first, second = collection.snapshots()
    damage(second.path / file)
    with pytest.raises(InputError) as caught:
        snapshot_data(collection.find(), ["toxicity"], [BOOK])
    assert str(caught.value) == (
        f"collection 'ours', snapshot '{second.id}': {file} does not hold what was written; restore it from a backup, "
        f"or write the id of a whole one into {collection.path / 'latest'} and land the later exports again; "
        f"whole ones, which a study reads by ratings.snapshot: {first.id}"
    )
    assert snapshot_data(collection.find(first.id), ["toxicity"], [BOOK]).ratings["toxicity"].tolist() == [4]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (flip_a_bit, "is not the (content|JSON) that was written"),
        (cut, "is not the JSON that was written"),
        (Path.unlink, "is gone"),
    ],
)
def test_a_damaged_manifest_is_refused_too(collection: Collection, damage: Callable[[Path], None], what: str) -> None:
    first, second = collection.snapshots()
    damage(second.path / "manifest.json")
    with pytest.raises(InputError, match=rf"snapshot '{second.id}': manifest.json {what}; restore .*: {first.id}$"):
        collection.find()
    assert collection.find(first.id) == first


def test_nothing_lands_on_a_damaged_snapshot_and_the_same_ratings_mend_it(
    collection: Collection, tmp_path: Path
) -> None:
    first, second = collection.snapshots()
    flip_a_bit(second.path / "ratings.parquet")
    with pytest.raises(InputError, match=r"ratings\.parquet does not hold what was written"):
        land(collection, [tmp_path / "export"], [BOOK], KEY)
    (collection.path / "latest").write_text(first.id)  # as the message says
    landing = land(collection, [tmp_path / "export"], [BOOK], KEY)
    assert (landing.snapshot.id, landing.snapshot.damaged()) == (second.id, [])
    assert landing.snapshot.tables().ratings["toxicity"].tolist() == [3]


def test_the_only_snapshot_is_landed_anew(collection: Collection) -> None:
    first, second = collection.snapshots()
    shutil.rmtree(first.path)
    cut(second.path / "ratings.parquet")
    with pytest.raises(InputError, match=rf"or move {collection.path} away and land the exports again$"):
        collection.find().tables()


def test_a_snapshot_of_an_earlier_version_has_no_digests_and_is_read(collection: Collection) -> None:
    latest = collection.find()
    plain = {key: value for key, value in latest.manifest.items() if key != "digests"}
    (latest.path / "manifest.json").write_text(json.dumps(plain))
    assert collection.find().tables().ratings["toxicity"].tolist() == [3]


def test_a_snapshot_is_read_through_the_codebooks_that_have_landed(
    collection: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    data = snapshot_data(collection.find(), ["toxicity"], [DE, BOOK])
    assert data.ratings["toxicity"].tolist() == [3]
    assert "nothing has landed through the codebook survey-app-de" in caplog.text
    snapshot_data(collection.find(), ["toxicity"], [EN])
    assert "landed through another version of the codebook survey-app-en" in caplog.text
    with pytest.raises(InputError, match="codebooks: unknown 'survey-app-de'; allowed: survey-app-en"):
        snapshot_data(collection.find(), ["toxicity"], [DE])
    with pytest.raises(InputError, match="dimensions: unknown 'helpfulness'; allowed: toxicity"):
        snapshot_data(collection.find(), ["helpfulness"], [BOOK])


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The paper's study on what has landed of a simulated export."""
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    study = load_study("paper", {"ratings": {"collection": "ours", "codebooks": ["survey-app-en", "survey-app-de"]}})
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    simulate_export(Simulation(participants=240, prompts=100), 0, tmp_path / "export")
    land(collection_of(study, tmp_path / "home"), [tmp_path / "export"], [EN, DE], KEY)
    return study


def test_a_studys_ratings_are_those_of_the_snapshot_and_say_so(tmp_path: Path, study: Study) -> None:
    store, collection = FolderStore(tmp_path / "home" / "store"), collection_of(study, tmp_path / "home")
    first = read_ratings(study, store)
    assert first.record["snapshot"] == collection.find().id
    assert first.record["dropped"] == {}
    assert not read_ratings(study, store).fresh
    path = tmp_path / "export" / EN.ratings.file
    path.write_text(path.read_text().replace("neutral", "agree"))
    land(collection, [tmp_path / "export"], [EN, DE], KEY)
    second = read_ratings(study, store)
    assert second.key != first.key
    assert second.record["snapshot"] == collection.find().id
    named = study.ratings.model_copy(update={"snapshot": first.record["snapshot"]})
    assert read_ratings(study.model_copy(update={"ratings": named}), store).key == first.key


def test_a_studys_ratings_are_those_of_the_export_but_for_pseudonyms(tmp_path: Path, study: Study) -> None:
    folder = study.ratings.model_copy(update={"collection": None, "folder": str(tmp_path / "export")})
    store = FolderStore(tmp_path / "home" / "store")
    landed = load_data(study, read_ratings(study, store))
    read = load_data(study, read_ratings(study.model_copy(update={"ratings": folder}), store))
    columns = ["order", "response_id", "prompt_id", *study.dimensions]
    pd.testing.assert_frame_equal(
        landed.ratings[columns], read.ratings.sort_values("order", ignore_index=True)[columns]
    )
    gender = [set(map(tuple, data.participants["gender"])) for data in (landed, read)]
    assert gender[0] == gender[1]
    assert list(landed.participants) == list(read.participants)
