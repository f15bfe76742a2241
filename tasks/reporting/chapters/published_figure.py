"""Figures of ours beside the published: pooled effects, and their ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.schema import Study
from tasks.meta_analysis.tables import Ratios
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import (
    GREY,
    INK,
    ORANGE,
    PURPLE,
    Drawing,
    arrows,
    lanes,
    marks,
    name_lines,
    name_score_axis,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.effects import (
    contrast_text,
    effect_text,
    of_dimensions,
    side_text,
    trusted,
    which_interval,
    with_interval,
)
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, interval, number, spoken

LANE = 0.17
LARGEST_RATIO = 30.0
"""The axis of ratios ends here; what lies beyond has an arrow."""


def published_effects(results: Results) -> list[Row]:
    """Every pooled effect with a published value, in the order of the experiments.

    An experiment that extends another is an addition of the study's own.
    """
    own = [name for name, experiment in results.study.experiments.items() if not experiment.extends]
    return [row for name in own for row in results.pooled(name) if finite(row["published"], row["estimate"])]


def known_ratios(results: Results) -> list[Row]:
    """Ratios that could be estimated, of experiments that extend no other; with the interval that knows who was asked
    where there is one."""
    own = {name for name, experiment in results.study.experiments.items() if not experiment.extends}
    rows = [row for row in results.rows(Ratios) if finite(row["ratio"]) and row["experiment"] in own]
    full = {"ci_low": "total_ci_low", "ci_high": "total_ci_high"}
    return [row | {end: row[whole] for end, whole in full.items()} if row["n_replicates"] > 1 else row for row in rows]


def draw_published(results: Results) -> list[Drawing]:
    """Effects, and ratios, where there are any."""
    return [*_effects(results), *_ratios(results)]


def _effects(results: Results) -> list[Drawing]:
    """A panel a dimension: ours below, theirs above, a line a contrast."""
    study, beside = results.study, published_effects(results)
    panels = of_dimensions(study.evaluation.dimensions, beside)
    if not panels:
        return []
    heights = [0.36 * len(own) + 0.2 for _, own in panels]
    canvas = new_canvas(7.2, sum(heights) + 0.95 * len(panels) + 0.5)
    grid = canvas.add_gridspec(len(panels), 1, height_ratios=heights)
    for y, (dimension, own) in enumerate(panels):
        axes = canvas.add_subplot(grid[y, 0])
        _panel(axes, own)
        name_score_axis(axes, study, dimension)
    thin = [(f"Ours, {which_interval(beside)} 95% CI", {"color": PURPLE, "lw": 0.9})]
    legend = marks(
        ("Ours, Wald 95% CI", {"color": PURPLE, "marker": "o", "lw": 2.6, "ms": 6, "mec": "white"}),
        *(thin if any(finite(row["hksj_ci_low"]) for row in beside) else []),
        ("Published", {"color": ORANGE, "marker": "D", "mfc": "white", "lw": 1.3, "ms": 5.2}),
    )
    canvas.legend(handles=legend, loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Pooled effects of this study and of the paper. Purple: ours, thick line the Wald 95% interval of the paper's "
        f"method, thin line the {which_interval(beside)} one. Orange: the published value; its interval follows from "
        "the printed p where there is one (dotted: p is printed as below a limit, so the interval is at most so wide)."
    )
    each = [
        f"{effect_text(study, row)}: ours {with_interval(row)}, published {number(row['published'])}" for row in beside
    ]
    alt = f"Dot plot of our pooled effects beside the published. {'; '.join(each)}."
    return [Drawing("published", "Ours beside the published", caption, alt, canvas)]


def _panel(axes: Any, own: Sequence[Row]) -> None:
    lanes(axes, len(own))
    for y, row in enumerate(own):
        if finite(*trusted(row)):
            axes.plot(trusted(row), [y + LANE] * 2, color=PURPLE, lw=0.9, zorder=2)
        if finite(row["ci_low"], row["ci_high"]):
            axes.plot([row["ci_low"], row["ci_high"]], [y + LANE] * 2, color=PURPLE, lw=2.6, zorder=3)
        axes.plot(row["estimate"], y + LANE, "o", color=PURPLE, ms=6, mec="white", mew=0.6, zorder=4)
        ends = [row["published_low"], row["published_high"]]
        if finite(*ends):
            dotted = (0, (1, 1)) if row["published_at_most"] else "-"
            axes.plot(ends, [y - LANE] * 2, color=ORANGE, lw=1.3, ls=dotted, zorder=2)
        axes.plot(row["published"], y - LANE, "D", mfc="white", mec=ORANGE, mew=1.3, ms=5.2, zorder=4)
    name_lines(axes, [wrapped(contrast_text(row), 34, 2) for row in own])


# ---- ratios


def ratio_sides(row: Row) -> tuple[str, str]:
    """The two effects of a ratio, each as its condition where it is against control."""
    return side_text(row["of"]), side_text(row["to"])


def ratio_name(study: Study, row: Row) -> str:
    """`5-point / binary, toxicity`."""
    return f"{' / '.join(ratio_sides(row))}, {spoken(study, row['dimension'])}"


def _ratios(results: Results) -> list[Drawing]:
    study, ratios = results.study, known_ratios(results)
    if not ratios:
        return []
    canvas = new_canvas(7.2, 0.42 * len(ratios) + 1.25)
    axes = canvas.add_subplot()
    low, high = _draw_ratios(axes, ratios)
    name_lines(axes, [wrapped(ratio_name(study, row), 36, 2) for row in ratios])
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("Times as large an effect (logarithmic axis; 1: equal)", fontsize=8.5)
    theirs = [("Published", {"color": ORANGE, "marker": "D", "mfc": "white", "ls": "", "ms": 5.2})]
    legend = marks(
        ("Ours, Fieller 95% CI", {"color": PURPLE, "marker": "o", "lw": 2.2, "ms": 6, "mec": "white"}),
        *(theirs if any(finite(row["published"]) for row in ratios) else []),
    )
    canvas.legend(handles=legend, loc="outside lower center", ncols=2, frameon=False)
    caption = (
        "How many times as large one pooled effect is as another, with Fieller's 95% interval, which knows that both "
        "share prompts, control and architectures (an arrow where it leaves the axis)."
    )
    each = [
        f"{ratio_name(study, row)}: {number(row['ratio'], 2)} ({interval(row['ci_low'], row['ci_high'], 2)})"
        for row in ratios
    ]
    return [Drawing("ratios", "Ratios of effects", caption, f"Dot plot of ratios. {'; '.join(each)}.", canvas)]


def _draw_ratios(axes: Any, ratios: Sequence[Row]) -> tuple[float, float]:
    """Ours with intervals, and the published, on a logarithmic axis that holds 1; its limits."""
    known = [row[key] for row in ratios for key in ("ratio", "ci_low", "ci_high", "published") if row[key] > 0]
    inside = [value for value in known if finite(value) and 1 / LARGEST_RATIO <= value <= LARGEST_RATIO]
    low, high = min([0.8, *inside]) / 1.1, max([1.25, *inside]) * 1.1
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color="#555555", lw=0.8, zorder=1)
    for y, row in enumerate(ratios):
        ends = [max(row["ci_low"], low), min(row["ci_high"], high)]
        axes.plot(ends, [y + LANE] * 2, color=PURPLE if finite(row["ci_low"]) else GREY, lw=2.2, zorder=2)
        arrows(axes, y + LANE, (row["ci_low"], row["ci_high"]), (low, high), {"color": PURPLE, "ms": 5, "zorder": 3})
        if low <= row["ratio"] <= high:
            axes.plot(row["ratio"], y + LANE, "o", color=PURPLE, ms=6, mec="white", mew=0.6, zorder=4)
        if finite(row["published"]):
            axes.plot(row["published"], y - LANE, "D", mfc="white", mec=ORANGE, mew=1.3, ms=5.2, zorder=4)
    axes.tick_params(colors=INK)
    return low, high
