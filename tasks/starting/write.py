"""Settings as YAML that people go on to edit: every text quoted where it must be, comments above the keys."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tasks.ratings.reading.rejected import visible

WIDTH = 116
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]*")
Path = tuple[str, ...]


def render(settings: Mapping[str, Any], comments: Mapping[Path, Sequence[str]]) -> tuple[str, dict[Path, int]]:
    """The settings as YAML, and the line on which each key stands, by its path.

    comments: path of a key → sentences that stand above it; `()`: at the top.
    """
    lines = _comment(comments.get((), ()), 0)
    places: dict[Path, int] = {}
    _mapping(settings, comments, (), lines, places)
    return "\n".join(lines) + "\n", places


def _mapping(
    settings: Mapping[str, Any],
    comments: Mapping[Path, Sequence[str]],
    path: Path,
    lines: list[str],
    places: dict[Path, int],
) -> None:
    indent = 2 * len(path)
    for key, value in settings.items():
        own = (*path, key)
        lines += _comment(comments.get(own, ()), indent)
        start = f"{' ' * indent}{quoted(key)}:"
        places[own] = len(lines) + 1
        inner = [below for below in comments if len(below) > len(own) and below[: len(own)] == own]
        flow = _flow(value)
        if isinstance(value, Mapping) and value and (inner or len(start) + len(flow) >= WIDTH or _is_deep(value)):
            lines.append(start)
            _mapping(value, comments, own, lines, places)
        elif isinstance(value, list) and len(start) + len(flow) >= WIDTH and value:
            lines.append(start)
            lines += [f"{' ' * indent}  - {_flow(one)}" for one in value]
        else:
            lines.append(f"{start} {flow}")


def _is_deep(value: Mapping[str, Any]) -> bool:
    return (any(isinstance(one, Mapping) for one in value.values()) and len(value) > 1) or any(
        isinstance(part, Mapping) for one in value.values() if isinstance(one, Mapping) for part in one.values()
    )


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A text as YAML that reads as that text, on one line, without control characters or such as change direction."""
    if PLAIN.fullmatch(text) and text == text.strip() and yaml.safe_load(text) == text:
        return text
    plain = text.isprintable() and visible(text[:80]) == text[:80]
    return yaml.safe_dump(text, default_style='"', allow_unicode=plain, width=10**9).strip()


def _comment(sentences: Sequence[str], indent: int) -> list[str]:
    start = f"{' ' * indent}# "
    return [
        f"{start}{line}"
        for sentence in sentences
        for line in textwrap.wrap(sentence, WIDTH - len(start), break_long_words=True) or [""]
    ]
