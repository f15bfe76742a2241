"""Prefect and MLflow on PostgreSQL, as the production stack has them: four studies write at once, and it restarts."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml

from tests.flows.conftest import STUDY, Place, run
from tests.flows.test_kill import finish, follow
from tests.flows.test_serve import free_port
from tests.postgres import HOST, Postgres, postgres
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
MODELS = ("tiny-llama", "tiny-gptneox")
TRAINED = [f"{model} · scale · {condition}" for model in MODELS for condition in ("5-point", "binary")]
TASKS = [*TRAINED, *(f"{model} · {task}" for model in MODELS for task in ("base", "control"))]
PARTS = ["survey", "audit", "cells", "meta-analysis"]
SECRET = "one key for all homes"
REFUSED = "Encountered exception in request"
"""What Prefect's server writes into its log where it can't do what it was asked."""


@dataclass(frozen=True)
class Stack:
    """Prefect's and MLflow's servers on one PostgreSQL; their logs and artifacts are in `folder`."""

    database: Postgres
    folder: Path
    prefect_port: int
    mlflow_port: int
    password: str

    @property
    def prefect(self) -> str:
        return f"http://{HOST}:{self.prefect_port}/api"

    @property
    def mlflow(self) -> str:
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def refused(self) -> int:
        """How many requests Prefect's server could not do."""
        return (self.folder / "prefect.log").read_text().count(REFUSED)

    def commands(self) -> dict[str, list[str]]:
        """Module → arguments; as in the production stack, but for the addresses."""
        artifacts = ["--artifacts-destination", str(self.folder / "artifacts")]
        return {
            "prefect": ["server", "start", "--host", HOST, "--port", str(self.prefect_port)],
            "mlflow": ["server", "--host", HOST, "--port", str(self.mlflow_port), "--workers", "2", *artifacts],
        }

    def environment(self) -> dict[str, str]:
        """Of both servers."""
        return os.environ | {
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database.url("prefect", "postgresql+asyncpg"),
            "PREFECT_SERVER_API_AUTH_STRING": self.password,
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # what it refuses is counted
            "MLFLOW_BACKEND_STORE_URI": self.database.url("mlflow"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

    def run(self, place: Place, name: str) -> subprocess.Popen[str]:
        """`pluralign run` of a study of the place, which shows up in both servers."""
        servers = {
            "PREFECT_API_URL": self.prefect, "PREFECT_API_AUTH_STRING": self.password,
            "MLFLOW_TRACKING_URI": self.mlflow, "PLURALIGN_SECRET": SECRET,
        }  # fmt: skip
        return place.start("run", f"{name}.yaml", "--workers", "1", **servers)

    def ask(self, kind: str, **flow_runs: list[str]) -> list[dict[str, Any]]:
        """The runs of a kind, `flow_runs` or `task_runs`, of the flow runs with one of the values given."""
        user, _, password = self.password.partition(":")
        wanted = {"flow_runs": {name: {"any_": values} for name, values in flow_runs.items()}}
        answer = httpx.post(f"{self.prefect}/{kind}/filter", json=wanted, auth=(user, password), timeout=PATIENCE)
        return answer.raise_for_status().json()


@contextmanager
def serving(stack: Stack) -> Iterator[None]:
    """Both servers, once they answer; ended with all that they started."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for module, arguments in stack.commands().items():
            with (stack.folder / f"{module}.log").open("ab") as log:
                processes.append(subprocess.Popen(
                    [sys.executable, "-m", module, *arguments], env=stack.environment(), cwd=stack.folder,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                ))  # fmt: skip
        for process, address in zip(processes, (stack.prefect, stack.mlflow), strict=True):
            until(partial(answers, process, f"{address}/health"), f"an answer of {address}")
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait(PATIENCE)


def answers(process: subprocess.Popen[bytes], address: str) -> bool:
    assert process.poll() is None, f"{process.args} ended with exit code {process.returncode}"
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not find_spec("psycopg2"):
        pytest.skip("psycopg2 is not installed")
    with postgres() as database:
        folder = tmp_path_factory.mktemp("stack")
        made = Stack(database, folder, free_port(), free_port(), f"pluralign:{secrets.token_hex(16)}")
        with serving(made):
            yield made


@pytest.fixture(scope="module")
def undisturbed(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of the study, run alone, in this process and on SQLite."""
    place = place_of(tmp_path_factory.mktemp("undisturbed"), "small").has(databases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_SECRET", SECRET)
        state = run(place)
    assert state.is_completed(), state.message
    return tables(place, "small")


def place_of(folder: Path, *names: str) -> Place:
    """A place with nothing in its home, and one experiment of the small study under each of these names."""
    study = yaml.safe_load(STUDY)
    scale = study["experiments"]["scale"]
    scale["contrasts"] = {"5-point - binary": {}}
    study["dimensions"].pop("emotional-awareness")
    study["evaluation"]["dimensions"] = ["toxicity"]
    for name in names:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(study | {"name": name, "experiments": {"scale": scale}}))
    return Place(folder)


def tables(place: Place, name: str) -> dict[str, pd.DataFrame]:
    """The tables of a study, without what says who made a cell and when."""
    found = {path.name: pd.read_csv(path) for path in (place.folder / "outputs" / name / "tables").glob("*.csv")}
    found["cells.csv"] = found["cells.csv"].drop(columns=["status", "seconds", "mlflow_run_id"])
    return found


def cells(place: Place, name: str) -> pd.DataFrame:
    """Of a study, those that are trained."""
    table = pd.read_csv(place.folder / "outputs" / name / "tables" / "cells.csv")
    return table[table["condition"] != "control"]


def assert_same(found: dict[str, pd.DataFrame], wanted: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == wanted.keys()
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)


def assert_prefect_has(stack: Stack, name: str) -> None:
    """One run of the study, one of each of its parts, and one of each task of its cells, all of them completed."""
    (study,) = stack.ask("flow_runs", name=[name])
    parts = stack.ask("flow_runs", parent_flow_run_id=[study["id"]])
    assert Counter(part["name"] for part in parts) == Counter(PARTS)
    assert {run["state_type"] for run in (study, *parts)} == {"COMPLETED"}
    runs = [study["id"], *(part["id"] for part in parts)]

    def over() -> bool:
        """A command may end before the server has written down the last that it heard of its tasks."""
        return {run["state_type"] for run in stack.ask("task_runs", id=runs)} == {"COMPLETED"}

    until(over, f"the end of all tasks of {name}")
    (grid,) = (part["id"] for part in parts if part["name"] == "cells")
    assert Counter(task["name"] for task in stack.ask("task_runs", id=[grid])) == Counter(TASKS)


def assert_mlflow_has(stack: Stack, name: str, trained: pd.DataFrame) -> None:
    """One parent run of the study, and below it one of each of its training runs, all of them finished."""
    from mlflow import MlflowClient

    client = MlflowClient(stack.mlflow)
    experiment = client.get_experiment_by_name("pluralign")
    assert experiment
    find = partial(client.search_runs, [experiment.experiment_id])
    (parent,) = find(f"tags.`pluralign.parent` = '{name}'")
    children = find(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    logged = [(run.data.tags["pluralign.training_run"], run.info.run_id) for run in children]
    assert sorted(logged) == sorted(zip(trained["training_run"], trained["mlflow_run_id"], strict=True))


def test_four_studies_at_once_lose_and_double_nothing(
    stack: Stack, undisturbed: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    names = [f"at-once-{number}" for number in range(4)]
    place = place_of(tmp_path, *names)
    processes = [stack.run(place, name) for name in names]
    outputs = [finish(process) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    for name in names:
        assert_same(tables(place, name), undisturbed)
        assert_prefect_has(stack, name)
        assert_mlflow_has(stack, name, cells(place, name))
    trained = pd.concat(cells(place, name) for name in names).query("status == 'trained'")["training_run"]
    assert trained.is_unique
    assert len(trained) == len(TRAINED)


def test_a_restart_of_postgresql_loses_doubles_and_changes_nothing(
    stack: Stack, undisturbed: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    place = place_of(tmp_path, "restarted")
    process = stack.run(place, "restarted")
    follow(process, "cells …")
    refused = stack.refused
    stack.database.stop()
    until(lambda: stack.refused > refused, "a request that Prefect's server can't do")
    stack.database.start()
    follow(process, "cell 2 of 6")
    stack.database.restart(signal.SIGQUIT)
    output = finish(process)
    assert process.returncode == 0, output
    assert_same(tables(place, "restarted"), undisturbed)
    assert_prefect_has(stack, "restarted")
    assert_mlflow_has(stack, "restarted", cells(place, "restarted"))
