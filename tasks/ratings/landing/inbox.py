"""A folder where exports are dropped: which are complete, and where they go once they have been read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from configs.errors import InputError
from tasks.runtime.files import write_atomically

DONE, REFUSED = "done", "refused"


def waiting(inbox: Path, quiet_seconds: float) -> list[Path]:
    """Files and folders that nothing has changed for `quiet_seconds`, the one that came first first.

    Not among them: `done`, `refused`, an empty folder, a name that begins with a dot, and what is still on its way: a
    name that ends in `.part`, also of a file inside. What counts is when the system saw a change: a copied file's date
    may be old while it is being written.
    """
    changed = {entry: _changed(entry) for entry in inbox.iterdir() if entry.name not in (DONE, REFUSED)}
    ready = {entry: last for entry, last in changed.items() if last is not None and time.time() - last >= quiet_seconds}
    return sorted(ready, key=lambda entry: (ready[entry], entry.name))


def put_away(export: Path, place: str, reason: str) -> Path:
    """Move an export to the folder `place` beside it, with the reason in NAME.txt; a taken name gets a number.

    Raises:
        InputError: the folder is a link.
    """
    folder, number = export.parent / place, 1
    if folder.is_symlink():
        raise InputError(f"{folder}: a link, which is not followed; make it a folder")
    target = folder / export.name
    while os.path.lexists(target) or _reason_of(target).exists():
        number += 1
        target = folder / f"{export.stem}-{number}{export.suffix}"
    write_atomically(_reason_of(target), reason.strip() + "\n")
    os.rename(export, target)
    return target


def _reason_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.txt")


def _changed(entry: Path) -> float | None:
    """When something last changed in a file or folder; None where it is not complete, or just went away."""
    try:
        contents = list(_files(entry))
        if not contents or entry.name.startswith(".") or any(path.suffix == ".part" for path in (entry, *contents)):
            return None
        return max(os.lstat(path).st_ctime for path in (entry, *contents))
    except FileNotFoundError:
        return None


def _files(entry: Path) -> Iterator[Path]:
    """The entry itself, or all files and folders in it; no link is followed."""
    if entry.is_symlink() or not entry.is_dir():
        yield entry
        return
    for folder, folders, files in os.walk(entry):
        yield from (Path(folder) / name for name in (*folders, *files))
