"""A connection to Ray: a cluster of this machine that ends with the process, or one that is there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from configs.errors import InputError
from tasks.runtime.files import kept_secret
from tasks.runtime.home import home

PORT = 6379
"""Of a cluster's head, where an address names none."""
SECONDS_TO_ANSWER = 5.0
HTTP2_SETTINGS = b"\x04"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + HTTP2_SETTINGS + bytes(5)
"""With which a client of gRPC begins, and its first frame: three bytes of length, then the type (RFC 9113, 3.4)."""
OBJECT_STORE_BYTES = 80 * 2**20
"""Only messages go through it: files go through the store."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
OWN = {
    # or Ray listens on all interfaces, and whoever reaches its ports runs code
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


class Cluster:
    """Connects when made; `close` lets go, and ends a cluster of its own.

    Raises:
        InputError: Ray is not installed, or the cluster can't be joined; the message says why.
    """

    def __init__(self, address: str) -> None:
        """address: `ray` for one of this machine, `ray://HOST:PORT` for one that is there."""
        if find_spec("ray") is None:
            raise InputError(f"{address}: Ray is not installed; pip install 'pluralign[ray]'")
        os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
        answering = _answering(address) if address != "ray" else ""
        if not answering:
            token = os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str((home() / "ray-token").absolute()))
            kept_secret(Path(token))
            os.environ.update(OWN)
        self._folder: Path | None = None
        import ray  # which reads its environment now

        self._joined = not ray.is_initialized()
        if not self._joined:  # by another study of this process
            return
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        options |= {"address": answering} if answering else self._own_options()
        try:
            with _signals_as_they_were():
                ray.init(**options)
        except Exception as error:
            self.close()
            raise InputError(f"{address}: {_why(error)}") from None

    def _own_options(self) -> dict[str, Any]:
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: Ray's sockets lie in it
        environment = {"PLURALIGN_HOME": str(home().absolute())}
        return {
            "address": "local",
            "include_dashboard": False,
            "_temp_dir": str(self._folder),
            "object_store_memory": OBJECT_STORE_BYTES,
            "runtime_env": {"env_vars": environment},
        }

    def close(self) -> None:
        import ray

        if self._joined:
            self._joined = False
            with suppress(Exception):  # a cluster that is gone can't be let go of
                ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def host_and_port(address: str) -> tuple[str, int]:
    """Of `ray://HOST:PORT`.

    Raises:
        InputError: it is no such address.
    """
    try:
        parts = urlsplit(address)
        found = parts.hostname, parts.port or PORT
    except ValueError:
        parts, found = urlsplit(""), (None, 0)
    if parts.scheme != "ray" or not found[0] or parts.path.strip("/") or parts.username:
        raise InputError(f"{address}: a runner is local, ray, or ray://HOST:PORT of a cluster's head")
    return found[0], found[1]


def _answering(address: str) -> str:
    """HOST:PORT, once something there has greeted as gRPC does. Ray itself would ask whatever is silent for minutes."""
    host, port = host_and_port(address)
    look = "`ray start --head` says the address"
    try:
        with socket.create_connection((host, port), timeout=SECONDS_TO_ANSWER) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("1", "true"):  # else only who has a certificate is greeted
                connection.settimeout(SECONDS_TO_ANSWER)
                connection.sendall(HTTP2_PREFACE)
                with connection.makefile("rb") as answer:
                    if answer.read(4)[3:] != HTTP2_SETTINGS:
                        raise InputError(f"{address}: what answers there is not a cluster of Ray's; {look}")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{address}: nothing answers there ({reason}); {look}") from None
    return f"{host}:{port}"


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "Version mismatch" in text or "version mismatch" in text:
        return f"the cluster has another version of Ray or Python ({text[:200]})"
    if isinstance(error, ConnectionError) or type(error).__name__ == "AuthenticationError":
        needs = "the cluster's token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN_PATH)"
        return f"Ray lets in who has {needs} and runs on a node of the cluster ({text[:120]})"
    return f"{type(error).__name__}: {text[:300]}"


@contextmanager
def _signals_as_they_were() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    here = threading.current_thread() is threading.main_thread()
    earlier: dict[int, Callable[..., Any] | int | None] = {signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items() if here else ():
            signal.signal(number, handler)


def ray_version() -> str:
    """Installed here; "" where it is not."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return ""
