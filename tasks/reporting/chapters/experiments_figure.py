"""The figures of an experiment: its pooled effects, and a forest plot for each contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from configs.schema import CONTROL, Study
from tasks.effects.tables import Effects
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawing import (
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    Drawing,
    arrows,
    axis_limits,
    lanes,
    marks,
    new_canvas,
    wrapped,
)
from tasks.reporting.house.effects import contrast_text, effect_text, trusted, which_interval
from tasks.reporting.house.forest import draw_forest, forest_alt, forest_name, lines
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import arrow, finite, interval, number, spoken, title_of
from tasks.survey.tables import SurveyContrasts

PUBLISHED_LANE, SURVEY_LANE, ARCHITECTURE_LANE = -0.27, 0.20, 0.20


@dataclass(frozen=True)
class Panel:
    """One axes of pooled effects on one dimension; `effects` has a pooled effect, or none, for each label."""

    heading: str
    dimension: str
    labels: Sequence[str]
    effects: Sequence[Row | None]


def _key(row: Row) -> tuple[str, str]:
    """The contrast and the dimension that an effect is of."""
    return row["contrast"], row["dimension"]


def draw_experiments(results: Results) -> list[Drawing]:
    """Of each experiment its pooled effects, and a forest plot for each contrast."""
    names = results.study.experiments
    return [drawing for name in names for drawing in (*_effects(results, name), *_forests(results, name))]


# ---- pooled effects


def _effects(results: Results, name: str) -> list[Drawing]:
    """Pooled effects of an experiment: against control, and between conditions; a column a dimension."""
    study, experiment = results.study, results.study.experiments[name]
    known = [row for row in results.pooled(name) if finite(row["estimate"])]
    about = {row["dimension"] for row in known if row["focus"]}
    dimensions = [dimension for dimension in study.evaluation.dimensions if dimension in about]
    if not dimensions:
        return []
    pooled = [row for row in known if row["dimension"] in dimensions]
    survey, effects = _survey(results, name, pooled), results.rows(Effects, experiment=name)
    for row in pooled:
        row["survey"] = survey.get(_key(row))
        row["single"] = [e["estimate"] for e in effects if _key(e) == _key(row) and finite(e["estimate"])]
    canvas = _draw_panels(study, _panel_lines(study, pooled, dimensions))
    theirs = experiment.figure and not experiment.extends
    beside = f"The paper's {experiment.figure} shows the same of its models. " if theirs else ""
    caption = beside + _caption(pooled, len(study.architectures))
    each = [
        f"{effect_text(study, row)}: {number(row['estimate'])} ({interval(row['ci_low'], row['ci_high'])})"
        for row in pooled
    ]
    alt = f"Dot plot of pooled effects with 95% intervals, {experiment.title}. {'; '.join(each)}."
    return [Drawing(f"effects-{name}", experiment.title, caption, alt, canvas)]


def _survey(results: Results, name: str, pooled: list[Row]) -> dict[tuple[str, str], Row]:
    """Differences between raters for the contrasts of an experiment that compare strata."""
    strata = {key for key, condition in results.study.experiments[name].conditions.items() if condition.stratum}
    contrasts = {row["contrast"] for row in pooled if {row["first"], row["second"]} <= strata}
    return {
        _key(row): row
        for row in results.rows(SurveyContrasts)
        if row["contrast"] in contrasts and finite(row["estimate"])
    }


def _panel_lines(study: Study, pooled: list[Row], dimensions: Sequence[str]) -> list[list[Panel]]:
    """Lines of at most two panels that share their contrasts: first against control, then between conditions."""
    lines, letters = [], iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for control, what in ((True, "against no fine-tuning"), (False, "between conditions")):
        own = [row for row in pooled if (row["second"] == CONTROL) == control]
        labels = {row["contrast"]: row["first"] if control else contrast_text(row) for row in own}
        by_key = {_key(row): row for row in own}
        panels = [
            Panel(
                f"{next(letters, '')}  {wrapped(title_of(study, dimension), 34, 2)}\n{what}",
                dimension,
                list(labels.values()),
                [by_key.get((contrast, dimension)) for contrast in labels],
            )
            for dimension in (dimensions if own else ())
        ]
        lines += [panels[at : at + 2] for at in range(0, len(panels), 2)]
    return lines


def _draw_panels(study: Study, lines: list[list[Panel]]) -> Any:
    drawn = [row for line in lines for panel in line for row in panel.effects if row]
    columns, row_height = max(len(line) for line in lines), 0.56 if any(row["survey"] for row in drawn) else 0.46
    heights = [row_height * len(line[0].labels) + 0.3 for line in lines]
    canvas = new_canvas(7.8 if columns > 1 else 6.4, sum(heights) + 0.75 * len(lines) + 0.7)
    grid = canvas.add_gridspec(len(lines), columns, height_ratios=heights)
    canvas.get_layout_engine().set(h_pad=0.09, w_pad=0.06)
    for y, line in enumerate(lines):
        for x, panel in enumerate(line):
            axes = canvas.add_subplot(grid[y, x] if len(line) > 1 or columns == 1 else grid[y, :])
            _draw_panel(axes, study, panel, labelled=x == 0)
    canvas.legend(handles=_legend(drawn), loc="outside lower center", ncols=3, frameon=False, handletextpad=0.6)
    return canvas


def _draw_panel(axes: Any, study: Study, panel: Panel, labelled: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    lanes(axes, len(panel.effects))
    drawn = [(y, row) for y, row in enumerate(panel.effects) if row]
    values = [0.0, *(value for y, row in drawn for value in _draw_effect(axes, y, row))]
    low, high = axis_limits(values, [end for _, row in drawn for end in trusted(row)], 0.02)
    axes.set_xlim(low, high)
    axes.set_ylim(len(panel.labels) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    labels = [wrapped(label, 20) for label in panel.labels] if labelled else [""] * len(panel.labels)
    axes.set_yticks(range(len(panel.labels)), labels)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.set_title(panel.heading, loc="left", fontweight="bold", pad=6)
    axes.set_xlabel(f"Difference in score (0–1)\n{arrow(study, panel.dimension)}")
    for y, row in drawn:
        _draw_trusted(axes, y, row, low, high)


def _draw_effect(axes: Any, y: float, row: Row) -> list[float]:
    """One contrast, each kind of mark in a lane of its own; returns the values drawn."""
    strength, low, high = 1.0 if row["focus"] else 0.4, row["ci_low"], row["ci_high"]
    survey, single = row["survey"], row["single"]
    if finite(low, high):
        axes.plot([low, high], [y, y], color=PURPLE, lw=2.6, alpha=strength, solid_capstyle="butt", zorder=3)
    axes.plot(row["estimate"], y, "o", color=PURPLE, ms=6.5, mec="white", mew=0.6, alpha=strength, zorder=4)
    lane = y + ARCHITECTURE_LANE + (0.14 if survey else 0)
    axes.plot(single, [lane] * len(single), "o", color=GREY, ms=3.2, alpha=0.6 * strength, mew=0, zorder=2)
    if finite(row["published"]):
        axes.plot(row["published"], y + PUBLISHED_LANE, "D", mfc="none", mec=ORANGE, mew=1.3, ms=5.5, zorder=4)
    spans = [v for v in (row["estimate"], low, high, row["published"], *single) if finite(v)]
    if survey:
        place, ends = y + SURVEY_LANE, [survey["ci_low"], survey["ci_high"]]
        if finite(*ends):
            axes.plot(ends, [place, place], color=BLUE, lw=1.6, alpha=strength, zorder=3)
        axes.plot(survey["estimate"], place, "^", color=BLUE, ms=6.5, mec="white", mew=0.6, alpha=strength, zorder=4)
        spans += [value for value in (survey["estimate"], *ends) if finite(value)]
    return spans


def _draw_trusted(axes: Any, y: float, row: Row, low: float, high: float) -> None:
    """The thin interval; an arrow where it leaves the panel."""
    ends = trusted(row)
    if not finite(*ends):
        return
    strength = 1.0 if row["focus"] else 0.4
    axes.plot([max(ends[0], low), min(ends[1], high)], [y, y], color=PURPLE, lw=0.9, alpha=strength, zorder=2)
    arrows(axes, y, ends, (low, high), {"color": PURPLE, "ms": 5, "alpha": strength, "zorder": 3})


def _beside_wald(row: Row) -> bool:
    return finite(*trusted(row)) and trusted(row) != (row["ci_low"], row["ci_high"])


def _legend(drawn: list[Row]) -> list[Any]:
    explained: list[tuple[str, dict[str, Any]]] = [
        ("Pooled over models, Wald 95% CI", {"color": PURPLE, "marker": "o", "lw": 2.6, "ms": 6.5, "mec": "white"})
    ]
    if any(_beside_wald(row) for row in drawn):
        name = which_interval(drawn)
        explained.append((f"{name[0].upper()}{name[1:]} 95% CI", {"color": PURPLE, "lw": 0.9}))
    if any(row["single"] for row in drawn):
        explained.append(("One model each", {"color": GREY, "marker": "o", "ls": "", "ms": 3.2, "alpha": 0.6}))
    if any(row["survey"] for row in drawn):
        explained.append(("Raters, 95% CI", {"color": BLUE, "marker": "^", "lw": 1.6, "ms": 6.5, "mec": "white"}))
    if any(finite(row["published"]) for row in drawn):
        explained.append(("Published", {"marker": "D", "ls": "", "mfc": "none", "mec": ORANGE, "mew": 1.3, "ms": 5.5}))
    return marks(*explained)


def _caption(pooled: list[Row], architectures: int) -> str:
    ks = sorted({int(row["k"]) for row in pooled if finite(row["k"])})
    count = f"k = {ks[0]}" if len(ks) == 1 else f"k from {ks[0]} to {ks[-1]}" if ks else "k not given"
    parts = [
        f"Differences in score on the same held-out prompts, pooled over architectures ({count} of {architectures}).",
        f"Purple circles: pooled effects, thick line the DerSimonian–Laird 95% interval, thin line the "
        f"{which_interval(pooled)} one "
        "(an arrow where it leaves the panel); small dots: one architecture each.",
    ]
    if any(row["survey"] for row in pooled):
        parts.append("Blue triangles: the difference between the raters of the two groups in the survey.")
    if any(finite(row["published"]) for row in pooled):
        parts.append("Hollow diamonds: the published effects, of other models.")
    if not all(row["focus"] for row in pooled):
        parts.append("Pale: dimensions that the contrast is not about.")
    return " ".join(parts)


# ---- a forest plot a contrast


def _forests(results: Results, name: str) -> list[Drawing]:
    """Every contrast of an experiment on each dimension that it is about, with the effect in every architecture."""
    known = [row for row in results.rows(Effects, experiment=name) if finite(row["estimate"], row["std_error"])]
    drawings = []
    for pooled in results.pooled(name):
        own = [row for row in known if _key(row) == _key(pooled)]
        if own and pooled["focus"] and finite(pooled["estimate"], pooled["ci_low"]):
            drawings.append(_forest(results.study, pooled, own))
    return drawings


def _forest(study: Study, pooled: Row, own: list[Row]) -> Drawing:
    titles = {item.name: item.title for item in study.architectures}
    names = [f"{titles.get(row['architecture'], row['architecture'])}{' †' if row['marked'] else ''}" for row in own]
    errors = [(row["estimate"], row["std_error"]) for row in own]
    effects = lines([(name, *error) for name, error in zip(names, errors, strict=True)], pooled["tau2"])
    title = f"{contrast_text(pooled)}, {spoken(study, pooled['dimension'])}"
    axis = f"Difference in score (0–1)\n{arrow(study, pooled['dimension'])}"
    caption = (
        "The effect in every architecture with its 95% interval and its part of the weight; below the line, what "
        "pooling makes of them."
    )
    caption += " †: a training run fails a limit of health." if any(row["marked"] for row in own) else ""
    canvas = draw_forest(effects, pooled, title, axis)
    return Drawing(forest_name(pooled), title, caption, forest_alt(title, effects, pooled), canvas)
