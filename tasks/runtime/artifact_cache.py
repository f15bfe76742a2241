"""Artifacts of an object store on this machine: fetched once, whole or not there, no more than there is room for."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import InputError
from tasks.runtime.files import Damaged, locked, size_of, try_lock
from tasks.runtime.home import home

log = logging.getLogger(__name__)
SIZE = "PLURALIGN_CACHE_GB"
"""The variable with the most that the artifacts of a cache take, in 10⁹ bytes."""
DEFAULT_GB = 50.0
HELD = 64
"""So many artifacts that a process has asked for last are not removed by others."""


class ArtifactCache:
    """At `ROOT/artifacts/STAGE/KEY/ATTEMPT`; several processes may use one. Who has been asked for least lately goes.

    A process holds a shared lock on what it has asked for lately, and only what nobody holds is removed.
    """

    def __init__(self, root: Path, most: float) -> None:
        """most: bytes that artifacts may take."""
        self._root, self._most = root, most
        self._whole: set[str] = set()
        self._held: OrderedDict[str, int] = OrderedDict()
        self._changing = threading.Lock()
        self._room = 0.0
        """Bytes that may still come before it is looked what there is."""

    @classmethod
    def of(cls, address: str) -> ArtifactCache:
        """The cache of a store, in the home.

        Raises:
            InputError: its bound is not a number above 0.
        """
        given = os.environ.get(SIZE) or str(DEFAULT_GB)
        try:
            most = float(given)
        except ValueError:
            most = 0.0
        if not 0 < most < float("inf"):
            raise InputError(f"{SIZE}: expected a number above 0, got {given!r}")
        return cls(home().absolute() / "cache" / hashlib.sha256(address.encode()).hexdigest()[:16], most * 1e9)

    def get(self, name: str, download: Callable[[Path], None], check: Callable[[Path], None]) -> Path:
        """The artifact's folder, filled by `download` and seen by `check` where it is not here already.

        Raises:
            Damaged: `check` says so of what was downloaded just now.
        """
        folder = self._artifact(name)
        self._hold(name)
        if name in self._whole and folder.is_dir():
            os.utime(folder)
            return folder
        with locked(self._lock(name, ".fetch")):
            if folder.is_dir():
                try:
                    check(folder)
                except Damaged as error:
                    log.warning("%s: %s; it is fetched again", folder, error)
                    shutil.rmtree(folder)
            if not folder.is_dir():
                with self._scratch() as partial:
                    download(partial)
                    check(partial)
                    folder.parent.mkdir(parents=True, exist_ok=True)
                    partial.rename(folder)
        self._whole.add(name)
        os.utime(folder)
        self._make_room(folder)
        return folder

    def put(self, name: str, folder: Path) -> None:
        """Keep a folder that has just been published; it is moved."""
        self._hold(name)
        own = self._artifact(name)
        own.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(own)
        self._whole.add(name)
        self._make_room(own)

    @contextmanager
    def building(self, name: str) -> Iterator[Path]:
        """An empty folder to build in; on this machine one at a time of a name."""
        with locked(self._lock(name, ".build")), self._scratch() as folder:
            yield folder

    def workspace(self, *names: str) -> Path:
        return self._root.joinpath("workspaces", *names)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """An empty folder, which may be moved away meanwhile."""
        (self._root / "partial").mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._root / "partial"))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _artifact(self, name: str) -> Path:
        return self._root / "artifacts" / name

    def _lock(self, name: str, ending: str) -> Path:
        return self._root / "locks" / (name.replace("/", "-") + ending)

    def _hold(self, name: str) -> None:
        """Keep others from removing it, while it is among those asked for last."""
        with self._changing:
            if name not in self._held:
                path = self._lock(name, ".used")
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # who removes something holds its lock for a moment only
                self._held[name] = descriptor
            self._held.move_to_end(name)
            while len(self._held) > HELD:
                os.close(self._held.popitem(last=False)[1])

    def _make_room(self, added: Path) -> None:
        with self._changing:
            self._room -= size_of(added)
            if self._room < 0:
                self._remove_oldest()

    def _remove_oldest(self) -> None:
        sizes = {}
        for folder in self._root.glob("artifacts/*/*/*"):
            try:
                sizes[folder] = folder.stat().st_mtime, size_of(folder)
            except FileNotFoundError:
                continue  # another process has removed it
        left = sum(size for _, size in sizes.values())
        for folder in sorted(sizes, key=lambda folder: sizes[folder]):
            if left <= self._most:
                break
            name = folder.relative_to(self._root / "artifacts").as_posix()
            held = None if name in self._held else try_lock(self._lock(name, ".used"))
            if held is None:
                continue
            try:
                shutil.rmtree(folder, ignore_errors=True)
                self._whole.discard(name)
                left -= sizes[folder][1]
            finally:
                os.close(held)
        self._room = (self._most - left) / 2  # other processes add too
