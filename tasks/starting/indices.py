"""Columns that belong together by what they are called: `response_1` and `rating_1`, `response_a` and `response_b`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tasks.starting.columns import words

INDEX = re.compile(r"^(\d{1,3}|[a-h]|left|right|first|second|third|fourth|chosen|rejected|one|two)$")
GRID = re.compile(r"^(?P<question>.+?)\s*\[(?P<row>.+)\]\s*$", re.DOTALL)
"""A column of a question with rows: `How harmful is it? [the row's text]`."""
NO_INDEX_BEFORE = frozenset({"turn", "name", "day", "week", "wave"})


def index_groups(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Stem → index → column, of stems with two columns or more: `{"response #": {"a": "response_a", …}}`.

    A column may be in several; the stem that has most columns is first. Of questions with rows, the index is the
    text of either, since there are more answers than things asked about each.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        if grid := GRID.match(name):
            groups.setdefault(f"{words(grid['question'])} #", {}).setdefault(grid["row"], name)
            groups.setdefault(f"{words(grid['row'])} #", {}).setdefault(grid["question"], name)
            continue
        tokens = re.sub(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])", " ", words(name)).split()
        for place, token in enumerate(tokens):
            follows = tokens[place + 1] if place + 1 < len(tokens) else ""
            if INDEX.match(token) and len(tokens) > 1 and follows not in NO_INDEX_BEFORE:
                stem = " ".join(["#" if at == place else one for at, one in enumerate(tokens)])
                groups.setdefault(stem, {}).setdefault(token.lstrip("0") or "0", name)
    several = {stem: group for stem, group in groups.items() if len(group) > 1}
    bare = {token: name for name in names if INDEX.match(token := words(name)) and not token.isdecimal()}
    if {"chosen", "rejected"} <= set(bare) or {"a", "b"} <= set(bare):
        several["#"] = bare
    return dict(sorted(several.items(), key=lambda item: (-len(item[1]), item[0])))


def stem_name(stem: str, taken: Iterable[str]) -> str:
    """What the columns of a stem are called together; not one of the names that are taken."""
    name = "_".join(stem.replace("#", " ").split()) or "response"
    while name in taken:
        name = f"each_{name}"
    return name


def with_same_indices(groups: Mapping[str, Mapping[str, str]], stem: str) -> dict[str, dict[str, str]]:
    """The stems whose indices are those of one of them, or more; cut to these."""
    own = groups[stem]
    alike = {other: group for other, group in groups.items() if set(own) <= set(group)}
    return {other: {index: group[index] for index in own} for other, group in alike.items()}
