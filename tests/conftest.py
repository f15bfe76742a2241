"""What several test files share: real data and reference values where they lie, and small ratings of known content."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.load import load_codebook, load_study
from configs.schema import Simulation, Study
from tasks.ratings.reading.load import Data, load_ratings
from tasks.runtime.store import FolderStore
from tasks.runtime.tracking import make_mlflow_database
from tasks.simulation.simulate import simulate_export

os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")  # what pure modules log outside of a run
os.environ.setdefault("PREFECT_HOME", os.path.expanduser("~/.prefect"))  # not below the folder that tests start in
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads gain little here, and lose much on a busy machine
gc.set_threshold(100_000, 50, 100)  # to look through all that a test process has imported takes long
for number in (
    signal.SIGINT,
    signal.SIGHUP,
):  # ignored after `nohup make test &`, and inherited
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
sys.path.insert(0, str(Path(__file__).with_name("children")))  # of the processes that tests start, too
import flows  # noqa: E402, F401  # before Prefect, to which it says whose lines belong in a run's log

FINISHED = {f"tests/flows/test_{name}.py" for name in ("audit", "gc", "kill", "plan", "runners", "study")}
"""The files that use the finished study: one worker takes them all, so that it runs only once."""
SHARED = Path(os.environ.get("PLURALIGN_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Files that run whole studies and servers come first, so that no worker is left with one at the end.

    Raises:
        pytest.UsageError: a test uses the finished study, and its file is not in FINISHED.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    use = {item.nodeid.split("::")[0] for item in items if {"finished", "databases"} <= set(item.fixturenames)}
    if use - FINISHED:
        raise pytest.UsageError(f"FINISHED in tests/conftest.py lacks {', '.join(sorted(use - FINISHED))}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each worker takes a file at a time, in the order above, or all of FINISHED."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "finished" if file in FINISHED else file

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real ratings."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder of values from R."""
    return _shared("reference")


def _shared(name: str) -> Path:
    """The folder, or the test skipped; where CI runs, its absence is a failure."""
    path = SHARED / name
    if not path.is_dir():
        reason = f"{path} is absent; PLURALIGN_SHARED says where the shared folder lies"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    """A store that all workers of a test run share: what is costly is made by the first that needs it."""
    own = tmp_path_factory.getbasetemp()
    return FolderStore((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once")


@pytest.fixture(scope="session")
def settled() -> None:
    """What `settle` does."""
    settle()


@cache
def settle() -> None:
    """The trainers are imported, and left alone by the full collection that each training run ends with.

    Among all that a test process has imported, one such collection takes longer than the training of a tiny model.
    """
    from tasks.runtime.local.child import SettledWarm

    SettledWarm().get("", lambda: None)


@pytest.fixture(scope="session")
def mlflow_database(made_once: FolderStore) -> Path:
    """A folder with `mlflow.db` without any run, and `mlflow.version`; to be copied. To make it takes seconds."""
    return made_once.make("databases", "mlflow", lambda folder: make_mlflow_database(folder / "mlflow.db")).path


@pytest.fixture(scope="session")
def paper() -> Study:
    return load_study("paper")


@pytest.fixture(scope="session")
def simulated(paper: Study, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """240 simulated participants, 1,200 ratings of 300 responses to 100 prompts. Not to be changed."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_export(Simulation(participants=240, prompts=100), 0, folder)
    codebooks = [load_codebook(name) for name in paper.ratings.codebooks]
    return load_ratings(list(paper.dimensions), codebooks, folder)


def make_data(
    rows: Sequence[tuple[str, str, str, int | None]],
    dimension: str = "toxicity",
    attributes: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
    texts: Mapping[str, str] | None = None,
) -> Data:
    """Data from (participant, prompt, response, category) in the order of the export.

    `attributes`: attribute → participant → terms; `texts`: response → text, by default `"text of RESPONSE"`.
    """
    ratings = pd.DataFrame(rows, columns=["participant_id", "prompt_id", "response_id", dimension])
    ratings = ratings.assign(order=range(len(ratings))).astype({dimension: "Int64"})
    people = pd.DataFrame({"participant_id": ratings["participant_id"].unique(), "language": "en"})
    for name, terms in (attributes or {}).items():
        people[name] = [terms.get(person, ()) for person in people["participant_id"]]
    responses = ratings[["response_id", "prompt_id"]].drop_duplicates(ignore_index=True)
    written = [(texts or {}).get(response, f"text of {response}") for response in responses["response_id"]]
    return Data(ratings, people, responses.assign(prompt="prompt", response=written), categories=5)
