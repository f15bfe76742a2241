"""The same study by another runner and from another store: a study's tables depend on neither."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.planning import bench
from tasks.runtime import in_process
from tasks.runtime.in_process import InProcess
from tasks.runtime.store import MemoryStore, Store
from tests.flows.conftest import Place, new_place, run

pytestmark = pytest.mark.slow


def read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    return table.drop(columns=["seconds", "mlflow_run_id"], errors="ignore")


def test_in_process_from_memory_gives_the_tables_of_slots_and_a_folder(
    finished: Place, databases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runners = MemoryStore(), []

    class Counted(InProcess):
        def __init__(self, store: Store) -> None:
            runners.append(self)
            super().__init__(store)

    monkeypatch.setattr(in_process, "InProcess", Counted)
    monkeypatch.setattr(bench, "chosen_store", lambda address: store)
    place = new_place(tmp_path).has(databases)
    assert run(place).is_completed()
    assert len(runners) == 1
    assert not {"store", "slots"} & {path.name for path in (place.folder / "home").iterdir()}
    names = {path.name for path in finished.tables.glob("*.csv")}
    assert {path.name for path in place.tables.glob("*.csv")} == names - {"moved.csv"}
    for name in sorted(names - {"moved.csv"}):
        one, other = (read(own.tables / name).drop(columns="rater", errors="ignore") for own in (place, finished))
        if name == "raters.csv":  # a home has pseudonyms of its own
            one, other = (table.sort_values([*table], ignore_index=True) for table in (one, other))
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-9, obj=name)
