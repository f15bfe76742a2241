"""The folder of an export: its parts, what takes the place of what, and what a run's tables bring along."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from tasks.exporting.export import LINKED, export_study, in_place_of_earlier
from tasks.exporting.ratings import export_names
from tasks.meta_analysis.tables import Pooled
from tasks.runtime.spreadsheet import as_csv
from tasks.survey.raters import rater_names
from tasks.survey.tables import RaterIndices
from tests.tasks.exporting.conftest import SECRET, Exported
from tests.tasks.exporting.test_run_tables import filled


@pytest.fixture
def place(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the home of the exported study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(exported.home))
    monkeypatch.setenv("PLURALIGN_SECRET", SECRET)
    return tmp_path


def run_of(exported: Exported, folder: Path, digest: str | None = None) -> Path:
    """Outputs as a run of the study leaves them, with two of its tables."""
    facts = {"settings": exported.study.model_dump(mode="json"), "created": "2026-01-02"}
    (folder / "tables").mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(facts | {"ratings_digest": digest or exported.ratings.key}))
    name = rater_names(exported.study, SECRET.encode())
    people = [name(own) for own in exported.data.participants["participant_id"][:5]]
    (folder / "tables" / "raters.csv").write_text(as_csv(filled(RaterIndices).assign(rater=people)))
    (folder / "tables" / "pooled.csv").write_text(as_csv(filled(Pooled)))
    return folder


def test_the_tables_of_the_studys_run_come_along_under_the_exports_pseudonyms(exported: Exported, place: Path) -> None:
    run_of(exported, place / "outputs" / "small")
    lines = export_study(exported.study, place / "export", ["ratings", "tables"])
    assert "tables: 2 of the run of 2026-01-02" in lines
    assert {path.stem for path in (place / "export" / "tables").iterdir()} == {"raters", "pooled"}
    raters = pd.read_parquet(place / "export" / "tables" / "raters.parquet")["rater"]
    name = export_names(exported.study, exported.ratings.key, SECRET.encode())
    assert set(raters) == {name(own) for own in exported.data.participants["participant_id"][:5]}
    assert set(raters) <= set(pd.read_parquet(place / "export" / "ratings" / "participants.parquet")["participant"])
    dictionary = (place / "export" / "dictionary.csv").read_text()
    assert "tables/pooled.parquet" in dictionary
    assert "made for this export" in next(line for line in dictionary.splitlines() if "raters.parquet,rater," in line)


def test_a_run_on_other_ratings_is_told(exported: Exported, place: Path) -> None:
    run = run_of(exported, place / "earlier", digest="another")
    lines = export_study(exported.study, place / "export", ["tables"], source=run)
    assert "tables: that run read other ratings than those that are exported here" in lines


def test_without_a_run_there_are_no_tables_which_is_told_or_refused_where_they_are_all_that_is_wanted(
    exported: Exported, place: Path
) -> None:
    assert "tables: none, there is no run in outputs/small" in exported.lines
    with pytest.raises(InputError, match=r"outputs/small/study\.json: no such file; run the study first"):
        export_study(exported.study, place / "export", ["tables"])
    assert not (place / "export").exists()


def test_strata_beside_single_ratings_are_warned_of_and_either_alone_is_not(exported: Exported, place: Path) -> None:
    assert LINKED in exported.lines
    assert LINKED in (exported.folder / "README.md").read_text()
    assert LINKED not in export_study(exported.study, place / "one", ["ratings"])
    assert LINKED not in export_study(exported.study, place / "other", ["preferences"])
    assert {path.name for path in (place / "one").iterdir()} == {
        "README.md", "dictionary.csv", "export.json", "ratings"
    }  # fmt: skip


def test_the_same_export_again_is_the_same_and_takes_the_place_of_the_earlier(exported: Exported, place: Path) -> None:
    export_study(exported.study, place / "export")
    (place / "export" / "ratings" / "old.parquet").write_text("of an earlier export")
    export_study(exported.study, place / "export")
    assert contents(place / "export") == contents(exported.folder)
    assert [path.name for path in place.iterdir()] == ["export"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_no_export_is_not_overwritten(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("three years")
    (place / "file").write_text("x")
    for name in ("mine", "file"):
        with (
            pytest.raises(InputError, match=f"{name}: there already, and no export"),
            in_place_of_earlier(place / name),
        ):
            pass
    assert (place / "mine" / "thesis.txt").read_text() == "three years"


def test_after_a_fault_the_earlier_export_stays_and_nothing_is_left_behind(place: Path) -> None:
    (place / "export").mkdir()
    (place / "export" / "export.json").write_text("{}")
    with pytest.raises(InputError, match="export: Is a directory"), in_place_of_earlier(place / "export") as folder:
        folder.read_bytes()
    assert contents(place / "export") == {"export.json": b"{}"}
    assert [path.name for path in place.iterdir()] == ["export"]
