"""Files and kernel locks: written whole or not at all, held by one process at a time and gone with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave the old one as it was; safe with several writers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive kernel lock on a file; waits while another process or thread has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while (held := try_lock(path)) is None:
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(held)


def try_lock(path: Path) -> int | None:
    """An exclusive kernel lock on a file, as the descriptor to close; None while another process or thread has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
