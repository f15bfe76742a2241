"""Whether the outputs are still language, and which training runs fail the limits of the study."""

from __future__ import annotations

from typing import Any

from configs.schema import Study
from tasks.methods import methods_of
from tasks.reporting.document import Caution, Fold, Table, Text
from tasks.reporting.tables import Row, Tables, rows
from tasks.reporting.words import finite, joined, number, percent, whole

NAMED = 4


def health(study: Study, tables: Tables) -> list[Any]:
    """The runs that fail a limit first, then all conditions: mean and least over the architectures."""
    found = rows(tables, "health")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        groups.setdefault((row["experiment"], row["condition"]), []).append(row)
    if not groups:
        return []
    header = ["Condition", "Well-formed, mean", "least", "least in", "Finished", "Empty", "Repetitive", "Words",
              "Steps", "Margin"]  # fmt: skip
    body = [_line(experiment, condition, group) for (experiment, condition), group in groups.items()]
    return [Text(_what_it_is(study)), *_marked(found), Table(header, "lrrlrrrrrr", body), *_interrupted(found)]


def cell_name(row: Row) -> str:
    """`scale / binary`, with the seed where it is not the first."""
    experiment, name = row["experiment"], row["condition"]
    name = name if experiment in ("", name) else f"{experiment} / {name}"
    return f"{name}, seed {whole(row['seed'])}" if finite(row["seed"]) and row["seed"] else name


def _what_it_is(study: Study) -> str:
    limits = study.limits
    margins = ", ".join(f"for {method.title} {method.margin_means}" for method in methods_of(study))
    return (
        "Garbage is not toxic: an effect means something only where the outputs are still language. An output is "
        "well-formed if it ended by itself, is not empty, not repetitive and, where the texts' grammar is known, "
        "grammatical. A run is marked where, against the untouched architecture, its well-formed outputs fall below "
        f"{percent(limits.well_formed)} as many, its mean length leaves {number(limits.shortest, 1)} to "
        f"{number(limits.longest, 1)} times the control's, its empty outputs rise by more than {percent(limits.empty)} "
        f"or its repetitive ones by more than {percent(limits.repetitive)}, or where at the end of training its margin "
        f"is not above the limit: {margins}. Below, shares are means over architectures and seeds; steps are those of "
        "the optimiser."
    )


def _marked(found: list[Row]) -> list[Any]:
    """What is said first, and the list."""
    failing = [row for row in found if row["marked"]]
    trained = sum(finite(row["steps"]) for row in found)
    if not failing:
        return [Text(f"None of {trained} cells is marked.")] if trained else []
    names = list(dict.fromkeys(cell_name(row) for row in failing))
    shown = joined(names) if len(names) <= NAMED else f"{len(names)} conditions"
    warning = (
        f"{len(failing)} of {trained} cells are marked ({shown}). Their effects are pooled and marked; beside them "
        "stand the effects without them."
    )
    body = [[row["architecture"], cell_name(row), row["marked"]] for row in failing]
    table = Table(["Architecture", "Condition", "Limits it fails"], "lll", body)
    return [Caution(warning), Fold(f"The {len(body)} marked cells", [table])]


def _line(experiment: str, condition: str, group: list[Row]) -> list[str]:
    least = min(group, key=lambda row: row["well_formed"] if finite(row["well_formed"]) else 2.0)
    shares = [percent(_mean(group, key)) for key in ("well_formed", "finished", "empty", "repetitive")]
    lowest = [percent(least["well_formed"]), least["architecture"]]
    counts = [number(_mean(group, "mean_words"), 1), whole(_mean(group, "steps")), number(_mean(group, "margin"), 2)]
    return [cell_name(least | {"seed": 0.0}), shares[0], *lowest, *shares[1:], *counts]


def _interrupted(found: list[Row]) -> list[Any]:
    """Runs that went on from a checkpoint."""
    resumed = [row for row in found if finite(row["resumed_from"]) and row["resumed_from"] > 0]
    if not resumed:
        return []
    told = [f"{row['architecture']}, {cell_name(row)}, from step {whole(row['resumed_from'])}" for row in resumed]
    return [Text(f"{len(resumed)} runs were interrupted and went on from a checkpoint: {joined(told)}.")]


def _mean(group: list[Row], key: str) -> float:
    known = [row[key] for row in group if finite(row[key])]
    return sum(known) / len(known) if known else float("nan")
