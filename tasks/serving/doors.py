"""Who may come in: a password, the links that give it to a browser, a file that gives it to a shell.

The password stands in files that only their owner can read and in the environment of the processes, never in their
arguments, and reaches no log: no browser sends the part of a link that it stands in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from urllib.parse import quote as as_address

from configs.errors import InputError
from tasks.runtime.files import kept_secret, write_atomically
from tasks.serving.mlflow_door import OPENING

GIVEN = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
"""The variables with a password of the user's own."""
SHORTEST_PASSWORD = 16
PAGE = "open.html"
OPENING_PAGE = """<!doctype html><meta charset="utf-8"><title>pluralign</title>
<script>
const password = decodeURIComponent(location.hash.slice(1));
const bytes = new TextEncoder().encode(password);
if (password) localStorage.setItem("prefect-password", btoa(String.fromCharCode(...bytes)));
location.replace("/");
</script>
"""
"""Prefect's pages look for the password in the browser's storage, which only a page of the same origin can fill."""


def password_of(folder: Path) -> str:
    """What Prefect calls an auth string, USER:PASSWORD: the user's own, else that of `folder/password`, made once.

    Raises:
        InputError: it has no colon, or the file was made too short to be a secret.
    """
    for name in GIVEN:
        if given := os.environ.get(name):
            if ":" not in given:
                raise InputError(f"{name}: expected USER:PASSWORD")
            return given
    secret = kept_secret(folder / "password").decode(errors="replace")
    if len(secret) < SHORTEST_PASSWORD:
        raise InputError(f"{folder / 'password'}: too short for a password; remove the file, and a new one is made")
    return f"pluralign:{secret}"


def write_opening(folder: Path) -> None:
    """The page beside Prefect's own, which a server copies into a folder of each version of them."""
    for pages in folder.glob("v?"):
        write_atomically(pages / PAGE, OPENING_PAGE)


def link(server: str, password: str) -> str:
    """The address that opens Prefect's pages with the password."""
    return f"{server}/{PAGE}#{as_address(password, safe=':')}"


def with_password(server: str, password: str) -> str:
    """The address that opens MLflow's pages with the password."""
    scheme, _, place = server.partition("://")
    return f"{scheme}://{as_address(password, safe=':')}@{place}{OPENING}"


def write_exports(path: Path, variables: Mapping[str, str]) -> None:
    """A file for a shell to `source`, for its owner alone."""
    write_atomically(path, "".join(f"export {name}={quote(value)}\n" for name, value in variables.items()), 0o600)
