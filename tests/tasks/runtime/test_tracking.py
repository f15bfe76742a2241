"""What MLflow holds of a study, and that it is asked as little as possible."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tasks.runtime.store import FolderStore
from tasks.runtime.tracking import Tracker


@pytest.fixture
def kept(tmp_path: Path, mlflow_database: Path) -> Path:
    """The test's folder, with MLflow's database, which takes seconds to make."""
    return Path(shutil.copytree(mlflow_database, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def log(tracker: Tracker, adapter: Path, scores: str = "s1", toxicity: float = 0.5, key: str = "run-1") -> str:
    return tracker.training_run(
        key, scores, cells=["llama/scale/5-point", "llama/disagreement/all"], params={"seed": 0},
        metrics={"score.toxicity": toxicity, "score.missing": float("nan")},
        curve=[{"step": 5.0, "loss": 0.7}, {"step": 10.0, "loss": 0.6}], digest="d1", data="5-point", adapter=adapter,
    ).result()  # fmt: skip


def test_a_run_is_logged_once_and_gets_new_scores_when_the_judge_changes(kept, adapter):
    from mlflow import MlflowClient

    first = log(Tracker("demo", kept, FolderStore(kept / "store")), adapter)
    assert first
    quiet = Tracker("demo", kept, FolderStore(kept / "store"))  # the next run of the study
    assert log(quiet, adapter) == first
    assert quiet._mlflow is None  # known already: MLflow is not even opened
    assert log(Tracker("demo", kept, FolderStore(kept / "store")), adapter, scores="s2", toxicity=0.25) == first

    client = MlflowClient(f"sqlite:///{kept}/mlflow.db")
    run = client.get_run(first)
    assert run.data.metrics == {"score.toxicity": 0.25, "loss": 0.6}
    assert [point.value for point in client.get_metric_history(first, "loss")] == [0.7, 0.6]
    assert run.data.tags["pluralign.cells"] == "llama/scale/5-point, llama/disagreement/all"

    other = Tracker(
        "other", kept, FolderStore(kept / "store")
    )  # a study that shares the run has a run of its own below its own parent
    assert log(other, adapter) != first
    (kept / "mlflow.db").unlink()
    assert log(Tracker("demo", kept, FolderStore(kept / "store")), adapter) != first


def test_a_page_has_an_address_where_a_server_shows_the_runs(kept, monkeypatch):
    monkeypatch.delenv("PLURALIGN_MLFLOW_PAGES", raising=False)
    tracker = Tracker("demo", kept, FolderStore(kept / "store"))
    run = tracker.study_results("key", {}, kept)
    assert tracker.page(run, "report.html") == ""  # a file, and nobody shows it
    monkeypatch.setenv("PLURALIGN_MLFLOW_PAGES", "http://127.0.0.1:5000")
    again = Tracker("demo", kept, FolderStore(kept / "store"))
    assert again.page(run, "report.html") == f"http://127.0.0.1:5000/#/experiments/1/runs/{run}/artifacts/report.html"
    assert again._mlflow is None  # known already
    assert again.page("", "report.html") == ""  # logging failed


def test_the_experiment_that_another_machine_makes_at_the_same_moment_is_used(kept, adapter, monkeypatch, caplog):
    from mlflow import MlflowClient

    look, made = MlflowClient.get_experiment_by_name, []

    def look_too_early(client: MlflowClient, name: str) -> object:
        found = look(client, name)
        if not made:
            made.append(client.create_experiment(name, artifact_location=(kept / "artifacts").as_uri()))
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", look_too_early)
    run = log(Tracker("demo", kept, FolderStore(kept / "store")), adapter)
    assert MlflowClient(f"sqlite:///{kept}/mlflow.db").get_run(run).info.experiment_id == made[0]
    assert not caplog.records


@pytest.mark.parametrize("place", ["http://127.0.0.1:9", "foo://host/x", "http://[::1"])
def test_a_server_that_fails_is_one_line_without_its_password(place, tmp_path, adapter, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.replace("://", "://me:hidden@"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter) == ""
    (line,) = [record.message for record in caplog.records if record.name == "tasks.runtime.tracking"]
    assert line.startswith(f"MLflow failed ({place}: ")
    assert "hidden" not in line
    assert "\n" not in line


def tables_of(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def half_made(file: Path) -> None:
    """What a kill leaves: some tables are there, others and MLflow's note of its version are not."""
    with closing(sqlite3.connect(file)) as database:
        for name in ("alembic_version", "logged_models", "trace_info"):
            database.execute(f"DROP TABLE {name}")
        database.commit()
    file.with_suffix(".version").unlink()


def no_database(file: Path) -> None:
    file.with_suffix(".version").unlink()
    file.write_text("not a database, but long enough to be read as one by whoever does not look " * 20)


@pytest.mark.parametrize("spoil", [half_made, no_database])
@pytest.mark.usefixtures("kept")
def test_a_spoilt_database_without_runs_is_made_anew_and_logging_goes_on(spoil, tmp_path, adapter, caplog):
    file = tmp_path / "mlflow.db"
    spoil(file)
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "other.json").write_text('{"uri": "what a study logged into the spoilt one"}')
    assert log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter)
    assert f"{file} is no whole database of MLflow's: kept as mlflow.db.damaged, made anew" in caplog.text
    assert "runs" in tables_of(file)
    assert (tmp_path / "mlflow.db.damaged").exists()
    assert not (tmp_path / "mlflow" / "other.json").exists()


@pytest.mark.usefixtures("kept")
def test_a_database_that_holds_runs_is_never_made_anew(tmp_path, adapter, caplog):
    run = log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'unknown'")
        database.commit()
    (tmp_path / "mlflow" / "demo.json").unlink()
    (tmp_path / "mlflow.version").write_text("an earlier one")
    assert log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter) == ""
    assert f"{tmp_path / 'mlflow.db'}: " in caplog.text
    assert not (tmp_path / "mlflow.db.damaged").exists()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert (run,) in database.execute("SELECT run_uuid FROM runs").fetchall()


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_leaves_none(tmp_path):
    command = [sys.executable, "-m", "tasks.runtime.tracking", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not any(tmp_path.glob(".mlflow.db.partial.*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert "runs" in tables_of(tmp_path / "mlflow.db")
    assert not list(tmp_path.glob(".mlflow.db.partial.*"))


@pytest.mark.usefixtures("kept")
def test_what_was_logged_is_found_again_when_the_memory_of_it_is_damaged(tmp_path, adapter, caplog):
    first = log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter)
    memory = tmp_path / "mlflow" / "demo.json"
    memory.write_bytes(memory.read_bytes()[:90])
    assert log(Tracker("demo", tmp_path, FolderStore(tmp_path / "store")), adapter) == first
    assert "demo.json: not the JSON that was written; kept as demo.json.damaged, MLflow is asked" in caplog.text
