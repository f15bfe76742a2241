"""The audit alone, and within a study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.flows.conftest import Place, new_place

pytestmark = pytest.mark.slow


def run_alone(place: Place, output: str | None = None):
    from flows.audit import run_audit

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
        patch.chdir(place.folder)
        return run_audit(place.study, None, output, return_state=True)


@pytest.fixture(scope="module")
def audited(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = new_place(tmp_path_factory.mktemp("audited"))
    state = run_alone(place)
    assert state.is_completed(), state.message
    return place


def tables(place: Place, folder: str = "outputs/small-audit") -> Path:
    return place.folder / folder / "tables"


def test_the_audit_alone_writes_its_tables_and_a_report(audited: Place) -> None:
    assert {path.stem for path in tables(audited).iterdir()} == {"audit", "participants", "drops"}
    assert (tables(audited).parent / "report.html").exists()
    table = pd.read_csv(tables(audited) / "audit.csv")
    assert " ".join(table.columns) == (
        "experiment condition stratum n_participants n_ratings share_of_participants share_of_ratings retained "
        "share_of_preferences majority_loses majority_unheard n_majorities chance_loses chance_sd"
    )
    conditions = ["female", "male", "5-point", "binary", "dpo", "grpo"]
    assert table["condition"].tolist() == [name for name in conditions for _ in ("female", "male")]
    assert table["stratum"].tolist() == ["female", "male"] * 6
    assert (table["n_ratings"] > 0).all()
    own = table[table["condition"] == table["stratum"]]
    assert own["share_of_preferences"].tolist() == pytest.approx([1, 1])
    drops = pd.read_csv(tables(audited) / "drops.csv")
    assert {"scale / binary", "demographics / male"} <= set(drops["condition"])


def test_a_second_audit_finds_the_first_ones_table(audited: Place) -> None:
    made = audited.folder / "home" / "store" / "audits"
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    assert run_alone(audited, "again").is_completed()
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before
    again, first = (pd.read_csv(tables(audited, folder) / "audit.csv") for folder in ("again", "outputs/small-audit"))
    pd.testing.assert_frame_equal(again, first)


def test_a_study_has_the_same_audit(audited: Place, finished: Place) -> None:
    within, alone = (pd.read_csv(folder / "audit.csv") for folder in (finished.tables, tables(audited)))
    pd.testing.assert_frame_equal(within, alone)
