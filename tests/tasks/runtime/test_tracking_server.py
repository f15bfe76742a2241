"""A tracking server that is away for a while, and one that refuses a run: a real one, behind a gate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.runtime.store import MemoryStore
from tasks.runtime.tracking import MOST_REFUSALS, Tracker
from tests.tasks.runtime.test_tracking import adapter, log  # noqa: F401
from tests.watch import until

pytestmark = pytest.mark.slow


class Gate(ThreadingHTTPServer):
    """Hands every request on to a server, unless it is shut or refuses what is asked."""

    daemon_threads = True

    def __init__(self, behind: int, port: int = 0) -> None:
        self.behind = f"http://127.0.0.1:{behind}"
        self.refuses: Callable[[bytes], bool] = lambda body: False
        super().__init__(("127.0.0.1", port), Asked)

    def __enter__(self) -> Gate:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Asked(BaseHTTPRequestHandler):
    server: Gate

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.server.refuses(body):
            self._reply(400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "not this one"}')
            return
        headers = {"content-type": self.headers.get("content-type", "")}
        request = urllib.request.Request(self.server.behind + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request) as answer:
                self._reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._reply(error.code, error.read())

    do_GET = do_POST = do_PUT = do_PATCH = _hand_on

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of MLflow's server."""
    from tests.flows.test_serve import free_port

    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    (folder / "mlflow.db").write_bytes((mlflow_database / "mlflow.db").read_bytes())
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri",
               f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]  # fmt: skip
    with (folder / "log").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command], cwd=folder, stdout=output, stderr=output,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, start_new_session=True,
        )  # fmt: skip

    def healthy() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            return answer.status == 200
        return False

    until(healthy, "MLflow's server")
    yield port
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def tracker_of(gate: Gate, study: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gate.server_port}")
    return Tracker(study, folder, MemoryStore())


def runs_of(gate: Gate, study: str) -> list[str]:
    """The training runs of a study that MLflow has whole, as often as it has them."""
    from mlflow import MlflowClient

    client = MlflowClient(f"http://127.0.0.1:{gate.server_port}")
    experiment = client.get_experiment_by_name("pluralign")
    found = client.search_runs([experiment.experiment_id], f"tags.`pluralign.study` = '{study}'")
    return sorted(run.data.tags["pluralign.training_run"] for run in found if run.info.status == "FINISHED")


def test_mlflow_that_is_away_for_a_while_is_waited_for(server, adapter, tmp_path, monkeypatch, caplog):  # noqa: F811
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR as BACKOFF
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES as RETRIES

    assert sum(BACKOFF.get() * 2**retry for retry in range(RETRIES.get())) > 60  # seconds, as it comes
    monkeypatch.setenv(BACKOFF.name, "1")  # else this test would take one
    with Gate(server) as gate:
        port, tracker = gate.server_port, tracker_of(gate, "away", tmp_path, monkeypatch)
        log(tracker, adapter)
    began, opened = time.monotonic(), list[Gate]()
    timer = threading.Timer(3, lambda: opened.append(Gate(server, port).__enter__()))
    timer.start()
    assert log(tracker, adapter, key="run-2")
    assert time.monotonic() - began > 3
    timer.join()
    with opened[0] as gate:
        assert runs_of(gate, "away") == ["run-1", "run-2"]
    assert not [record for record in caplog.records if record.name == "tasks.runtime.tracking"]


def test_mlflow_that_refuses_one_run_for_ever_gets_the_others(server, adapter, tmp_path, monkeypatch, caplog):  # noqa: F811
    with Gate(server) as gate:
        gate.refuses = lambda body: b"run-1" in body
        tracker = tracker_of(gate, "refused", tmp_path, monkeypatch)
        for _ in range(2):  # and so the next time
            assert [bool(log(tracker, adapter, key=f"run-{number}")) for number in range(3)] == [True, False, True]
        assert runs_of(gate, "refused") == ["run-0", "run-2"]
        messages = [record.message for record in caplog.records if record.name == "tasks.runtime.tracking"]
        assert len(messages) == 2
        assert all("MLflow refused a run (" in message and "not this one" in message for message in messages)
        gate.refuses = lambda body: True
        for number in range(3, 3 + 2 * MOST_REFUSALS):
            log(tracker, adapter, key=f"run-{number}")
        messages = [record.message for record in caplog.records if record.name == "tasks.runtime.tracking"]
        assert len(messages) == 2 + MOST_REFUSALS
        assert "nothing more is logged now" in messages[-1]
