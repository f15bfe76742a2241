"""The Prefect server that a command talks to: which it is, that it answers, or that a temporary one can start."""

from __future__ import annotations

import base64
import os
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from configs.errors import InputError, Unavailable, without_credentials
from tasks.runtime.home import home
from tasks.serving.prefect_database import VARIABLE, make_prefect_database

SECONDS = 5.0
BUSY = {429, 503}
"""What a server answers that has too much to do; the runs ask again."""


def check_server() -> None:
    """See that the server of `PREFECT_API_URL` is one and lets us in; without one, make a temporary one's database.

    Raises:
        Unavailable: it does not answer as a Prefect server, or lets nobody in with these credentials.
    """
    address = address_of_server()
    if not address:
        _make_temporary_database()
    elif fault := _fault(address):
        raise Unavailable(f"PREFECT_API_URL {without_credentials(address)}: {fault}")


def address_of_server() -> str | None:
    """The address in Prefect's settings, of the environment, a file or a profile; None where none names a server.

    Prefect is imported only where something is there that it would read an address from.

    Raises:
        Unavailable: PREFECT_API_URL is no address.
        InputError: Prefect refuses its settings.
    """
    if "prefect" not in sys.modules and not _may_be_named():
        return None
    given = os.environ.get("PREFECT_API_URL", "")
    if given and not _is_address(given):  # Prefect can't even be imported with some of these
        raise Unavailable(f"PREFECT_API_URL {without_credentials(given)}: expected http://HOST:PORT/api")
    from prefect.settings import PREFECT_API_URL
    from pydantic import ValidationError

    try:
        return PREFECT_API_URL.value()
    except ValidationError as error:
        raise InputError(f"Prefect's settings: {error.errors()[0]['msg']}") from None


def way_to_server() -> tuple[str, dict[str, str]]:
    """The server's address, "" where none is named, and the headers that let this user in; it is not asked.

    Prefect is imported only where its files may name one. Raises as `address_of_server` does.
    """
    given = os.environ.get("PREFECT_API_URL", "")
    address = given if _is_address(given) else address_of_server()
    if not address:
        return "", {}
    login, key = os.environ.get("PREFECT_API_AUTH_STRING"), os.environ.get("PREFECT_API_KEY")
    if "prefect" in sys.modules:
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY

        login, key = (_plain(setting.value()) for setting in (PREFECT_API_AUTH_STRING, PREFECT_API_KEY))
    if login:
        return address.rstrip("/"), {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return address.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {}


def _plain(setting: Any) -> str | None:
    """A setting that Prefect hides, or one that it does not."""
    return setting.get_secret_value() if hasattr(setting, "get_secret_value") else setting


def _may_be_named() -> bool:
    """Whether any of the variables and files is there in which Prefect looks for a server's address."""
    if any(name.upper() in ("PREFECT_API_URL", "PREFECT_PROFILE") for name in os.environ):
        return True
    profiles = os.environ.get("PREFECT_PROFILES_PATH") or Path(os.environ["PREFECT_HOME"], "profiles.toml")
    if Path(profiles).exists() or Path("prefect.toml").exists():
        return True
    try:
        return "prefect" in _text(".env").lower() or "prefect" in tomllib.loads(_text("pyproject.toml")).get("tool", {})
    except (OSError, ValueError):
        return True  # Prefect says what is wrong with it


def _text(file: str) -> str:
    """What is written in a file of this folder, "" where there is none."""
    return Path(file).read_text("utf-8") if Path(file).exists() else ""


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _fault(address: str) -> str:
    """Why a server can't be used, "" if it can."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings={"timeout": SECONDS})
        try:
            client.read_flows(limit=1)
        except PrefectHTTPStatusError as error:
            status = error.response.status_code
            busy = status in BUSY and client.api_healthcheck() is None
            return "" if busy else _fault_of_status(status)
        except httpx.TimeoutException:
            return f"no answer within {SECONDS:.0f} seconds"
        except httpx.TransportError as error:
            return f"no server answers ({error})"
        except (ValueError, TypeError, httpx.InvalidURL, httpx.HTTPError):  # no address, or no answer of Prefect's
            return "no Prefect server answers there"
    return ""


def _fault_of_status(status: int) -> str:
    if status in (401, 403):
        return f"HTTP {status}: it lets nobody in without a password; set the right one in PREFECT_API_AUTH_STRING"
    return f"HTTP {status}: no Prefect server answers there"


def _make_temporary_database() -> None:
    """The SQLite file of temporary servers in our home, whole and of this version; no run needs what is in it."""
    folder = home().resolve() / "temporary-prefect"
    if os.environ.get("PREFECT_HOME") != str(folder) or os.environ.get(VARIABLE):
        return
    try:
        make_prefect_database(folder, expendable=True)
    except OSError as error:
        raise Unavailable(f"Prefect's database can't be made: {error}") from None
