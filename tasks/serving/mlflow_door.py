"""A password for MLflow's pages: gunicorn's settings, `mlflow server --gunicorn-opts "--config python:…mlflow_door"`.

MLflow's own asks for packages that it does not come with. The link with the password leads to an address without it,
since pages at an address that holds one may fetch nothing.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
VARIABLE = "PREFECT_API_AUTH_STRING"
"""Has USER:PASSWORD, the same for all pages."""
HEALTH, OPENING = "/health", "/open"

threads = 8
control_socket_disable = True  # it would lie in the user's HOME


def post_worker_init(worker: Any) -> None:
    """Gunicorn calls this when a worker has its application."""
    worker.wsgi = guarded(worker.wsgi, os.environ[VARIABLE])


def guarded(application: Application, password: str) -> Application:
    """The application, behind HTTP's basic authentication; whether it is there at all, anybody may ask."""
    right = b"Basic " + base64.b64encode(password.encode())

    def answer(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path, given = request["PATH_INFO"], request.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        own = f"http://{request.get('HTTP_HOST')}"
        if path != HEALTH and not hmac.compare_digest(given, right):
            start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="pluralign"'), ("Content-Length", "0")])
            return [b""]
        if request.get("HTTP_ORIGIN", own) != own:  # MLflow lets in whatever is on this machine
            start("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        if path == OPENING:
            start("302 Found", [("Location", f"{own}/"), ("Content-Length", "0")])
            return [b""]
        return application(request, start)

    return answer
