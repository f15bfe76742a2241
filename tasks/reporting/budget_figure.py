"""An experiment beside the one that it extends: equal epochs, or equal optimiser steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.schema import CONTROL, Study
from tasks.reporting.drawing import BLUE, PURPLE, Drawing, new_canvas, wrapped
from tasks.reporting.findings import honest
from tasks.reporting.tables import Row, Tables, contrast_text, pooled_rows
from tasks.reporting.words import arrow, finite, in_sentence, interval, number, title_of

LANE = 0.15


def repeated(study: Study, tables: Tables, name: str) -> list[tuple[Row, Row]]:
    """The pooled effects that an experiment has in common with the one that it extends: (that one's, its own)."""
    base = study.experiments[name].extends
    if base not in study.experiments:
        return []
    theirs = {(row["contrast"], row["dimension"]): row for row in pooled_rows(study, tables, str(base))}
    both = [
        (theirs[key], row)
        for row in pooled_rows(study, tables, name)
        if (key := (row["contrast"], row["dimension"])) in theirs
    ]
    return [(a, b) for a, b in both if b["focus"] and finite(a["estimate"], b["estimate"])]


def budget_drawings(study: Study, tables: Tables) -> list[Drawing]:
    """One figure for each experiment that extends another."""
    found = {name: repeated(study, tables, name) for name in study.experiments}
    return [_drawing(study, name, pairs) for name, pairs in found.items() if pairs]


def _drawing(study: Study, name: str, found: list[tuple[Row, Row]]) -> Drawing:
    panels = [[pair for pair in found if pair[0]["dimension"] == name] for name in study.evaluation.dimensions]
    panels = [own for own in panels if own]
    heights = [0.42 * len(own) + 0.2 for own in panels]
    canvas = new_canvas(6.8, sum(heights) + 0.9 * len(panels) + 0.45)
    grid = canvas.add_gridspec(len(panels), 1, height_ratios=heights)
    for y, own in enumerate(panels):
        _panel(canvas.add_subplot(grid[y, 0]), study, own)
    ours = study.experiments[name]
    titles = [f"Equal {study.experiments[str(ours.extends)].budget}", f"Equal {ours.budget}"]
    canvas.legend(handles=_marks(titles), loc="outside lower center", ncols=2, frameon=False)
    caption = (
        f"The same contrasts with {titles[0].lower()} and with {titles[1].lower()}, HKSJ 95% intervals. A difference "
        "between conditions that stays with equal steps is not only one of more training."
    )
    said = [
        f"{contrast_text(a)} on {in_sentence(title_of(study, a['dimension']))}: {number(a['estimate'])} "
        f"({interval(*honest(a))}) and {number(b['estimate'])} ({interval(*honest(b))})"
        for a, b in found
    ]
    alt = f"Dot plot of {titles[0].lower()} beside {titles[1].lower()}. {'; '.join(said)}."
    return Drawing(f"budget-{name}", ours.title, caption, alt, canvas)


def _panel(axes: Any, study: Study, own: Sequence[tuple[Row, Row]]) -> None:
    axes.axvline(0, color="#555555", lw=0.8, zorder=1)
    for y, pair in enumerate(own):
        if y % 2:
            axes.axhspan(y - 0.5, y + 0.5, color="#f4f3f7", lw=0, zorder=0)
        for row, lane, colour, shape in zip(pair, (-LANE, LANE), (PURPLE, BLUE), "os", strict=True):
            low, high = honest(row)
            if finite(low, high):
                axes.plot([low, high], [y + lane] * 2, color=colour, lw=1.8, zorder=2)
            axes.plot(row["estimate"], y + lane, shape, color=colour, ms=6, mec="white", mew=0.6, zorder=3)
    names = [row["first"] if row["second"] == CONTROL else contrast_text(row) for row, _ in own]
    axes.set_yticks(range(len(own)), [wrapped(text, 26, 2) for text in names], fontsize=8.5)
    axes.set_ylim(len(own) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=6)
    dimension = own[0][0]["dimension"]
    axes.set_title(title_of(study, dimension), loc="left", fontweight="bold", pad=5)
    axes.set_xlabel(f"Difference in score (0–1)   {arrow(study, dimension)}", fontsize=8.5)


def _marks(titles: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour, marker=shape, lw=1.8, ms=6, mec="white", label=title)
        for title, colour, shape in zip(titles, (PURPLE, BLUE), "os", strict=True)
    ]
