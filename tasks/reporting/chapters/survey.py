"""What the ratings say: disagreement, what is seen together, reliability, and differences between groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from configs.schema import Study
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, dimension_column, effect_of, numbers, shares, span
from tasks.reporting.house.document import Paragraph, Part, TablePart
from tasks.reporting.house.drawing import GREY, INK, PURPLE, Drawing, cut, in_lines, marks, new_canvas, wrapped
from tasks.reporting.house.effects import by_how_much, direction, not_clear
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    finite,
    joined,
    number,
    percent,
    raters_title,
    spoken,
    stratum_title,
    title_of,
    whole,
    with_ends,
)
from tasks.survey.tables import Cooccurrence, Disagreement, Reliability, SurveyContrasts

ALPHA_LIMIT = 2 / 3
"""Krippendorff's lower limit for tentative conclusions."""


# ---- findings


def _disagreement(results: Results) -> list[str]:
    """The mean over responses, and the dimensions at both ends."""
    known = [row for row in results.rows(Disagreement) if finite(row["disagreement"], row["n_responses"])]
    total = sum(row["n_responses"] for row in known)
    if not total:
        return []
    mean = sum(row["disagreement"] * row["n_responses"] for row in known) / total
    ends = (end(known, key=lambda row: row["disagreement"]) for end in (min, max))
    low, high = (f"{percent(row['disagreement'])} ({spoken(results.study, row['dimension'])})" for row in ends)
    span = f", from {low} to {high}" if len(known) > 1 else ""
    return [f"Raters of the same response disagreed in {percent(mean)} of cases{span}."]


def _seen_together(results: Results) -> list[str]:
    """The most frequent contradiction: a good quality seen together with a bad one."""
    better = {name: dimension.better for name, dimension in results.study.dimensions.items()}
    mixed = [
        row
        for row in results.rows(Cooccurrence)
        if finite(row["probability"]) and better.get(row["row"]) == "higher" and better.get(row["column"]) == "lower"
    ]
    if not mixed:
        return []
    top = max(mixed, key=lambda row: row["probability"])
    seen, also = (spoken(results.study, top[side]) for side in ("row", "column"))
    return [f"Of the ratings that saw {seen} in a response, {percent(top['probability'])} also saw {also} in it."]


def _differences(results: Results) -> list[str]:
    """Differences between groups on the dimensions that a contrast is about, each once."""
    study, focus = results.study, dict[str, set[str]]()
    for experiment in study.experiments.values():
        for name, contrast in experiment.contrasts.items():
            focus.setdefault(name, set()).update(contrast.focus)
    clauses = []
    for row in _each_contrast(results):
        about = focus.get(row["contrast"])
        first, second = (stratum_title(study, side) for side in row["contrast"].partition(" - ")[::2])
        what = spoken(study, row["dimension"])
        if about and row["dimension"] not in about:
            continue
        if direction(row):
            word = "higher" if row["estimate"] > 0 else "lower"
            clauses.append(f"{first} raters gave {word} ratings of {what} than {second} raters, {by_how_much(row)}")
        elif finite(row["estimate"]) and not finite(row["ci_low"]):
            size = number(row["estimate"])
            clauses.append(f"{first} and {second} raters are {size} apart in {what}, and nobody differs within a group")
        elif finite(row["estimate"]):
            clauses.append(f"no clear difference in {what} between {first} and {second} raters {not_clear(row)}")
    return (
        [
            f"In the survey (0–1; 95% CI in brackets), which says who rates higher, not what a model learns from them: "
            f"{'; '.join(clauses)}."
        ]
        if clauses
        else []
    )


def _each_contrast(results: Results) -> list[Row]:
    """Contrasts that two experiments share stand in the table twice."""
    return list({(row["contrast"], row["dimension"]): row for row in results.rows(SurveyContrasts)}.values())


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    study, parts = results.study, list[Part]()
    if disagreement := results.rows(Disagreement):
        text = "Disagreement is any variation among the ratings that one response got, of responses with at least two."
        columns = (*counts({"Responses": "n_responses"}), *shares({"With disagreement": "disagreement"}))
        parts += [Paragraph(text), TablePart.of(disagreement, dimension_column(study), *columns)]
    if picture := results.picture("cooccurrence"):
        parts += [Paragraph("One response can be seen as good and bad at once."), *picture]
    parts += _reliability(results)
    if contrasts := _each_contrast(results):
        table = TablePart.of(
            contrasts,
            *(*effect_of(study, "Raters"), *numbers({"Difference": "estimate"}), span()),
            *counts({"n first": "n_a", "n second": "n_b"}),
        )
        parts += [
            Paragraph(
                "Differences between groups of raters, in mean rating on 0–1, one mean a participant; not adjusted for "
                "which responses each rated. They say who rates higher. A model learns which of two responses is "
                "preferred, and moves further the more sharply a group tells them apart, so that effects of training "
                "may go the other way."
            ),
            table,
        ]
    return parts


def _reliability(results: Results) -> list[Part]:
    """Krippendorff's alpha, a line a stratum and a column a dimension."""
    alphas, study = results.rows(Reliability), results.study
    if not alphas:
        return []
    dimensions, strata = (list(dict.fromkeys(row[key] for row in alphas)) for key in ("dimension", "stratum"))
    cells = {
        (row["stratum"], row["dimension"]): with_ends(row["alpha"], row["ci_low"], row["ci_high"], 2) for row in alphas
    }
    people = {row["stratum"]: row["n_participants"] for row in alphas}
    body = [
        [raters_title(study, name), whole(people[name]), *(cells.get((name, dim), DASH) for dim in dimensions)]
        for name in strata
    ]
    text = (
        f"Inter-annotator reliability is {_named_alpha(alphas)} with its bootstrap 95% interval: 1 is perfect "
        "agreement, 0 what chance would give."
    )
    known = [row["alpha"] for row in alphas if finite(row["alpha"])]
    if known and max(known) < ALPHA_LIMIT:
        text += " All values are below .667, the least that Krippendorff asks for tentative conclusions"
        text += ": in the paper's words, substantial" if results.has_published else ":"
        text += " within-group variation rather than consensus."
    text += _undefined(study, alphas)
    header = ["Raters", "Participants", *(title_of(study, dimension) for dimension in dimensions)]
    return [Paragraph(text), TablePart(header, "l" + "r" * (len(header) - 1), body), *results.picture("reliability")]


def _named_alpha(alphas: Sequence[Row]) -> str:
    """`Krippendorff's α (ordinal)`."""
    return f"Krippendorff's α ({joined(dict.fromkeys(row['level'] for row in alphas))})"


def _undefined(study: Study, alphas: list[Row]) -> str:
    """A sentence on the draws that have no α; nothing where all have one."""
    draws = [
        f"{whole(row['undefined'])} of {whole(row['draws'])} for {raters_title(study, row['stratum'])} on "
        f"{spoken(study, row['dimension'])}"
        for row in alphas
        if row["undefined"] and finite(row["alpha"])
    ]
    start = " Bootstrap draws whose ratings are all equal have no α, and the interval rests on the others: "
    return f"{start}{joined(draws)}." if draws else ""


# ---- figures


def _draw_cooccurrence(results: Results) -> list[Drawing]:
    study = results.study
    shares = {(row["row"], row["column"]): row["probability"] for row in results.rows(Cooccurrence)}
    names = [name for name in study.dimensions if any(name in pair for pair in shares)]
    if len(names) < 2:
        return []
    canvas = new_canvas(1.5 + 1.02 * len(names), 1.1 + 0.56 * len(names))
    values = [[shares.get((row, column), math.nan) for column in names] for row in names]
    _heat_map(canvas.add_subplot(), values, [wrapped(title_of(study, name), 14) for name in names])
    pairs = [
        f"{title_of(study, row)} → {title_of(study, column)} {percent(shares[row, column])}"
        for row in names
        for column in names
        if row != column and finite(shares.get((row, column), math.nan))
    ]
    caption = (
        "Probability that a rating is positive on the column's dimension, given that it is positive on the row's, "
        "from the same rater about the same response."
    )
    caption += " The paper's Figure 1 shows the same of its raters." if results.has_published else ""
    alt = f"Heat map of conditional probabilities. {'; '.join(pairs)}."
    return [Drawing("cooccurrence", "What is seen together", caption, alt, canvas)]


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


def _draw_reliability(results: Results) -> list[Drawing]:
    """Krippendorff's alpha of every stratum, a panel a dimension; none without strata."""
    study, alphas = results.study, [row for row in results.rows(Reliability) if finite(row["alpha"])]
    strata = list(dict.fromkeys(row["stratum"] for row in alphas if row["stratum"] != "all"))
    if not strata or not study.strata:
        return []
    name = _named_alpha(alphas)
    caption = f"{name} within each group of raters, and of all raters together, with bootstrap 95% intervals."
    each = [
        f"{title_of(study, row['dimension'])}, {stratum_title(study, row['stratum'])} "
        f"{with_ends(row['alpha'], row['ci_low'], row['ci_high'], 2)}"
        for row in alphas
    ]
    alt = f"Dot plot of {name}. {'; '.join(each)}."
    return [Drawing("reliability", "How far raters agree", caption, alt, _alpha_canvas(study, alphas, strata))]


def _alpha_canvas(study: Study, alphas: list[Row], strata: Sequence[str]) -> Any:
    from matplotlib.patches import Patch

    panels = in_lines(list(dict.fromkeys(row["dimension"] for row in alphas)))
    columns = len(panels[0])
    canvas = new_canvas(1.6 + 2.05 * max(columns, 1.5), len(panels) * (0.95 + 0.27 * len(strata)) + 0.35)
    values = [row[key] for row in alphas for key in ("alpha", "ci_low", "ci_high") if finite(row[key])]
    low, high = max(min(values), -1.0), min(max(values), 1.0)  # one axis for all panels
    pad = 0.07 * max(high - low, 0.1)
    grid, limits = canvas.add_gridspec(len(panels), columns), (low - pad, high + pad)
    for y, line in enumerate(panels):
        for x, dimension in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            own = {row["stratum"]: row for row in alphas if row["dimension"] == dimension}
            labels = [cut(stratum_title(study, name), 20) if x == 0 else "" for name in strata]
            _alpha_panel(axes, own, strata, labels, limits)
            axes.set_title(wrapped(title_of(study, dimension), 26, 2), loc="left", fontweight="bold", pad=6)
    group = marks(("Group of raters, 95% CI", {"color": PURPLE, "marker": "o", "lw": 2.2, "ms": 6, "mec": "white"}))
    everybody = Patch(facecolor="#e9e8ee", edgecolor=GREY, label="All raters, 95% CI")
    canvas.legend(handles=[*group, everybody], loc="outside lower center", ncols=2, frameon=False)
    return canvas


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
    axes.set_xlabel(_named_alpha(list(own.values())), fontsize=8.5)


CHAPTER = Chapter(
    "survey",
    "What the ratings say",
    [Disagreement, Cooccurrence, Reliability, SurveyContrasts],
    findings=lambda results: [*_disagreement(results), *_seen_together(results), *_differences(results)],
    parts=_parts,
    figures=lambda results: [*_draw_cooccurrence(results), *_draw_reliability(results)],
)
