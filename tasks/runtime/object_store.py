"""A store that machines share over the network (S3, Google Cloud Storage, Azure, or a folder as `file://`), by obstore.

```
STAGE/KEY/record.json      what the stage says, the digest and size of every file, and the attempt whose files they are
STAGE/KEY/ATTEMPT/FILE     the files of each who published; only those that the record names count
STAGE/KEY/claims/000001    who builds it now
workspaces/…               checkpoints, reference log-probabilities
documents/NAME/000001      what runs remember: each change is another number
journals/NAME/…            rows that are only added
```
The record is put last and only where there is none, so that of two who publish one key exactly one wins. An answer can
get lost on the way: who won is read from the record, never from an error. A key is built by who made the claim of the
highest number. A claim is renewed while its owner lives; one that stays as it is for a while can be overtaken, by this
machine's own clock, since clocks differ. Should both then publish, the record decides.

Files are fetched into a cache of this machine, and compared with their digests there.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from configs.errors import InputError
from tasks.runtime.artifact_cache import ArtifactCache
from tasks.runtime.files import Damaged, sealed, unsealed
from tasks.runtime.store import (
    Artifact,
    DamagedArtifact,
    Entry,
    Journal,
    Record,
    Store,
    StoredDocument,
    Workspace,
    compare,
    digests,
    place,
)

log = logging.getLogger(__name__)
CLAIM_SECONDS = 45.0
"""After so long without a sign of life, a build counts as given up."""
RENEW_SECONDS = 10.0
POLL_SECONDS = 1.0
AT_ONCE = 8
"""Files that are sent or fetched at the same time."""
WORKSPACES, DOCUMENTS, JOURNALS, CLAIMS = "workspaces", "documents", "journals", "claims"
SCHEMES = ("s3", "gs", "az", "file", "memory")


class Remote:
    """The objects of one address, by key. Errors are obstore's; an object that is not there is a FileNotFoundError."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in SCHEMES:
            raise InputError(f"{address}: a store is a folder, or a URL that begins with {', '.join(SCHEMES)} and ://")
        if "@" in parts.netloc:
            raise InputError(f"{parts.scheme}://…: a store's credentials come from the environment, not from its URL")
        from obstore.store import from_url

        try:
            options: Any = {"mkdir": True} if parts.scheme == "file" else {}
            self.objects: Any = from_url(address, **options)
        except Exception as error:  # of obstore's own classes, which share no base but this
            raise InputError(f"{address}: {first_line(error)}") from None

    def put(self, key: str, content: bytes | str | Path) -> None:
        import obstore

        obstore.put(self.objects, key, content.encode() if isinstance(content, str) else content)

    def create(self, key: str, content: str) -> None:
        """Put where there is nothing. Raises AlreadyExistsError, also where an answer got lost and it was this call."""
        import obstore

        obstore.put(self.objects, key, content.encode(), mode="create", use_multipart=False)

    def get(self, key: str) -> bytes:
        import obstore

        return bytes(obstore.get(self.objects, key).bytes())

    def fetch(self, key: str, path: Path) -> None:
        """Into a file, in pieces: the object may not fit into memory."""
        import obstore

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in obstore.get(self.objects, key).stream():
                file.write(piece)

    def list(self, prefix: str) -> Iterator[Any]:
        """Of each object below a folder: `path`, `size` and `last_modified`."""
        import obstore

        for part in obstore.list(self.objects, prefix, chunk_size=1000):
            yield from part

    def sizes(self, key: str) -> dict[str, int]:
        """Key → size of all that lies there: a single object, or those below a folder."""
        import obstore

        there = {item["path"]: item["size"] for item in self.list(key)}
        if not there:
            with suppress(FileNotFoundError):
                there[key] = obstore.head(self.objects, key)["size"]
        return there

    def delete(self, keys: Collection[str]) -> None:
        import obstore

        for key in keys:
            with suppress(FileNotFoundError):
                obstore.delete(self.objects, key)


def first_line(error: BaseException) -> str:
    """An error of obstore's, without what it prints of its innards."""
    text = str(error).split("\n")[0].strip()
    return (text or type(error).__name__)[:300]


class ObjectStore(Store):
    """Artifacts in an object store, and a cache of them on this machine."""

    __slots__ = ("_cache", "_damaged", "_known", "_remote", "_said", "address", "owner")  # as FolderStore has

    def __init__(self, address: str, owner: str = "") -> None:
        self.address, self.owner = address, owner or secrets.token_hex(8)
        self._remote = Remote(address)
        self._cache = ArtifactCache.of(address)
        self._known: dict[str, dict[str, Any]] = {}
        """Place → its record, of what has been found or published."""
        self._damaged: dict[str, str] = {}
        """Place → the attempt whose files are not what was published."""
        self._said: set[str] = set()
        """Places that were said to be damaged."""

    def check(self) -> None:
        key = f"checks/{secrets.token_hex(8)}"
        try:
            self._remote.create(key, "first")
            try:
                self._remote.create(key, "second")
            except Exception as error:  # what obstore raises where an object is there differs
                log.debug("a second put was refused, as it must be: %s", error)
            if self._remote.get(key) != b"first":
                need = "conditional puts (If-None-Match), without which runs can't share it"
                raise InputError(f"{self.address}: this store has no {need}")
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{self.address}: {said(error)}") from None
        finally:
            with suppress(Exception):
                self._remote.delete([key])

    # ---- artifacts

    def find(self, stage: str, key: str) -> Artifact | None:
        where = place(stage, key)
        if where not in self._known:
            try:
                content = self._read_record(where)
                if content is None or self._damaged.get(where) == content["attempt"]:
                    return None
                self._see_sizes(where, content)
            except Damaged as error:
                self._say_damaged(stage, key, str(error))
                return None
            self._known[where] = content
        return Artifact(stage, key, self._known[where]["record"], self)

    def _read_record(self, where: str) -> dict[str, Any] | None:
        try:
            return unsealed(self._remote.get(f"{where}/record.json"))
        except FileNotFoundError:
            return None
        except Damaged as error:
            raise Damaged(f"record.json is {error}") from None

    def _see_sizes(self, where: str, content: dict[str, Any]) -> None:
        prefix = f"{where}/{content['attempt']}"
        found = {item["path"].removeprefix(f"{prefix}/"): item["size"] for item in self._remote.list(prefix)}
        for name, size in content["sizes"].items():
            if found.get(name) != size:
                self._damaged[where] = content["attempt"]
                raise Damaged(f"{name} is gone" if name not in found else f"{name} is not what was written")

    def _say_damaged(self, stage: str, key: str, fault: str) -> None:
        if place(stage, key) not in self._said:
            log.warning("%s: %s; it counts as not there, and is made again", self.where(stage, key), fault)
        self._said.add(place(stage, key))

    def fetch(self, stage: str, key: str) -> Path:
        where = place(stage, key)
        if self.find(stage, key) is None:
            raise FileNotFoundError(f"{self.where(stage, key)}: no such artifact")
        content = self._known[where]
        attempt, files = content["attempt"], content["files"]

        def download(folder: Path) -> None:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda name: self._remote.fetch(f"{where}/{attempt}/{name}", folder / name), files))

        try:
            return self._cache.get(f"{where}/{attempt}", download, lambda folder: compare(folder, files))
        except (Damaged, FileNotFoundError) as error:
            fault = str(error) if isinstance(error, Damaged) else "a file is gone"
            self._say_damaged(stage, key, fault)
            self.distrust(stage, key, fault)
            raise DamagedArtifact(stage, key, fault) from None

    def distrust(self, stage: str, key: str, fault: str) -> None:
        where = place(stage, key)
        content = self._known.pop(where, None) or self._read_record(where)
        if content:
            self._damaged[where] = content["attempt"]

    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        where, attempt, files = place(stage, key), secrets.token_hex(8), digests(folder)
        sizes = {name: (folder / name).stat().st_size for name in files}
        content = {"record": record, "files": files, "sizes": sizes, "attempt": attempt}
        text = sealed(content)  # what JSON can't hold raises before anything is sent
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: self._remote.put(f"{where}/{attempt}/{name}", folder / name), files))
        if self._enter(where, attempt, text):
            self._known[where] = json.loads(text)["content"]
            self._cache.put(f"{where}/{attempt}", folder)
            return Artifact(stage, key, record, self, fresh=True)
        self._remote.delete([f"{where}/{attempt}/{name}" for name in files])
        artifact = self.find(stage, key)
        if artifact is None:
            raise DamagedArtifact(stage, key, "what another run has published is damaged")
        return artifact

    def _enter(self, where: str, attempt: str, text: str) -> bool:
        """Make it the record, unless another's is there; whether it is."""
        for _ in range(5):
            fault: Exception | None = None
            try:
                self._remote.create(f"{where}/record.json", text)
            except Exception as error:  # another's record is there, or the answer got lost: the record tells
                fault = error
            try:
                there = self._read_record(where)
            except Damaged:
                there = {"attempt": self._damaged.get(where, "")}
                self._damaged[where] = there["attempt"]
            if there is None:
                if fault:
                    raise fault
                continue
            if there["attempt"] == attempt:
                self._damaged.pop(where, None)
                self._said.discard(where)
                return True
            if self._damaged.get(where) != there["attempt"]:
                return False
            self._remote.delete([f"{where}/record.json"])
        raise OSError(f"{self.address}/{where}: its record can't be written")

    # ---- who builds what

    @contextmanager
    def building(self, stage: str, key: str) -> Iterator[Path]:
        where = place(stage, key)
        with self._cache.building(where) as folder:
            claim = self._claim(stage, key)
            ended = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(claim, ended), daemon=True)
            if claim:
                renewing.start()
            try:
                yield folder
            finally:
                ended.set()
                if claim:
                    renewing.join()
                    with suppress(Exception):  # it then only stays as long as any other that was given up
                        self._remote.delete([claim])

    def _claim(self, stage: str, key: str) -> str:
        """The claim of this build, as soon as nobody else builds it; "" where another has finished it meanwhile."""
        folder, seen, since = f"{place(stage, key)}/{CLAIMS}", ("", ""), time.monotonic()
        mine = json.dumps([self.owner, secrets.token_hex(8)])
        while True:
            newest = max((item["path"] for item in self._remote.list(folder)), default="")
            number = int(newest.rpartition("/")[2]) if newest else 0
            with suppress(FileNotFoundError):
                holder = self._remote.get(newest).decode() if newest else ""
                if (newest, holder) != seen:
                    seen, since = (newest, holder), time.monotonic()
                given_up = time.monotonic() - since >= CLAIM_SECONDS
                if not newest or given_up or json.loads(holder)[0] == self.owner:
                    claim = f"{folder}/{number + 1:06d}"
                    try:
                        self._remote.create(claim, mine)
                    except Exception:  # another was faster, or the answer got lost
                        if self._remote.get(claim).decode() != mine:
                            continue
                    return claim
                if self.find(stage, key):
                    return ""
            time.sleep(POLL_SECONDS)

    def _renew(self, claim: str, ended: threading.Event) -> None:
        beat = 0
        while not ended.wait(RENEW_SECONDS):
            beat += 1
            try:
                self._remote.put(claim, json.dumps([self.owner, beat]))
            except Exception as error:  # the next time may do; else another builds it too
                log.debug("%s: a claim was not renewed: %s", self.address, error)

    # ---- what runs remember

    def workspace(self, *names: str) -> Workspace:
        return SharedWorkspace(self._cache.workspace(*names), self._remote, "/".join([WORKSPACES, *names]))

    def document(self, *names: str) -> StoredDocument:
        return NumberedDocument(self._remote, "/".join([DOCUMENTS, *names]))

    def journal(self, name: str) -> Journal:
        return SharedJournal(self._remote, f"{JOURNALS}/{name}")

    # ---- what it keeps

    def entries(self) -> Iterator[Entry]:
        now, of_place = time.time(), dict[str, list[Any]]()
        for item in self._remote.list(""):
            of_place.setdefault("/".join(item["path"].split("/")[: 3 if item["path"].startswith(WORKSPACES) else 2]), []
                                ).append(item)  # fmt: skip
        for where, items in of_place.items():
            top, *rest = where.split("/")
            size, age = sum(item["size"] for item in items), now - max(i["last_modified"].timestamp() for i in items)
            if top in (DOCUMENTS, JOURNALS) or not rest:
                continue
            if top == WORKSPACES:
                yield Entry("workspace", rest[0], "/".join(rest[1:]), size, age)
            elif any(item["path"] == f"{where}/record.json" for item in items):
                yield Entry("artifact", top, rest[0], size, age)
            else:
                yield Entry("leftover", top, rest[0], size, age)

    def discard(self, entry: Entry) -> None:
        names = [name for name in (entry.stage, entry.key) if name]
        if entry.kind == "workspace":
            self.workspace(*names).remove()
            return
        where = place(entry.stage, entry.key)
        self._known.pop(where, None)
        self._remote.delete([f"{where}/record.json"])  # first: what is left is no artifact
        self._remote.delete(self._remote.sizes(where))


def said(error: Exception) -> str:
    """Why an object store can't be used, and what to do."""
    kind, line = type(error).__name__, first_line(error)
    if "169.254.169.254" in line:  # where the clouds' own machines are told who they are
        return "no credentials for it are in the environment, and this machine has no role that gives any"
    if kind in ("PermissionDeniedError", "UnauthenticatedError"):
        return f"these credentials may not read and write there ({line})"
    if isinstance(error, FileNotFoundError):
        return f"there is no such bucket or folder ({line})"
    return f"it does not answer as an object store does ({line})"


class SharedWorkspace(Workspace):
    """A workspace of this machine with a copy in the object store; of two copies of a file the longer one counts."""

    def __init__(self, path: Path, remote: Remote, key: str) -> None:
        super().__init__(path)
        self._remote, self._key = remote, key
        self._sent: dict[str, tuple[int, int]] = {}
        """Key → size and time of the file that the store has."""

    def open(self) -> Path:
        path = super().open()
        with suppress(FileNotFoundError):
            for key, size in self._remote.sizes(self._key).items():
                own = self._file(key)
                if not own.exists() or own.stat().st_size < size:
                    part = own.with_name(f".{own.name}.{secrets.token_hex(4)}")
                    self._remote.fetch(key, part)
                    part.replace(own)
                    self._sent[key] = _stamp(own)
        return path

    def save(self) -> None:
        """A file that lists others is sent after them, since it says that they are whole."""
        own = {self._key_of(file): file for file in self._files()}
        for key in sorted(own, key=lambda key: (key.endswith(".json"), key)):
            stamp = _stamp(own[key])
            if self._sent.get(key) != stamp:
                self._remote.put(key, own[key])
                self._sent[key] = stamp
        self._remote.delete([key for key in self._remote.sizes(self._key) if key not in own])

    def remove(self) -> None:
        super().remove()
        self._remote.delete(self._remote.sizes(self._key))

    def _files(self) -> list[Path]:
        found = [self._path] if self._path.is_file() else self._path.rglob("*")
        return [file for file in found if file.is_file() and not file.name.startswith(".") and file.suffix != ".lock"]

    def _file(self, key: str) -> Path:
        inner = key.removeprefix(self._key).strip("/")
        return self._path / inner if inner else self._path

    def _key_of(self, file: Path) -> str:
        return self._key if file == self._path else f"{self._key}/{file.relative_to(self._path).as_posix()}"


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


class NumberedDocument:
    """A `StoredDocument` whose every change is an object of the next number, which only one writer can make."""

    KEPT = 20
    """Changes that stay, for who has read one of them and is slow to write."""

    def __init__(self, remote: Remote, key: str) -> None:
        self._remote, self._key = remote, key

    def read(self) -> Any:
        return self._newest()[1]

    def update(self, change: Callable[[Any], Any]) -> Any:
        while True:
            number, content = self._newest()
            changed = change(content)
            text = sealed([secrets.token_hex(8), changed])
            mine = f"{self._key}/{number + 1:06d}"
            with suppress(Exception):  # another was faster, or the answer got lost: what is there tells
                self._remote.create(mine, text)
            if self._remote.get(mine).decode() == text and self._newest()[0] == number + 1:
                self._remote.delete([f"{self._key}/{old:06d}" for old in [number + 1 - self.KEPT] if old > 0])
                return changed

    def _newest(self) -> tuple[int, Any]:
        """Number and content of the last change that is whole; 0 and None where there is none."""
        for path in sorted((item["path"] for item in self._remote.list(self._key)), reverse=True):
            try:
                return int(path.rpartition("/")[2]), unsealed(self._remote.get(path))[1]
            except FileNotFoundError:
                continue
            except Damaged as error:
                log.warning("%s: %s; what was remembered before it counts", path, error)
        return 0, None


class SharedJournal(Journal):
    """A journal whose every addition is an object of its own."""

    def __init__(self, remote: Remote, key: str) -> None:
        self._remote, self._key = remote, key

    def add(self, rows: list[Any]) -> None:
        self._remote.put(f"{self._key}/{secrets.token_hex(12)}", sealed(rows))

    def others(self, read: Collection[str]) -> Iterator[tuple[str, list[Any]]]:
        for item in list(self._remote.list(self._key)):
            name = item["path"].rpartition("/")[2]
            if name not in read:
                try:
                    yield name, unsealed(self._remote.get(item["path"]))
                except Damaged as error:
                    log.warning("%s: %s; its rows count as not there", item["path"], error)
