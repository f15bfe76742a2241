"""Dose and effect: how many response pairs a condition trained on, and what training did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.schema import CONTROL, Study
from tasks.effects.tables import Doses
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import BLUE, GREY, ORANGE, PURPLE, Drawing, marks, new_canvas, wrapped
from tasks.reporting.house.effects import of_dimensions, trusted, which_interval, with_interval
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import arrow, finite, spoken, title_of, whole

STYLES = ((PURPLE, "o"), (BLUE, "s"), (ORANGE, "D"), ("#3f7f3f", "^"), (GREY, "v"), ("#a02070", "P"))
"""Colour and shape of an experiment's marks; shapes alone tell them apart in print."""


def doses(results: Results) -> list[Row]:
    """Effects against control with `pairs`, how many the condition trained on."""
    counts = {(row["experiment"], row["condition"]): row["n_pairs"] for row in results.rows(Doses)}
    effects = []
    for row in results.pooled():
        used = counts.get((row["experiment"], row["first"]))
        if used and row["second"] == CONTROL and row["focus"] and finite(row["estimate"]):
            effects.append(row | {"pairs": used})
    return effects


def draw_doses(results: Results) -> list[Drawing]:
    """A panel a dimension; none where all conditions had the same number of pairs."""
    study, effects = results.study, doses(results)
    if len({row["pairs"] for row in effects}) < 2:
        return []
    panels = of_dimensions(study.evaluation.dimensions, effects)
    canvas = new_canvas(0.6 + 3.9 * max(len(panels), 1.2), 3.9)
    canvas.get_layout_engine().set(w_pad=0.16)
    grid = canvas.add_gridspec(1, len(panels))
    names = dict.fromkeys(row["experiment"] for row in effects)
    styles = {name: STYLES[at % len(STYLES)] for at, name in enumerate(names)}
    for x, (_, own) in enumerate(panels):
        _panel(canvas.add_subplot(grid[0, x]), study, own, styles)
    explained = [
        (study.experiments[name].title, {"color": colour, "marker": shape, "ls": "", "ms": 6, "mec": "white"})
        for name, (colour, shape) in styles.items()
    ]
    canvas.legend(handles=marks(*explained), loc="outside lower center", ncols=2, frameon=False)
    caption = (
        f"Pooled effects against no fine-tuning, with {which_interval(effects)} 95% intervals, by the number of "
        "response pairs that the "
        "condition trained on. Conditions differ in more than that number, so this is no dose-response curve."
    )
    each = [
        f"{row['first']} on {spoken(study, row['dimension'])}: {whole(row['pairs'])} pairs, {with_interval(row)}"
        for row in effects
    ]
    return [Drawing("dose", "Pairs used and effect", caption, f"Scatter plot. {'; '.join(each)}.", canvas)]


def _panel(axes: Any, study: Study, own: Sequence[Row], styles: dict[str, tuple[str, str]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.axhline(0, color="#555555", lw=0.8, zorder=1)
    for row in own:
        colour, shape = styles[row["experiment"]]
        low, high = trusted(row)
        if finite(low, high):
            axes.plot([row["pairs"]] * 2, [low, high], color=colour, lw=1.2, alpha=0.75, zorder=2)
        axes.plot(row["pairs"], row["estimate"], shape, color=colour, ms=6, mec="white", mew=0.6, zorder=3)
    axes.set_xlim(0, 1.06 * max(row["pairs"] for row in own))
    _name(axes, own)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    dimension = own[0]["dimension"]
    axes.set_title(title_of(study, dimension), loc="left", fontweight="bold", pad=5)
    axes.set_xlabel("Response pairs used for training", fontsize=8.5)
    way = arrow(study, dimension).replace("← lower", "↓ lower").replace("better →", "better ↑")
    axes.set_ylabel(f"Difference in score (0–1), {way}", fontsize=8.5)


def _name(axes: Any, own: Sequence[Row]) -> None:
    """Names in a column on the right, each with a hair line to its mark; conditions of one run are one name."""
    shared: dict[tuple[float, float], list[str]] = {}
    for row in own:
        shared.setdefault((row["pairs"], round(row["estimate"], 9)), []).append(row["first"])
    low, high = axes.get_ylim()
    hair = {"arrowstyle": "-", "color": "#b5b5b5", "lw": 0.5}
    order = sorted(shared, key=lambda at: at[1])
    places = spread([at[1] for at in order], 0.055 * (high - low))
    for (x, y), place in zip(order, places, strict=True):
        text = wrapped(" = ".join(dict.fromkeys(shared[x, y])), 30, 2)
        style = {"va": "center", "fontsize": 7.5, "arrowprops": hair, "zorder": 1}
        axes.annotate(text, (x, y), (1.04, place), textcoords=axes.get_yaxis_transform(), **style)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Ascending places at least `gap` apart, as near as may be to ascending values: crowded ones share their middle."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _bottom(groups[-1], gap) < _bottom(groups[-2], gap) + gap * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_bottom(group, gap) + gap * at for group in groups for at in range(len(group))]


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2
