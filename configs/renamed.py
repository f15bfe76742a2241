"""Keys of a study that have another name by now: old files are read, with a line that says what to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.errors import InputError, warn_once

RENAMED = {("experiments", "*", "conditions", "*", "optimiser"): "method"}
"""The path of a key by its old name, * for any name → its name now."""


def present_name(path: Sequence[str]) -> str:
    """What the last key of a path is called now."""
    for old, name in RENAMED.items():
        if len(old) == len(path) and all(part in ("*", own) for part, own in zip(old, path, strict=True)):
            return name
    return path[-1]


def with_present_names(raw: dict[str, Any], place: str, parents: Sequence[str] = ()) -> dict[str, Any]:
    """The settings with the names that keys have now; one warning for each old name.

    Raises:
        InputError: a key stands there by both its names.
    """
    old_names: dict[str, str] = {}

    def walk(value: Any, path: list[str]) -> Any:
        if not isinstance(value, dict):
            return value
        names = {key: present_name([*path, str(key)]) if isinstance(key, str) else key for key in value}
        for key, name in names.items():
            if key != name and name in value:
                raise InputError(f"{place}: {'.'.join(path)}: {key} is called {name} now; give {name} alone")
            old_names.update({key: name} if key != name else {})
        return {names[key]: walk(item, [*path, str(key)]) for key, item in value.items()}

    result = walk(raw, list(parents))
    for key, name in old_names.items():
        warn_once(f"{place}: {key} is called {name} now; write {name}: instead of {key}:")
    return result
