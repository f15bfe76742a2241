"""Where in lists and objects the rows of a table may lie: JSON of tools that nobody here knows."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.ratings.reading.formats import FileRows
from tasks.ratings.reading.shape import KEY, NUMBER, as_text

LOOKED_AT = 2_000
"""So many rows of a file show what is nested in it."""
MOST_PATHS, DEEPEST, MOST_PLANS = 400, 8, 12
KEYS_THAT_VARY = 8
MOST_SIDE_BY_SIDE = 8


@dataclass
class _Place:
    """What was seen at a path: kinds of values, keys of objects, how long lists were by row."""

    kinds: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    lengths: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unfolding:
    """One way to take a file apart: `each` as a codebook has it, and the paths of what is then in a row."""

    each: tuple[Any, ...]
    columns: tuple[str, ...]


def plans(rows: FileRows) -> list[Unfolding]:
    """The ways to take apart what is nested in a file, the file's own rows first; none where nothing is nested."""
    size = min(LOOKED_AT, len(rows.rows))
    records = [dict(zip(rows.names, map(_opened, rows.values[place]), strict=True)) for place in range(size)]
    if not any(isinstance(value, (dict, list)) for record in records for value in record.values()):
        return []
    places: dict[str, _Place] = defaultdict(_Place)
    maps = _maps(records)
    for number, record in enumerate(records):
        for path, value in _walk(record, "", maps):
            place = places[path]
            place.kinds[_kind(value)] += 1
            if isinstance(value, list):
                place.lengths[number] = place.lengths.get(number, 0) + len(value)
            if len(places) > MOST_PATHS:
                break
    lists = [path for path, place in places.items() if place.kinds["list"] or path in maps]
    leaves = [path for path, place in places.items() if place.kinds["scalar"] or place.kinds["scalars"]]
    steps: list[tuple[Any, ...]] = [()]
    steps += [tuple(one for one in lists if path == one or path.startswith(f"{one}.")) for path in lists]
    scalars = [path for path, place in places.items() if place.kinds["scalars"] and not place.kinds["scalar"]]
    steps += _parallel(scalars, places, lists)
    chats = [path for path in lists if "." not in path and _is_chat(records, path)]
    turns = [f"{path}.{turn}.content" for path in chats for turn in (0, 1)]
    turns += [one for path in lists if "." not in path and path not in chats for one in _side_by_side(records, path)]
    found = [
        Unfolding(each, (*_columns(each, leaves, lists, maps), *(turns if not each else ())))
        for each in dict.fromkeys(steps)
        if not set(each) & set(chats)
    ]
    return [plan for plan in found if plan.columns][:MOST_PLANS]


def _opened(value: Any) -> Any:
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "list" if any(isinstance(one, (dict, list)) for one in value) else "scalars"
    return "scalar" if as_text(value) else "nothing"


def _maps(records: Sequence[dict[str, Any]]) -> set[str]:
    """Paths of objects whose keys are not the same from row to row, such as people's ids."""
    keys: dict[str, Counter[str]] = defaultdict(Counter)
    seen: Counter[str] = Counter()
    for record in records:
        for path, value in _walk(record, "", set()):
            if isinstance(value, dict) and value:
                seen[path] += 1
                keys[path].update(value.keys())
    return {
        path
        for path, own in keys.items()
        if len(own) > KEYS_THAT_VARY and sum(own.values()) / seen[path] < len(own) / 3
    }


def _walk(value: Any, path: str, maps: set[str], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value within, with its path; elements of a list go by the list's."""
    if path:
        yield path, value
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for key, one in value.items():
            if path in maps:
                yield from _walk(one, path, maps - {path}, depth + 1)
            elif key and (path or "." not in key or not isinstance(one, dict)):
                yield from _walk(one, f"{path}.{key}" if path else key, maps, depth + 1)
    elif isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value):
        for one in value[:200]:
            if isinstance(one, dict):
                for key, part in one.items():
                    yield from _walk(part, f"{path}.{key}", maps, depth + 1)


def _is_chat(records: Sequence[dict[str, Any]], path: str) -> bool:
    """Whether lists are what a user and an assistant said in turn, the user first."""
    lists = [record[path] for record in records if isinstance(record.get(path), list)]
    turns = [one[:2] for one in lists]
    return bool(turns) and all(
        len(two) == 2 and all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in two)
        for two in turns
    )


def _side_by_side(records: Sequence[dict[str, Any]], path: str) -> list[str]:
    """The places of texts in lists of as many objects in every row, such as two answers: `summaries.0.text`."""
    lists = [record.get(path) for record in records]
    size = len(lists[0]) if lists and isinstance(lists[0], list) else 0
    alike = all(
        isinstance(one, list) and len(one) == size and all(isinstance(item, dict) for item in one) for one in lists
    )
    if not alike or not 2 <= size <= MOST_SIDE_BY_SIDE:
        return []
    items = [item for one in lists for item in one or ()]
    keys = [key for key in items[0] if all(isinstance(item.get(key), str) and item[key].strip() for item in items)]
    long = [key for key in keys if sum(len(item[key].split()) for item in items) >= 3 * len(items)]
    return [f"{path}.{place}.{key}" for key in long for place in range(size)]


def _parallel(scalars: Sequence[str], places: dict[str, _Place], lists: Sequence[str]) -> list[tuple[Any, ...]]:
    """Lists of single values that are as long as each other in every row, together; alone where there is one such."""
    top = [path for path in scalars if not any(path.startswith(f"{one}.") for one in lists)]
    groups: dict[tuple[tuple[int, int], ...], list[str]] = defaultdict(list)
    for path in top:
        groups[tuple(sorted(places[path].lengths.items()))].append(path)
    return [(tuple(group),) if len(group) > 1 else (group[0],) for group in groups.values()]


def _columns(each: Sequence[Any], leaves: Sequence[str], lists: Sequence[str], maps: set[str]) -> tuple[str, ...]:
    """Paths of what is one value in a row, once `each` is taken apart."""
    taken = [path for step in each for path in ((step,) if isinstance(step, str) else step)]
    closed = [path for path in lists if path not in taken]
    open_leaves = [path for path in leaves if not any(path == one or path.startswith(f"{one}.") for one in closed)]
    keys = [f"{path}.{KEY}" for path in taken if path in maps]
    numbers = [f"{path}.{NUMBER}" for path in taken if path not in maps][:1]
    return tuple(dict.fromkeys([*open_leaves, *keys, *numbers]))
