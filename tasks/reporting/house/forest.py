"""A forest plot: the effect in every architecture, or study, and what pooling makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from tasks.meta_analysis.heterogeneity import TITLES
from tasks.meta_analysis.read_effects import NAME, WEIGHT
from tasks.reporting.house.drawing import (
    GREY,
    INK,
    ORANGE,
    PURPLE,
    arrows,
    axis_limits,
    cut,
    house_style,
    new_canvas,
    wrapped,
    write_canvas,
)
from tasks.reporting.house.effects import asked, trusted
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import MINUS, finite, p_is, with_ends
from tasks.runtime.progress import Report, tell
from tasks.survey.intervals import Z95

LINE, LABEL_WIDTH, AXES_WIDTH, TEXT_WIDTH, LETTER = 0.235, 1.95, 3.0, 1.95, 0.063
"""Inches: a line, the labels, the axes, the numbers beside them at least, and a letter of these."""
LABEL_LETTERS = (26, 40, 54)
"""How long labels may be: no longer than tells them apart, on a figure that is as much wider."""
MOST_DIGITS = 6
"""After the point, in the numbers beside a plot."""
MOST_LINES, FEW_LINES = 60, 20
"""Effects of a page; up to so many, their shares of the weight are whole percents."""


@dataclass(frozen=True)
class ForestLine:
    """One effect: its name and standard error, and its share of the weight."""

    label: str
    estimate: float
    std_error: float
    weight: float

    @property
    def ends(self) -> tuple[float, float]:
        reach = Z95 * self.std_error
        return self.estimate - reach, self.estimate + reach


def lines(effects: Sequence[tuple[str, float, float]], tau2: float) -> list[ForestLine]:
    """Labels, estimates and standard errors with weights 1 / (se² + τ²), as shares."""
    weights = [1 / (error**2 + (tau2 if finite(tau2) else 0.0)) for _, _, error in effects]
    return [ForestLine(*item, weight / sum(weights)) for item, weight in zip(effects, weights, strict=True)]


def draw_forest(effects: Sequence[ForestLine], pooled: Row, heading: str, axis: str, page: slice = slice(None)) -> Any:
    """The canvas; below the effects stand the intervals of `pooled`, a row of pooled.csv, each on its own line.

    page: which of the effects this figure has. All pages of a pool have the same axis and the same lines below.
    """
    whole, effects = effects, effects[page]
    below, heading = _below(pooled), wrapped(heading, 76, 2)
    if len(effects) < len(whole):
        heading += f"\nEffects {page.start + 1} to {page.stop} of {len(whole)}"
    height = LINE * (len(effects) + len(below) + 0.6)
    title_lines = heading.count("\n") + 1
    top, bottom = 0.2 + 0.19 * title_lines, 0.3 + 0.18 * (axis.count("\n") + 1)
    numbers, letters = _numbers(whole, 0 if len(whole) <= FEW_LINES else 1), _letters(whole)
    label_width = LABEL_WIDTH * letters / LABEL_LETTERS[0]
    beside = max(TEXT_WIDTH, 0.15 + LETTER * max(map(len, numbers)))
    canvas = new_canvas(label_width + AXES_WIDTH + beside, height + top + bottom)
    canvas.set_layout_engine("none")
    width, tall = canvas.get_size_inches()
    axes = canvas.add_axes((label_width / width, bottom / tall, AXES_WIDTH / width, height / tall))
    held = [value for kind, *values in below if kind.startswith(("Pooled, Wald", "Published")) for value in values]
    ends = [0.0, *(end for line in whole for end in line.ends), *filter(finite, held)]  # wider intervals may leave
    low, high = axis_limits(ends, [end for end in trusted(pooled) if finite(end)], 1e-9)
    _lines(axes, effects)
    for y, (kind, *values) in enumerate(below, start=len(effects)):
        _summary(axes, y + 0.6, kind, values, low, high)
    _frame(axes, len(effects), below, low, high, axis)
    names = [*(cut(line.label, letters) for line in effects), *(kind for kind, *_ in below)]
    _texts(axes, len(effects), names, [*numbers[page], *(readable(*values) for _, *values in below)])
    canvas.text(0.1 / width, 1 - 0.1 / tall, heading, va="top", fontweight="bold", fontsize=9.5)
    return canvas


def _below(pooled: Row) -> list[tuple[str, float, float, float]]:
    """What stands below the effects: kind, estimate, low, high."""
    at = pooled["estimate"]
    rows = [("Pooled, Wald 95% CI", at, pooled["ci_low"], pooled["ci_high"])]
    if asked(pooled):
        rows += [("Pooled, full 95% CI", at, pooled["total_ci_low"], pooled["total_ci_high"])]
    if finite(pooled["hksj_ci_low"]):
        rows += [("Pooled, HKSJ 95% CI", at, pooled["hksj_ci_low"], pooled["hksj_ci_high"])]
        rows += [("Prediction 95%", at, pooled["pi_low"], pooled["pi_high"])]
    if finite(pooled.get("cr2_ci_low", float("nan"))):
        rows += [("CR2 95% CI", at, pooled["cr2_ci_low"], pooled["cr2_ci_high"])]
    if finite(pooled.get("half_normal_mean", float("nan"))):
        rows += [("Half-normal prior 95%", *(pooled[f"half_normal_{name}"] for name in ("mean", "low", "high")))]
    if finite(pooled.get("published", float("nan"))):
        rows.append(("Published", pooled["published"], float("nan"), float("nan")))
    return rows


def _lines(axes: Any, effects: Sequence[ForestLine]) -> None:
    """Every effect with its interval; the area of its square is its weight."""
    places, ends = range(len(effects)), [line.ends for line in effects]
    axes.hlines(places, [low for low, _ in ends], [high for _, high in ends], color=GREY, lw=1.3, zorder=2)
    estimates, sizes = (
        [line.estimate for line in effects],
        [(2.5 + 7 * max(line.weight, 0) ** 0.5) ** 2 for line in effects],
    )
    axes.scatter(estimates, places, s=sizes, marker="s", color=INK, ec="white", lw=0.5, zorder=3)


def _summary(axes: Any, y: float, kind: str, values: Sequence[float], low: float, high: float) -> None:
    at, *ends = values
    if kind == "Published":
        axes.plot(at, y, "D", mfc="none", mec=ORANGE, mew=1.3, ms=5.5, zorder=4)
        return
    if not finite(*ends):
        axes.plot(at, y, "D", color=PURPLE, ms=6, zorder=4)
        return
    if kind.startswith("Pooled, Wald"):
        axes.fill([ends[0], at, ends[1], at], [y, y - 0.28, y, y + 0.28], color=PURPLE, lw=0, zorder=3)
        return
    style = {"ls": (0, (2, 1.4)), "lw": 1.1} if kind.startswith("Prediction") else {"lw": 2.0}
    axes.plot([max(ends[0], low), min(ends[1], high)], [y, y], color=PURPLE, solid_capstyle="butt", zorder=3, **style)
    arrows(axes, y, ends, (low, high), {"color": PURPLE, "ms": 4.5, "zorder": 4})


def _frame(axes: Any, k: int, below: Sequence[Any], low: float, high: float, axis: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.axvline(0, color="#555555", lw=0.8, zorder=1)
    axes.axhline(k - 0.2, color="#bbbbbb", lw=0.8, zorder=1)
    axes.set_xlim(low, high)
    axes.set_ylim(k + len(below) + 0.2, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(axis, fontsize=8.5)


def _letters(effects: Sequence[ForestLine]) -> int:
    """How long labels must be to tell the effects apart, of `LABEL_LETTERS`."""
    names = {line.label for line in effects}
    return next((n for n in LABEL_LETTERS if len({cut(name, n) for name in names}) == len(names)), LABEL_LETTERS[-1])


def _numbers(effects: Sequence[ForestLine], digits: int) -> list[str]:
    """What stands beside each effect: its estimate with the interval, and its weight to so many digits."""
    return [f"{readable(line.estimate, *line.ends)}  {100 * line.weight:.{digits}f}%" for line in effects]


def _texts(axes: Any, k: int, names: Sequence[str], numbers: Sequence[str]) -> None:
    """Names on the left, numbers on the right, of k effects and of what stands below."""
    places = [y if y < k else y + 0.6 for y in range(len(names))]
    axes.set_yticks(places, names, fontsize=8.5)
    for y, text in zip(places, numbers, strict=True):
        axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def readable(value: float, low: float, high: float) -> str:
    """`0.500 (0.304 to 0.696)`, with the digits that show an interval's width, or in powers of ten."""
    size = max((abs(number) for number in (value, low, high) if finite(number)), default=0.0)
    if finite(size) and size and not 1e-3 <= size < 1e7:
        texts = [f"{number:.2e}".replace("-", MINUS) for number in (value, low, high)]
        return texts[0] + (f" ({texts[1]} to {texts[2]})" if finite(low, high) else "")
    width = high - low if finite(low, high) else 1.0
    return with_ends(value, low, high, 3 if width <= 0 else min(max(1 - math.floor(math.log10(width)), 3), MOST_DIGITS))


def forest_alt(heading: str, effects: Sequence[ForestLine], pooled: Row) -> str:
    """The plot in words."""
    each = "; ".join(f"{line.label} {readable(line.estimate, *line.ends)}" for line in effects)
    whole = readable(pooled["estimate"], pooled["ci_low"], pooled["ci_high"])
    return f"Forest plot, {' '.join(heading.split())}. {each}. Pooled: {whole}."


def forest_name(pooled: Row) -> str:
    """`forest-scale-5-point-minus-control-toxicity`, of names that are fit for a file's."""
    return f"forest-{pooled['experiment']}-{pooled['first']}-minus-{pooled['second']}-{pooled['dimension']}"


# ---- of any table


def draw_forests(
    effects: pd.DataFrame, pooled: pd.DataFrame, by: Sequence[str], method: str, folder: Path, most: int
) -> pd.DataFrame:
    """`folder/forest-001.svg` and `.png`, a plot a group of `by`, its further pages in `forest-001-2.svg` and so on.

    effects: `by`, `NAME`, estimate, std_error, and `WEIGHT` where errors don't say it. The rows of `pooled` that are
    not drawn come back: those whose pages are more than what is left of the `most` figures.
    """
    groups = dict(list(effects.groupby(list(by), sort=False))) if by else {(): effects}
    keys = pooled[list(by)].itertuples(index=False, name=None) if by else [()] * len(pooled)
    left, not_drawn = most, []
    with house_style():
        for number, (row, key) in enumerate(zip(pooled.to_dict("records"), keys, strict=True), start=1):
            own = pages(len(groups[key]))
            if len(own) > left:
                not_drawn.append(number - 1)
                continue
            left -= len(own)
            drawn = _lines_of(groups[key], row["tau2"])
            heading = ", ".join(map(str, key)) or "All effects"
            for place, page in enumerate(own, start=1):
                tell(Report("forest plots", number, len(pooled), "groups"))
                canvas = draw_forest(drawn, row, heading, f"Estimate\n{_heterogeneity(row, method)}", page)
                write_canvas(canvas, folder / f"forest-{number:03d}{f'-{place}' if place > 1 else ''}")
    return pooled.iloc[not_drawn]


def pages(count: int) -> list[slice]:
    """As few pages as hold `count` effects, of about the same length."""
    needed = math.ceil(count / MOST_LINES)
    ends = [round(count * number / needed) for number in range(needed + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _lines_of(own: pd.DataFrame, tau2: float) -> list[ForestLine]:
    known = list(own[[NAME, "estimate", "std_error"]].itertuples(index=False, name=None))
    drawn = lines(known, tau2)
    if WEIGHT not in own:
        return drawn
    return [replace(line, weight=share) for line, share in zip(drawn, own[WEIGHT], strict=True)]


def _heterogeneity(pooled: Row, method: str) -> str:
    """`REML; Q = 152 (df = 12, p < .001), I² = 92.2%, τ² = 0.313`; the method alone where one effect stands alone."""
    if not finite(pooled["q"]):
        return TITLES[method]
    q = f"Q = {pooled['q']:.4g} (df = {pooled['k'] - 1:.0f}, p {p_is(pooled['q_p'])})"
    return f"{TITLES[method]}; {q}, I² = {pooled['i2']:.1f}%, τ² = {pooled['tau2']:.3g}"
