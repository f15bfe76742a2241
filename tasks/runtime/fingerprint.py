"""The identity of inputs and settings: literals and the contents of files, never paths, devices or workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import pandas as pd

CODE = (".py", ".j2")
"""Endings of the files that the product is made of, beside its settings."""
LENGTH = 16
"""Hexadecimal digits kept of the SHA-256: 64 bits, beyond collision for the runs of any study."""


def fingerprint(value: Any) -> str:
    """SHA-256 of the value's canonical JSON.

    Takes settings (pydantic models), mappings with text keys, sequences, text, numbers, booleans and None.

    Raises:
        TypeError: for anything else, whose identity over runs and machines can't be known.
    """
    text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def content_digest(content: bytes) -> str:
    """As `file_digest`, of what was read of a file."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


@cache
def source_digest() -> str:
    """SHA-256 of the product's own source, of what is not numbered by hand as the results of stages are."""
    root = Path(__file__).parents[2]
    own = sorted(place for room in ("configs", "tasks") for place in (root / room).rglob("*.*") if place.suffix in CODE)
    return fingerprint([[str(place.relative_to(root)), file_digest(place)] for place in own])


def frame_digest(frame: pd.DataFrame) -> str:
    """SHA-256 of a table's columns and rows, in their order."""
    return hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()[:LENGTH]


def stable_share(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone: a stable stand-in for a random draw."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def stable_hash(keys: pd.DataFrame, seed: int) -> pd.Series:
    """A 64-bit hash of each row's keys and the seed, the same on every machine."""
    import pandas as pd

    salted = keys.astype(str).assign(seed=str(seed))
    return pd.util.hash_pandas_object(salted, index=False, hash_key="pluralign-strata")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"a mapping with keys that are not text has no fingerprint: {list(value)[:3]!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"a {type(value).__name__} has no stable fingerprint")
