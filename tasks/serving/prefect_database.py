"""Prefect's SQLite file, whole before a server opens it: `python -m tasks.serving.prefect_database FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.runtime.databases import Product, make_database, remove_database
from tasks.runtime.files import locked

VARIABLE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
UPGRADE = ["prefect", "server", "database", "upgrade", "--yes"]
PREFECT = Product("Prefect", "flow_run", lambda file: (UPGRADE, {VARIABLE: f"sqlite+aiosqlite:///{file}"}))


def make_prefect_database(folder: Path, expendable: bool = False) -> None:
    """The file in Prefect's home, made, brought up to the version installed, or made anew if it was never whole.

    Args:
        folder: Prefect's home.
        expendable: whether one that holds runs, and can't be brought up, is made anew, too.

    Raises:
        OSError: Prefect can't make it, or can't bring up one that holds runs.
    """
    file = folder / "prefect.db"
    with locked(folder / "database.lock"):
        try:
            make_database(file, PREFECT)
        except OSError:
            if not expendable:
                raise
            remove_database(file)
            make_database(file, PREFECT)


if __name__ == "__main__":
    try:
        make_prefect_database(Path(sys.argv[1]))
    except OSError as error:
        sys.exit(str(error))
