"""The whole study on a small scale, for real: simulated export, tiny models, Prefect, MLflow, report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tasks.reporting.chapters import DECLARED
from tasks.runtime.tables import columns_of
from tests.flows.conftest import Place, artifact_of, log_of, new_place, read, run
from tests.watch import until

pytestmark = pytest.mark.slow


@pytest.fixture
def beside(finished: Place, tmp_path: Path) -> Place:
    """The finished study's store, where nothing trains again, with outputs of its own."""
    place = new_place(tmp_path)
    (place.folder / "home").symlink_to(finished.folder / "home")
    return place


def test_every_table_has_its_columns(finished):
    columns = {
        "disagreement": "dimension n_responses disagreement",
        "cooccurrence": "row column probability n",
        "reliability": "dimension stratum alpha ci_low ci_high n_participants n_responses n_ratings level "
        "draws undefined",
        "cells": "experiment architecture condition seed replicate training_run status n_pairs weight seconds "
        "mlflow_run_id error",
        "scores": "experiment architecture condition seed training_run prompt_id dimension score",
        "judge_agreement": " ".join(columns_of(DECLARED["judge_agreement"])),
        "judge_strata": "dimension contrast measure difference ci_low ci_high draws undefined",
        "judge_calibration": " ".join(columns_of(DECLARED["judge_calibration"])),
        "unscored": "experiment condition reason n",
        "effects": "experiment contrast dimension architecture estimate std_error seed_variance n_prompts n_seeds "
        "n_unscored "
        "n_malformed marked corrected corrected_std_error",
        "pooled": "experiment contrast dimension k estimate std_error ci_low ci_high p tau2 q q_p i2 pi_low pi_high "
        "hksj_ci_low hksj_ci_high hksj_p published published_p tau2_low tau2_high i2_low i2_high egger_z "
        "egger_p p_holm hksj_p_holm n_marked unmarked_k unmarked_estimate unmarked_ci_low unmarked_ci_high "
        "unmarked_hksj_ci_low unmarked_hksj_ci_high corrected corrected_std_error corrected_ci_low "
        "corrected_ci_high published_low published_high n_replicates raters_std_error raters_shared_std_error "
        "total_std_error total_df total_ci_low total_ci_high total_p total_p_holm corrected_total_ci_low "
        "corrected_total_ci_high published_at_most shared_std_error shared_hksj_std_error mean_correlation",
        "effect_covariances": "experiment contrast dimension architecture other covariance correlation n_prompts",
        "pairwise": "experiment contrast dimension k estimate std_error ci_low ci_high p tau2 i2 hksj_ci_low "
        "hksj_ci_high hksj_p p_holm hksj_p_holm n_replicates raters_std_error "
        "raters_shared_std_error total_std_error total_df total_ci_low total_ci_high total_p total_p_holm",
        "ratios": "experiment of to dimension k estimate_of estimate_to ratio ci_low ci_high n_replicates total_ci_low "
        "total_ci_high published",
    }
    assert {name: " ".join(read(finished, name).columns) for name in columns} == columns
    files = {path.stem: list(read(finished, path.stem)) for path in finished.tables.glob("*.csv")}
    assert files == {name: list(columns_of(table)) for name, table in DECLARED.items() if name in files}
    groups = {
        "groups",
        "service",
        "judge_groups",
        "voices",
        "population_weights",
    }  # of a study that names groups to serve
    assert set(DECLARED) - set(files) == {"moved", "filtered_raters", "judge_features", *groups}


def test_conditions_with_the_same_data_share_one_training_run(finished):
    cells = read(finished, "cells").set_index(["architecture", "condition"])
    for architecture in ("tiny-llama", "tiny-gptneox"):
        five, dpo = cells.loc[(architecture, "5-point")], cells.loc[(architecture, "dpo")]
        assert (five["status"], dpo["status"]) == ("trained", "shared")
        assert five["training_run"] == dpo["training_run"]
        assert five["mlflow_run_id"] == dpo["mlflow_run_id"]
    assert cells["training_run"].nunique() == 10  # of 12 cells that train


def test_every_effect_is_the_mean_paired_difference_of_its_scores(finished):
    scores = read(finished, "scores").set_index(["architecture", "condition", "dimension", "prompt_id"])["score"]
    effects = read(finished, "effects").set_index(["contrast", "dimension", "architecture"])["estimate"]
    difference = scores["tiny-llama", "5-point", "toxicity"] - scores["tiny-llama", "control", "toxicity"]
    assert effects["5-point - control", "toxicity", "tiny-llama"] == pytest.approx(difference.mean())


def test_answers_that_were_cut_off_are_a_share_of_their_own(finished):
    """As the answers themselves have it, in whichever cell they are."""
    answers = [pd.read_parquet(path) for path in (finished.folder / "home" / "store").glob("outputs/*/outputs.parquet")]
    health = read(finished, "health")
    shares = {round(1 - table["finished"].mean(), 9) for table in answers}
    assert set(health["cut_off"].round(9)) == shares
    assert health["well_formed"].between(0, 1).all()


def test_the_pool_is_over_both_architectures_with_the_published_value_beside_it(finished):
    pooled = read(finished, "pooled").set_index(["contrast", "dimension"])
    assert (pooled["k"] == 2).all()
    assert pooled.loc[("female - male", "toxicity"), "published"] == -0.035


def test_the_pool_is_without_each_architecture_in_turn_and_by_every_method(finished):
    pooled, without, methods = (read(finished, name) for name in ("pooled", "leave_one_out", "pooling_methods"))
    assert len(without) == 2 * len(pooled)
    assert set(without["without"]) == {"tiny-llama", "tiny-gptneox"}
    assert len(methods) == 8 * len(pooled)


def test_an_effect_is_traced_to_its_runs_and_ratings(finished, monkeypatch, capsys):
    from flows.cli import main

    monkeypatch.setenv("PLURALIGN_HOME", str(finished.folder / "home"))
    monkeypatch.chdir(finished.folder)
    assert main(["trace", finished.study, "scale:5-point:binary:toxicity"]) == 0
    text = capsys.readouterr().out
    cells = read(finished, "cells").set_index(["architecture", "condition"])
    assert f"run {cells.loc[('tiny-llama', 'binary'), 'training_run']}, adapter " in text
    assert "participants and ratings behind them, by stratum:" in text


def test_the_report_says_what_it_is(finished):
    html = (finished.tables.parent / "report.html").read_text()
    assert "imulated raters, tiny models" in html
    facts = json.loads((finished.tables.parent / "study.json").read_text())
    assert facts["status"] == "whole"
    assert facts["label"] == "simulated raters, tiny models"
    assert facts["counts"]["ratings"] == 150 * 5 * 2


def test_mlflow_has_one_parent_and_one_child_a_training_run_with_its_adapter(finished):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.folder}/home/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("pluralign").experiment_id])
    parents = [run for run in runs if "pluralign.parent" in run.data.tags]
    children = [run for run in runs if "pluralign.training_run" in run.data.tags]
    assert (len(parents), len(children)) == (1, 10)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    shared = [run for run in children if run.data.tags["pluralign.shared"] == "true"]
    assert {run.data.tags["pluralign.cells"] for run in shared} == {
        f"{name}/scale/5-point, {name}/optimisation/dpo" for name in ("tiny-llama", "tiny-gptneox")
    }
    child = shared[0]
    assert child.inputs.dataset_inputs[0].dataset.digest == child.data.tags["pluralign.dataset_digest"]
    assert {"loss", "margin", "score.toxicity", "health.well_formed"} <= set(child.data.metrics)
    name = child.data.tags["pluralign.cells"].split(", ")[0].replace("/", " · ")
    (version,) = client.search_model_versions(f"name = 'small · {name}'")
    adapter = Path(version.source.removeprefix("file://"))
    assert (version.run_id, (adapter / "adapter_model.safetensors").is_file()) == (child.info.run_id, True)
    card = (adapter / "README.md").read_text()
    assert child.data.tags["pluralign.dataset_digest"] in card
    assert "Simulated raters, tiny models: no evidence about people or models in use." in card


def test_the_runs_log_in_prefect_has_every_cell_what_was_left_out_and_how_far_it_is(finished):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.parameters.get("study") == finished.study]
    run = str(min(runs, key=lambda run: run.created).id)
    said = lambda: [message for _, message in log_of(run)]  # noqa: E731
    until(lambda: any(line.startswith("report: done in ") for line in said()), "the run's last line in its log")
    lines = said()
    ended = {line.split(": ")[1] for line in lines if line.startswith("cell ")}
    cells = read(finished, "cells")
    trained = cells[cells["condition"] != "control"]
    assert ended == {
        *(f"{row.architecture} · {row.experiment} · {row.condition}" for row in trained.itertuples()),
        *(f"{architecture} · control" for architecture in cells["architecture"].unique()),
    }
    (strata,) = [line for line in lines if line.startswith("left out (stratum): ")]
    drops = read(finished, "drops").query("step == 'stratum'")
    assert strata == f"left out (stratum): {drops['dropped'].sum():,} ratings of other strata, in 2 conditions"
    assert "judge …" in lines
    assert float(artifact_of(run, "small-progress").data) == 100


def test_a_second_run_trains_nothing_and_gives_the_same_tables(finished):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName

    named = TaskRunFilter(name=TaskRunFilterName(like_="tiny-llama · scale · binary"))

    def states() -> dict[object, str]:
        """What became of a cell whose training run no other shares, in all runs so far, the first run first."""
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(task_run_filter=named)
        return {run.id: run.state.name for run in sorted(runs, key=lambda run: run.created)}

    before, earlier = read(finished, "pooled"), states()
    assert run(finished).is_completed()
    assert set(read(finished, "cells")["status"]) == {"control", "cached", "shared"}
    pd.testing.assert_frame_equal(read(finished, "pooled"), before)
    assert next(iter(earlier.values())) == "Completed"
    assert [state for cell, state in states().items() if cell not in earlier] == ["Cached"]


def test_a_condition_without_pairs_fails_alone_and_the_study_ends_in_part(beside):
    state = run(beside, **{"experiments.scale.conditions.binary.scale": "5-point", "scales.none": [None] * 5,
                           "experiments.demographics.conditions.male.scale": "none"})  # fmt: skip
    assert state.name == "Finished in part"
    cells = read(beside, "cells").set_index(["architecture", "condition"])
    assert (cells.xs("male", level=1)["status"] == "failed").all()
    assert cells.loc[("tiny-llama", "male"), "error"].startswith(
        "experiments.demographics.conditions.male: no preference pair"
    )
    assert set(cells.drop("male", level=1)["status"]) <= {"control", "cached", "shared", "trained"}
    assert "female - male" not in set(read(beside, "pooled")["contrast"])
    assert json.loads((beside.tables.parent / "study.json").read_text())["status"] == "in part"


def test_an_architecture_that_cannot_be_loaded_fails_alone_with_its_reason(beside):
    missing = {"name": "missing", "title": "Missing", "family": "llama", "parameters": 1, "path": "/nowhere"}
    state = run(beside, architectures=["tiny-llama", missing])
    assert state.name == "Finished in part"
    cells = read(beside, "cells").set_index("architecture")
    assert set(cells.loc["missing", "status"]) == {"failed"}
    reason = "its base failed: missing: can't load /nowhere: no model here (no config.json)"
    assert set(cells.loc["missing", "error"]) == {reason}
    assert set(cells.loc["tiny-llama", "status"]) == {"control", "cached", "shared"}
    assert (read(beside, "pooled")["k"] == 1).all()


def test_what_prefect_stores_of_a_run_is_small_and_names_no_participant(finished):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        stored = [str(flow_run.parameters) for flow_run in client.read_flow_runs()]
    assert len(stored) >= 4
    assert max(map(len, stored)) < 1000
    assert not any("sim-en" in text or "sim-de" in text for text in stored)


def test_raters_stand_in_their_table_by_pseudonym_alone(finished):
    raters = read(finished, "raters")
    assert raters["rater"].nunique() == 150
    assert raters["rater"].str.fullmatch("[0-9a-f]{20}").all()
    assert not any("sim-" in path.read_text() for path in finished.tables.glob("rater*.csv"))
    assert set(raters["dimension"]) == {"all", "toxicity", "emotional-awareness"}


def test_an_unreachable_tracking_server_costs_the_study_nothing(beside, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert run(beside).is_completed()
    assert read(beside, "cells")["mlflow_run_id"].isna().all()
    assert len([record for record in caplog.records if "MLflow failed" in record.message]) == 1
