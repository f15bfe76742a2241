"""`pluralign serve`: Prefect's server, a worker, the deployments and MLflow's pages on this machine, until stopped.

The command itself only waits. Its keeper (`keeper.py`) starts everything, and ends it in order as soon as its standard
input ends: when the command is stopped, and also when it is killed outright. Should the keeper be killed, the command
ends what is left.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from configs.errors import InputError
from tasks.runtime.files import try_lock
from tasks.runtime.home import prepare_home
from tasks.runtime.processes import adopt_orphans, descendants, end
from tasks.serving.doors import password_of
from tasks.serving.keeper import HOST, SECONDS_TO_STOP


def serve(port: int, mlflow_port: int, definitions: Path, study: str | None = None) -> int:
    """Run everything until stopped; 0 if it was, 1 if a part of it failed.

    Args:
        definitions: the YAML file of the deployments, beside the flows that they run.
        study: what the deployments are for; by default what their file says.

    Raises:
        InputError: a port is taken, or the command already runs for this `PLURALIGN_HOME`.
    """
    place = prepare_home().resolve()
    if port == mlflow_port:
        raise InputError(f"--mlflow-port {mlflow_port}: Prefect has it; choose another")
    for option, number in (("--port", port), ("--mlflow-port", mlflow_port)):
        _check_port(option, number)
    lock = try_lock(place / "serve" / "lock")
    if lock is None:
        raise InputError(f"{place}: `pluralign serve` already runs here; PLURALIGN_HOME names another place")
    password_of(place / "serve")  # what is wrong with it is told before anything starts
    adopt_orphans()
    arguments = [str(port), str(mlflow_port), str(definitions), study or ""]
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tasks.serving.keeper", *arguments],
        stdin=subprocess.PIPE,
        env=os.environ | {"PLURALIGN_HOME": str(place), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is for the command, which then ends its keeper
    )
    assert keeper.stdin is not None
    try:
        code = keeper.wait()
        if code < 0:
            print(f"pluralign: serve was killed by signal {-code}; the rest has ended too", file=sys.stderr)
        return 1 if code else 0
    except KeyboardInterrupt:
        print("pluralign: ending …", file=sys.stderr)
        keeper.stdin.close()
        keeper.wait(timeout=sum(SECONDS_TO_STOP.values()) + 5)
        return 0
    finally:
        end(descendants(), seconds=0)
        os.close(lock)


def _check_port(option: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"{option} {port}: {error.strerror}; choose another") from None
        except OverflowError:
            raise InputError(f"{option} {port}: a port is at most 65535") from None
