"""The figures of serving groups: what each gets of each way, the worst off against the mean, how they were weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from configs.schema import CONTROL
from tasks.groups.measures import MEAN, WORST
from tasks.groups.tables import Groups, Voices
from tasks.meta_analysis.tables import Service
from tasks.meta_analysis.trusted import trusted
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    Drawing,
    axis_limits,
    in_lines,
    marks,
    name_lines,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, number, raters_title, title_of, with_ends

COLOURS = (PURPLE, ORANGE, BLUE, "#3f7f3f", "#a02070", "#8c6d1f", "#1b9e9e", "#555555")
MARKERS = "osD^vPX"
"""One fewer than the colours, so that a colour comes again with another mark."""
GROUP = "group: "
Levels = dict[str, dict[str, Row]]
"""Way to serve → measure → its pooled level."""


def levels_of(results: Results, experiment: str, dimension: str) -> Levels:
    """The pooled levels that have an estimate, ways and measures in the order of the table."""
    levels: Levels = {}
    for row in results.rows(Service, experiment=experiment, dimension=dimension, architecture=""):
        if " - " not in row["contrast"] and finite(row["estimate"]):
            levels.setdefault(row["contrast"], {})[row["measure"]] = row
    return levels


def served(results: Results) -> dict[str, dict[str, Levels]]:
    """The levels by experiment and dimension, where there are any."""
    every: dict[str, dict[str, Levels]] = {}
    for row in results.rows(Service, architecture=""):
        every.setdefault(row["experiment"], {}).setdefault(row["dimension"], {})
    return {
        experiment: {name: levels_of(results, experiment, name) for name in dimensions}
        for experiment, dimensions in every.items()
    }


def groups_of(levels: Levels) -> list[str]:
    """The groups of some levels, in their order."""
    measures = (measure for own in levels.values() for measure in own if measure.startswith(GROUP))
    return list(dict.fromkeys(measure.removeprefix(GROUP) for measure in measures))


def draw_groups(results: Results) -> list[Drawing]:
    """For each experiment what groups get and the trade-off; the weights' path where a table has it."""
    drawings = []
    ceilings = ceilings_of(results)
    for experiment, dimensions in served(results).items():
        ceiling = ceilings.get(experiment, "")
        drawings.append(_ways(results, experiment, dimensions, ceiling))
        drawings += _trade_off(results, experiment, dimensions, ceiling)
    return [*drawings, *_paths(results)]


def ceilings_of(results: Results) -> dict[str, str]:
    """Experiment → the condition that gives each group its own adapter, "" where it has none."""
    return {row["experiment"]: row["ceiling"] for row in results.rows(Groups)}


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _legend(canvas: Any, names: Sequence[str], *more: tuple[str, dict[str, Any]]) -> None:
    """The names with their styles below the axes, in as many columns as they leave room for."""
    explained = [(name, {**_style(place), "ls": "", "ms": 6.5}) for place, name in enumerate(names)]
    longest = max((len(line) for name, _ in (*explained, *more) for line in name.split("\n")), default=0)
    columns = max(1, min(4, 90 // (longest + 6)))
    canvas.legend(handles=marks(*explained, *more), loc="outside lower center", ncols=columns, frameon=False)


# ---- what each group gets


def _ways(results: Results, experiment: str, dimensions: Mapping[str, Levels], ceiling: str) -> Drawing:
    """A panel for each dimension, in it a line for each way and a mark for each group."""
    groups = list(dict.fromkeys(name for levels in dimensions.values() for name in groups_of(levels)))
    sizes = [max(len(levels), 1) * (0.22 + 0.13 * len(groups)) + 0.7 for levels in dimensions.values()]
    canvas = new_canvas(7.2, sum(sizes) + 0.5 + 0.2 * len(groups) / 2)
    panels = canvas.subplots(len(dimensions), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (dimension, levels) in zip(panels, dimensions.items(), strict=True):
        _panel(axes, levels, groups, ceiling)
        axes.set_title(title_of(results.study, dimension), loc="left", fontweight="bold", pad=5)
    panels[-1].set_xlabel("Utility for the group (0–1)   more is better →", fontsize=8.5)
    titles = [wrapped(raters_title(results.study, name), 40) for name in groups]
    own = (f"The group's own adapter ({ceiling})", {"color": INK, "marker": "|", "ls": "", "ms": 11, "mew": 1.4})
    _legend(canvas, titles, *([own] if ceiling else []))
    caption = (
        "What each group gets of each way to serve, by its judge, pooled over architectures, with 95% intervals."
        f"{' Upright strokes: what its own adapter gives the group.' if ceiling else ''}"
    )
    each = []
    for dimension, levels in dimensions.items():
        for way, measures in levels.items():
            gets = [
                f"{raters_title(results.study, name)} {_level_text(measures[GROUP + name])}"
                for name in groups
                if GROUP + name in measures
            ]
            each.append(f"{title_of(results.study, dimension)}, {way}: {', '.join(gets)}")
    title = f"What each group gets, {results.study.experiments[experiment].title}"
    return Drawing(f"served-{experiment}", title, caption, f"Dot plot. {'; '.join(each)}.", canvas)


def _level_text(row: Row) -> str:
    return with_ends(row["estimate"], *trusted(row))


def _panel(axes: Any, levels: Levels, groups: Sequence[str], ceiling: str) -> None:
    from matplotlib.ticker import MaxNLocator

    step = 0.8 / max(len(groups), 1)
    drawn: list[float] = []
    for y in range(1, len(levels), 2):
        axes.axhspan(y - 0.5, y + 0.5, color="#f4f3f7", lw=0, zorder=0)
    for y, (way, own) in enumerate(levels.items()):
        for place, name in enumerate(groups):
            if GROUP + name not in own:
                continue
            row, at, style = own[GROUP + name], y + (place - (len(groups) - 1) / 2) * step, _style(place)
            ends = [end for end in trusted(row) if finite(end)]
            axes.plot(ends, [at] * len(ends), color=style["color"], lw=1.6, zorder=2)
            axes.plot(row["estimate"], at, ls="", ms=6, mec="white", mew=0.6, zorder=3, **style)
            drawn += [row["estimate"], *ends]
            best = levels.get(ceiling, {}).get(GROUP + name)
            if best and way != ceiling:
                axes.plot(best["estimate"], at, "|", color=style["color"], ms=11, mew=1.4, zorder=4)
    axes.set_xlim(*axis_limits(drawn or [0.0, 1.0], [], 0.02))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    name_lines(axes, [wrapped(way, 24, 2) for way in levels])


# ---- the worst off against the mean


def frontier(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names of the points that no other has both coordinates above, or one above and the other the same."""

    def beaten(name: str) -> bool:
        x, y = points[name]
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in points.values())

    return sorted((name for name in points if not beaten(name)), key=lambda name: points[name])


def _trade_off(results: Results, experiment: str, dimensions: Mapping[str, Levels], ceiling: str) -> list[Drawing]:
    """A panel for each dimension on which the worst group and the mean are known."""
    both = {
        dimension: {way: own for way, own in levels.items() if WORST in own and MEAN in own}
        for dimension, levels in dimensions.items()
    }
    both = {dimension: levels for dimension, levels in both.items() if len(levels) > 1}
    if not both:
        return []
    ways = list(dict.fromkeys(way for levels in both.values() for way in levels))
    lines = in_lines(list(both.items()), 2)
    canvas = new_canvas(7.2, 3.4 * len(lines) + 0.2 + 0.1 * len(ways))
    grid = canvas.add_gridspec(len(lines), max(len(line) for line in lines))
    each, joined = [], False
    for y, line in enumerate(lines):
        for x, (dimension, levels) in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            joined |= _points(axes, levels, ways, ceiling)
            axes.set_title(title_of(results.study, dimension), loc="left", fontweight="bold", pad=5)
            each += [
                f"{title_of(results.study, dimension)}, {way}: worst group {_level_text(own[WORST])}, mean "
                f"{_level_text(own[MEAN])}"
                for way, own in levels.items()
            ]
    stroke = ("No way is better in both", {"color": "#555555", "lw": 1.1, "ls": "--"})
    _legend(canvas, [wrapped(way, 30, 1) for way in ways], *([stroke] if joined else []))
    caption = (
        "Each way by the mean over groups and by the group that is worst off, pooled over architectures, corrected for "
        "the bias of a minimum, with 95% intervals. Ways of which no other is better in both by its estimate, whatever "
        "the intervals, are joined by a dashed line where there are several; the untouched models are left out of that"
        f"{f', and so is {ceiling}, a model for each group' if ceiling else ''}."
    )
    title = f"The worst off against the mean, {results.study.experiments[experiment].title}"
    return [Drawing(f"trade-off-{experiment}", title, caption, f"Scatter plot. {'; '.join(each)}.", canvas)]


def _points(axes: Any, levels: Levels, ways: Sequence[str], ceiling: str) -> bool:
    """Draw the ways, and the frontier; whether that is a line."""
    from matplotlib.ticker import MaxNLocator

    points = {way: (own[MEAN]["estimate"], own[WORST]["estimate"]) for way, own in levels.items()}
    for way, (x, y) in points.items():
        style = _style(ways.index(way))
        for ends, place in ((trusted(levels[way][MEAN]), "x"), (trusted(levels[way][WORST]), "y")):
            if finite(*ends):
                line = (ends, (y, y)) if place == "x" else ((x, x), ends)
                axes.plot(*line, color=style["color"], lw=1, alpha=0.55, zorder=2)
        axes.plot(x, y, ls="", ms=7.5, mec="white", mew=0.6, zorder=4, **style)
    one = {way: point for way, point in points.items() if way not in (ceiling, CONTROL)}
    best = [one[way] for way in frontier(one)]
    axes.plot([x for x, _ in best], [y for _, y in best], "--", color="#555555", lw=1.1, zorder=3)
    axes.margins(0.08)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("Mean over groups   more is better →", fontsize=8.5)
    axes.set_ylabel("Worst group   more is better →", fontsize=8.5)
    return len(best) > 1


# ---- how groups were weighed


def _paths(results: Results) -> list[Drawing]:
    """For each experiment the weight of every group by step, a panel for each condition and a line a model."""
    by_panel: dict[str, dict[str, list[Row]]] = {}
    for row in results.rows(Voices):
        if finite(row["step"], row["q"]):
            by_panel.setdefault(row["experiment"], {}).setdefault(row["condition"], []).append(row)
    return [_path(results, experiment, panels) for experiment, panels in by_panel.items()]


def _path(results: Results, experiment: str, panels: Mapping[str, list[Row]]) -> Drawing:
    groups = list(dict.fromkeys(row["group"] for rows in panels.values() for row in rows))
    lines = in_lines(list(panels.items()), 2)
    canvas = new_canvas(7.2, 2.3 * len(lines) + 0.5)
    grid, each = canvas.add_gridspec(len(lines), max(len(line) for line in lines)), []
    for y, line in enumerate(lines):
        for x, (condition, rows) in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            last: dict[str, list[float]] = {}
            for name, model in dict.fromkeys((row["group"], row["architecture"]) for row in rows):
                line_of = [row for row in rows if (row["group"], row["architecture"]) == (name, model)]
                own = sorted((row["step"], row["q"]) for row in line_of)
                axes.plot(*zip(*own, strict=True), color=_style(groups.index(name))["color"], lw=1.1, alpha=0.8)
                last.setdefault(name, []).append(own[-1][1])
            axes.axhline(1 / len(groups), color=GREY, lw=0.8, ls=":")
            axes.set_ylim(0, 1)
            axes.set_title(wrapped(condition, 40, 1), loc="left", fontweight="bold", pad=5)
            axes.set_xlabel("Step", fontsize=8.5)
            axes.set_ylabel("Weight in the loss", fontsize=8.5)
            for name, ends in last.items():
                span = f"from {number(min(ends), 2)} to {number(max(ends), 2)}"
                each.append(f"{condition}, {raters_title(results.study, name)} at the end {span}")
    explained = [
        (wrapped(raters_title(results.study, name), 40), {"color": _style(place)["color"], "lw": 1.6})
        for place, name in enumerate(groups)
    ]
    equal = ("The same for all", {"color": GREY, "lw": 0.8, "ls": ":"})
    canvas.legend(handles=marks(*explained, equal), loc="outside lower center", ncols=3, frameon=False)
    caption = "The weight of each group's loss as training goes on, a line for each architecture."
    title = f"How groups were weighed, {results.study.experiments[experiment].title}"
    return Drawing(f"voices-{experiment}", title, caption, f"Line plot. {'; '.join(each)}.", canvas)
