"""Killed at each moment of its work by name, in a home whose path has blanks and letters of other scripts: the next run
has the same results, nothing is lost and nothing is twice in MLflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.flows.conftest import STUDY, Place, new_place, run
from tests.watch import PATIENCE

pytestmark = pytest.mark.slow
WORKER = {
    "loads": "tasks.architectures.load:_load@1",
    "trains": "transformers.trainer_callback:CallbackHandler.on_step_end@3",
    "generates": "tasks.generation.greedy:_answer@1",
    "publishes": "tasks.methods.step:write_atomically@1",
}
"""Where a process that trains is killed; the last, while it writes what is then published."""
PARENT = {
    "judges": "tasks.judging.embedded:EmbeddedJudge.score@3",
    "logs": "tasks.runtime.tracking:Tracker._register@1",
    "pools": "tasks.meta_analysis.step:pool_effects@1",
    "reports": "tasks.reporting.step:write_report@1",
}


@dataclass(frozen=True)
class Study:
    """A place with one experiment on one architecture, and where the moments that have happened are noted."""

    place: Place
    noted: Path

    def run(self, *moments: str, retries: int = 0) -> tuple[int, str]:
        """Exit code and what was said of a run that is killed at these moments, if they have not happened before."""
        own = {
            "PLURALIGN_TEST_MOMENTS": "|".join([str(self.noted), *moments]),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "moments"), *filter(None, sys.path)]),
        }
        arguments = ["run", "small.yaml", "--workers", "1", "--set", f"runtime.retries={retries}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments], cwd=self.place.folder, text=True, start_new_session=True,
            env=self.place.environment() | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    @property
    def happened(self) -> set[str]:
        return {path.name for path in self.noted.iterdir()}

    def tables(self) -> dict[str, pd.DataFrame]:
        found = {path.stem: pd.read_csv(path) for path in self.place.tables.glob("*.csv")}
        unlike = ["status", "seconds", "mlflow_run_id"]
        return {name: table.drop(columns=unlike, errors="ignore") for name, table in found.items()}

    def assert_as(self, undisturbed: Study) -> None:
        """All tables are the same, nothing is half-written, and MLflow has each training run once and whole."""
        from mlflow import MlflowClient

        wanted, found = undisturbed.tables(), self.tables()
        assert found.keys() == wanted.keys()
        for name, table in wanted.items():
            pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)
        assert not list((self.place.folder / "home" / "store").glob("*/*.partial"))
        cells = pd.read_csv(self.place.tables / "cells.csv").dropna(subset="training_run")
        client = MlflowClient(f"sqlite:///{self.place.folder}/home/mlflow.db")
        runs = client.search_runs([client.get_experiment_by_name("pluralign").experiment_id])
        logged = [run for run in runs if "pluralign.training_run" in run.data.tags]
        assert {run.info.status for run in runs} == {"FINISHED"}
        assert sorted(run.info.run_id for run in logged) == sorted(cells["mlflow_run_id"])
        assert sorted(run.data.tags["pluralign.training_run"] for run in logged) == sorted(cells["training_run"])


def study_in(folder: Path, databases: Path) -> Study:
    from prefect.settings import PREFECT_API_URL

    place = replace(new_place(folder).has(databases), server=str(PREFECT_API_URL.value()))
    settings = yaml.safe_load(STUDY)
    settings["experiments"] = {"optimisation": settings["experiments"]["optimisation"]}
    settings["architectures"] = ["tiny-llama"]
    Path(place.study).write_text(yaml.safe_dump(settings))
    (folder / "moments").mkdir()
    return Study(place, folder / "moments")


@pytest.fixture(scope="module", autouse=True)
def secret() -> Iterator[None]:
    """Of the pseudonyms in all homes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_SECRET", "one key for all homes")
        yield


@pytest.fixture(scope="module")
def undisturbed(secret: None, databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = study_in(tmp_path_factory.mktemp("undisturbed"), databases)
    state = run(study.place)
    assert state.is_completed(), state.message
    return study


@pytest.fixture
def elsewhere(databases: Path, tmp_path: Path) -> Study:
    return study_in(tmp_path / "Ein Heim für 'Größe' und Ähnliches, 家", databases)


def test_a_worker_killed_while_it_loads_trains_generates_or_publishes_has_its_job_done_again(
    elsewhere: Study, undisturbed: Study
) -> None:
    code, said = elsewhere.run(*WORKER.values(), retries=4)
    assert code == 0, said
    assert elsewhere.happened == set(WORKER.values())
    assert "Traceback" not in said
    elsewhere.assert_as(undisturbed)


def test_a_parent_killed_while_it_judges_logs_pools_or_reports_is_made_up_for_by_the_next_run(
    elsewhere: Study, undisturbed: Study
) -> None:
    for moment in PARENT.values():
        code, said = elsewhere.run(moment)
        assert code == -signal.SIGKILL, said
    assert elsewhere.happened == set(PARENT.values())
    code, said = elsewhere.run()
    assert code == 0, said
    elsewhere.assert_as(undisturbed)
