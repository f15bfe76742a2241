"""Before a command starts: the Prefect server that it names answers, or the temporary one's database is whole."""

from __future__ import annotations

import http.server
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from configs.errors import Unavailable
from flows import server
from flows.cli import main
from flows.server import check_server


@contextmanager
def answering(status: int, text: bytes, seconds: float = 0.0) -> Iterator[str]:
    """The address of a server that is not Prefect's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            time.sleep(seconds)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has given up
                self.wfile.write(text)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/api"
        listening.shutdown()


def fault_of(address: str) -> str:
    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(Unavailable) as caught:
        check_server()
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "text", "fault"),
    [
        (401, b"", "HTTP 401: it lets nobody in without a password; set the right one in PREFECT_API_AUTH_STRING"),
        (404, b"", "HTTP 404: no Prefect server answers there"),
        (503, b"", "HTTP 503: no Prefect server answers there"),
        (200, b"<html>welcome</html>", "no Prefect server answers there"),
        (200, b'{"welcome": 1}', "no Prefect server answers there"),
    ],
)
def test_what_answers_but_is_no_server_for_us_is_one_line(status: int, text: bytes, fault: str, monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with answering(status, text) as address:
        assert fault_of(address) == f"PREFECT_API_URL {address}: {fault}"


def test_nobody_and_nothing_are_told_soon_and_without_credentials(monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    started = time.monotonic()
    line = fault_of("http://me:hidden@127.0.0.1:9/api")
    assert line.startswith("PREFECT_API_URL http://127.0.0.1:9/api: no server answers (")
    assert "Connection refused" in line
    monkeypatch.setattr(server, "SECONDS", 0.5)
    with answering(200, b"[]", seconds=2) as address:
        assert "no answer within" in fault_of(address)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("address", ["nonsense", "http://", "http://[::1", "ftp://host/api", "http://host:99999/api"])
def test_what_is_no_address_is_told_before_prefect_reads_it(address: str, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(Unavailable) as caught:
        check_server()
    assert str(caught.value) == f"PREFECT_API_URL {address}: expected http://HOST:PORT/api"


def test_a_server_that_is_one_is_left_alone(prefect: None) -> None:
    check_server()


def test_the_command_ends_with_the_line_and_code_1(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://me:hidden@host:99999/api")
    assert main(["survey", "demo"]) == 1
    line = "pluralign: PREFECT_API_URL http://host:99999/api: expected http://HOST:PORT/api"
    assert capsys.readouterr().err.splitlines()[-1] == line


def half_made(file: Path) -> None:
    """What a kill leaves: tables without Prefect's note of how far it came."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TABLE alembic_version")
        database.commit()


def no_database(file: Path) -> None:
    file.write_text("not a database, but long enough to be read as one by whoever does not look " * 20)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [half_made, no_database])
def test_a_temporary_servers_database_that_is_spoilt_is_made_anew(
    spoil: Callable[[Path], None], databases: Path, tmp_path: Path, monkeypatch
) -> None:
    file = tmp_path.resolve() / "temporary-prefect" / "prefect.db"
    file.parent.mkdir()
    file.write_bytes((databases / "prefect.db").read_bytes())
    spoil(file)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", str(file.parent))
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", raising=False)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        check_server()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]
    assert file.stat().st_mode & 0o777 == 0o600


OUTSIDE = """
import logging, threading, flows
from prefect.logging.configuration import setup_logging
setup_logging()
threading.Thread(target=logging.getLogger("tasks.survey").info, args=("outside of a run",)).start()
"""


def test_what_a_thread_logs_outside_of_a_run_is_told_and_brings_no_warning_with_lines_of_code() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_LOGGING")}
    done = subprocess.run([sys.executable, "-c", OUTSIDE], env=environment, capture_output=True, text=True, check=True)
    assert "outside of a run" in done.stdout + done.stderr
    assert "UserWarning" not in done.stderr


def test_prefects_home_is_ours_and_the_users_profiles_stay_in_use(tmp_path: Path) -> None:
    profiles = tmp_path / ".prefect" / "profiles.toml"
    profiles.parent.mkdir()
    profiles.write_text('active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://example.org/api"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"HOME": str(tmp_path), "PLURALIGN_HOME": str(tmp_path / "kept")}
    shown = "import flows; from prefect.settings import PREFECT_API_URL as U, PREFECT_HOME as H; print(U.value(), H.value())"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", shown], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["http://example.org/api", str(tmp_path.resolve() / "kept" / "temporary-prefect")]
