"""Paths in settings: relative to the file that names them; the working directory still works, and a line says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.errors import dotted, printable, warn_once

SUFFIXES = (".yaml", ".yml")
"""How the path of a file ends, unlike a shipped name."""
OF_STUDY = (
    ("extends",),
    ("recipe",),
    ("architectures", "*"),
    ("architectures", "*", "gguf"),
    ("architectures", "*", "path"),
    ("ratings", "codebooks", "*"),
    ("ratings", "folder"),
    ("models",),
    ("judge", "encoder", "path"),
)
"""Where a study has paths, * for any position; those that may be a shipped name are paths by their suffix."""
OF_ARCHITECTURE = (("gguf",), ("path",))
NAMES = (("extends",), ("recipe",), ("architectures", "*"), ("ratings", "codebooks", "*"))
"""Where a shipped name may stand."""
Pattern = tuple[str, ...]

_elsewhere: dict[str, str] = {}
"""A path → as what it was looked for in the working directory."""


def anchored(raw: dict[str, Any], file: str, patterns: tuple[Pattern, ...] = OF_STUDY) -> dict[str, Any]:
    """Settings with their paths relative to the file that names them, or as they are where only the working directory
    has them; a shipped file's, and with `file` "" all, are relative to the working directory."""

    def change(path: str, place: tuple[str | int, ...]) -> str:
        return _beside(path, file, dotted(place)) if file.endswith(SUFFIXES) else _from_home(path)

    for pattern in patterns:
        raw = _changed(raw, pattern, change, pattern in NAMES, ())
    return raw


def also_looked(path: str | Path) -> str:
    """Where else a path that is not there was looked for, as the end of a message."""
    there = _elsewhere.get(str(path))
    return "" if there is None else f" (nor {printable(there, 300)} in the working directory)"


def _changed(raw: Any, pattern: Pattern, change: Callable[..., str], named: bool, place: tuple[str | int, ...]) -> Any:
    if not pattern:
        return change(raw, place) if isinstance(raw, str) and (not named or raw.endswith(SUFFIXES)) else raw
    key, *rest = pattern
    if key == "*" and isinstance(raw, list):
        return [_changed(item, tuple(rest), change, named, (*place, number)) for number, item in enumerate(raw)]
    if isinstance(raw, dict) and key in raw:
        if key == "gguf" and raw.get("hub"):  # the name of a file in the hub's repository
            return raw
        return raw | {key: _changed(raw[key], tuple(rest), change, named, (*place, key))}
    return raw


def _beside(path: str, file: str, place: str) -> str:
    path = _from_home(path)
    folder = Path(file).parent
    beside = str(folder / path)
    if os.path.isabs(path) or os.path.exists(beside):
        return beside
    if not os.path.exists(path):
        if os.path.abspath(path) != os.path.abspath(beside):
            _elsewhere[beside] = path
        return beside
    write = os.path.relpath(path, folder)
    warn_once(
        f"{file}: {place}: {printable(path, 300)} was taken from the working directory; write {printable(write, 300)}, "
        "which is relative to the file"
    )
    return path


def _from_home(path: str) -> str:
    return os.path.expanduser(path) if path.startswith("~") else path
