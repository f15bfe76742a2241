"""An experiment beside the one that it extends: equal epochs, or equal optimiser steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.meta_analysis.tables import Pooled
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.document import Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.drawing import (
    BLUE,
    PURPLE,
    Drawing,
    lanes,
    marks,
    name_lines,
    name_score_axis,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.effects import (
    contrast_text,
    direction,
    effect_text,
    side_text,
    trusted,
    which_interval,
    with_interval,
)
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, interval, label_sentence, number, title_of, whole

LANE = 0.15
Pair = tuple[Row, Row]
"""The same contrast and dimension in the experiment that is extended, and in the one that extends it."""


def repeated(results: Results) -> dict[str, list[Pair]]:
    """The pooled effects that an experiment has in common with the one that it extends, by its name."""
    every: dict[str, list[Pair]] = {}
    for name, experiment in results.study.experiments.items():
        if experiment.extends not in results.study.experiments:
            continue
        base = {(row["contrast"], row["dimension"]): row for row in results.pooled(str(experiment.extends))}
        both = [(base.get((row["contrast"], row["dimension"])), row) for row in results.pooled(name)]
        every[name] = [(a, b) for a, b in both if a and b["focus"] and finite(a["estimate"], b["estimate"])]
    return {name: pairs for name, pairs in every.items() if pairs}


def _parts(results: Results) -> list[Part]:
    study, parts = results.study, list[Part]()
    for name, pairs in repeated(results).items():
        experiment = study.experiments[name]
        base = study.experiments[str(experiment.extends)]
        clear = [(a, b) for a, b in pairs if direction(a)]
        stays = sum(direction(a) == direction(b) for a, b in clear)
        text = (
            f"{base.title} and {experiment.title}: of {whole(len(clear))} effects that are clear in the first, "
            f"{whole(stays)} are clear in the same direction in the second. {label_sentence(study)}"
        )
        table = TablePart.of(
            pairs,
            ("Contrast", "l", lambda pair: contrast_text(pair[0])),
            ("Dimension", "l", lambda pair: title_of(study, pair[0]["dimension"])),
            (f"Equal {base.budget}", "r", lambda pair: number(pair[0]["estimate"])),
            (f"95% CI ({which_interval([a for a, _ in pairs])})", "r", lambda pair: interval(*trusted(pair[0]))),
            (f"Equal {experiment.budget}", "r", lambda pair: number(pair[1]["estimate"])),
            (f"95% CI ({which_interval([b for _, b in pairs])})", "r", lambda pair: interval(*trusted(pair[1]))),
        )
        parts += [Paragraph(text.strip()), *results.picture(f"budget-{name}"), table, SourceTables(("pooled",))]
    return parts


def _drawing(results: Results, name: str, pairs: list[Pair]) -> Drawing:
    study, experiment = results.study, results.study.experiments[name]
    panels = [(d, own) for d in study.evaluation.dimensions if (own := [p for p in pairs if p[0]["dimension"] == d])]
    heights = [0.42 * len(own) + 0.2 for _, own in panels]
    canvas = new_canvas(6.8, sum(heights) + 0.9 * len(panels) + 0.45)
    grid = canvas.add_gridspec(len(panels), 1, height_ratios=heights)
    for y, (dimension, own) in enumerate(panels):
        axes = canvas.add_subplot(grid[y, 0])
        _panel(axes, own)
        name_score_axis(axes, study, dimension)
    first, second = f"equal {study.experiments[str(experiment.extends)].budget}", f"equal {experiment.budget}"
    style = {"lw": 1.8, "ms": 6, "mec": "white"}
    legend = marks(
        (first.capitalize(), {"color": PURPLE, "marker": "o", **style}),
        (second.capitalize(), {"color": BLUE, "marker": "s", **style}),
    )
    canvas.legend(handles=legend, loc="outside lower center", ncols=2, frameon=False)
    which = which_interval([row for pair in pairs for row in pair])
    caption = (
        f"The same contrasts with {first} and with {second}, {which} 95% intervals. A difference between conditions "
        "that stays with equal steps is not only one of more training."
    )
    each = [f"{effect_text(study, a)}: {with_interval(a)} and {with_interval(b)}" for a, b in pairs]
    alt = f"Dot plot of {first} beside {second}. {'; '.join(each)}."
    return Drawing(f"budget-{name}", experiment.title, caption, alt, canvas)


def _panel(axes: Any, own: Sequence[Pair]) -> None:
    lanes(axes, len(own))
    for y, pair in enumerate(own):
        for row, lane, colour, shape in zip(pair, (-LANE, LANE), (PURPLE, BLUE), "os", strict=True):
            low, high = trusted(row)
            if finite(low, high):
                axes.plot([low, high], [y + lane] * 2, color=colour, lw=1.8, zorder=2)
            axes.plot(row["estimate"], y + lane, shape, color=colour, ms=6, mec="white", mew=0.6, zorder=3)
    name_lines(axes, [wrapped(side_text(row["contrast"]), 26, 2) for row, _ in own])


CHAPTER = Chapter(
    "budgets",
    "Equal epochs, equal steps",
    [Pooled],
    parts=_parts,
    figures=lambda results: [_drawing(results, name, pairs) for name, pairs in repeated(results).items()],
)
