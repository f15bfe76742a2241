"""The figure of how sure: both intervals of each difference, and beside them where its error comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.placebo import PLACEBO
from configs.schema import CONTROL
from tasks.meta_analysis.tables import VarianceComponents
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    Drawing,
    axis_limits,
    lanes,
    marks,
    name_lines,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.effects import contrast_text, effect_text
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, interval, number, percent, spoken

COLOURS = {"raters": ORANGE, "prompts": BLUE, "seeds": "#3f7f3f", "judge": "#a02070", "architectures": GREY}
PLACEBO_COLOUR = "#777777"


def draw_certainty(results: Results) -> list[Drawing]:
    """A line for each difference between conditions and each placebo; none where no effect has a full interval."""
    rows = [
        row
        for row in results.pooled()
        if (row["focus"] or row["experiment"] == PLACEBO)
        and row["second"] != CONTROL
        and finite(row["estimate"], row["total_ci_low"])
    ]
    if not rows:
        return []
    rows.sort(key=lambda row: row["experiment"] == PLACEBO)
    shares: dict[tuple[str, str, str], dict[str, float]] = {}
    for part in results.rows(VarianceComponents):
        if finite(part["share"]):
            shares.setdefault(_key(part), {})[part["source"]] = part["share"]
    canvas = new_canvas(7.4, 1.5 + 0.36 * len(rows))
    canvas.get_layout_engine().set(w_pad=0.08)
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 1.4))
    _intervals(left, results, rows)
    _shares(right, [shares.get(_key(row), {}) for row in rows])
    canvas.legend(handles=_legend(shares.values(), rows), loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Differences in score between conditions, pooled over architectures: the thick line is the 95% interval over "
        "architectures alone, the thin one the full interval, which knows who was asked (grey: placebos, random halves "
        "of the raters between which there is nothing to find). On the right, the share of each source in the error "
        "that was measured."
    )
    each = [
        f"{effect_text(results.study, row)}: {number(row['estimate'])}, architectures alone "
        f"{interval(row['ci_low'], row['ci_high'])}, full {interval(row['total_ci_low'], row['total_ci_high'])}; "
        + ", ".join(f"{source} {percent(share)}" for source, share in shares.get(_key(row), {}).items())
        for row in rows
    ]
    return [
        Drawing("certainty", "Both intervals of each difference", caption, f"Interval plot. {'; '.join(each)}.", canvas)
    ]


def _key(row: Row) -> tuple[str, str, str]:
    return row["experiment"], row["contrast"], row["dimension"]


def _intervals(axes: Any, results: Results, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import MaxNLocator

    lanes(axes, len(rows))
    for y, row in enumerate(rows):
        colour = PLACEBO_COLOUR if row["experiment"] == PLACEBO else PURPLE
        axes.plot([row["ci_low"], row["ci_high"]], [y] * 2, color=colour, lw=3.2, zorder=3, solid_capstyle="butt")
        axes.plot([row["total_ci_low"], row["total_ci_high"]], [y] * 2, color=colour, lw=1.2, zorder=2)
        axes.plot(row["estimate"], y, "o", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
    inner = [0.0, *(row[end] for row in rows for end in ("ci_low", "ci_high", "total_ci_low", "total_ci_high"))]
    axes.set_xlim(*axis_limits([value for value in inner if finite(value)], [], 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("Difference in score (0–1)", fontsize=8.5)
    axes.set_title("Intervals", loc="left", fontweight="bold", pad=5)
    name_lines(axes, [_name(results, row) for row in rows])


def _name(results: Results, row: Row) -> str:
    kind = "Placebo: " if row["experiment"] == PLACEBO else ""
    return f"{wrapped(kind + contrast_text(row), 34, 1)}\n{spoken(results.study, row['dimension'])}"


def _shares(axes: Any, rows: Sequence[dict[str, float]]) -> None:
    for y, shares in enumerate(rows):
        start = 0.0
        for source, colour in COLOURS.items():
            width = shares.get(source, 0.0)
            axes.barh(y, width, left=start, height=0.5, color=colour, lw=0)
            if width >= 0.2:
                axes.text(
                    start + width / 2, y, f"{100 * width:.0f}%", ha="center", va="center", color="white", fontsize=7
                )
            start += width
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50", "100%"])
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_title("Where the error is from", loc="left", fontweight="bold", pad=5)


def _legend(shares: Any, rows: Sequence[Row]) -> list[Any]:
    plain = {"color": PURPLE, "marker": "o", "lw": 3.2, "ms": 5, "mec": "white"}
    used = {source for own in shares for source in own}
    explained: list[tuple[str, dict[str, Any]]] = [
        ("Architectures alone, 95% CI", plain),
        ("Full 95% CI", {"color": PURPLE, "lw": 1.2}),
        *([("Placebo", plain | {"color": PLACEBO_COLOUR})] if rows[-1]["experiment"] == PLACEBO else []),
    ]
    squares = {"marker": "s", "ls": "", "ms": 7}
    return marks(*explained, *((name, {"color": COLOURS[name], **squares}) for name in COLOURS if name in used))
