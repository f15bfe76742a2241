"""The databases of Prefect's server and of MLflow: SQLite files, or a server that takes connections and speaks SQL."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.doctor.asking import SECONDS, NoReply, answers_tcp, host_and_port
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.places import Location, network_file_system
from tasks.runtime.home import home
from tasks.serving.prefect_database import VARIABLE

NAME = "database"
VARIABLES = (VARIABLE, "PREFECT_API_DATABASE_CONNECTION_URL")
DRIVERS = {"aiosqlite": "aiosqlite", "asyncpg": "asyncpg", "psycopg2": "psycopg2-binary", "": "psycopg2-binary"}
"""Module → the package that has it; without a driver in its URL, PostgreSQL is reached by psycopg2."""
SECONDS_TO_LOOK = 3.0
LOCAL = "put it on a disk of this machine (PLURALIGN_HOME; PLURALIGN_STORE names what machines share)"


def database_check(settings: Settings) -> Findings:
    named = next(((name, url) for name in VARIABLES if (url := settings.environment.get(name))), None)
    if named is None:
        yield from sqlite_findings(settings, "Prefect's", home() / "prefect" / "prefect.db")
        return
    variable, url = named
    if url.startswith("sqlite"):
        yield from _driver("aiosqlite", variable)
        yield from sqlite_findings(settings, variable, file_of(url))
        return
    yield from postgres_findings(variable, url)


def file_of(url: str) -> Path:
    """The file of `sqlite:///FILE` or `sqlite+aiosqlite:///FILE?…`."""
    return Path(unquote(url.partition(":///")[2].partition("?")[0]))


def sqlite_findings(settings: Settings, whose: str, file: Path, name: str = NAME) -> Findings:
    """Of a SQLite file that may not be there yet; it is only read."""
    kind, place = network_file_system(file, settings.mounts), Location.of(file.parent)
    if kind:
        yield Finding(BAD, name, f"{whose} SQLite file {file} is on {kind}, whose locks SQLite can't rely on", LOCAL)
    if place.fault:
        yield Finding(BAD, name, f"{whose} SQLite file {file}", f"{place.fault}; name another folder")
    if kind or place.fault:
        return
    if not file.exists():
        yield Finding(OK, name, f"{whose} SQLite file {file} will be made when it is needed")
        return
    fault, done = quick_check(file)
    if fault:
        yield Finding(BAD, name, f"{whose} SQLite file {file}: {fault}", "restore it from a copy, or move it away")
    elif not done:
        yield Finding(NOTE, name, f"{whose} SQLite file {file} is in use or large, and was not looked through")
    else:
        yield Finding(OK, name, f"{whose} SQLite file {file} is whole")


def quick_check(file: Path, seconds: float = SECONDS_TO_LOOK) -> tuple[str, bool]:
    """What SQLite finds wrong in a file, "" for nothing, and whether it came to the end in so many seconds."""
    until = time.monotonic() + seconds
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            database.set_progress_handler(lambda: int(time.monotonic() > until), 10_000)
            rows = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        slow = any(word in str(error) for word in ("locked", "interrupted"))
        return ("" if slow else str(error)), False
    except sqlite3.DatabaseError as error:
        return str(error), True
    return ("" if rows == [("ok",)] else str(rows[0][0])), True


def postgres_findings(whose: str, url: str, name: str = NAME) -> Findings:
    scheme, _, driver = urlsplit(url).scheme.partition("+")
    if scheme not in ("postgresql", "postgres"):
        yield Finding(NOTE, name, f"{whose} is of a kind that is not looked at here ({scheme}://…)")
        return
    faults = list(_driver(driver, whose, name))
    yield from faults
    try:
        host, port = host_and_port(url, 5432)
        answers_tcp(host, port)
    except (NoReply, ValueError) as error:
        yield Finding(BAD, name, f"{whose}: {error}", "start the database, or correct the address")
        return
    if not faults:
        yield _of_sql(whose, url, f"{host}:{port}", name)


def _driver(module: str, whose: str, name: str = NAME) -> Findings:
    if not find_spec(module or "psycopg2"):
        package = DRIVERS.get(module, module)
        yield Finding(BAD, name, f"{whose} needs the driver {module or 'psycopg2'}", f"pip install {package}")


def _of_sql(whose: str, url: str, place: str, name: str) -> Finding:
    """Whether a SELECT is answered. asyncpg comes with Prefect, and reads the URL's user, password and database."""
    dsn = "postgresql://" + url.partition("://")[2].partition("?")[0]
    try:
        _within(lambda: asyncio.run(_select(dsn)))
    except Exception as error:  # of the driver: a password, a database that is not there, no PostgreSQL at all
        return Finding(BAD, name, f"{whose} at {place}: {str(error) or type(error).__name__}",
                       "see its user, password and database")  # fmt: skip
    return Finding(OK, name, f"{whose}: PostgreSQL at {place} takes this user")


async def _select(dsn: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(dsn, timeout=SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=SECONDS)
    finally:
        await connection.close(timeout=1)


def _within(action: Callable[[], None]) -> None:
    """Tells of silence in the words of the other checks."""
    try:
        action()
    except TimeoutError:
        raise NoReply(f"no answer within {SECONDS:.0f} seconds") from None
