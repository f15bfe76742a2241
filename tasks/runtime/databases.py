"""SQLite files that a product makes for itself (MLflow, Prefect): whole or not there at all, of the version installed.

A product that is killed while it makes its tables leaves a file that breaks each later start.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tasks.runtime.files import set_aside, write_atomically

log = logging.getLogger(__name__)
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite appends to a file's name for those that belong to it."""


@dataclass(frozen=True)
class Product:
    """How a product makes the tables of a file, or brings them up to its version, and which of them holds runs."""

    name: str
    runs: str
    upgrade: Callable[[Path], tuple[list[str], dict[str, str]]]
    """File → arguments after `python -m`, and what they need in the environment."""


def make_database(file: Path, product: Product) -> bool:
    """The product's file, made where there is none, or brought up to the version installed; whether it is a new one.

    It is made beside its place and renamed, so that a kill leaves none half-made. One that the product cannot bring up
    and in which there are no runs (it is half-made, or no database any more) is set aside and made anew. The caller
    holds its lock, since two processes that make one file break each other.

    Raises:
        OSError: the product can't make it, or can't bring up one that holds runs.
    """
    note, now = file.with_suffix(".version"), version(product.name)
    runs = _has_runs(file, product)
    if runs is not None and note.exists() and note.read_text() == now:
        return False
    fault = _upgrade(file, product) if file.exists() else ""
    if fault and runs:
        raise OSError(f"{file}: {fault}")
    if fault:
        log.warning("%s is no whole database of %s's: kept as %s, made anew", file, product.name, _put_away(file))
    is_new = not file.exists()
    if is_new:
        _make(file, product)
    write_atomically(note, now, 0o600)
    return is_new


def remove_database(file: Path) -> None:
    """Forget a file that nothing rests on, with all that belongs to it."""
    for name in (file.with_suffix(".version"), file, *_beside(file)):
        name.unlink(missing_ok=True)


def _make(file: Path, product: Product) -> None:
    """In a folder of its own: where a maker was killed, what it started may write into the last one's still."""
    beginning = f".{file.name}.partial."
    for left in file.parent.glob(f"{beginning}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=beginning, dir=file.parent) as folder:
        partial = Path(folder) / file.name
        if fault := _upgrade(partial, product):
            raise OSError(f"{file}: {fault}")
        _has_runs(partial, product)  # SQLite puts into the file what lies beside it, when the last reader closes it
        partial.chmod(0o600)
        partial.rename(file)


def _has_runs(file: Path, product: Product) -> bool | None:
    """Whether there are runs in a file; None if there is no file, no such table, or no database in it."""
    if not file.exists():
        return None
    with closing(sqlite3.connect(file)) as database:
        try:
            return bool(database.execute(f"SELECT 1 FROM {product.runs} LIMIT 1").fetchall())  # noqa: S608
        except sqlite3.DatabaseError as error:
            return True if "locked" in str(error) else None


def _upgrade(file: Path, product: Product) -> str:
    """Let the product do it; why it could not, "" if it could."""
    arguments, environment = product.upgrade(file.resolve())
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return (done.stderr.strip().splitlines() or ["it gave no reason"])[-1] if done.returncode else ""


def _put_away(file: Path) -> str:
    for name in _beside(file):
        name.unlink(missing_ok=True)
    return set_aside(file).name


def _beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + ending) for ending in BESIDE]
