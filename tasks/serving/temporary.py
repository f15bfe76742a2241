"""A Prefect server for one command, where no other is named: it ends with the command, even if that is killed outright.

It answers on the loopback alone, and only who knows the password of this one command. It runs in a session of its own
and does not hear signals: a command that is stopped still tells it so, and it ends when its standard input does.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from configs.errors import InputError, without_credentials

HOST = "127.0.0.1"
MOST_RESTARTS = 3
_servers: list[subprocess.Popen[str]] = []
"""Kept, so that their standard input stays open until this process ends, however it ends."""


def start_server() -> dict[str, str]:
    """Start the server, wait until it answers, and return the variables by which Prefect finds it.

    Raises:
        InputError: it does not start; the message has the last line of what it wrote.
    """
    password = f"pluralign:{secrets.token_urlsafe(24)}"
    environment = os.environ | {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # why it does not start is read from what it says
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}",  # no page of any other may read what it says
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    server, port = _start(environment)
    threading.Thread(target=_start_again, args=(server, port, environment), daemon=True).start()
    return {
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_API_AUTH_STRING": password,
        # what it can't do now, as on a full disk, a minute more does not mend; a locked file is another code
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "",
    }


def _start(environment: Mapping[str, str], port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """The process of a server that answers, and its port; 0 is any that is free."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tasks.serving.temporary", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        )
        assert server.stdout is not None
        said = server.stdout.readline().strip()
        if not said:
            log.seek(0)
            raise InputError(f"Prefect's temporary server does not start: {_reason(log.read())}")
    _servers.append(server)
    return server, int(said)


def _start_again(server: subprocess.Popen[str], port: int, environment: Mapping[str, str]) -> None:
    """Where a server was killed, as by a machine without memory, another takes its address; requests wait for it."""
    for _ in range(MOST_RESTARTS):
        server.wait()
        with suppress(InputError):
            server, _ = _start(environment, port)


def _reason(log: str) -> str:
    """The error that a server's log ends with, in a line without a password."""
    lines = [line.strip() for line in log.splitlines() if line.strip()] or ["it gave no reason"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b: ", line)]
    return without_credentials((errors or lines)[-1])[:300]


def main() -> None:
    """Serve until standard input ends; write the port on standard output once the server answers."""
    import uvicorn

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print goes to standard error
    listener = socket.create_server((HOST, int(sys.argv[1])))
    app = "prefect.server.api.server:create_app"
    server = uvicorn.Server(uvicorn.Config(app, factory=True, log_level="error", lifespan="on"))
    # in another thread than the first, it leaves signals alone
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            os._exit(1)
        time.sleep(0.02)
    print(listener.getsockname()[1], file=channel, flush=True)
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
