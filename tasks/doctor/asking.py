"""One question to a server over HTTP, without following it elsewhere; what its answer says of its clock."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from configs.errors import without_credentials

SECONDS = 4.0
"""That an answer may take; a check has a second more."""
MOST = 4_000_000
"""Bytes that are read of it."""


class NoReply(Exception):
    """Nothing answered, or not as HTTP; the message says what was met."""


@dataclass(frozen=True)
class WebReply:
    """ahead: seconds that the server's clock is ahead of this machine's; None where it does not say."""

    status: int
    content: bytes
    ahead: float | None = None

    @property
    def json(self) -> Any:
        """What it says as JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes nowhere but to the address that is named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def ask(url: str, headers: Mapping[str, str] | None = None) -> WebReply:
    """The answer to a GET, whatever its status. A user and a password in the address are sent as such.

    Raises:
        NoReply: there is none within `SECONDS`.
    """
    began = time.time()
    try:
        request = _request(url, headers or {})
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
            return _reply(answer.status, answer.read(MOST), answer.headers, began)
    except urllib.error.HTTPError as error:
        with error:
            return _reply(error.code, _rest_of(error), error.headers, began)
    except (OSError, ValueError, HTTPException) as error:
        raise NoReply(_why(error)) from None


def answers_tcp(host: str, port: int) -> None:
    """Raises `NoReply` where nothing takes connections."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise NoReply(_why(error)) from None


def _request(url: str, headers: Mapping[str, str]) -> urllib.request.Request:
    parts = urlsplit(url)
    host_and_port(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("it is no http:// or https:// address")
    own = dict(headers)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own.setdefault("Authorization", basic(login))
    place = parts.netloc.rpartition("@")[2]
    return urllib.request.Request(  # noqa: S310 (the scheme is checked above)
        urlunsplit(parts._replace(netloc=place)), headers={"User-Agent": "pluralign"} | own
    )


def host_and_port(url: str, default: int = 0) -> tuple[str, int]:
    """Of an address. Raises `ValueError`, which shows nothing of it: there may be a password in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or "@" in urlsplit(url).path:
        raise ValueError("its host or port can't be read; in a password / and @ are written %2F and %40")
    return host, port or default


def basic(login: str) -> str:
    """The header that a `USER:PASSWORD` is sent in."""
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _rest_of(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(MOST)
    except (OSError, HTTPException):
        return b""


def _reply(status: int, content: bytes, headers: Any, began: float) -> WebReply:
    """A date has whole seconds, which on average began half a second earlier."""
    try:
        told = parsedate_to_datetime(headers["Date"]).timestamp() + 0.5
    except (TypeError, ValueError, KeyError, OverflowError):
        return WebReply(status, content)
    return WebReply(status, content, told - (began + time.time()) / 2)


def _why(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {SECONDS:.0f} seconds"
    if isinstance(reason, ssl.SSLError):
        return f"no secure connection ({reason.reason or 'TLS'})"
    if isinstance(reason, socket.gaierror):
        return "no such host"
    if isinstance(reason, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(reason, HTTPException) and not isinstance(reason, OSError):
        return "what answers speaks no HTTP"
    return without_credentials(str(reason)) or type(reason).__name__
