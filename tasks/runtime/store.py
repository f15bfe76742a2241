"""What a stage hands on: an artifact, a folder of files with a record, whole or not there at all.

A `Store` keeps artifacts by stage and key. `FolderStore` keeps them in a folder of this machine, or of a file system
that machines share; `MemoryStore` in memory, for tests. Only a store knows where an artifact lies: all others ask it,
or the artifact, for a folder with its files.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from typing_extensions import TypeVar

from configs.schema import Frozen
from tasks.runtime.files import Damaged, file_digest, locked, read_sealed, write_atomically, write_sealed
from tasks.runtime.home import home

log = logging.getLogger(__name__)
Record = dict[str, Any]
R = TypeVar("R", default=Record)


@dataclass(frozen=True)
class Artifact(Generic[R]):
    """A finished artifact. `fresh`: built by this very call, not found. `record`: what its stage says of it."""

    stage: str
    key: str
    record: R
    store: Store = field(repr=False, compare=False)
    fresh: bool = False

    @property
    def path(self) -> Path:
        """A folder of this machine with its files, to be read only."""
        return self.store.fetch(self.stage, self.key)


class StoredFile(Frozen):
    """A file of an artifact, named so that whoever has the store finds it."""

    stage: str
    key: str
    name: str

    def fetch(self, store: Store) -> Path:
        """The file on this machine."""
        return store.fetch(self.stage, self.key) / self.name


class Store(ABC):
    """Where artifacts are kept. A new kind gives the abstract methods, and a place in `open_store`."""

    address: str
    """What `open_store` opens this store by, from another process."""

    def make(self, stage: str, key: str, build: Callable[[Path], Record | None]) -> Artifact:
        """The artifact, found or built now: `build(folder)` fills an empty folder and returns the record.

        Whatever `build` raises goes through, and leaves nothing behind.
        """
        finished = self.find(stage, key)
        if finished:
            return finished
        with self.building(stage, key) as folder:
            return self.find(stage, key) or self.publish(stage, key, folder, build(folder) or {})

    @abstractmethod
    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact, or None; one whose files are not what was published is said and counts as none."""

    @abstractmethod
    def fetch(self, stage: str, key: str) -> Path:
        """A folder of this machine with the files of a finished artifact, to be read only.

        Raises:
            FileNotFoundError: there is no such artifact.
        """

    @abstractmethod
    def building(self, stage: str, key: str) -> AbstractContextManager[Path]:
        """An empty folder to build an artifact in; gone afterwards.

        A store that can lets one process or thread at a time build a key, while the others wait.
        """

    @abstractmethod
    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        """Keep what `building` gave and a stage has filled, whole or not at all.

        Nothing that `find` finds is there yet under the key; a damaged artifact gives way.
        """

    def where(self, stage: str, key: str) -> str:
        """Where an artifact lies, for a person to read."""
        return f"{self.address}/{place(stage, key)}"

    @abstractmethod
    def workspace(self, *names: str) -> Path:
        """The path of a file or folder that outlives a kill and is no artifact: checkpoints, verdicts.

        Its parent exists. Who uses it takes care of several writers, and removes it.
        """


def place(stage: str, key: str) -> str:
    """Where an artifact lies below the root of any store."""
    return f"{stage}/{key}"


def open_store(address: str) -> Store:
    """The store at an address: a folder's path."""
    return FolderStore(Path(address))


def home_store() -> Store:
    """The store that this user's studies share."""
    return open_store(str(home() / "store"))


class FolderStore(Store):
    """Artifacts at `ROOT/STAGE/KEY/`.

    One is built in a folder beside that and renamed into place, so a killed run leaves nothing half-written; a kernel
    lock lets one process build while others wait, and is gone with its holder. The record holds the digest of every
    file; a process compares them when it first meets an artifact.
    """

    __slots__ = ("_damaged", "_whole", "address", "root")  # with slots, Prefect stores nothing of it as a parameter

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root.absolute())
        self._whole: set[str] = set()
        self._damaged: set[str] = set()

    def find(self, stage: str, key: str) -> Artifact | None:
        where = place(stage, key)
        try:
            record, files = self._read_record(where)
            if where not in self._whole:
                self._compare(where, files)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Damaged as error:
            if where not in self._damaged:
                log.warning("%s: %s; it counts as not there, and is made again", self.where(stage, key), error)
            self._damaged.add(where)
            return None
        self._whole.add(where)
        return Artifact(stage, key, record, self)

    def _read_record(self, where: str) -> tuple[Record, dict[str, str]]:
        """What the stage said, and file → digest; no digests where an earlier version kept the artifact."""
        try:
            content = read_sealed(self.root / where / "record.json")
        except Damaged as error:
            raise Damaged(f"record.json is {error}") from None
        if set(content) == {"record", "files"}:
            return content["record"], content["files"]
        return content, {}

    def _compare(self, where: str, files: dict[str, str]) -> None:
        """Raises `Damaged` with the first file that is not what was published."""
        for name, digest in files.items():
            path = self.root / where / name
            if not path.is_file():
                raise Damaged(f"{name} is gone")
            if file_digest(path) != digest:
                raise Damaged(f"{name} is not what was written")

    def fetch(self, stage: str, key: str) -> Path:
        if place(stage, key) not in self._whole and self.find(stage, key) is None:
            raise FileNotFoundError(f"{self.where(stage, key)}: no such artifact")
        return self.root / place(stage, key)

    @contextmanager
    def building(self, stage: str, key: str) -> Iterator[Path]:
        with locked(self.root / f"{place(stage, key)}.lock"):
            partial = self.root / f"{place(stage, key)}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            try:
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        files = {
            str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        write_sealed(folder / "record.json", {"record": record, "files": files})
        final = self.root / place(stage, key)
        if final.is_dir():
            shutil.rmtree(final)
        final.unlink(missing_ok=True)
        os.rename(folder, final)
        self._whole.add(place(stage, key))
        return Artifact(stage, key, record, self, fresh=True)

    def workspace(self, *names: str) -> Path:
        path = self.root.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class MemoryStore(Store):
    """Artifacts in the memory of one process; `fetch` unpacks them into a scratch folder. For tests."""

    __slots__ = ("_artifacts", "_building", "_changing", "_scratch", "address")

    def __init__(self) -> None:
        self.address = "memory"
        self._artifacts: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = {}
        self._building: dict[tuple[str, str], threading.Lock] = {}
        self._changing = threading.Lock()
        self._scratch = tempfile.TemporaryDirectory()

    def find(self, stage: str, key: str) -> Artifact | None:
        kept = self._artifacts.get((stage, key))
        return Artifact(stage, key, json.loads(kept[0]), self) if kept else None

    def fetch(self, stage: str, key: str) -> Path:
        if (stage, key) not in self._artifacts:
            raise FileNotFoundError(f"{place(stage, key)}: no such artifact")
        folder = Path(self._scratch.name, "fetched", place(stage, key))
        with self._changing:
            if not folder.exists():
                folder.mkdir(parents=True)
                for name, content in self._artifacts[stage, key][1].items():
                    write_atomically(folder / name, content)
        return folder

    @contextmanager
    def building(self, stage: str, key: str) -> Iterator[Path]:
        with self._changing:
            lock = self._building.setdefault((stage, key), threading.Lock())
        with lock, tempfile.TemporaryDirectory(dir=self._scratch.name) as folder:
            yield Path(folder)

    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self._artifacts[stage, key] = json.dumps(record), files
        return Artifact(stage, key, record, self, fresh=True)

    def workspace(self, *names: str) -> Path:
        path = Path(self._scratch.name, "workspace", *names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
