"""MLflow: its server over HTTP, or its SQLite file."""

from __future__ import annotations

from tasks.doctor.asking import NoReply, ask, basic
from tasks.doctor.databases import postgres_findings, sqlite_findings
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.versions import installed
from tasks.runtime.home import home
from tasks.runtime.tracking import local_file, tracking_uri

NAME, VARIABLE = "MLflow", "MLFLOW_TRACKING_URI"


def mlflow_check(settings: Settings) -> Findings:
    uri = settings.environment.get(VARIABLE) or tracking_uri(home())
    if (file := local_file(uri)) is not None:
        yield from sqlite_findings(settings, "its", file, NAME)
    elif uri.startswith(("http://", "https://")):
        yield _server(settings, uri.rstrip("/"))
    else:
        yield from postgres_findings(VARIABLE, uri, NAME)


def _server(settings: Settings, address: str) -> Finding:
    headers = _login(settings)
    try:
        health = ask(f"{address}/health", headers)
        settings.read_clock("MLflow's server", health.ahead)
        version = ask(f"{address}/version", headers)
        settings.read_clock("MLflow's server", version.ahead)
    except NoReply as error:
        todo = f"start it (pluralign serve), correct {VARIABLE}, or unset it for a file in the home"
        return Finding(BAD, NAME, f"{address}: {error}", todo)
    own, told = installed("mlflow"), version.content.decode(errors="replace").strip()
    if {health.status, version.status} & {401, 403}:
        todo = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return Finding(BAD, NAME, f"{address} lets nobody in without the right password", todo)
    if health.status != 200:
        todo = f"{VARIABLE} is the address of MLflow's pages, such as http://HOST:5000"
        return Finding(BAD, NAME, f"{address}/health answers HTTP {health.status}", todo)
    if version.status != 200 or len(told) > 30 or told.partition(".")[0] != str(own).partition(".")[0]:
        shown = f"is MLflow {told[:30]}" if version.status == 200 else "does not tell its version"
        return Finding(NOTE, NAME, f"{address} {shown}; the client's is {own}")
    return Finding(OK, NAME, f"{address}, MLflow {told} (the client: {own})")


def _login(settings: Settings) -> dict[str, str]:
    known = settings.environment
    if token := known.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := known.get("MLFLOW_TRACKING_USERNAME"):
        return {"Authorization": basic(f"{user}:{known.get('MLFLOW_TRACKING_PASSWORD', '')}")}
    return {}
