"""Prefect's server over HTTP: that it answers, lets this user in, and is of the version of the client."""

from __future__ import annotations

from tasks.doctor.asking import NoReply, WebReply, ask
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.versions import installed

NAME = "server"
REFUSED = "set PREFECT_API_AUTH_STRING (USER:PASSWORD) to what the server has"


def server_check(settings: Settings) -> Findings:
    if settings.server_fault:
        yield Finding(BAD, NAME, settings.server_fault, "PREFECT_API_URL is http://HOST:PORT/api, or unset")
        return
    if not settings.server:
        yield Finding(OK, NAME, "none is named in PREFECT_API_URL; each run starts a temporary one on this machine")
        return
    try:
        health = ask(f"{settings.server}/health", settings.server_headers)
        settings.read_clock("Prefect's server", health.ahead)
        version = ask(f"{settings.server}/admin/version", settings.server_headers)
        settings.read_clock("Prefect's server", version.ahead)
    except NoReply as error:
        todo = "start it (pluralign serve), correct PREFECT_API_URL, or unset it for a temporary one"
        yield Finding(BAD, NAME, f"{settings.server}: {error}", todo)
        return
    yield _of_replies(settings.server, health, version)


def _of_replies(address: str, health: WebReply, version: WebReply) -> Finding:
    own = installed("prefect")
    if {health.status, version.status} & {401, 403}:
        return Finding(BAD, NAME, f"{address} lets nobody in without the right password", REFUSED)
    if health.status != 200:
        todo = "PREFECT_API_URL ends in /api for a server of Prefect"
        return Finding(BAD, NAME, f"{address}/health answers HTTP {health.status}", todo)
    if version.status != 200 or not isinstance(version.json, str):
        return Finding(NOTE, NAME, f"{address} answers, and does not tell its version; the client's is {own}")
    if version.json != own:
        todo = f"install prefect {own} there, or {version.json} here"
        return Finding(BAD, NAME, f"{address} is Prefect {version.json}, the client {own}", todo)
    return Finding(OK, NAME, f"{address}, Prefect {own} as the client")


def secret_block(settings: Settings, variable: str) -> str | None:
    """What Prefect's server keeps as the Secret block of a variable; None where it has none, or does not answer."""
    if not settings.server or settings.server_fault:
        return None
    name = variable.lower().replace("_", "-")
    place = f"/block_types/slug/secret/block_documents/name/{name}?include_secrets=true"
    try:
        found = ask(settings.server + place, settings.server_headers).json
    except NoReply:
        return None
    value = found.get("data", {}).get("value") if isinstance(found, dict) else None
    return value if isinstance(value, str) else None
