"""Figures of ours beside the published: pooled effects, and their ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.schema import CONTROL, Contrast, Study
from tasks.reporting.drawing import GREY, INK, ORANGE, PURPLE, Drawing, new_canvas, wrapped
from tasks.reporting.findings import honest
from tasks.reporting.paper import Pair, known_ratios, pairs
from tasks.reporting.tables import Row, Tables, contrast_text
from tasks.reporting.words import MINUS, arrow, finite, in_sentence, interval, number, title_of

LANE = 0.17
LARGEST_RATIO = 30.0
"""The axis of ratios ends here; what lies beyond has an arrow."""


def paper_drawings(study: Study, tables: Tables) -> list[Drawing]:
    """Effects, and ratios, where there are any."""
    candidates = (_effects(study, pairs(study, tables)), _ratios(study, known_ratios(study, tables)))
    return [drawing for drawing in candidates if drawing]


def _effects(study: Study, found: list[Pair]) -> Drawing | None:
    """A panel a dimension: ours below, theirs above, a line a contrast."""
    panels = [
        own for d in study.evaluation.dimensions if (own := [pair for pair in found if pair.row["dimension"] == d])
    ]
    if not panels:
        return None
    heights = [0.36 * len(own) + 0.2 for own in panels]
    canvas = new_canvas(7.2, sum(heights) + 0.95 * len(panels) + 0.5)
    grid = canvas.add_gridspec(len(panels), 1, height_ratios=heights)
    for y, own in enumerate(panels):
        _panel(canvas.add_subplot(grid[y, 0]), study, own)
    canvas.legend(handles=_marks(found), loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Pooled effects of this study and of the paper. Purple: ours, thick line the Wald 95% interval of the paper's "
        "method, thin line the HKSJ one. Orange: the published value; its interval follows from the printed p where "
        "there is one (dotted: p is printed as below a limit, so the interval is at most so wide)."
    )
    said = [
        f"{contrast_text(pair.row)} on {in_sentence(title_of(study, pair.row['dimension']))}: ours "
        f"{number(pair.row['estimate'])} ({interval(*honest(pair.row))}), published {number(pair.row['published'])}"
        for pair in found
    ]
    alt = f"Dot plot of our pooled effects beside the published. {'; '.join(said)}."
    return Drawing("published", "Ours beside the published", caption, alt, canvas)


def _panel(axes: Any, study: Study, own: Sequence[Pair]) -> None:
    axes.axvline(0, color="#555555", lw=0.8, zorder=1)
    for y, pair in enumerate(own):
        row = pair.row
        if y % 2:
            axes.axhspan(y - 0.5, y + 0.5, color="#f4f3f7", lw=0, zorder=0)
        if finite(row["hksj_ci_low"], row["hksj_ci_high"]):
            axes.plot([row["hksj_ci_low"], row["hksj_ci_high"]], [y + LANE] * 2, color=PURPLE, lw=0.9, zorder=2)
        if finite(row["ci_low"], row["ci_high"]):
            axes.plot([row["ci_low"], row["ci_high"]], [y + LANE] * 2, color=PURPLE, lw=2.6, zorder=3)
        axes.plot(row["estimate"], y + LANE, "o", color=PURPLE, ms=6, mec="white", mew=0.6, zorder=4)
        if finite(pair.low, pair.high):
            style = (0, (1, 1)) if pair.at_most else "-"
            axes.plot([pair.low, pair.high], [y - LANE] * 2, color=ORANGE, lw=1.3, ls=style, zorder=2)
        axes.plot(row["published"], y - LANE, "D", mfc="white", mec=ORANGE, mew=1.3, ms=5.2, zorder=4)
    axes.set_yticks(range(len(own)), [wrapped(contrast_text(pair.row), 34, 2) for pair in own], fontsize=8.5)
    axes.set_ylim(len(own) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=6)
    dimension = own[0].row["dimension"]
    axes.set_title(title_of(study, dimension), loc="left", fontweight="bold", pad=5)
    axes.set_xlabel(f"Difference in score (0–1)   {arrow(study, dimension)}", fontsize=8.5)


def _marks(found: Sequence[Pair]) -> list[Any]:
    from matplotlib.lines import Line2D

    ours = Line2D([], [], color=PURPLE, marker="o", lw=2.6, ms=6, mec="white", label="Ours, Wald 95% CI")
    thin = [Line2D([], [], color=PURPLE, lw=0.9, label="Ours, HKSJ 95% CI")]
    theirs = Line2D([], [], color=ORANGE, marker="D", mfc="white", lw=1.3, ms=5.2, label="Published")
    return [ours, *(thin if any(finite(pair.row["hksj_ci_low"]) for pair in found) else []), theirs]


# ---- ratios


def _ratios(study: Study, found: list[Row]) -> Drawing | None:
    if not found:
        return None
    canvas = new_canvas(7.2, 0.42 * len(found) + 1.25)
    axes = canvas.add_subplot()
    low, high = _draw_ratios(axes, found)
    axes.set_yticks(range(len(found)), [ratio_name(study, row) for row in found], fontsize=8.5)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=6)
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("Times as large an effect (logarithmic axis; 1: equal)", fontsize=8.5)
    canvas.legend(handles=_ratio_marks(found), loc="outside lower center", ncols=2, frameon=False)
    caption = (
        "How many times as large one pooled effect is as another, with Fieller's 95% interval, which knows that both "
        "share prompts, control and architectures (an arrow where it leaves the axis)."
    )
    said = [
        f"{' '.join(ratio_name(study, row).split())}: {number(row['ratio'], 2)} "
        f"({interval(row['ci_low'], row['ci_high'], 2)})"
        for row in found
    ]
    return Drawing("ratios", "Ratios of effects", caption, f"Dot plot of ratios. {'; '.join(said)}.", canvas)


def _draw_ratios(axes: Any, found: Sequence[Row]) -> tuple[float, float]:
    """Ours with intervals, and the published, on a logarithmic axis that holds 1; its limits."""
    known = [row[key] for row in found for key in ("ratio", "ci_low", "ci_high", "published") if row[key] > 0]
    inside = [value for value in known if finite(value) and 1 / LARGEST_RATIO <= value <= LARGEST_RATIO]
    low, high = min([0.8, *inside]) / 1.1, max([1.25, *inside]) * 1.1
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color="#555555", lw=0.8, zorder=1)
    for y, row in enumerate(found):
        ends = [max(row["ci_low"], low), min(row["ci_high"], high)]
        axes.plot(ends, [y + LANE] * 2, color=PURPLE if finite(row["ci_low"]) else GREY, lw=2.2, zorder=2)
        for beyond, edge, mark in ((row["ci_low"] < low, low, "<"), (row["ci_high"] > high, high, ">")):
            axes.plot(edge, y + LANE, mark if beyond else "", color=PURPLE, ms=5, clip_on=False, zorder=3)
        if low <= row["ratio"] <= high:
            axes.plot(row["ratio"], y + LANE, "o", color=PURPLE, ms=6, mec="white", mew=0.6, zorder=4)
        if finite(row["published"]):
            axes.plot(row["published"], y - LANE, "D", mfc="white", mec=ORANGE, mew=1.3, ms=5.2, zorder=4)
    axes.tick_params(colors=INK)
    return low, high


def ratio_name(study: Study, row: Row) -> str:
    """`5-point / binary, toxicity`: each side as its condition where it is against control."""
    sides = [Contrast(row[side]).sides for side in ("of", "to")]
    names = [first if second == CONTROL else f"{first} {MINUS} {second}" for first, second in sides]
    return wrapped(f"{names[0]} / {names[1]}, {in_sentence(title_of(study, row['dimension']))}", 36, 2)


def _ratio_marks(found: Sequence[Row]) -> list[Any]:
    from matplotlib.lines import Line2D

    ours = Line2D([], [], color=PURPLE, marker="o", lw=2.2, ms=6, mec="white", label="Ours, Fieller 95% CI")
    theirs = Line2D([], [], color=ORANGE, marker="D", mfc="white", ls="", ms=5.2, label="Published")
    return [ours, *([theirs] if any(finite(row["published"]) for row in found) else [])]
