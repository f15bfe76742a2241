"""Secrets are planted wherever one may be given, and then looked for in everything that commands leave and say."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, unquote

import psutil
import pytest

from flows.cli import FAILED, WHOLE
from tests.endpoint import Endpoint
from tests.flows.conftest import STUDY, Place, new_place
from tests.flows.test_judge import by_words
from tests.flows.test_serve import READY, free_port
from tests.object_server import object_server
from tests.watch import PATIENCE

pytestmark = pytest.mark.slow
JUDGE = "JUDGE_KEY_127_0_0_1"
PLANTED = {
    "OPENAI_API_KEY": "sk-planted-openai-4711",
    JUDGE: "planted-judge-4712",
    "PLURALIGN_SECRET": "planted-pseudonyms-4713",
    "PREFECT_API_AUTH_STRING": "me:planted-prefect-4714",
    "AWS_ACCESS_KEY_ID": "planted-aws-name-4715",
    "AWS_SECRET_ACCESS_KEY": "planted/aws+secret-4716",
}
AT_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""A server that is away is not waited for."""
CONTROL = "planted-control-4719"
"""No secret, and so to be found: the judge's model."""
MLFLOW, DATABASE = "planted-mlflow-4717", "planted/data@base-4718"
PASSWORD = [PLANTED["PREFECT_API_AUTH_STRING"], "planted-prefect-4714"]
"""What `serve` itself asks for."""
SECRETS = [*PLANTED.values(), "planted-prefect-4714", MLFLOW, DATABASE, "base-4718"]
ONE_EXPERIMENT = STUDY.partition("  scale:\n    title")[0] + "architectures: [tiny-llama]\n"
SMALL = ONE_EXPERIMENT + "recipe:" + STUDY.partition("recipe:")[2]


def forms(secret: str) -> set[bytes]:
    """A secret as it stands, as addresses have it, and as headers have it."""
    texts = {secret, quote(secret, safe=""), quote(secret), unquote(secret), json.dumps(secret)[1:-1]}
    return {text.encode() for text in texts} | {base64.b64encode(secret.encode()).rstrip(b"=")}


def found_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if any(form in content for form in forms(secret))]


@dataclass
class Watched:
    """Runs commands in a place with all secrets planted, and keeps what they say and how they were started."""

    place: Place
    said: dict[str, bytes] = field(default_factory=dict)
    lines: set[str] = field(default_factory=set)

    def run(self, name: str, *arguments: str, until: str = "", **more: str) -> int:
        """The command to its end, or until a line of what it says has `until` in it, and it is then interrupted."""
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments], cwd=self.place.folder, start_new_session=True,
            env=self.place.environment() | PLANTED | AT_ONCE | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        watching = Thread(target=self._look, args=[process])
        watching.start()
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until and until.encode() in line:
                process.send_signal(signal.SIGINT)
        self.said[name] = b"".join(lines)
        process.wait(PATIENCE)
        watching.join()
        return process.returncode

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        """Note the command lines of the process and of all below it, as others of this machine see them."""
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                for one in [parent, *parent.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                        self.lines.add("\0".join(one.cmdline()))
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)


def refusing() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def echoes(request: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    """A gateway that says which key it refuses."""
    message = f"Incorrect API key provided: {PLANTED[JUDGE]}, nor is it {PLANTED['OPENAI_API_KEY']}"
    return 401, {"error": {"message": message, "code": "invalid_api_key"}}, {}


@pytest.fixture(scope="module")
def watched(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One whole study on Ray and an object store, whose MLflow refuses; again on this machine with MLflow's own file;
    `serve`; and then what fails in several ways."""
    place = new_place(tmp_path_factory.mktemp("secrets")).has(databases)
    Path(place.study).write_text(SMALL)
    mlflow = f"http://me:{MLFLOW}@127.0.0.1:{refusing()}"
    place_of = f"@127.0.0.1:{refusing()}/prefect"
    database, plain = (f"postgresql+asyncpg://me:{text}{place_of}" for text in (quote(DATABASE, safe=""), DATABASE))
    own = Watched(place)
    with Endpoint(grade=by_words) as endpoint, object_server(tmp_path_factory.mktemp("s3")) as kept:
        SECRETS.append(kept.keys["writer"])
        judge = {"kind": "llm", "model": CONTROL, "base_url": endpoint.url}
        study = ["run", "small.yaml", "--workers", "1", "--set"]
        chosen = [*study, f"judge={json.dumps(judge)}", "--store", "s3://pluralign/secrets"]
        shared = kept.environment()
        assert own.run("whole", *chosen, "--runner", "ray", MLFLOW_TRACKING_URI=mlflow, **shared) == WHOLE, own.said
        assert own.run("again", *chosen, **shared) == WHOLE, own.said
        heads = "\n".join(endpoint.heads)
        assert PLANTED[JUDGE] in heads  # it was there to be found
        assert [secret for secret in SECRETS if secret in heads] == [PLANTED[JUDGE]]
        endpoint.special = echoes
        other = f"judge={json.dumps(judge | {'model': 'n'})}"
        assert own.run("refused", *study, other, MLFLOW_TRACKING_URI=mlflow) == FAILED, own.said
    ports = [f"--{name}={free_port()}" for name in ("port", "mlflow-port")]
    own.run("serve", "serve", *ports, until=READY)
    variable = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
    assert own.run("no database", *study, other, **{variable: database}) != WHOLE, own.said
    assert own.run("no address", *study, other, **{variable: plain}) != WHOLE, own.said
    server = f"http://me:{MLFLOW}@127.0.0.1:{refusing()}/api"
    assert own.run("no server", *study, other, PREFECT_API_URL=server) == FAILED, own.said
    own.run("doctor", "doctor", "small.yaml", MLFLOW_TRACKING_URI=mlflow, **{variable: database})
    return own


def test_no_secret_is_said(watched: Watched) -> None:
    assert b"Incorrect API key provided" in watched.said["refused"]
    assert b"MLflow failed" in watched.said["whole"]
    assert b"127.0.0.1" in watched.said["no server"]
    assert READY.encode() in watched.said["serve"]
    found = {name: own for name, text in watched.said.items() if (own := found_in(text))}
    assert found == {"serve": PASSWORD}  # in the links that open its pages, as its user is told


def test_no_secret_stands_in_a_command_line(watched: Watched) -> None:
    assert any("tasks.runtime.local.child" in line for line in watched.lines)
    assert any("tasks.serving.temporary" in line for line in watched.lines)
    assert any("raylet" in line for line in watched.lines)
    assert any("mlflow" in line and "server" in line for line in watched.lines)
    assert {line: found for line in watched.lines if (found := found_in(line.encode()))} == {}


def test_no_secret_is_left_in_a_file(watched: Watched) -> None:
    """Home with store and logs, MLflow's file and artifacts, Prefect's database, outputs."""
    folder = watched.place.folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    shown = {path.name.removesuffix("-wal") for path in files if CONTROL.encode() in path.read_bytes()}
    assert {"prefect.db", "report.html", "study.json"} <= shown, shown
    logged = [path for path in files if path.name in ("mlflow.db", "mlflow.db-wal")]
    assert any(b"tiny-llama" in path.read_bytes() for path in logged), logged
    found = {str(path.relative_to(folder)): own for path in files if (own := found_in(path.read_bytes()))}
    assert found == {"home/serve/env": PASSWORD}  # which lets its owner's other terminals in
    assert (folder / "home" / "serve" / "env").stat().st_mode & 0o777 == 0o600
