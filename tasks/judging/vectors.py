"""Sentence embeddings, kept so that no text is encoded twice: one SQLite file for all studies of a store.

A vector's key is the encoder's identity, with its commit or the contents of its files, and the text.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from tasks.judging.group_fits import Array
from tasks.runtime.progress import Report, tell

SECONDS_TO_WAIT = 60.0
"""For another writer, before a write fails."""
TEXTS_A_WRITE = 200
"""A kill loses no more."""
KEYS_A_QUERY = 10_000
SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"


class TextEncoder(Protocol):
    """Makes a vector of a text."""

    @property
    def key(self) -> str:
        """Identity: what a vector depends on beside the text."""
        ...

    def encode(self, text: str) -> np.ndarray:
        """A vector of length 1, shape (width,), float32; the same whatever was encoded before."""
        ...

    def settle(self) -> None:
        """Make the key known, where it depends on something elsewhere."""
        ...

    def close(self) -> None:
        """Give memory back; it can be used again."""
        ...


class Vectors:
    """The vectors of one encoder. Safe in threads and with other processes."""

    def __init__(self, encoder: TextEncoder, path: Path) -> None:
        self.encoder, self._path = encoder, path
        self._encoding = threading.Lock()

    def of(self, texts: Sequence[str]) -> Array:
        """The embeddings of texts, shape (n, width), (0, 0) of none; those that are missing are made now and kept."""
        keys = [self._key(text) for text in texts]
        known = self._find(keys)
        if missing := {key: text for key, text in zip(keys, texts, strict=True) if key not in known}:
            with self._encoding:  # another thread may have made them meanwhile
                known |= self._find(list(missing))
                known |= self._make({key: text for key, text in missing.items() if key not in known})
        return np.array([known[key] for key in keys], dtype=float).reshape(len(keys), -1 if keys else 0)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.encoder.key}\n{text}".encode(errors="surrogatepass")).digest()

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        known = {}
        with self._file() as file:
            for start in range(0, len(keys), KEYS_A_QUERY):
                part = keys[start : start + KEYS_A_QUERY]
                query = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608
                known.update({key: np.frombuffer(vector, np.float32) for key, vector in file.execute(query, part)})
        return known

    def _make(self, missing: dict[bytes, str]) -> dict[bytes, np.ndarray]:
        made, places = dict[bytes, np.ndarray](), list(missing)
        for start in range(0, len(places), TEXTS_A_WRITE):
            part = places[start : start + TEXTS_A_WRITE]
            for key in part:
                made[key] = self.encoder.encode(missing[key])
                tell(Report("judge", len(made), len(places), "sentence embeddings"))
            with self._file() as file, file:
                rows = [(key, made[key].astype(np.float32).tobytes()) for key in part]
                file.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
        return made

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=SECONDS_TO_WAIT)) as file:
            file.execute(SCHEMA)
            yield file
