"""What a stage hands on: a folder of files with a record, whole or not there at all.

An artifact lives at `ROOT/STAGE/FINGERPRINT/`. It is built in a folder beside it and renamed into place, so a killed
run leaves nothing half-written; a kernel lock lets one process build while others wait, and is gone with its holder.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.runtime.files import locked, write_atomically

Record = dict[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A finished artifact. `fresh`: built by this very call, not found."""

    key: str
    path: Path
    record: Record
    fresh: bool = False


@dataclass(frozen=True)
class Store:
    """All artifacts of a machine, or of machines that share a file system."""

    root: Path

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact is, or will be."""
        return self.root / stage / key

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact, or None."""
        record = self.path(stage, key) / "record.json"
        return Artifact(key, record.parent, json.loads(record.read_text())) if record.exists() else None

    def make(self, stage: str, key: str, build: Callable[[Path], Record | None]) -> Artifact:
        """The artifact, found or built now: `build(folder)` fills an empty folder and returns the record.

        At most one process or thread builds a key at a time; the others wait and find what it made. Whatever `build`
        raises goes through, and leaves nothing behind.
        """
        found = self.find(stage, key)
        if found:
            return found
        with locked(self.root / stage / f"{key}.lock"):
            return self.find(stage, key) or self._build(stage, key, build)

    def _build(self, stage: str, key: str, build: Callable[[Path], Record | None]) -> Artifact:
        final, partial = self.path(stage, key), self.root / stage / f"{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            record = build(partial) or {}
            write_atomically(partial / "record.json", json.dumps(record, indent=1))
            os.rename(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Artifact(key, final, record, fresh=True)
