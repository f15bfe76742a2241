"""What a stage hands on: an artifact, a folder of files with a record, whole or not there at all.

A `Store` keeps artifacts by stage and key. `FolderStore` keeps them in a folder of this machine, or of a file system
that machines share; `object_store.ObjectStore` where machines share nothing else; `MemoryStore` in memory, for tests.
Only a store knows where an artifact lies: all others ask it, or the artifact, for a folder with its files.

Beside artifacts it keeps what runs remember: documents, journals, and workspaces, which outlive a kill.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol

from typing_extensions import TypeVar

from configs.errors import InputError
from configs.schema import Frozen
from tasks.runtime.files import (
    Damaged,
    file_digest,
    locked,
    read_or_set_aside,
    read_sealed,
    size_of,
    try_lock,
    write_atomically,
    write_sealed,
)

log = logging.getLogger(__name__)
Record = dict[str, Any]
R = TypeVar("R", default=Record)
DOCUMENTS = "documents"


class DamagedArtifact(RuntimeError):
    """What an artifact's files hold is not what was published. The store no longer finds it, so that it is made again
    by whoever asks for it next."""

    def __init__(self, stage: str, key: str, fault: str) -> None:
        super().__init__(stage, key, fault)
        self.stage, self.key, self.fault = stage, key, fault

    def __str__(self) -> str:
        return f"{place(self.stage, self.key)}: {self.fault}"


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


class Workspace:
    """A file or folder that outlives a kill and is no artifact: checkpoints, reference log-probabilities.

    Who uses it takes care of several writers on a machine. This one is of a store that all machines see as a folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Path:
        """Its path on this machine, with what was saved elsewhere. Its parent exists."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._path

    def save(self) -> None:
        """Let other machines have what it holds now."""

    def remove(self) -> None:
        """Nobody needs it any more."""
        if self._path.is_dir():
            shutil.rmtree(self._path, ignore_errors=True)
        else:
            self._path.unlink(missing_ok=True)


class StoredDocument(Protocol):
    """JSON that several runs read and change."""

    def read(self) -> Any:
        """What it holds; None if there is none, or if it is damaged, which is logged."""

    def update(self, change: Callable[[Any], Any]) -> Any:
        """Replace what it holds by `change` of it, with nobody else's change lost in between; what it then holds.

        `change` may be called more than once, each time on what another writer has left.
        """


class Journal:
    """Rows that every run adds to and none changes. Where machines share a folder, they share a file instead."""

    def add(self, rows: list[Any]) -> None:
        """Let other machines have these rows, which JSON can hold; safe in threads."""

    def others(self, read: Collection[str]) -> Iterator[tuple[str, list[Any]]]:
        """Name and rows of each addition whose name is not among those `read` already."""
        return iter(())


@dataclass(frozen=True)
class Entry:
    """Something that a store keeps. `age`: seconds since it was last written.

    leftover: of a build that was killed, or that another one overtook; or of one under way, whose age is nothing or
    next to it.
    """

    kind: Literal["artifact", "workspace", "leftover"]
    stage: str
    key: str
    size: int
    """In bytes."""
    age: float


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
    def check(self) -> None:
        """See that it can be written and read, and that of two who publish one key one wins.

        Raises:
            InputError: it can't; the message says what to do.
        """

    @abstractmethod
    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact, or None; one whose files are not what was published is said and counts as none."""

    @abstractmethod
    def fetch(self, stage: str, key: str) -> Path:
        """A folder of this machine with the files of a finished artifact, to be read only.

        Raises:
            FileNotFoundError: there is no such artifact.
            DamagedArtifact: its files are not what was published.
        """

    @abstractmethod
    def distrust(self, stage: str, key: str, fault: str) -> None:
        """Another process has found an artifact damaged, and said so: look at it again, or do not find it any more."""

    @abstractmethod
    def building(self, stage: str, key: str) -> AbstractContextManager[Path]:
        """An empty folder to build an artifact in; gone afterwards.

        A store that can lets one process or thread at a time build a key, while the others wait.
        """

    @abstractmethod
    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        """Keep what `building` gave and a stage has filled, whole or not at all.

        Where another has published the key meanwhile, that artifact is given; a damaged one gives way.
        """

    def where(self, stage: str, key: str) -> str:
        """Where an artifact lies, for a person to read."""
        return f"{self.address}/{place(stage, key)}"

    @abstractmethod
    def workspace(self, *names: str) -> Workspace:
        """The file or folder of these names."""

    @abstractmethod
    def document(self, *names: str) -> StoredDocument:
        """The document of these names."""

    def journal(self, name: str) -> Journal:
        """The journal of this name."""
        return Journal()

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """All that it keeps but documents and journals, with its size."""

    @abstractmethod
    def discard(self, entry: Entry) -> None:
        """Remove something for good, unless somebody has it in use."""


def place(stage: str, key: str) -> str:
    """Where an artifact lies below the root of any store."""
    return f"{stage}/{key}"


def digests(folder: Path) -> dict[str, str]:
    """File below the folder → SHA-256 of its content."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in paths}


def compare(folder: Path, files: dict[str, str]) -> None:
    """Raises `Damaged` with the first file that is not what was published, of those with these digests."""
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"{name} is gone")
        if file_digest(path) != digest:
            raise Damaged(f"{name} is not what was written")


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

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.root, prefix=".check") as folder:
                write_atomically(Path(folder) / "file", "written")
        except OSError as error:
            raise InputError(f"{self.address}: {error.strerror or error}; the store must be a folder that can be "
                             "written") from None  # fmt: skip

    def find(self, stage: str, key: str) -> Artifact | None:
        where = place(stage, key)
        try:
            record, files = self._read_record(where)
            if where not in self._whole:
                compare(self.root / where, files)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Damaged as error:
            self._say_damaged(stage, key, str(error))
            return None
        self._whole.add(where)
        return Artifact(stage, key, record, self)

    def _say_damaged(self, stage: str, key: str, fault: str) -> None:
        where = place(stage, key)
        if where not in self._damaged:
            log.warning("%s: %s; it counts as not there, and is made again", self.where(stage, key), fault)
        self._damaged.add(where)

    def _read_record(self, where: str) -> tuple[Record, dict[str, str]]:
        """What the stage said, and file → digest; no digests where an earlier version kept the artifact."""
        try:
            content = read_sealed(self.root / where / "record.json")
        except Damaged as error:
            raise Damaged(f"record.json is {error}") from None
        if set(content) == {"record", "files"}:
            return content["record"], content["files"]
        return content, {}

    def fetch(self, stage: str, key: str) -> Path:
        where = place(stage, key)
        if where not in self._whole and self.find(stage, key) is None:
            if where in self._damaged and (self.root / where).is_dir():
                raise DamagedArtifact(stage, key, "its files are not what was written")
            raise FileNotFoundError(f"{self.where(stage, key)}: no such artifact")
        return self.root / where

    def distrust(self, stage: str, key: str, fault: str) -> None:
        self._whole.discard(place(stage, key))

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
        write_sealed(folder / "record.json", {"record": record, "files": digests(folder)})
        final = self.root / place(stage, key)
        if final.is_dir():
            shutil.rmtree(final)
        final.unlink(missing_ok=True)
        os.rename(folder, final)
        self._whole.add(place(stage, key))
        return Artifact(stage, key, record, self, fresh=True)

    def workspace(self, *names: str) -> Workspace:
        return Workspace(self.root.joinpath(*names))

    def document(self, *names: str) -> StoredDocument:
        return FileDocument(self.root.joinpath(DOCUMENTS, *names))

    def entries(self) -> Iterator[Entry]:
        now = time.time()
        for path in sorted(self.root.glob("*/*")):
            if path.parent.name != DOCUMENTS and path.suffix != ".lock":
                kind: Any = "leftover" if path.suffix == ".partial" else "workspace"
                if (path / "record.json").exists():
                    kind = "artifact"
                age = now - path.stat().st_mtime
                if kind == "leftover" and self._under_way(path.with_suffix(".lock")):
                    age = 0.0
                yield Entry(kind, path.parent.name, path.name, size_of(path), age)

    def _under_way(self, lock: Path) -> bool:
        """Whether somebody holds the lock of a build, which may write nothing for hours."""
        held = try_lock(lock)
        if held is not None:
            os.close(held)
        return held is None

    def discard(self, entry: Entry) -> None:
        with locked(self.root / f"{place(entry.stage, entry.key.removesuffix('.partial'))}.lock"):
            Workspace(self.root / place(entry.stage, entry.key)).remove()
            self._whole.discard(place(entry.stage, entry.key))


class FileDocument:
    """A `StoredDocument` in a file, with its digest; a lock beside it lets one writer at a time change it."""

    def __init__(self, path: Path, consequence: str = "what it remembered is forgotten") -> None:
        """consequence: of its damage, as the log then says."""
        self._path, self._consequence = path.with_name(f"{path.name}.json"), consequence

    def read(self) -> Any:
        return read_or_set_aside(self._path, self._consequence)

    def update(self, change: Callable[[Any], Any]) -> Any:
        with locked(self._path.with_suffix(".lock")):
            changed = change(self.read())
            write_sealed(self._path, changed)
        return changed


class MemoryStore(Store):
    """Artifacts in the memory of one process; `fetch` unpacks them into a scratch folder. For tests."""

    __slots__ = ("_artifacts", "_building", "_changing", "_scratch", "address")

    def __init__(self) -> None:
        self.address = "memory"
        self._artifacts: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = {}
        self._building: dict[tuple[str, str], threading.Lock] = {}
        self._changing = threading.Lock()
        self._scratch = tempfile.TemporaryDirectory()

    def check(self) -> None:
        """Memory can be written."""

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

    def distrust(self, stage: str, key: str, fault: str) -> None:
        """Memory is trusted."""

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

    def workspace(self, *names: str) -> Workspace:
        return Workspace(Path(self._scratch.name, "workspace", *names))

    def document(self, *names: str) -> StoredDocument:
        return FileDocument(Path(self._scratch.name, DOCUMENTS, *names))

    def entries(self) -> Iterator[Entry]:
        for (stage, key), (_, files) in self._artifacts.items():
            yield Entry("artifact", stage, key, sum(map(len, files.values())), 0.0)

    def discard(self, entry: Entry) -> None:
        self._artifacts.pop((entry.stage, entry.key), None)
