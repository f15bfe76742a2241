"""The Prefect server that a command talks to: see that it answers, or that a temporary one can start."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

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
    address = _address()
    if not address:
        _make_temporary_database()
    elif fault := _fault(address):
        raise Unavailable(f"PREFECT_API_URL {without_credentials(address)}: {fault}")


def _address() -> str | None:
    """The address in Prefect's settings, of the environment or of a profile."""
    given = os.environ.get("PREFECT_API_URL", "")
    if given and not _is_address(given):  # Prefect can't even be imported with some of these
        raise Unavailable(f"PREFECT_API_URL {without_credentials(given)}: expected http://HOST:PORT/api")
    from prefect.settings import PREFECT_API_URL

    try:
        return PREFECT_API_URL.value()
    except ValidationError as error:
        raise InputError(f"Prefect's settings: {error.errors()[0]['msg']}") from None


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _fault(address: str) -> str:
    """Why a server can't be used, "" if it can."""
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
