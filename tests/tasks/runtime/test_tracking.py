"""What MLflow holds of a study, and that it is asked as little as possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.runtime.tracking import Tracker


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


def test_a_run_is_logged_once_and_gets_new_scores_when_the_judge_changes(tmp_path, adapter):
    from mlflow import MlflowClient

    home = tmp_path / "home"
    first = log(Tracker("demo", home), adapter)
    assert first
    quiet = Tracker("demo", home)  # the next run of the study
    assert log(quiet, adapter) == first
    assert quiet._mlflow is None  # known already: MLflow is not even opened
    assert log(Tracker("demo", home), adapter, scores="s2", toxicity=0.25) == first

    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    run = client.get_run(first)
    assert run.data.metrics == {"score.toxicity": 0.25, "loss": 0.6}
    assert [point.value for point in client.get_metric_history(first, "loss")] == [0.7, 0.6]
    assert run.data.tags["pluralign.cells"] == "llama/scale/5-point, llama/disagreement/all"

    other = Tracker("other", home)  # a study that shares the run has a run of its own below its own parent
    assert log(other, adapter) != first
    (home / "mlflow.db").unlink()
    assert log(Tracker("demo", home), adapter) != first


def test_a_page_has_an_address_where_a_server_shows_the_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("PLURALIGN_MLFLOW_PAGES", raising=False)
    tracker = Tracker("demo", tmp_path)
    run = tracker.study_results("key", {}, tmp_path)
    assert tracker.page(run, "report.html") == ""  # a file, and nobody shows it
    monkeypatch.setenv("PLURALIGN_MLFLOW_PAGES", "http://127.0.0.1:5000")
    again = Tracker("demo", tmp_path)
    assert again.page(run, "report.html") == f"http://127.0.0.1:5000/#/experiments/1/runs/{run}/artifacts/report.html"
    assert again._mlflow is None  # known already
    assert again.page("", "report.html") == ""  # logging failed
