"""The figure of designs: power and the width of the interval by raters, a line for each number of architectures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tasks.planning.design_study import Designed
from tasks.reporting.house.drawing import BLUE, GREY, ORANGE, PURPLE, marks, new_canvas
from tasks.reporting.house.words import MINUS, label_sentence, title_of

COLOURS = (ORANGE, BLUE, PURPLE, GREY)
"""Of so many numbers of architectures at most."""
PLACES = 48


def draw_design(designed: Designed) -> Any:
    """matplotlib's figure: power for the first effect on the left, half the interval's width on the right.

    All else is as in the study's own design. The pale band is the range of the most architectures' line.
    """
    asked = [design.raters for design in designed.designs]
    raters = np.unique(np.geomspace(max(min(asked) / 2, 2), 2 * max(asked), PLACES).round().astype(int))
    numbers = sorted({design.architectures for design in designed.designs})[-len(COLOURS) :]
    canvas = new_canvas(7.4, 3.4)
    canvas.get_layout_engine().set(w_pad=0.08)
    left, right = canvas.subplots(1, 2)
    effect = designed.effects[0]
    first = designed.designs[0]
    for number, colour in zip(numbers, COLOURS, strict=False):
        designs = [replace(first, raters=int(count), architectures=number) for count in raters]
        predicted = [designed.predict(design) for design in designs]
        power = [one.power(effect) for one in predicted]
        width = [one.half_width for one in predicted]
        left.plot(raters, [one.value for one in power], color=colour, lw=1.8)
        right.plot(raters, width, color=colour, lw=1.8)
        if number == numbers[-1]:
            left.fill_between(
                raters, [one.low for one in power], [one.high for one in power], color=colour, alpha=0.12, lw=0
            )
            low, high = (
                [one.critical * end for one, end in zip(predicted, ends, strict=True)] for ends in _ends(predicted)
            )
            right.fill_between(raters, low, high, color=colour, alpha=0.12, lw=0)
    left.axhline(designed.question.power, color="#555555", lw=0.8, ls=":")
    left.set_ylim(0, 1.02)
    right.set_ylim(bottom=0)
    _name(designed, left, right, effect)
    styles = [
        (f"{number} architectures", {"color": colour, "lw": 1.8})
        for number, colour in zip(numbers, COLOURS, strict=False)
    ]
    canvas.legend(handles=marks(*styles), loc="outside lower center", ncols=4, frameon=False)
    return canvas


def _ends(predicted: list[Any]) -> tuple[list[float], list[float]]:
    return [one.std_error.low for one in predicted], [one.std_error.high for one in predicted]


def _name(designed: Designed, left: Any, right: Any, effect: float) -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

    key = designed.basis.effect
    whom = "Raters of each group" if designed.basis.groups == 2 else "Raters"
    for axes, title in ((left, f"Power for an effect of {effect:g}"), (right, "Expected 95% interval: ± so much")):
        axes.set_title(title, loc="left", fontweight="bold", pad=5)
        axes.set_xscale("log")
        ticks = sorted({design.raters for design in designed.designs})
        axes.set_xticks(ticks[:: -(-len(ticks) // 5)])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(whom, fontsize=8.5)
        for design in {design.raters for design in designed.designs}:
            axes.axvline(design, color="#e4e2ea", lw=0.8, zorder=0)
    right.yaxis.set_major_locator(MaxNLocator(5))
    contrast = f" {MINUS} ".join(key.contrast.sides)
    label = label_sentence(designed.study)
    canvas = left.figure
    canvas.suptitle(
        f"{contrast}, {title_of(designed.study, key.dimension)}. {label}".strip(), x=0.01, ha="left", fontsize=9
    )
