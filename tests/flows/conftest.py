"""A small study, run once in process against a temporary Prefect server, and the command line as a user has it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import settle
from tests.real_model import smollm2  # noqa: F401

STUDY = """
name: small
title: A small study
ratings:
  simulate: {participants: 150, responses_each: 5, prompts: 60, responses_per_prompt: 3}
  codebooks: [survey-app-en, survey-app-de]
dimensions:
  toxicity: {title: Toxicity, better: lower}
  emotional-awareness: {title: Emotional awareness, better: higher}
strata:
  female: {attribute: gender, values: [she/her/hers]}
  male: {attribute: gender, values: [he/him/his]}
scales:
  5-point: [1, 2, 3, 4, 5]
  binary: [1, 1, null, 2, 2]
survey: {draws: 50}
evaluation: {share: 0.3, dimensions: [toxicity, emotional-awareness]}
experiments:
  demographics:
    title: Demographic stratification
    question: Whose feedback?
    conditions:
      female: {stratum: female, dimensions: [toxicity], scale: 5-point}
      male: {stratum: male, dimensions: [toxicity], scale: 5-point}
    contrasts:
      female - male: {focus: [toxicity], published: {toxicity: {estimate: -0.035, p: ".002"}}}
  scale:
    title: Scale
    question: How many points?
    conditions:
      5-point: {dimensions: [toxicity], scale: 5-point}
      binary: {dimensions: [toxicity], scale: binary}
    contrasts:
      5-point - control: {focus: [toxicity]}
      5-point - binary: {focus: [toxicity]}
  optimisation:
    title: Optimiser
    question: DPO or GRPO?
    conditions:
      dpo: {dimensions: [toxicity], scale: 5-point}
      grpo: {dimensions: [toxicity], scale: 5-point, method: grpo}
    contrasts:
      dpo - grpo: {focus: [toxicity]}
architectures: [tiny-llama, tiny-gptneox]
recipe:
  max_length: 96
  max_new_tokens: 40
  generation_batch: 64
  dpo: {beta: 0.5, learning_rate: 1.0e-3, batch_size: 16}
  grpo: {learning_rate: 1.0e-3, prompts: 8, group_size: 4, prompts_per_step: 4}
  pretraining: {tokenizer: word, vocabulary: 1000, steps: 80, batch_size: 16}
"""


@dataclass(frozen=True)
class Place:
    """A folder to run studies in, with its own store and outputs."""

    folder: Path
    server: str = ""
    """The address of a Prefect server for commands; without one, each starts its own, which takes seconds."""

    @property
    def study(self) -> str:
        return str(self.folder / "small.yaml")

    @property
    def tables(self) -> Path:
        return self.folder / "outputs" / "small" / "tables"

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PLURALIGN_HOME": str(self.folder / "home"),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **({"PREFECT_API_URL": self.server} if self.server else {}),
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """`pluralign ARGUMENTS` in a process of its own, as a user starts it; `variables` of its environment."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments], cwd=self.folder, env=self.environment() | variables,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def has(self, databases: Path) -> Place:
        """With Prefect's and MLflow's databases; without them, the first start takes seconds to make each."""
        for name, place in {"prefect.db": "prefect", "mlflow.db": "home", "mlflow.version": "home"}.items():
            (self.folder / place).mkdir(exist_ok=True)
            shutil.copy(databases / name, self.folder / place)
        return self


def new_place(folder: Path) -> Place:
    folder.mkdir(exist_ok=True)
    place = Place(folder)
    Path(place.study).write_text(STUDY)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return new_place(tmp_path)


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A Prefect server of this worker's own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def databases(prefect: None, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `prefect.db` and `mlflow.db`, both without any run."""
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL as SERVER

    folder = tmp_path_factory.mktemp("databases") / "whole"
    shutil.copytree(mlflow_database, folder)
    served = SERVER.value().removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(served)) as source, closing(sqlite3.connect(folder / "prefect.db")) as copy:
        source.backup(copy)
    return folder


@pytest.fixture(scope="session")
def finished(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The small study, run whole; FINISHED in tests/conftest.py names the files that use it."""
    place = new_place(tmp_path_factory.mktemp("finished")).has(databases)
    state = run(place, workers=2)
    assert state.is_completed(), state.message
    return place


def run(place: Place, workers: int = 0, **overrides: object):
    """Run the small study of a place in this process; the final state.

    `workers`: child processes that train, each of which takes seconds to import what trains; 0: this process does.
    """
    from flows.study import run_study

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
        patch.chdir(place.folder)
        if not workers:
            train_here(patch)
        return run_study(place.study, overrides or None, workers=workers or None, return_state=True)


def train_here(patch: pytest.MonkeyPatch) -> None:
    """Jobs are done in this process; tests/flows/test_runners.py shows that it makes no difference to the results."""
    from tasks.planning import bench
    from tasks.runtime.in_process import InProcess

    settle()
    patch.setattr(bench, "choose_runner", lambda study, store, workers, runner: InProcess(store))


def read(place: Place, table: str) -> pd.DataFrame:
    """A table of the small study of a place."""
    return pd.read_csv(place.tables / f"{table}.csv")


def results(tables: Path, *also: str) -> dict[str, pd.DataFrame]:
    """A folder of tables by name, without the columns that say who made a cell and when, and others that are named."""
    unlike = ["status", "seconds", "mlflow_run_id", *also]
    return {path.stem: pd.read_csv(path).drop(columns=unlike, errors="ignore") for path in tables.glob("*.csv")}


def log_of(run: str) -> list[tuple[int, str]]:
    """Level and message of the product's lines in the log of a flow run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    mine, logs = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), []
    with get_client(sync_client=True) as client:
        while page := client.read_logs(mine, offset=len(logs)):  # the server gives no more than two hundred at once
            logs += page
    return [(line.level, line.message) for line in logs if not line.name.startswith("prefect")]


def artifact_of(run: str, key: str) -> Any:
    """A flow run's artifact of that key; a run has several, which Prefect gives in the order of their random ids."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]), key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        return next(iter(client.read_artifacts(artifact_filter=mine)), None)
