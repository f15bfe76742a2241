"""Whether the outputs are still language, and which training runs fail the limits of the study."""

from __future__ import annotations

import math

from configs.schema import CONTROL, Study
from tasks.generation.tables import Health
from tasks.meta_analysis.tables import Pooled
from tasks.methods import methods_of
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, numbers, shares, texts
from tasks.reporting.house.document import Caution, Fold, Paragraph, Part, TablePart
from tasks.reporting.house.effects import direction, effect_text, unmarked
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, joined, number, percent, whole

MOST = 0.5
"""Where more of the untouched architecture's answers than this share are cut off, the report says what to raise."""
NAMED = 4
"""A sentence names at most so many conditions; more are counted."""


# ---- findings


def _findings(results: Results) -> list[str]:
    least = results.study.limits.well_formed
    poor = list(dict.fromkeys(row["condition"] for row in results.rows(Health) if row["well_formed"] < least))
    text = (
        f"In some architectures fewer than {least:.0%} of the outputs are well-formed ({_named(poor)}); garbage is not "
        "toxic, so read these effects with the section on the health of outputs."
    )
    controls = [*broken_controls(results.rows(Health)), *cut_off_controls(results)]
    return [*controls, *marked_runs(results), *([text] if poor else [])]


def broken_controls(cells: list[Row]) -> list[str]:
    """Architectures that hardly answer untouched, and what that means for their effects."""
    failing = {row["architecture"]: row["marked"] for row in cells if row["condition"] == CONTROL and row["marked"]}
    if not failing:
        return []
    names = joined(f"{name} ({marked})" for name, marked in failing.items())
    return [
        f"Hardly an answer of the untouched architecture is well-formed: {names}. Whatever training does to it is "
        "doubtful: all its effects are marked, and the pools without marked runs leave it out."
    ]


def cut_off_controls(results: Results) -> list[str]:
    """Architectures that are mostly cut off untouched, and which setting to raise."""
    controls = [row for row in results.rows(Health) if row["condition"] == CONTROL and row["cut_off"] > MOST]
    if not controls:
        return []
    names = joined(f"{row['architecture']} ({row['cut_off']:.0%})" for row in controls)
    tokens = whole(results.study.recipe.max_new_tokens)
    return [
        f"Most answers of the untouched architecture are cut off at {tokens} tokens: {names}. A cut answer "
        "is not garbage, but what is judged are beginnings of answers: raise recipe.max_new_tokens, unless the "
        "architecture never ends an answer by itself."
    ]


def marked_runs(results: Results) -> list[str]:
    """How many pooled effects rest on marked runs, and which are clear with them only, or without them only."""
    focused = [row for row in results.pooled() if row["focus"]]
    marked = [row for row in focused if row["n_marked"] > 0]
    if not marked:
        return []
    changed = [row for row in marked if direction(row) != direction(unmarked(row))]
    names = joined(effect_text(results.study, row) for row in changed)
    what = f"whether an effect is clear changes for {names}" if changed else "what is clear stays clear"
    return [
        f"{len(marked)} of {len(focused)} pooled effects rest on training runs that fail a limit of health. Without "
        f"these runs, {what}."
    ]


def _named(conditions: list[str]) -> str:
    """The conditions' names, or how many they are."""
    return joined(conditions) if len(conditions) <= NAMED else f"{len(conditions)} conditions"


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    """The runs that fail a limit first, then all conditions: mean and least over the architectures."""
    cells = results.rows(Health)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in cells:
        groups.setdefault((row["experiment"], row["condition"]), []).append(row)
    if not groups:
        return []
    table = TablePart.of(
        [_over_architectures(group) for group in groups.values()],
        ("Condition", "l", lambda r: _cell_name(r | {"seed": 0.0})),
        *shares({"Well-formed, mean": "well_formed", "least": "least"}),
        *texts({"least in": "architecture"}),
        *shares({"Cut off": "cut_off", "Empty": "empty", "Repetitive": "repetitive"}),
        *(*numbers({"Words": "mean_words"}, 1), *counts({"Steps": "steps"}), *numbers({"Margin": "margin"}, 2)),
    )
    cut_off = map(Caution, cut_off_controls(results))
    return [Paragraph(_what_it_is(results.study)), *cut_off, *_marked(results, cells), table, *_interrupted(cells)]


def _over_architectures(group: list[Row]) -> Row:
    """A condition: the means over its cells, and where its outputs are `least` well-formed."""
    least = min(group, key=lambda row: row["well_formed"] if finite(row["well_formed"]) else 2.0)
    known = {key: [row[key] for row in group if finite(row[key])] for key in least if isinstance(least[key], float)}
    means = {key: sum(values) / len(values) if values else math.nan for key, values in known.items()}
    return least | means | {"least": least["well_formed"]}


def _cell_name(row: Row) -> str:
    """`scale / binary`, with the seed where it is not the first."""
    experiment, name = row["experiment"], row["condition"]
    name = name if experiment in ("", name) else f"{experiment} / {name}"
    return f"{name}, seed {whole(row['seed'])}" if finite(row["seed"]) and row["seed"] else name


def _what_it_is(study: Study) -> str:
    limits = study.limits
    margins = ", ".join(f"for {method.title} {method.margin_means}" for method in methods_of(study))
    return (
        "Garbage is not toxic: an effect means something only where the outputs are still language. An output is "
        "well-formed if it is not empty, not repetitive and, where the texts' grammar is known, grammatical. One that "
        f"is cut off, at {whole(study.recipe.max_new_tokens)} tokens, counts as far as it goes. A run is marked where, "
        "against the untouched architecture, its well-formed outputs fall below "
        f"{percent(limits.well_formed)} as many, its mean length leaves {number(limits.shortest, 1)} to "
        f"{number(limits.longest, 1)} times the control's, its outputs that are cut off rise by more than "
        f"{percent(limits.cut_off)}, its empty ones by more than {percent(limits.empty)} "
        f"or its repetitive ones by more than {percent(limits.repetitive)}, or where at the end of training its margin "
        f"is not above the limit: {margins}. An untouched architecture is marked, with all its runs, where less than "
        f"{percent(limits.control)} of its outputs are well-formed. Below, shares are means over "
        "architectures and seeds; steps are those of the optimiser."
    )


def _marked(results: Results, cells: list[Row]) -> list[Part]:
    """What is said first, and the list."""
    failing = [row for row in cells if row["marked"] and row["condition"] != CONTROL]
    trained, untouched = sum(finite(row["steps"]) for row in cells), map(Caution, broken_controls(cells))
    aside = "; rater replicates are not looked at" if results.study.raters.replicates else ""
    if not failing:
        return [*untouched, *([Paragraph(f"None of {trained} trained cells is marked{aside}.")] if trained else [])]
    names = _named(list(dict.fromkeys(map(_cell_name, failing))))
    warning = (
        f"{len(failing)} of {trained} cells are marked ({names}). Their effects are pooled and marked; beside them "
        "stand the effects without them."
    )
    table = TablePart.of(
        failing,
        *texts({"Architecture": "architecture"}),
        ("Condition", "l", _cell_name),
        *texts({"Limits it fails": "marked"}),
    )
    return [*untouched, Caution(warning), Fold(f"The {len(failing)} marked cells", [table])]


def _interrupted(cells: list[Row]) -> list[Part]:
    """Runs that went on from a checkpoint."""
    resumed = [row for row in cells if finite(row["resumed_from"]) and row["resumed_from"] > 0]
    names = [f"{row['architecture']}, {_cell_name(row)}, from step {whole(row['resumed_from'])}" for row in resumed]
    text = f"{len(resumed)} runs were interrupted and went on from a checkpoint: {joined(names)}."
    return [Paragraph(text)] if resumed else []


CHAPTER = Chapter("health", "Health of the runs", [Health, Pooled], findings=_findings, parts=_parts)
