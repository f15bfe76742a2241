"""What `pluralign design` prints and writes: the designs, which is cheapest, what helps, what it all rests on."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from tasks.architectures.cost import ASSUMED
from tasks.planning.design import Design, Term
from tasks.planning.design_figure import draw_design
from tasks.planning.design_study import Designed, Doubled
from tasks.reporting.house.drawing import house_style, write_canvas
from tasks.reporting.house.words import MINUS, label_sentence, percent, spoken, whole
from tasks.runtime.files import write_atomically
from tasks.runtime.spreadsheet import as_csv

MOST_ROWS = 40
"""So many designs are printed; all are in the file."""
HEADINGS = {
    "raters": "raters",
    "ratings_each": "each",
    "prompts": "prompts",
    "architectures": "archs",
    "seeds": "seeds",
    "replicates": "reps",
}
TWICE = {
    "raters": "twice the raters",
    "ratings_each": "twice the ratings of each",
    "prompts": "twice the held-out prompts",
    "architectures": "twice the architectures",
    "seeds": "twice the seeds",
    "replicates": "twice the replicates",
}


def write_design(designed: Designed, folder: Path) -> None:
    """`design.csv`, `figures/design.svg` and `.png`.

    Raises:
        InputError: the place is no folder.
    """
    if any(place.is_file() for place in (folder, *folder.parents)):
        raise InputError(f"--output {folder}: not a place for a folder")
    write_atomically(folder / "design.csv", as_csv(designed.table()))
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with house_style():
        write_canvas(draw_design(designed), folder / "figures" / "design")


def report(designed: Designed) -> str:
    """The answer as text."""
    effect = designed.basis.effect
    contrast = f" {MINUS} ".join(effect.contrast.sides)
    groups = "raters of each of two groups" if designed.basis.groups == 2 else "raters in all"
    head = f"{designed.study.name}: {contrast} on {spoken(designed.study, effect.dimension)}; raters: {groups}"
    label = label_sentence(designed.study)
    return "\n".join(
        [
            *(head, ""),
            *_table(designed),
            *("", *_legend(designed), ""),
            *(_cheapest(designed, size) for size in designed.effects),
            _helps(designed),
            *("", "What these numbers rest on:"),
            *_sources(designed),
            *("", *_limits(designed)),
            *([label] if label else []),
        ]
    )


# ---- the table


def _table(designed: Designed) -> list[str]:
    rows = []
    for design in designed.designs[:MOST_ROWS]:
        predicted = designed.predict(design)
        row = {heading: f"{getattr(design, name):g}" for name, heading in HEADINGS.items()}
        row |= {"std. error": _with_ends(predicted.std_error, 4), "95% CI": f"± {predicted.half_width:.3f}"}
        row |= {f"power {size:g}": _with_ends(predicted.power(size), 2) for size in designed.effects}
        row |= {"cost": _dollars(designed.cost(design))}
        rows.append(row)
    table = pd.DataFrame(rows)
    if not _priced(designed):
        table = table.drop(columns="cost")
    rest = len(designed.designs) - len(rows)
    return [
        *table.to_string(index=False).splitlines(),
        *([f"… and {rest} designs more in the file"] if rest > 0 else []),
    ]


def _with_ends(term: Term, digits: int) -> str:
    """`0.0098 (0.0071–0.0150)`; without the ends where they are the value."""
    ends = "" if term.low == term.high else f" ({term.low:.{digits}f}–{term.high:.{digits}f})"
    return f"{term.value:.{digits}f}{ends}"


def _legend(designed: Designed) -> list[str]:
    sizes = " or ".join(f"{size:g}" for size in designed.effects)
    return [
        "std. error: expected, as the study will state it, with the 95% interval of what it is predicted from; 95% CI: "
        "half the expected width (t, Welch–Satterthwaite);",
        f"power: how often that interval excludes zero when the effect is {sizes} on the 0–1 score.",
    ]


# ---- sentences


def _cheapest(designed: Designed, effect: float) -> str:
    wanted = f"power {designed.question.power:.0%} for an effect of {effect:g}"
    design = designed.cheapest(effect)
    if design is None:
        return f"No number of raters gives {wanted} with the other numbers asked for."
    best = "Cheapest for" if _priced(designed) else "Fewest ratings for"
    cost = f", {_dollars(designed.cost(design))}" if _priced(designed) else ""
    return f"{best} {wanted}: {describe(designed, design)}; {whole(designed.ratings(design))} ratings{cost}."


def describe(designed: Designed, design: Design) -> str:
    """`370 raters a group, 5 ratings each, 147 prompts, 7 architectures, 8 replicates`."""
    whom = "raters a group" if designed.basis.groups == 2 else "raters"
    seeds = f"{design.seeds} seeds, " if design.seeds > 1 else ""
    return (
        f"{whole(design.raters)} {whom}, {design.ratings_each:g} ratings each, {design.prompts} prompts, "
        f"{design.architectures} architectures, {seeds}{design.replicates} replicates"
    )


def _helps(designed: Designed) -> str:
    """What narrows the interval most, for a dollar or at all."""
    changes = [change for change in designed.doubled() if round(change.narrower, 3) > 0]
    start = f"From the study's own design ({describe(designed, designed.basis.own)})"
    if not changes:
        return f"{start}, twice as many of any one number would not narrow the interval."
    most = "for the money " if _priced(designed) else ""
    each = "; ".join(_change(change, _priced(designed)) for change in changes)
    return f"{start}, what narrows the interval most {most}is {TWICE[changes[0].name]}: {each}."


def _change(change: Doubled, priced: bool) -> str:
    text = f"{TWICE[change.name]} {percent(change.narrower)}"
    if not priced:
        return text
    each = f", {percent(change.narrower / change.cost * 1000)} per $1,000" if change.cost > 0 else ""
    return f"{text} (for {_dollars(change.cost)} more{each})"


def _sources(designed: Designed) -> list[str]:
    rows = pd.DataFrame(designed.basis.sources)
    widths = [rows[name].str.len().max() for name in ("what", "value")]
    lines = [f"  {row.what:{widths[0]}}  {row.value:{widths[1]}}  {row.where}" for row in rows.itertuples()]
    hours = designed.basis.workload.hours(designed.basis.own)
    return [*lines, *([f"  GPU-hours assume {ASSUMED}"] if hours else [])]


def _limits(designed: Designed) -> list[str]:
    predicted = designed.predict(designed.basis.own)
    ratio = predicted.scatter.value / predicted.std_error.value
    lines = [
        "An error that is predicted from components is no surer than they are: the ranges hold the uncertainty of what "
        "was measured, not that of what is assumed or given, nor whether the laws of scaling hold (the same training "
        "steps, judge and training prompts). They say nothing of people whom nobody asks."
    ]
    if ratio < 0.98:
        lines.append(
            f"The estimate itself is expected to scatter by {ratio:.0%} of the error that the study states, since "
            "replicates count three times what two raters say only together; power has that in it."
        )
    return lines


def _priced(designed: Designed) -> bool:
    return not math.isnan(designed.cost(designed.basis.own))


def _dollars(value: float) -> str:
    return f"${value:,.0f}" if abs(value) >= 100 or value == 0 else f"${value:,.2f}"
