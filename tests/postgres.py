"""A PostgreSQL server for tests: a real one, with data of its own that are gone with it.

`with postgres() as server:`, or the session fixture `postgres_server`. It listens on the loopback alone and asks for a
password. PostgreSQL refuses to run as root: where the tests do, it runs as `postgres`, or as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.watch import until

HOST, USER, DATABASES = "127.0.0.1", "pluralign", ("prefect", "mlflow")
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "fsync": "off",  # what a crash of the machine would leave is not tested
    "log_min_messages": "warning",
}


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version that is installed; None without one."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def account() -> str | None:
    """Whose the server's process is; None for the user who runs the tests, unless that is root."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@dataclass
class Postgres:
    """A server in `folder`, with the programs in `programs`."""

    programs: Path
    folder: Path
    port: int
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, driver: str = "postgresql") -> str:
        """Address of a database, with the password."""
        return f"{driver}://{USER}:{self.password}@{HOST}:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> str:
        """What one of PostgreSQL's programs (psql, pg_dump, …) prints, run as the databases' owner."""
        environment = os.environ | {
            "PGHOST": HOST, "PGPORT": str(self.port), "PGUSER": USER, "PGPASSWORD": self.password,
        }  # fmt: skip
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout

    def query(self, database: str, sql: str) -> list[list[str]]:
        """The rows that a query gives, as text."""
        lines = self.run("psql", "-d", database, "-AtqX", "-F", "\t", "-c", sql).splitlines()
        return [line.split("\t") for line in lines]

    def make(self) -> None:
        """The data of a server that is not there yet."""
        file = self.folder / "password"
        file.write_text(self.password)
        file.chmod(0o600)
        if owner := account():
            for path in (self.folder, file):
                shutil.chown(path, owner)
        made = ["-D", str(self.folder / "data"), "-U", USER, "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [str(self.programs / "initdb"), *made, "--auth=scram-sha-256", f"--pwfile={file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **self._as_owner())
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"--{name}={value}" for name, value in {"port": self.port, **SETTINGS}.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *settings], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                **self._as_owner(),
            )  # fmt: skip
        until(self._answers, "PostgreSQL answers")

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it. By SIGINT it closes all connections first; by SIGQUIT it ends at once, as after a crash."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def restart(self, number: int = signal.SIGINT) -> None:
        """End it in that way and start it again, at the same port with the same data."""
        self.stop(number)
        self.start()

    def _answers(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            pytest.fail(f"PostgreSQL ended:\n{(self.folder / 'log').read_text()}")
        ready = [str(self.programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _as_owner(self) -> dict[str, Any]:
        owner = account()
        return {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []} if owner else {}


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with the databases `prefect` and `mlflow`, both empty, in a temporary folder.

    The test is skipped where PostgreSQL is not installed; where CI runs, its absence is a failure.
    """
    found = programs()
    if found is None:
        reason = "no PostgreSQL here; .ci/run says which package has it"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders let only their owner in
    server = Postgres(found, folder, port)
    try:
        server.make()
        server.start()
        for name in DATABASES:
            server.run("createdb", name)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server of this worker's own."""
    with postgres() as server:
        yield server
