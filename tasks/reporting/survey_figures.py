"""The figures of the survey: co-occurrence (paper, Figure 1) and reliability; odds ratios have their own module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from configs.schema import Study
from tasks.reporting.drawing import GREY, INK, PURPLE, Drawing, cut, in_lines, new_canvas, wrapped
from tasks.reporting.regression_figure import odds_ratios
from tasks.reporting.tables import Row, Tables, rows
from tasks.reporting.words import finite, interval, number, percent, stratum_title, title_of


def survey_drawings(study: Study, tables: Tables) -> list[Drawing]:
    """All that the survey's tables allow."""
    found = (_cooccurrence(study, tables), _reliability(study, tables), odds_ratios(study, tables))
    return [drawing for drawing in found if drawing]


def _cooccurrence(study: Study, tables: Tables) -> Drawing | None:
    found = {(row["row"], row["column"]): row["probability"] for row in rows(tables, "cooccurrence")}
    names = [name for name in study.dimensions if any(name in pair for pair in found)]
    if len(names) < 2:
        return None
    canvas = new_canvas(1.5 + 1.02 * len(names), 1.1 + 0.56 * len(names))
    axes = canvas.add_subplot()
    values = [[found.get((row, column), math.nan) for column in names] for row in names]
    _heat_map(axes, values, [wrapped(title_of(study, name), 14) for name in names])
    pairs = [
        f"{title_of(study, row)} → {title_of(study, column)} {percent(found[row, column])}"
        for row in names
        for column in names
        if row != column and finite(found.get((row, column), math.nan))
    ]
    caption = (
        "Probability that a rating is positive on the column's dimension, given that it is positive on the row's, "
        "from the same rater about the same response. The paper's Figure 1 shows the same of its raters."
    )
    alt = f"Heat map of conditional probabilities. {'; '.join(pairs)}."
    return Drawing("cooccurrence", "What is seen together", caption, alt, canvas)


def _heat_map(axes: Any, values: list[list[float]], labels: list[str]) -> None:
    shades = [[value if finite(value) else 0.0 for value in line] for line in values]
    axes.imshow(shades, cmap="Purples", vmin=0, vmax=1.15, aspect="auto")
    axes.set_xticks(range(len(labels)), labels, fontsize=8.5)
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("… also positive on", labelpad=6)
    axes.set_ylabel("Positive on …", labelpad=6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            axes.text(x, y, percent(value), ha="center", va="center", color="white" if value > 0.6 else INK)


def _reliability(study: Study, tables: Tables) -> Drawing | None:
    """Krippendorff's alpha of every stratum, a panel a dimension; none without strata."""
    found = [row for row in rows(tables, "reliability") if finite(row["alpha"])]
    strata = list(dict.fromkeys(row["stratum"] for row in found if row["stratum"] != "all"))
    if not strata or not study.strata:
        return None
    panels = in_lines(list(dict.fromkeys(row["dimension"] for row in found)))
    columns = len(panels[0])
    canvas = new_canvas(1.6 + 2.05 * max(columns, 1.5), len(panels) * (0.95 + 0.27 * len(strata)) + 0.35)
    grid, limits = canvas.add_gridspec(len(panels), columns), _alpha_limits(found)
    for y, line in enumerate(panels):
        for x, dimension in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            own = {row["stratum"]: row for row in found if row["dimension"] == dimension}
            labels = [cut(stratum_title(study, name), 20) if x == 0 else "" for name in strata]
            _alpha_panel(axes, own, strata, labels, limits)
            axes.set_title(wrapped(title_of(study, dimension), 26, 2), loc="left", fontweight="bold", pad=6)
    canvas.legend(handles=_alpha_legend(), loc="outside lower center", ncols=2, frameon=False)
    caption = "Krippendorff's α within each group of raters, and of all raters together, with bootstrap 95% intervals."
    said = [
        f"{title_of(study, row['dimension'])}, {stratum_title(study, row['stratum'])} {number(row['alpha'], 2)}"
        f" ({interval(row['ci_low'], row['ci_high'], 2)})"
        for row in found
    ]
    alt = f"Dot plot of Krippendorff's alpha. {'; '.join(said)}."
    return Drawing("reliability", "How far raters agree", caption, alt, canvas)


def _alpha_limits(found: list[Row]) -> tuple[float, float]:
    """One axis for all panels, from -1 to 1 at most."""
    values = [row[key] for row in found for key in ("alpha", "ci_low", "ci_high") if finite(row[key])]
    low, high = max(min(values), -1.0), min(max(values), 1.0)
    pad = 0.07 * max(high - low, 0.1)
    return low - pad, high + pad


def _alpha_panel(
    axes: Any, own: dict[str, Row], strata: Sequence[str], labels: Sequence[str], limits: tuple[float, float]
) -> None:
    from matplotlib.ticker import MaxNLocator

    if everybody := own.get("all"):
        axes.axvline(everybody["alpha"], color=GREY, lw=1.2, zorder=1)
        if finite(everybody["ci_low"], everybody["ci_high"]):
            axes.axvspan(everybody["ci_low"], everybody["ci_high"], color="#e9e8ee", lw=0, zorder=0)
    for y, row in enumerate(own.get(name) for name in strata):
        if row and finite(row["ci_low"], row["ci_high"]):
            ends = [row["ci_low"], row["ci_high"]]
            axes.plot(ends, [y, y], color=PURPLE, lw=2.2, solid_capstyle="butt", zorder=2)
        if row:
            axes.plot(row["alpha"], y, "o", color=PURPLE, ms=6, mec="white", mew=0.6, zorder=3)
    axes.set_xlim(*limits)
    axes.set_ylim(len(strata) - 0.4, -0.6)
    axes.set_yticks(range(len(strata)), labels, fontsize=8.5)
    axes.tick_params(axis="y", length=0, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("Krippendorff's α", fontsize=8.5)


def _alpha_legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    group = Line2D([], [], color=PURPLE, marker="o", lw=2.2, ms=6, mec="white", label="Group of raters, 95% CI")
    return [group, Patch(facecolor="#e9e8ee", edgecolor=GREY, label="All raters, 95% CI")]
