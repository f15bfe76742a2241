"""A Prefect server for one command: it asks for its password, and ends with the command."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from configs.errors import InputError
from tasks.runtime.processes import children, existing, runs_on
from tasks.serving.temporary import start_server
from tests.watch import until

COMMAND = """
import json, time
from tasks.serving.temporary import start_server
print(json.dumps(start_server()), flush=True)
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, databases: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prefect's home, with its database."""
    (tmp_path / "prefect.db").write_bytes((databases / "prefect.db").read_bytes())
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    return tmp_path


def ask(address: str, password: str = "") -> tuple[int, str | None]:
    """The status of a request from a page of another origin, and which origins may read the answer."""
    headers = {"Origin": "http://elsewhere.example"}
    if password:
        headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("GET", "/api/admin/settings", headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Access-Control-Allow-Origin")


@pytest.mark.slow
def test_it_asks_for_its_password_is_replaced_if_killed_and_ends_with_its_command_however_that_ends(home: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    variables = json.loads(process.stdout.readline())
    address, password = variables["PREFECT_API_URL"], variables["PREFECT_API_AUTH_STRING"]
    assert ask(address)[0] == 401
    assert ask(address, "pluralign:guessed")[0] == 401
    assert ask(address, password) == (200, None)
    (server,) = children([process.pid])
    assert password.split(":")[1] not in " ".join(server.cmdline())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        server.send_signal(number)  # as a group or a session gets it
    time.sleep(0.5)
    assert ask(address, password)[0] == 200
    server.kill()

    def answers() -> bool:
        with suppress(OSError):
            return ask(address, password)[0] == 200
        return False

    until(answers, "another server in the place of one that was killed")
    (server,) = children([process.pid])
    process.kill()
    process.wait()
    until(lambda: not any(map(runs_on, existing([server.pid]))), "the end of the server with its command")


@pytest.mark.slow
def test_a_server_that_does_not_start_is_one_line_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("PREFECT_HOME", str(home / "file" / "below"))
    started = time.monotonic()
    with pytest.raises(InputError, match=r"Prefect's temporary server does not start: .+") as caught:
        start_server()
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 30
    assert os.environ["PREFECT_HOME"]


@pytest.mark.slow
def test_a_database_that_refuses_is_the_reason_and_its_password_is_not_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql+asyncpg://me:hidden@127.0.0.1:9/prefect"
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", address)
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # as of a command
    with pytest.raises(InputError, match=r"does not start: ConnectionRefusedError: .*127\.0\.0\.1") as caught:
        start_server()
    assert "hidden" not in str(caught.value)
