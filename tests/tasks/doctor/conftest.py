"""A home of the test's own, and servers that answer as told, or never."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.doctor import asking, machine
from tasks.doctor.finding import Findings, Settings
from tasks.runtime.home import home

Answer = tuple[int, str]


class Web:
    """A server with an answer for each path, else 404; it keeps what it was asked. `ahead`: seconds of its clock."""

    def __init__(self, answers: dict[str, Answer], ahead: float = 0.0) -> None:
        self.answers, self.ahead = answers, ahead
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                status, text = outer.answers.get(self.path, (404, ""))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", text)
                self.end_headers()
                self.wfile.write(text.encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                import time

                return formatdate(time.time() + outer.ahead, usegmt=True)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[Callable[..., Web]]:
    made: list[Web] = []

    def make(answers: dict[str, Answer], ahead: float = 0.0) -> Web:
        made.append(Web(answers, ahead))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def closed_port() -> int:
    """Where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


@pytest.fixture
def silent_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where connections are taken and nothing is ever answered; who asks waits less long than a user would."""
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as held:
        yield held.getsockname()[1]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a home, and an environment that names no server, no GPU and no key."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("PLURALIGN_", "PREFECT_API", "PREFECT_SERVER_DATABASE", "MLFLOW_TRACKING", "OPENAI", "AWS_",
                            "HF_TOKEN", "RAY_")):  # fmt: skip
            monkeypatch.delenv(name)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("no_proxy", "*")
    machine.gpus_here.cache_clear()
    yield tmp_path
    machine.gpus_here.cache_clear()


@pytest.fixture
def made_home() -> Path:
    home().mkdir(mode=0o700)
    return home()


def lines(check: Callable[[Settings], Findings], **settings: Any) -> list[str]:
    """What a check finds with the present environment, without secrets."""
    given = Settings(**settings)
    return [str(given.cleaned(finding)) for finding in check(given)]
