"""Files and kernel locks: written whole or not at all, held by one process at a time and gone with its holder.

What the product remembers in JSON is sealed: the digest of the content stands beside it, so that a file that was cut
short or changed is known when it is read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
SEAL = {"digest", "content"}


class Damaged(ValueError):
    """A file does not hold what was written into it; the message says in which way."""


def write_atomically(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a whole file, or leave the old one as it was; safe with several writers. The umask narrows `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sealed(content: Any) -> str:
    """What JSON can hold, with its digest, for `unsealed`."""
    return json.dumps({"digest": _digest(content), "content": content}, indent=1)


def unsealed(text: bytes) -> Any:
    """The content of what `sealed` gave, or any JSON of earlier versions, which has no seal.

    Raises:
        Damaged: the text was cut short or changed.
    """
    try:
        read = json.loads(text)
    except ValueError:
        raise Damaged("not the JSON that was written") from None
    if not isinstance(read, dict) or not SEAL & set(read):
        return read
    if set(read) != SEAL or _digest(read["content"]) != read["digest"]:
        raise Damaged("not the content that was written")
    return read["content"]


def write_sealed(path: Path, content: Any) -> None:
    """Write what JSON can hold, with its digest, for `read_sealed`."""
    write_atomically(path, sealed(content))


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote, or any JSON of earlier versions, which has no seal.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: the file was cut short or changed.
    """
    return unsealed(path.read_bytes())


def read_or_set_aside(path: Path, consequence: str) -> Any:
    """What a sealed file holds; None if there is none, or if it is damaged: it is then renamed, and that is logged."""
    try:
        return read_sealed(path)
    except FileNotFoundError:
        return None
    except Damaged as error:
        log.warning("%s: %s; kept as %s, %s", path, error, set_aside(path).name, consequence)
        return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file out of the way, in place of one renamed earlier; its new path."""
    return path.replace(path.with_name(f"{path.name}.damaged"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, or of a file."""
    return sum(path.stat().st_size for path in [folder, *folder.rglob("*")] if path.is_file())


def _digest(content: Any) -> str:
    """Of JSON's own form of the content, in which keys are text and in one order."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def kept_secret(path: Path) -> bytes:
    """What the file holds: 64 random hexadecimal digits that only its owner can read, made if there are none.

    Whoever makes it first, all get the same. A folder that is made for it is its owner's alone, too.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # fails where another maker was first, whose key then counts
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    path.chmod(0o600)
    return path.read_bytes().strip()


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
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
