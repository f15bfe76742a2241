"""The content of an export's files: regular ones only, and of an export that somebody else dropped, none outside of it.

A link may lead anywhere, also to what nobody meant to show; a pipe or a device would be waited for without end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from configs.errors import InputError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
"""A pipe is opened without waiting for what is written into it."""


def read_file(path: Path, within: Path | None = None) -> bytes:
    """The content of a regular file.

    Args:
        within: an export, a folder or the file itself, which is no link. Links in it count where they stay in it; one
            that leads out of it is refused, also if it came only a moment ago.

    Raises:
        InputError: there is no such file, it is no regular one, or it lies outside of `within`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if within is None else _open_within(path, within)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{path}: not a regular file")
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def leads_out(path: Path, within: Path) -> bool:
    """Whether a path leads out of an export by a link, or by being one."""
    return not Path(os.path.realpath(path)).is_relative_to(_place(within))


def _place(within: Path) -> Path:
    """Where an export lies; only it may not be a link, the folders above it may."""
    absolute = Path(os.path.abspath(within))
    return Path(os.path.realpath(absolute.parent)) / absolute.name


def _open_within(path: Path, within: Path) -> int:
    """A descriptor of the file, reached step by step from the export's folder, so that no link takes it elsewhere."""
    if leads_out(path, within):
        raise InputError(f"{path}: a link that leads out of the export; it is not read")
    place = _place(within)
    *folders, name = Path(os.path.realpath(path)).relative_to(place.parent).parts
    at = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            at, above = os.open(folder, FOLDER, dir_fd=at), at
            os.close(above)
        return os.open(name, FILE, dir_fd=at)
    finally:
        os.close(at)
