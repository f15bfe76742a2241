"""Verdicts, kept so that none is paid for twice: append-only, one SQLite file for all studies of a store.

Kept are grades, and the model's own refusal of a text. Whatever else left an answer unscored may pass: nothing of it is
kept, and the next run asks again.

A verdict's key is the SHA-256 of the judge's model, the rubric's version, the decoding settings, the prompt and the
answer, so another judge or rubric never reads another's verdicts.

Several processes may write: SQLite's own locks hold, a writer waits for another. The journal is SQLite's rollback
journal and not its write-ahead log, which needs memory that all writers share and machines on one network file system
do not have. There, locks must work (NFS 4, or NFS 3 with its lock daemon). What `add` has returned from survives a kill
and a power cut. Machines that share an object store instead tell each other by its journal, within seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import LlmJudgeSettings
from tasks.judging.llm.rubric import REFUSED
from tasks.runtime.files import locked
from tasks.runtime.store import Journal

log = logging.getLogger(__name__)
SECONDS_TO_WAIT = 60.0
"""For another writer, before a write fails."""
KEYS_A_QUERY = 10_000
SECONDS_TO_GATHER = 10.0
"""Before other machines are told of new verdicts, or asked for theirs, once more."""
ADDED = (
    "INSERT INTO verdicts (key, judge, grades, reason, model, input, output) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO NOTHING"
)
SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    key BLOB PRIMARY KEY, judge TEXT NOT NULL, grades BLOB NOT NULL, reason TEXT NOT NULL, model TEXT NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY, keys BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS submitted (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS collected (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS verdicts_hold BEFORE UPDATE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_stay BEFORE DELETE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
"""
WITHOUT_PASSING = f"""
BEGIN IMMEDIATE;
DROP TRIGGER verdicts_stay;
DELETE FROM verdicts WHERE length(grades) = 0 AND reason <> '{REFUSED}';
CREATE TRIGGER verdicts_stay BEFORE DELETE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
PRAGMA user_version = 1;
COMMIT;
"""  # noqa: S608 (a constant)
"""What a file of version 0 takes: in it stand failures that may have passed."""
KEY_BYTES = 32


@dataclass(frozen=True)
class Verdict:
    """The category of each dimension; or none, and the reason why the answer is unscored."""

    grades: tuple[int, ...]
    reason: str = ""
    model: str = ""
    """What the endpoint says that it ran."""
    input: int = 0
    output: int = 0
    """Tokens read and written, of all tries together."""

    @property
    def lasts(self) -> bool:
        """Whether asking the same model again would give no other."""
        return bool(self.grades) or self.reason == REFUSED


def verdict_key(settings: LlmJudgeSettings, rubric: str, prompt: str, answer: str) -> bytes:
    """Identity of a verdict; `rubric` is the rubric's version. The endpoint's address is not in it."""
    parts = [settings.model, rubric, settings.temperature, settings.max_tokens, prompt, answer]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


class Verdicts:
    """The verdicts of a file, made when first asked for. Safe in threads and with other processes."""

    def __init__(self, path: Path, journal: Journal | None = None) -> None:
        self._path, self._journal = path, journal or Journal()
        self._untold: list[list[Any]] = []
        """Rows for the journal, which go together."""
        self._told = self._heard = -math.inf
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Verdict]:
        """The verdicts that there are for these keys."""
        self._hear()
        verdicts = {}
        with self._lock:
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, grades, reason, model, input, output FROM verdicts WHERE key IN ({marks})"  # noqa: S608
                rows = self._connection().execute(query, part)
                verdicts.update({key: Verdict(tuple(grades), *rest) for key, grades, *rest in rows})
        return verdicts

    def add(self, judge: str, verdicts: Iterable[tuple[bytes, Verdict]]) -> None:
        """Keep those verdicts that last, all or none; the first one of a key counts."""
        rows = [(key, judge, bytes(v.grades), v.reason, v.model, v.input, v.output) for key, v in verdicts if v.lasts]
        self._write(ADDED, rows)
        with self._lock:
            self._untold += [[row[0].hex(), row[1], row[2].hex(), *row[3:]] for row in rows]
        if time.monotonic() - self._told >= SECONDS_TO_GATHER:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            rows, self._untold, self._told = self._untold, [], time.monotonic()
        if rows:
            self._journal.add(rows)

    def _hear(self) -> None:
        """Take in what other machines have added."""
        if time.monotonic() - self._heard < SECONDS_TO_GATHER:
            return
        self._heard = time.monotonic()
        with self._lock:
            read = {name for (name,) in self._connection().execute("SELECT name FROM journal")}
        for name, rows in self._journal.others(read):
            self._write(ADDED, [(bytes.fromhex(row[0]), row[1], bytes.fromhex(row[2]), *row[3:]) for row in rows])
            self._write("INSERT OR IGNORE INTO journal VALUES (?)", [(name,)])

    def close(self) -> None:
        self._tell()
        with self._lock:
            if self._open:
                self._open.close()
                self._open = None

    # ---- batches that an endpoint works on: planned, then submitted under an id, then collected

    def plan_batch(self, name: str, keys: Sequence[bytes]) -> None:
        """Note a batch before it is submitted, so that a kill in between does not lose it."""
        self._write("INSERT OR IGNORE INTO batches VALUES (?, ?)", [(name, b"".join(keys))])

    def submit_batch(self, name: str, id: str) -> None:
        """Note the endpoint's id of a batch."""
        self._write("INSERT OR IGNORE INTO submitted VALUES (?, ?)", [(name, id)])

    def collect_batch(self, name: str) -> None:
        """Note that a batch has ended and its verdicts are kept."""
        self._write("INSERT OR IGNORE INTO collected VALUES (?)", [(name,)])

    def open_batches(self) -> list[tuple[str, str | None, list[bytes]]]:
        """Name, the endpoint's id if it is known, and keys of every batch that is not collected."""
        with self._lock:
            rows = self._connection().execute(
                "SELECT name, id, keys FROM batches LEFT JOIN submitted USING (name) "
                "WHERE name NOT IN (SELECT name FROM collected) ORDER BY name"
            )
            return [
                (name, id, [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)])
                for name, id, keys in rows
            ]

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._lock, self._connection() as connection:
            connection.executemany(statement, rows)

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._path.with_suffix(".lock")):
                saved = self._put_away_if_damaged()
                opened = sqlite3.connect(self._path, timeout=SECONDS_TO_WAIT, check_same_thread=False)
                opened.execute("PRAGMA synchronous = FULL")
                opened.executescript(SCHEMA)
                if opened.execute("PRAGMA user_version").fetchone()[0] < 1:
                    opened.executescript(WITHOUT_PASSING)
                with opened:
                    opened.executemany(ADDED, saved)
            self._open = opened
        return self._open

    def _put_away_if_damaged(self) -> list[tuple[Any, ...]]:
        """Rename a file that was cut short or is no database; the verdicts that can be read of it."""
        with closing(sqlite3.connect(self._path, timeout=SECONDS_TO_WAIT)) as database:
            try:
                database.execute("SELECT 1 FROM sqlite_master").fetchall()  # ends what a kill has interrupted, too
                return []
            except sqlite3.OperationalError:  # locked for longer than one waits, or not to be opened
                raise
            except sqlite3.DatabaseError as error:
                fault = str(error)
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        self._path.rename(aside)
        saved = _readable(aside)
        log.warning("%s is damaged (%s): kept as %s; %d verdicts of it could be read, the others are asked for again",
                    self._path, fault, aside.name, len(saved))  # fmt: skip
        return saved


def _readable(file: Path) -> list[tuple[Any, ...]]:
    """The verdicts of a file of which pages are missing: SQLite reads the others once it has its length again."""
    with file.open("r+b") as opened:
        header = opened.read(32)
        if not header.startswith(b"SQLite format 3\0") or len(header) < 32:
            return []
        size, pages = int.from_bytes(header[16:18]), int.from_bytes(header[28:32])
        size = 65536 if size == 1 else size
        if size < 512:
            return []
        opened.truncate(file.stat().st_size // size * size)  # half a page would be read as rows that never were
        opened.truncate(max(size * pages, file.stat().st_size))
    saved: list[tuple[Any, ...]] = []
    query = "SELECT key, judge, grades, reason, model, input, output FROM verdicts WHERE key >= ? AND key < ?"
    with closing(sqlite3.connect(file)) as database:
        for first in range(256):  # keys are digests: where a page is gone, the parts beside it are read
            with suppress(sqlite3.DatabaseError):
                saved += database.execute(query, (bytes([first]), bytes([first + 1]) if first < 255 else b"\xff" * 33))
    return saved
