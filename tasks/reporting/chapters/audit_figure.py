"""The audit: how large every group is, and what becomes of its voice in every condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.reporting.chapters.audit_voices import each_group, voices
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import GREY, INK, PURPLE, Drawing, cut, new_canvas
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import DASH, finite, number, percent

SIDE_BY_SIDE = 8
"""With more groups than this, the heat maps stand one below the other."""
LABEL, CELL, LINE = 22, 0.37, 0.24
STRONGEST = 2.0
"""A voice of twice or half its share of the ratings, or beyond, has the strongest shade."""


@dataclass(frozen=True)
class Map:
    """A heat map: what it shows, the shade of a value from 0 to 1, and the value as text."""

    title: str
    colours: str
    key: str
    shade: Callable[[float], float]
    text: Callable[[float], str]


def _voice_shade(value: float) -> float:
    """0.5 where the voice is 1; logarithmic, so that twice and half are as strong."""
    return 0.5 + 0.42 * max(-1.0, min(1.0, math.log(max(value, 1e-9)) / math.log(STRONGEST)))


def _share(value: float) -> str:
    return number(100 * value, 0)


MAPS = (
    Map("Voice: share of preferences\nover share of ratings", "PuOr", "voice", _voice_shade, lambda v: number(v, 2)),
    Map("Retained ratings, %", "Purples", "retained", lambda v: 0.8 * v, _share),
    Map("Majority loses, % of pairs", "Oranges", "majority_loses", lambda v: 1.2 * v, _share),
)


def draw_audit(results: Results) -> list[Drawing]:
    """Sizes of the groups above, heat maps of conditions and groups below."""
    audited = voices(results)
    if not audited:
        return []
    groups, lines = each_group(audited), _lines(audited)
    beside = len(groups) <= SIDE_BY_SIDE
    columns = len(MAPS) if beside else 1
    wide = max(CELL * len(groups), 1.9 if beside else 4.2)
    heights = [0.34 * len(groups) + 0.5, *([LINE * len(lines) + 1.2] * (1 if beside else len(MAPS)))]
    canvas = new_canvas(1.9 + (wide + 0.12) * columns, sum(heights) + 0.3)
    grid = canvas.add_gridspec(len(heights), columns, height_ratios=heights)
    _draw_sizes(canvas.add_subplot(grid[0, :]), groups)
    for at, item in enumerate(MAPS):
        axes = canvas.add_subplot(grid[1, at] if beside else grid[at + 1, 0])
        _draw_map(axes, item, audited, lines, groups, labelled=at == 0 or not beside)
    caption = _caption(groups, lines, results.study.survey.min_participants)
    sizes = [
        f"{row['group']} {percent(row['share_of_participants'])} of participants, "
        f"{percent(row['share_of_ratings'])} of ratings"
        for row in groups
    ]
    alt = (
        f"Bars of group sizes: {'; '.join(sizes)}. Heat maps of conditions and groups, whose numbers are in the table."
    )
    return [Drawing("audit", "Whose voice is in the data", caption, alt, canvas)]


def _lines(audited: list[Row]) -> list[str]:
    """The conditions on everybody's ratings, and after an empty line those on one group's."""
    names = [list(dict.fromkeys(row["name"] for row in audited if row["open"] is value)) for value in (True, False)]
    return [*names[0], *([""] if all(names) else []), *names[1]]


def _draw_sizes(axes: Any, groups: list[Row]) -> None:
    longest = 0.1
    for key, shift, colour, label in (
        ("share_of_participants", -0.2, GREY, "Share of participants"),
        ("share_of_ratings", 0.2, PURPLE, "Share of ratings of training prompts"),
    ):
        values = [row[key] if finite(row[key]) else 0.0 for row in groups]
        longest = max(longest, *values)
        at = [y + shift for y in range(len(groups))]
        axes.barh(at, values, height=0.34, color=colour, label=label)
        for y, value, row in zip(at, values, groups, strict=True):
            text = percent(row[key])
            axes.annotate(text, (value, y), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(range(len(groups)), [cut(row["group"], LABEL) for row in groups], fontsize=8.5)
    axes.set_ylim(len(groups) - 0.45, -0.55)
    axes.set_xlim(0, 1.12 * longest)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2)


def _draw_map(
    axes: Any, item: Map, audited: list[Row], lines: Sequence[str], groups: list[Row], labelled: bool
) -> None:
    """A heat map with its values; no shade and a dash where there is none."""
    from matplotlib import colormaps

    by_key = {(row["name"], row["stratum"]): row[item.key] for row in audited}
    colours = colormaps[item.colours]
    for y, name in enumerate(lines):
        for x, group in enumerate(groups if name else ()):
            value = by_key.get((name, group["stratum"]), math.nan)
            known = finite(value)
            colour = colours(min(max(item.shade(value), 0.0), 1.0)) if known else (1.0, 1.0, 1.0, 1.0)
            axes.fill_between([x - 0.5, x + 0.5], y - 0.5, y + 0.5, color=colour, lw=0)
            ink = "white" if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.5 else INK
            axes.text(x, y, item.text(value) if known else DASH, ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xticks(range(len(groups)), [cut(row["group"], 16) for row in groups], rotation=90, fontsize=8)
    axes.set_yticks(range(len(lines)), [cut(name, LABEL) if labelled else "" for name in lines], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(item.title, loc="left", fontweight="bold", fontsize=8.5, pad=5)


def _caption(groups: list[Row], lines: Sequence[str], few: int) -> str:
    parts = [
        "Above: each group's part of the participants and of the ratings. Below, a line a condition: a voice above 1 "
        "means more weight in training than in what was asked; retained are the ratings whose own label trains; a "
        "majority loses where the condition prefers the other response."
    ]
    parts += ["The conditions below the gap train on one group's ratings."] if "" in lines else []
    parts += [f"†: fewer than {few} participants."] if any(row["small"] for row in groups) else []
    return " ".join(parts)
