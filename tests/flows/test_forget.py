"""`pluralign forget`: what is said of a participant, of finished runs and of the store, and what is removed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from configs.load import load_codebook, load_study
from flows.cli import main
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.landing.snapshot import Collection
from tasks.ratings.reading.load import Data
from tasks.ratings.step import TABLES
from tasks.runtime.store import FolderStore
from tests.flows.test_ratings import IDS, make_export
from tests.tasks.reporting.made_up import made_up

BOOK = load_codebook("survey-app-en")
SECRET = "a secret that is long enough"
ZOE = pseudonyms(SECRET.encode(), BOOK.name)(IDS[1])


@pytest.fixture
def ours(tmp_path: Path, simulated: Data, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A collection of one snapshot, and a finished run whose store has ratings of Zoë's, with made-up effects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLURALIGN_SECRET", SECRET)
    collection = Collection(tmp_path / "home" / "collections" / "demo")
    snapshot = land(collection, [make_export(tmp_path / "export")], [BOOK], SECRET.encode()).snapshot
    study = load_study("demo", {"architectures": ["tiny-llama"]})
    someone = simulated.ratings["participant_id"].iloc[0]
    named = {name: getattr(simulated, name).replace({"participant_id": {someone: ZOE}}) for name in TABLES[:2]}
    data = replace(simulated, **named)

    def build(folder: Path) -> dict:
        for name in TABLES:
            getattr(data, name).to_parquet(folder / f"{name}.parquet", index=False)
        return {"categories": 5, "dropped": {}, "snapshot": snapshot.id}

    FolderStore(tmp_path / "home" / "store").make("ratings", "abc", build)
    facts = {"settings": study.model_dump(mode="json"), "created": "2025-01-01", "snapshot": snapshot.id}
    write_run("demo", facts | {"ratings_digest": "abc"}, made_up(study))
    write_run("older", facts | {"ratings_digest": "gone"}, {})
    write_run("survey", facts | {"ratings_digest": "abc"}, {})
    write_run("others", facts | {"ratings_digest": "gone", "snapshot": "0" * 64}, {})
    return collection


def write_run(name: str, facts: dict[str, object], tables: dict[str, pd.DataFrame]) -> None:
    folder = Path("outputs") / name
    (folder / "tables").mkdir(parents=True)
    for table, content in tables.items():
        content.to_csv(folder / "tables" / f"{table}.csv", index=False)
    (folder / "study.json").write_text(json.dumps(facts))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["forget", *arguments, "--study", "demo"]) == 0
    return capsys.readouterr().out


def test_what_rests_on_somebody_is_said_and_nothing_removed(
    ours: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ours.find()
    text = told(capsys, IDS[1])
    assert text == told(capsys, ZOE)
    assert text.startswith(f"{ZOE}, of survey-app-en: in 1 snapshot of 'demo'\n")
    assert [before.id, "10", "2"] in [[*line.split()[:1], *line.split()[2:]] for line in text.splitlines()]
    assert "outputs/demo, run of 2025-01-01:\n" in text
    assert "  scale:5-point:control:toxicity\n" in text
    cells = pd.read_csv("outputs/demo/tables/cells.csv").set_index(["experiment", "condition"])
    run = cells.loc[("scale", "5-point"), "training_run"]
    assert f"  adapter {Path('home/store/training-runs').absolute()}/{run}/adapter\n" in text
    assert "outputs/older: read a snapshot that held them; its ratings are no longer in the store\n" in text
    assert "outputs/survey, run of 2025-01-01:\n  its tables and figures rest on their ratings; nothing was" in text
    assert "outputs/others" not in text
    assert f"the store has copies of their ratings:\n  {Path('home/store/ratings').absolute()}/abc\n" in text
    assert "pluralign run demo; then pluralign gc demo --delete removes the old" in text
    assert text.endswith("nothing was removed; --delete removes their rows from the snapshots\n")
    assert IDS[1] not in text
    assert ours.find() == before


def test_with_delete_they_are_gone_and_the_same_export_does_not_bring_them_back(
    ours: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    old = ours.find()
    text = told(capsys, IDS[1], "--delete")
    new = ours.find()
    assert f"{ZOE}: forgotten; nothing of theirs lands again\n" in text
    assert f"snapshot {old.id} is gone; in its place is {new.id}\n" in text
    assert "outputs/demo, run of 2025-01-01:\n" in text
    assert "exports that you hold" in text
    assert ZOE not in set(new.tables().ratings["participant_id"])
    assert main(["land", "export", "--study", "demo"]) == 0
    assert "1 participant asked to be forgotten: 3 rows left out\n" in capsys.readouterr().out
    assert ours.find() == new
    assert main(["forget", IDS[1], "--study", "demo", "--delete"]) == 2
    error = "pluralign: collection 'demo': forgotten already; no snapshot holds anything of them\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("more", [[], ["--delete"]])
def test_who_is_not_there_is_one_line(ours: Collection, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", "Nobody", "--study", "demo", *more]) == 2
    error = "pluralign: collection 'demo': no snapshot holds anybody of this id or pseudonym\n"
    assert capsys.readouterr().err == error
    assert main(["forget", ZOE, "--study", "spica", *more]) == 2
    assert capsys.readouterr().err.startswith("pluralign: collection 'spica' has no snapshot yet; land an export")


def test_a_removal_that_was_interrupted_is_said_and_ended(
    ours: Collection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.ratings.landing import forget

    with monkeypatch.context() as patch:
        patch.setattr(forget, "_empty_reports", lambda collection: exit("killed"))
        with pytest.raises(SystemExit, match="killed"):
            main(["forget", ZOE, "--study", "demo", "--delete"])
    capsys.readouterr()
    text = told(capsys, IDS[1], "--delete")
    assert f"{ZOE}: forgotten" in text
    assert "outputs/demo, run of 2025-01-01:\n" in text
    assert not (ours.path / forget.UNDER_WAY).exists()
