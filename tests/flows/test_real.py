"""Real ratings through the flows: SPICA through the whole study, kept small, and POPQUORN through the survey."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.flows.conftest import train_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of both studies of the SPICA ratings, which read them and pre-train a base on them once."""
    return Path(shutil.copytree(mlflow_database, tmp_path_factory.mktemp("real") / "home"))


def run_small(
    study: str, more: dict[str, object], shared_data: Path, home: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of the SPICA ratings on one tiny architecture and few prompts."""
    from flows.study import run_study

    monkeypatch.setenv("PLURALIGN_HOME", str(home))
    train_here(monkeypatch)
    small = {
        "survey.draws": 100,
        "ratings.folder": str(shared_data / "spica"), "architectures": ["tiny-falcon"], "evaluation.max_prompts": 8,
        "recipe.pretraining.steps": 120, "recipe.dpo.max_pairs": 16, "recipe.max_new_tokens": 24, **more,
    }  # fmt: skip
    state = run_study(study, small, str(output), return_state=True)
    assert state.is_completed(), state.message


def test_real_ratings_go_through_every_stage_to_a_report_that_says_the_models_are_tiny(
    prefect: None, shared_data: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_small("spica", {"recipe.grpo.prompts": 4}, shared_data, home, tmp_path / "out", monkeypatch)
    facts = json.loads((tmp_path / "out" / "study.json").read_text())
    assert facts["counts"]["ratings"] == 6000
    assert facts["label"] == "tiny models"
    cells = pd.read_csv(tmp_path / "out" / "tables" / "cells.csv")
    assert cells["training_run"].nunique() == 10  # of 12: 5-point, all and dpo are one
    pooled = pd.read_csv(tmp_path / "out" / "tables" / "pooled.csv")
    assert {"democrat - republican", "dpo - grpo"} <= set(pooled["contrast"])
    assert pooled["estimate"].notna().all()
    assert "The effects of such tiny models on real text mean little" in (tmp_path / "out" / "report.html").read_text()


def test_real_ratings_of_single_texts_go_through_the_survey(
    prefect: None, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.survey import run_survey

    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    state = run_survey("popquorn", {"ratings.folder": str(shared_data)}, str(tmp_path / "out"), return_state=True)
    assert state.is_completed(), state.message
    table = pd.read_csv(tmp_path / "out" / "tables" / "reliability.csv").set_index("stratum")
    assert table.loc["all", "alpha"] == pytest.approx(0.2864885922720908)  # PyPI krippendorff, ordinal
    assert table.loc["all", "n_ratings"] == 13036
    assert "No models were trained" in (tmp_path / "out" / "report.html").read_text()


def test_real_groups_are_served_in_every_way_the_study_names(
    prefect: None, shared_data: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_small("spica-groups", {"raters.replicates": 0}, shared_data, home, tmp_path / "out", monkeypatch)
    service = pd.read_csv(tmp_path / "out" / "tables" / "service.csv")
    ways = {"own", "pooled", "equal", "robust", "least-regret", "merged", "control"}
    for experiment, groups in {
        "party": ("democrat", "republican"),
        "religiosity": ("religious", "not-religious"),
    }.items():
        own = service[service["experiment"] == experiment].dropna(subset=["architecture"])
        assert ways <= set(own["contrast"])
        assert {f"group: {name}" for name in groups} <= set(own["measure"])
        assert own["estimate"].notna().all()
    judges = pd.read_csv(tmp_path / "out" / "tables" / "judge_groups.csv")
    assert (judges["n_ratings"] > 0).all()
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Can one model serve all?" in html
    assert "Ways to serve Democrats and Republicans" in html
