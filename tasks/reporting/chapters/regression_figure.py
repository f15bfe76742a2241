"""The odds ratios of the ordinal regression: a panel a dimension, a line a term, grouped by attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from configs.schema import Study
from tasks.reporting.chapters.regression_terms import (
    odds,
    odds_interval,
    reference_values,
    separated,
    significant,
    terms,
)
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import (
    GREY,
    ORANGE,
    PURPLE,
    Drawing,
    arrows,
    cut,
    in_lines,
    marks,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import attribute_title, finite, joined, spoken, title_of
from tasks.survey.tables import OrdinalModels

MOST_TERMS = 40
"""More terms are not drawn; they are in the table."""
NARROWEST, WIDEST = math.log(1.6), math.log(16)
"""The axis reaches at least and at most so far from 1, on either side."""
PUBLISHED_LANE = -0.3
LABEL = 31
TICKS: tuple[Sequence[float], ...] = (
    (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20),
    (0.2, 0.35, 0.6, 1, 1.7, 3, 5),
    (0.5, 0.7, 1, 1.4, 2),
)


@dataclass(frozen=True)
class Line:
    """A line of every panel: a term, or the heading of an attribute, which has no term but perhaps a reference."""

    label: str
    term: str = ""
    reference: str = ""


def draw_odds_ratios(results: Results) -> list[Drawing]:
    """The forest plot; none without an estimate."""
    study, every = results.study, [row for row in terms(results) if finite(row["estimate"])]
    shown = _most_telling(every)
    if not shown:
        return []
    dimensions = list(dict.fromkeys(row["dimension"] for row in shown))
    canvas = _draw(study, shown, _lines(shown, results.rows(OrdinalModels)), dimensions)
    left_out = len({row["term"] for row in every}) - len({row["term"] for row in shown})
    clear = [
        f"{row['predictor']} on {spoken(study, row['dimension'])} {odds(row['odds_ratio'])} ({odds_interval(row)})"
        for row in shown
        if significant(row)
    ]
    which = f"With p < .05: {'; '.join(clear)}." if clear else "No term has p < .05."
    alt = f"Forest plot of odds ratios for {joined(title_of(study, name) for name in dimensions)}. {which}"
    caption = _caption(shown, left_out, study.survey.min_participants)
    return [Drawing("odds-ratios", "Who rates differently", caption, alt, canvas)]


def _caption(shown: list[Row], left_out: int, few: int) -> str:
    parts = [
        "Odds ratios of a higher rating against the reference group, with 95% intervals, on a logarithmic axis; an "
        "arrow where one leaves the panel."
    ]
    if any(significant(row) for row in shown):
        parts.append("Purple: p < .05, not adjusted.")
    if any(finite(row["published"]) for row in shown):
        parts.append("Hollow diamonds: the published effects, where the paper prints one.")
    if any(row["small"] for row in shown):
        parts.append(f"†: fewer than {few} participants.")
    if left_out:
        parts.append(f"{left_out} terms with larger p are left out.")
    return " ".join(parts)


def _most_telling(shown: list[Row]) -> list[Row]:
    """All rows, or those of the terms with the smallest p and of the published ones."""

    def rank(term: str) -> tuple[bool, float]:
        own = [row for row in shown if row["term"] == term]
        printed = any(finite(row["published"]) for row in own)
        return not printed, min((row["p"] for row in own if finite(row["p"])), default=2.0)

    kept = sorted(dict.fromkeys(row["term"] for row in shown), key=rank)[:MOST_TERMS]
    return [row for row in shown if row["term"] in kept]


def _lines(shown: list[Row], models: list[Row]) -> list[Line]:
    """The terms in the order of the table under a heading for each attribute."""
    known, lines = reference_values(models), []
    few = {row["term"] for row in shown if row["small"]}
    for attribute in dict.fromkeys(row["attribute"] for row in shown):
        lines.append(Line(attribute_title(attribute), reference=known.get(attribute, "")))
        own = {row["term"]: row for row in shown if row["attribute"] == attribute}
        lines += [Line(f"{row['value'] or term}{' †' if term in few else ''}", term) for term, row in own.items()]
    return lines


def _draw(study: Study, shown: list[Row], lines: list[Line], dimensions: list[str]) -> Any:
    panels = in_lines(dimensions)
    columns = len(panels[0])
    width = 2.3 + {1: 3.6, 2: 2.65}.get(columns, 2.05) * columns
    canvas = new_canvas(width, len(panels) * (0.95 + 0.215 * len(lines)) + 0.35)
    canvas.get_layout_engine().set(w_pad=0.12, h_pad=0.06)
    grid, reach = canvas.add_gridspec(len(panels), columns), _reach(shown)
    for y, line in enumerate(panels):
        for x, dimension in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            own = {row["term"]: row for row in shown if row["dimension"] == dimension}
            _panel(axes, [own.get(item.term) for item in lines], lines, reach, labelled=x == 0)
            axes.set_title(wrapped(title_of(study, dimension), 24, 2), loc="left", fontweight="bold", pad=6)
    canvas.legend(handles=_legend(shown), loc="outside lower center", ncols=3, frameon=False, handletextpad=0.6)
    return canvas


def _panel(axes: Any, shown: Sequence[Row | None], lines: list[Line], reach: float, labelled: bool) -> None:
    axes.axvline(0, color="#555555", lw=0.8, zorder=1)
    heads = [at for at, line in enumerate(lines) if not line.term] + [len(lines)]
    for top, bottom in list(pairwise(heads))[::2]:  # a pale band behind every second attribute
        axes.axhspan(top - 0.5, bottom - 0.5, color="#f4f3f7", lw=0, zorder=0)
    for y, row in enumerate(shown):
        if row:
            _effect(axes, y, row, reach)
    few = TICKS[0] if reach > math.log(6) else TICKS[1] if reach > math.log(2.2) else TICKS[2]
    ticks = [tick for tick in few if abs(math.log(tick)) <= reach]
    axes.set_xlim(-reach, reach)
    axes.set_xticks([math.log(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(range(len(lines)), [cut(line.label, LABEL) if labelled else "" for line in lines], fontsize=8)
    for y, (line, label) in enumerate(zip(lines, axes.get_yticklabels(), strict=True)):
        label.set_fontweight("normal" if line.term else "bold")
        if labelled and line.reference:  # what the terms below are compared with, at the left of the empty line
            text, place = cut(f"against {line.reference}", 38), ("axes fraction", "data")
            box = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85}
            axes.annotate(text, (0.02, y), xycoords=place, bbox=box, va="center", fontsize=7, color="#555555")
    axes.tick_params(axis="y", length=0, pad=6)
    axes.set_xlabel("Odds ratio of a higher rating", fontsize=8.5)


def _effect(axes: Any, y: float, row: Row, reach: float) -> None:
    """A term's point and interval, an arrow for what lies beyond the panel, and the published value above it."""
    colour = PURPLE if significant(row) else GREY
    low, high, at = (_log(row[key]) for key in ("ci_low", "ci_high", "odds_ratio"))
    at = row["estimate"] if math.isnan(at) else at
    ends = [value for value in (low, high, at) if not math.isnan(value)]
    span = [max(min(ends), -reach), min(max(ends), reach)]
    axes.plot(span, [y, y], color=colour, lw=1.8, solid_capstyle="butt", zorder=2)
    arrows(axes, y, (min(ends), max(ends)), (-reach, reach), {"color": colour, "ms": 5, "zorder": 3})
    if abs(at) <= reach:
        axes.plot(at, y, "o", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
    if row["published"] > -100:
        theirs = max(-reach, min(reach, math.log1p(row["published"] / 100)))
        axes.plot(theirs, y + PUBLISHED_LANE, "D", mfc="none", mec=ORANGE, mew=1.3, ms=4.6, clip_on=False, zorder=5)


def _log(ratio: float) -> float:
    """The logarithm of an odds ratio that may be zero or infinite."""
    return -math.inf if ratio <= 0 else math.log(ratio) if math.isfinite(ratio) else ratio


def _reach(shown: list[Row]) -> float:
    """How far the axis goes from 1: it holds every estimate worth the name, and nine in ten of the intervals' ends.

    Those of significant terms are all among them.
    """
    known = [row for row in shown if not separated(row)]
    ends = {
        clear: sorted(
            abs(_log(end))
            for row in known
            if significant(row) >= clear
            for end in (row["ci_low"], row["ci_high"])
            if not math.isnan(end)
        )
        for clear in (False, True)
    }
    most = [*ends[True][-1:], *([ends[False][int(0.9 * (len(ends[False]) - 1))]] if ends[False] else [])]
    points = [abs(row["estimate"]) for row in known]
    theirs = [abs(math.log1p(row["published"] / 100)) for row in shown if row["published"] > -100]
    return 1.06 * min(max([NARROWEST, *most, *points, *theirs]), WIDEST)


def _legend(shown: list[Row]) -> list[Any]:
    mark = {"marker": "o", "lw": 1.8, "ms": 5, "mec": "white"}
    clear = [row for row in shown if significant(row)]
    explained: list[tuple[str, dict[str, Any]]] = []
    if clear:
        explained.append(("p < .05, with 95% CI", {"color": PURPLE, **mark}))
    if len(clear) < len(shown):
        explained.append((f"{'Other terms' if clear else 'Terms'}, with 95% CI", {"color": GREY, **mark}))
    if any(finite(row["published"]) for row in shown):
        explained.append(("Published", {"marker": "D", "ls": "", "mfc": "none", "mec": ORANGE, "mew": 1.3, "ms": 4.6}))
    return marks(*explained)
