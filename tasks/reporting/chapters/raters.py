"""Answers that the model does not expect: how each index of the raters is spread, and who is beyond chance."""

from __future__ import annotations

from typing import Any

from configs.schema import Study
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, numbers, p_values, shares
from tasks.reporting.house.document import Column, Fold, Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.drawing import BLUE, GREY, PURPLE, Drawing, in_lines, marks, new_canvas, wrapped
from tasks.reporting.house.effects import SIGNIFICANT
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    finite,
    joined,
    number,
    p_is,
    percent,
    raters_label,
    raters_title,
    spoken,
    stratum_title,
    title_of,
    whole,
)
from tasks.survey.tables import RaterFits, RaterIndices

EVERY = "all"
EXPECTED = 0.05
BINS = 20
TITLES = {
    "lz": "l_z",
    "outfit": "outfit",
    "long_string": "longest run",
    "irv": "spread (IRV)",
    "even_odd": "even–odd consistency",
}


def _of_person_fit(results: Results) -> dict[tuple[str, str], Row]:
    """(index, dimension) → its row of all raters, where it has a p."""
    rows = [row for row in results.rows(RaterFits, stratum=EVERY) if finite(row["share_beyond"])]
    return {(row["index"], row["dimension"]): row for row in rows}


def _findings(results: Results) -> list[str]:
    row = _of_person_fit(results).get(("lz", EVERY))
    return [f"Answers that the model does not expect: {_beyond(row)}."] if row else []


def _beyond(row: Row) -> str:
    """`31 of 730 raters (4.2%; 95% CI 3.0% to 6.0%), where chance gives about 37`, and what may be said of it."""
    share = f"{percent(row['share_beyond'])}; 95% CI {percent(row['ci_low'])} to {percent(row['ci_high'])}"
    counted = f"{whole(row['n_beyond'])} of {whole(row['n_raters'])} raters ({share}), where chance gives about "
    more = f"more than chance gives (p {p_is(row['p_beyond'])})"
    says = more if row["p_beyond"] < SIGNIFICANT else "not clearly more than chance gives"
    says = "fewer than chance gives" if row["ci_high"] < EXPECTED else says
    return f"{counted}{whole(EXPECTED * row['n_raters'])}: {says}"


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    study, every = results.study, results.rows(RaterFits)
    if not every:
        return []
    text = (
        "For each dimension, a mixed ordinal model that knows nothing of what raters declare predicts every answer "
        "from the other raters' answers to the same response and from how high the rater rates altogether. Person fit "
        "is how well somebody's answers agree with these predictions, by the mean squared residual (outfit, about 1) "
        "and by the standardised log-likelihood (l_z, about 0). It is held against answers that are drawn "
        "from the model for the same rater, so that few answers count as few: were the model right, one of twenty "
        "raters would be beyond what nineteen of twenty drawn sets of answers reach. Answers that the model does not "
        "expect may be given without reading, or be the considered view of somebody who sees the responses otherwise "
        "than most: the indices can't tell which. They stand beside each other and are not added up."
    )
    fits = _of_person_fit(results)
    sentences = [
        f"By {TITLES[index]} over all dimensions: {_beyond(fits[index, EVERY])}."
        for index in ("lz", "outfit")
        if (index, EVERY) in fits
    ]
    if sentences:
        sentences.append(
            "Raters who answer at random make the model expect more noise of everybody: the others then fit a little "
            "too well, fewer than one of twenty of them are beyond, and the counts are low rather than high."
        )
    missing = [row for row in every if row["notes"]]
    reasons = {f"{spoken(study, row['dimension'])} ({row['notes']})": None for row in missing}
    sentences += [f"There is no person fit on {joined(reasons)}."] if reasons else []
    sentences += [*_checks(results), *_truth(every), raters_label(study)]
    table = _indices(study, [row for row in every if row["stratum"] == EVERY and row["dimension"] == EVERY])
    each = [row for row in every if row["stratum"] == EVERY and row["dimension"] != EVERY]
    return [
        Paragraph(text),
        Paragraph(" ".join(filter(None, sentences))),
        *results.picture("person-fit"),
        table,
        *_groups(study, every),
        *([Fold("On each dimension", [_indices(study, each)])] if len(study.dimensions) > 1 else []),
        SourceTables(("rater_fits", "raters")),
    ]


def _checks(results: Results) -> list[str]:
    """Who failed an attention check, of those who rated some other row."""
    asked = [row for row in results.rows(RaterIndices, dimension=EVERY) if finite(row["failed_checks"])]
    failed = sum(row["failed_checks"] > 0 for row in asked)
    text = (
        f"Of {whole(len(asked))} raters whose questionnaire has attention checks, {whole(failed)} failed one at least."
    )
    return [f"{text} Such rows are left out."] if asked else []


def _truth(every: list[Row]) -> list[str]:
    """What the simulation knows of who answers at random."""
    known = {row["index"]: row["auc"] for row in every if finite(row["auc"]) and _whole(row)}
    areas = [f"{TITLES[index]} {number(value, 2)}" for index, value in known.items()]
    text = (
        "Simulated truth: some of these raters answer at random, every label as likely as any other. The area under "
        f"the curve by which an index tells them from the others (1 is always, 0.5 is chance): {joined(areas)}."
    )
    return [text] if areas else []


def _whole(row: Row) -> bool:
    return row["stratum"] == EVERY and row["dimension"] == EVERY


def _title(study: Study, dimension: str) -> str:
    return "all dimensions" if dimension == EVERY else title_of(study, dimension)


def _share() -> list[Column]:
    """Who is beyond, with the interval of the share."""
    interval: Column = (
        "95% CI", "r", lambda row: f"{percent(row['ci_low'])} to {percent(row['ci_high'])}"
        if finite(row["ci_low"]) else DASH,
    )  # fmt: skip
    return [*counts({"Beyond": "n_beyond"}), *shares({"Share": "share_beyond"}), interval]


def _indices(study: Study, rows: list[Row]) -> TablePart:
    several = any(row["dimension"] != EVERY for row in rows)
    dimension: Column = ("Dimension", "l", lambda row: _title(study, row["dimension"]))
    known = any(finite(row["auc"]) for row in rows)
    return TablePart.of(
        [row for row in rows if row["n_raters"]],
        ("Index", "l", lambda row: TITLES.get(row["index"], row["index"])),
        *([dimension] if several else []),
        *counts({"Raters": "n_raters"}),
        *numbers({"5%": "low", "Median": "median", "95%": "high"}, 2),
        *_share(),
        *p_values({"p": "p_beyond"}),
        *(numbers({"Area (truth)": "auc"}, 2) if known else []),
    )


def _groups(study: Study, every: list[Row]) -> list[Part]:
    """By l_z over all dimensions, of every group that is large enough to be shown."""
    rows = [row for row in every if row["index"] == "lz" and row["dimension"] == EVERY and row["stratum"] != EVERY]
    if not rows:
        return []
    text = (
        "By group, by l_z over all dimensions. Where a group's share is larger, its raters answer otherwise than the "
        "others' answers let expect; that they answer with less care does not follow."
    )
    clear = [stratum_title(study, row["stratum"]) for row in rows if row["ci_low"] > EXPECTED]
    text += f" The interval is above one of twenty for {joined(clear) if clear else 'no group'}."
    group: Column = ("Raters", "l", lambda row: raters_title(study, row["stratum"]))
    return [Paragraph(text), TablePart.of(rows, group, *counts({"Number": "n_raters"}), *_share())]


# ---- the figure


def _draw(results: Results) -> list[Drawing]:
    """How the p's of person fit are spread, a panel a dimension."""
    study, rows = results.study, [row for row in results.rows(RaterIndices) if finite(row["lz_p"], row["outfit_p"])]
    names = [name for name in (EVERY, *study.dimensions) if any(row["dimension"] == name for row in rows)]
    if not names:
        return []
    lines = in_lines(names)
    columns = len(lines[0])
    canvas = new_canvas(0.7 + 2.2 * max(columns, 1.5), 1.75 * len(lines) + 0.5)
    grid = canvas.add_gridspec(len(lines), columns)
    for y, line in enumerate(lines):
        for x, name in enumerate(line):
            axes = canvas.add_subplot(grid[y, x])
            _panel(axes, [row for row in rows if row["dimension"] == name])
            axes.set_title(wrapped(_title(study, name), 26, 2), loc="left", fontweight="bold", pad=6)
            axes.set_ylabel("Share of raters" if x == 0 else "", fontsize=8.5)
    legend = marks(
        ("l_z", {"color": PURPLE, "lw": 1.8}), ("outfit", {"color": BLUE, "lw": 1.2}),
        ("what chance gives", {"color": GREY, "lw": 1.2, "ls": "--"}),
    )  # fmt: skip
    canvas.legend(handles=legend, loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "How many raters' answers fit no better than a share p of those that are drawn from the model for them. Were "
        "the model right, all steps would be as high; those whom it does not expect stand at the left."
    )
    fits = _of_person_fit(results)
    each = [
        f"{_title(study, name)}: {percent(fits['lz', name]['share_beyond'])} of {whole(fits['lz', name]['n_raters'])} "
        "raters below .05 by l_z"
        for name in names
        if ("lz", name) in fits
    ]
    return [Drawing("person-fit", "Whom the model expects", caption, f"Histograms of p. {'; '.join(each)}.", canvas)]


def _panel(axes: Any, rows: list[Row]) -> None:
    edges = [step / BINS for step in range(BINS + 1)]
    for key, colour, width in (("outfit_p", BLUE, 1.2), ("lz_p", PURPLE, 1.8)):
        weights = [1 / len(rows)] * len(rows)
        axes.hist([row[key] for row in rows], bins=edges, weights=weights, histtype="step", color=colour, lw=width)
    axes.axhline(1 / BINS, color=GREY, lw=1.2, ls="--", zorder=1)
    axes.set_xlim(0, 1)
    axes.set_xlabel("p", fontsize=8.5)


CHAPTER = Chapter(
    "raters",
    "Answers that the model does not expect",
    [RaterFits, RaterIndices],
    findings=_findings,
    parts=_parts,
    figures=_draw,
)
