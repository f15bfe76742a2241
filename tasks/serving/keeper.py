"""The keeper of `pluralign serve`: a process that starts the servers, the worker and the deployments, and ends them.

It runs in a session of its own, so that Ctrl-C reaches the command alone.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from configs.errors import without_credentials
from configs.load import OWN_STUDY, shipped
from tasks.runtime.files import write_atomically
from tasks.runtime.processes import adopt_orphans, bury_orphans, children, descendants, end, existing
from tasks.runtime.tracking import PAGES, local_file, tracking_uri
from tasks.serving.doors import (
    link,
    password_of,
    with_password,
    write_exports,
    write_opening,
)

POOL = "pluralign"
HOST = "127.0.0.1"
ELSEWHERE = ("PREFECT_API_", "PREFECT_CLOUD_", "PREFECT_PROFILE", "PREFECT_SERVER_API_", "PREFECT_SERVER_DATABASE_")
"""How variables begin that would lead to another server than this one."""
JOINING = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PLURALIGN_HOME")
"""What another terminal needs."""
SECONDS_TO_START = 180.0
SECONDS_TO_STOP = {"runs": 8.0, "worker": 1.0, "servers": 3.0}
LINES_OF_LOG = 5


class Stopped(Exception):
    """The command was stopped."""


class Died(Exception):
    """A process that should go on ended; the message says which, how and why."""


@dataclass(frozen=True)
class LongProcess:
    """A process that runs until it is ended, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `Died` if it has ended."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-LINES_OF_LOG:]
            raise Died("\n  ".join([f"{self.name} ended with exit code {code}; the end of {self.log}:", *lines]))


class Keeper:
    """Starts the services and watches over them."""

    def __init__(
        self, home: Path, port: int, mlflow_port: int, definitions: Path, study: str, stopped: threading.Event
    ) -> None:
        """`definitions`: the file of the deployments; `study`: what they are for, "" for what their file says."""
        self.home, self.definitions, self.study, self.stopped = home, definitions, study, stopped
        self.prefect, self.mlflow = f"http://{HOST}:{port}", f"http://{HOST}:{mlflow_port}"
        self.port, self.mlflow_port = port, mlflow_port
        self.password = password_of(home / "serve")
        self.tracking = tracking_uri(home)
        self.environment = self._environment()
        self.services: list[LongProcess] = []
        self._started: set[int] = set()

    def run(self) -> None:
        """Start everything, say where it is, and wait; raises `Stopped` or `Died`."""
        self._run("Prefect database", "tasks.serving.prefect_database", str(self.home / "prefect"))
        self._start("Prefect server", "prefect", "server", "start", "--host", HOST, "--port", str(self.port))
        if self._shows_mlflow:
            self._start_mlflow()
        self._until(lambda: _ask(self.port, "/api/health") is not None)
        write_opening(self._pages)
        if self._ask(f"/api/work_pools/{POOL}") is None:
            self._ask("/api/work_pools/", {"name": POOL, "type": "process"})
        self._close_stale_runs()
        self._start("worker", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "here")
        self._deploy()
        self._until(self._worker_is_ready)
        if self._shows_mlflow:
            self._until(lambda: _ask(self.mlflow_port, "/health") is not None)
        write_exports(self._exports, {name: self.environment[name] for name in JOINING})
        print(self._addresses(), flush=True)
        self._until(lambda: False, seconds=None)

    def end(self) -> None:
        """End the runs, each signalled once, so that it can tell the server; then the worker; then the servers."""
        workers = [service.process.pid for service in self.services if service.name == "worker"]
        end(children(workers), SECONDS_TO_STOP["runs"])
        end(existing(workers), SECONDS_TO_STOP["worker"])
        end(descendants(), SECONDS_TO_STOP["servers"])

    @property
    def _shows_mlflow(self) -> bool:
        """Whether the runs are in a file; a tracking server has pages of its own."""
        return local_file(self.tracking) is not None

    @property
    def _pages(self) -> Path:
        """Where Prefect puts its pages."""
        return self.home / "prefect" / "pages"

    @property
    def _exports(self) -> Path:
        """What another terminal sources."""
        return self.home / "serve" / "env"

    def _environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE)}
        local = ",".join(filter(None, [mine.get("NO_PROXY"), HOST]))
        return mine | {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_API_AUTH_STRING": self.password,
            "PREFECT_SERVER_API_AUTH_STRING": self.password,
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.prefect,
            "PREFECT_SERVER_UI_API_URL": f"{self.prefect}/api",
            "PREFECT_UI_STATIC_DIRECTORY": str(self._pages),
            "PLURALIGN_HOME": str(self.home),
            "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:{self.mlflow_port},localhost:{self.mlflow_port}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": self.mlflow,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "NO_PROXY": local,
            "no_proxy": local,
            OWN_STUDY: self.study,
            **({PAGES: self.mlflow} if self._shows_mlflow else {}),
        }

    def _start(self, name: str, module: str, *arguments: str) -> None:
        log = self.home / "serve" / f"{name.replace(' ', '-').lower()}.log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", module, *arguments]
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self._started.add(process.pid)
        self.services.append(LongProcess(name, process, log))

    def _run(self, name: str, module: str, *arguments: str) -> None:
        """Run to the end, while watching over the others."""
        self._start(name, module, *arguments)
        service = self.services.pop()
        self._until(lambda: service.process.poll() is not None)
        if service.process.returncode:
            service.check()

    def _start_mlflow(self) -> None:
        self._run("MLflow database", "tasks.runtime.tracking", str(self.home))
        artifacts = (self.home / "mlflow" / "artifacts").as_uri()
        places = ["--backend-store-uri", self.tracking, "--default-artifact-root", artifacts]
        address = ["--host", HOST, "--port", str(self.mlflow_port), "--workers", "1"]
        door = ["--gunicorn-opts", "--config python:tasks.serving.mlflow_door"]
        self._start("MLflow", "mlflow", "server", *places, *address, *door)

    def _close_stale_runs(self) -> None:
        """Mark the runs that never ended, since the machine went down, as crashed; else others would wait for them."""
        running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
        for run in self._ask("/api/flow_runs/filter", running) or ():
            crashed = {"type": "CRASHED", "name": "Crashed", "message": "the server went down while this was running"}
            self._ask(f"/api/flow_runs/{run['id']}/set_state", {"state": crashed})

    def _deploy(self) -> None:
        """Register the deployments, unless they are as they were: what was changed in the UI then stays."""
        texts = deployments(self.definitions, self.study)
        flows = [path.read_text() for path in sorted(self.definitions.parent.glob("*.py"))]
        parts = [texts, *flows, *shipped("studies"), str(Path.cwd()), version("pluralign")]
        known, now = self.home / "prefect" / "deployed", sha256("\x1f".join(parts).encode()).hexdigest()
        if not known.exists() or known.read_text() != now:
            file = self.home / "serve" / "prefect.yaml"
            write_atomically(file, texts)
            self._run("deploy", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file))
            write_atomically(known, now)

    def _worker_is_ready(self) -> bool:
        workers = self._ask(f"/api/work_pools/{POOL}/workers/filter", {})
        return any(worker["name"] == "here" and worker["status"] == "ONLINE" for worker in workers or ())

    def _until(self, done: Callable[[], bool], seconds: float | None = SECONDS_TO_START) -> None:
        deadline = time.monotonic() + seconds if seconds else None
        while not done():
            for service in self.services:
                service.check()
            if deadline and time.monotonic() > deadline:
                raise Died(f"not ready after {seconds:.0f} seconds; logs are in {self.home / 'serve'}")
            bury_orphans(self._started)
            if self.stopped.wait(0.2 if seconds else 1.0):
                raise Stopped

    def _ask(self, path: str, body: Any = None) -> Any:
        return _ask(self.port, path, body, self.password)

    def _addresses(self) -> str:
        mlflow = with_password(self.mlflow, self.password) if self._shows_mlflow else without_credentials(self.tracking)
        return (
            f"Prefect  {link(self.prefect, self.password)}\n"
            f"MLflow   {mlflow}\n"
            f"logs     {self.home / 'serve'}\n"
            f"For other commands to show up there, in another terminal, in {Path.cwd()}:\n"
            f"  source {quote(str(self._exports))}\n"
            "Ctrl-C ends all."
        )


def deployments(definitions: Path, study: str = "") -> str:
    """The deployments' YAML, for a study where one is given."""
    text = definitions.read_text()
    if not study:
        return text
    content = yaml.safe_load(text)
    for deployment in content["deployments"]:
        given = {"studies": [study]} if deployment["name"] == "follow-latest" else {"study": study}
        if deployment["name"] != "meta-analysis":
            deployment["parameters"] = deployment.get("parameters", {}) | given
    return yaml.safe_dump(content, sort_keys=False)


def _ask(port: int, path: str, body: Any = None, password: str = "") -> Any:
    """The answer as JSON, or as text; None where nobody answers, or there is nothing of that name."""
    credentials = base64.b64encode(password.encode()).decode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Basic {credentials}"} if password else {})
    server = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        server.request(method, path, content, headers)
        answer = server.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        server.close()
    if answer.status >= 400:
        return None
    return json.loads(text) if text.startswith(("[", "{")) else text


def _when_stopped() -> threading.Event:
    """An event that is set when standard input ends, and by SIGTERM."""
    stopped = threading.Event()

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    return stopped


def main() -> int:
    """Keep everything going until standard input ends: `python -m tasks.serving.keeper PORT MLFLOW_PORT FILE STUDY`."""
    port, mlflow_port, definitions, study = sys.argv[1:]
    adopt_orphans()
    home = Path(os.environ["PLURALIGN_HOME"])
    keeper = Keeper(home, int(port), int(mlflow_port), Path(definitions), study, _when_stopped())
    try:
        keeper.run()
    except Stopped:
        return 0
    except Died as error:
        print(f"pluralign: {error}", file=sys.stderr, flush=True)
    finally:
        keeper.end()
    return 1


if __name__ == "__main__":
    sys.exit(main())
