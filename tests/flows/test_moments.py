"""Killed at each moment of its work by name, in a home whose path has blanks and letters of other scripts: the next run
has the same results, nothing is lost and nothing is twice in MLflow."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml

from tests.flows.conftest import STUDY, Place, new_place, results, run
from tests.flows.test_kill import follow
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
WORKER = {
    "loads": "tasks.architectures.load:_load@1=kill",
    "trains": "transformers.trainer_callback:CallbackHandler.on_step_end@3=kill",
    "generates": "tasks.generation.greedy:_answer@1=kill",
    "publishes": "tasks.methods.step:write_atomically@1=kill",
}
"""Where a process that trains is killed; the last, while it writes what is then published."""
PARENT = {
    "judges": "tasks.judging.embedded:EmbeddedJudge.score@3=kill",
    "logs": "tasks.runtime.tracking:Tracker._register@1=kill",
    "pools": "tasks.meta_analysis.step:pool_effects@1=kill",
    "reports": "tasks.reporting.step:write_report@1=kill",
}
FULL = "tasks.methods.saved_state:save_state@1=fill"
"""The disk gets full while a checkpoint is written, and stays so: nothing can be written after it."""


@dataclass(frozen=True)
class Study:
    """A place with one experiment on one architecture, and where the moments that have happened are noted."""

    place: Place
    noted: Path

    def start(self, *moments: str, retries: int = 0) -> subprocess.Popen[str]:
        """A run to which these moments happen, if they have not happened before."""
        changes = ["--set", f"runtime.retries={retries}", "--set", "recipe.checkpoint_seconds=0"]
        noted = "|".join([str(self.noted), *moments])
        return self.place.start("run", "small.yaml", "--workers", "1", *changes, PLURALIGN_TEST_MOMENTS=noted)

    def run(self, *moments: str, retries: int = 0) -> tuple[int, str]:
        """Exit code, and what was said."""
        process = self.start(*moments, retries=retries)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def records(self) -> list[Path]:
        """Of its training runs."""
        return list((self.place.folder / "home" / "store" / "training-runs").glob("*/record.json"))

    @property
    def happened(self) -> set[str]:
        return {path.name for path in self.noted.iterdir()}

    def assert_as(self, undisturbed: Study) -> None:
        """All tables are the same, nothing is half-written, and MLflow has each training run once and whole."""
        from mlflow import MlflowClient

        # in how many goes a run was trained, a run that was killed may say
        wanted, found = (results(study.place.tables, "resumed_from") for study in (undisturbed, self))
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
    settings["recipe"]["dpo"]["epochs"] = 4  # steps enough for a checkpoint
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
    made: dict[Path, int] = {}
    for moment in PARENT.values():
        code, said = elsewhere.run(moment)
        assert code == -signal.SIGKILL, said
        found = {file: file.stat().st_mtime_ns for file in elsewhere.records()}
        assert found.items() >= made.items()  # what was made before stays as it is
        made = found
    assert elsewhere.happened == set(PARENT.values())
    code, said = elsewhere.run()
    assert code == 0, said
    assert {file: file.stat().st_mtime_ns for file in elsewhere.records()}.items() >= made.items()
    elsewhere.assert_as(undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, which can be full while the machine's is not."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs root, and leave to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_for_checkpoints_artifacts_and_sqlite_ends_a_run_with_the_reason_and_the_next_goes_on(
    small_disk: Path, databases: Path, undisturbed: Study, tmp_path: Path
) -> None:
    full = study_in(small_disk / "study", databases)
    study = Study(replace(full.place, server=""), tmp_path)  # so that Prefect's database is on it, too
    code, said = study.run(FULL)
    assert FULL in study.happened
    assert code == 1, said
    assert "No space left on device" in said or "no space is left in" in said, said  # whichever is met first
    assert "Traceback" not in said
    (study.place.folder / "filler").unlink()
    code, said = study.run()
    assert code == 0, said
    study.assert_as(undisturbed)


class PrefectServer:
    """A server of Prefect's own, with its database in a folder."""

    def __init__(self, folder: Path) -> None:
        from tests.flows.test_serve import free_port

        self.database, self.port = folder / "prefect.db", free_port()
        self.address = f"http://127.0.0.1:{self.port}/api"
        self._folder = folder
        self.start()

    def start(self) -> None:
        command = ["server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui"]
        own = os.environ | {"PREFECT_HOME": str(self._folder), "PREFECT_API_URL": self.address}
        own.pop("PREFECT_SERVER_DATABASE_CONNECTION_URL", None)
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *command], env=own, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: self.ask("admin/version"), "Prefect's server")

    def ask(self, path: str, **body: object) -> object:
        with suppress(httpx.TransportError):
            answer = httpx.post(f"{self.address}/{path}", json=body) if body else httpx.get(f"{self.address}/{path}")
            return answer.json()
        return None

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def test_prefects_server_restarted_midway_and_its_database_locked_change_nothing(
    databases: Path, undisturbed: Study, tmp_path: Path
) -> None:
    study, folder = study_in(tmp_path / "study", databases), tmp_path / "server"
    folder.mkdir()
    shutil.copy(databases / "prefect.db", folder)
    server = PrefectServer(folder)
    study = Study(replace(study.place, server=server.address), study.noted)
    process = study.start()
    follow(process, "cells …")
    with closing(sqlite3.connect(server.database, timeout=60)) as held:
        held.execute("BEGIN EXCLUSIVE")
        time.sleep(12)
    follow(process, "cell 1 of")
    server.kill()
    time.sleep(5)
    server.start()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    study.assert_as(undisturbed)
    (state,) = [run["state_type"] for run in server.ask("flow_runs/filter", limit=50) if run["name"] == "small"]
    assert state == "COMPLETED"
    server.kill()


def test_a_clock_that_steps_back_changes_nothing(
    elsewhere: Study, undisturbed: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed (apt-get install libfaketime)")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    with monkeypatch.context() as patch:
        for name, value in {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        process = elsewhere.start()
    lines = follow(process, "cells …")
    clock.write_text("-3h")
    lines += follow(process, "cell 1 of")
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    hours = {line[:2] for line in [*lines, *said.splitlines()] if line[2:3] == ":"}
    assert len(hours) > 1, said  # the clock did step
    elsewhere.assert_as(undisturbed)
