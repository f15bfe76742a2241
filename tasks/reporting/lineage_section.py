"""From a number to its rows: effects with their training runs, runs with their MLflow run, adapter and snapshot."""

from __future__ import annotations

from typing import Any

from configs.schema import CONTROL, Contrast, Study
from tasks.effects.identity import EffectKey
from tasks.methods.step import ADAPTER, RUNS
from tasks.reporting.document import Fold, Link, Rows, Table, Text
from tasks.reporting.facts import Facts
from tasks.reporting.tables import Row, Tables, pooled_rows, rows, titled
from tasks.reporting.words import DASH, MINUS, number, whole
from tasks.runtime.store import place

SHORT = 10
"""So many characters of a key tell runs apart for a reader."""


def every_effect(study: Study, tables: Tables, name: str) -> list[Any]:
    """The effects of an experiment in every architecture, each with its runs; behind a fold."""
    runs = _runs_of_cells(tables)
    seconds = {row["contrast"]: (row["first"], row["second"]) for row in pooled_rows(study, tables, name)}
    found = [row for row in rows(tables, "effects", experiment=name) if row["contrast"] in seconds]
    if not found:
        return []
    body = [_line(study, row, seconds[row["contrast"]], runs) for row in found]
    header = [
        "Contrast", "Dimension", "Architecture", "Effect", "SE", "Prompts", "Seeds", "Unscored", "Malformed", "Marked",
        "Run, first", "Run, second",
    ]  # fmt: skip
    text = (
        "Prompts: scored on both sides in every seed. Unscored: prompts that were not. Malformed: outputs of both "
        "sides that are not well-formed; they are scored like any other. Marked: limits of health that a run fails. "
        "Runs lead to the table of training runs."
    )
    example = EffectKey(name, Contrast(found[0]["contrast"]), found[0]["dimension"], found[0]["architecture"])
    trace = f"What one of them rests on: pluralign trace {study.name} {example}; without the architecture, the pool."
    table = Table(header, "lllrrrrrrlll", body)
    return [Fold(f"Every effect: {whole(len(body))}", [Text(f"{text} {trace}"), table, Rows(("effects", "scores"))])]


def _line(study: Study, row: Row, sides: tuple[str, str], runs: dict[tuple[str, str, str], list[str]]) -> list[Any]:
    links = [_run_link(runs.get((row["experiment"], row["architecture"], side), [])) for side in sides]
    return [
        row["contrast"].replace(" - ", f" {MINUS} "), titled(study, row), row["architecture"], number(row["estimate"]),
        number(row["std_error"]), whole(row["n_prompts"]), whole(row["n_seeds"]), whole(row["n_unscored"]),
        whole(row["n_malformed"]), row["marked"], *links,
    ]  # fmt: skip


def _run_link(runs: list[str]) -> Any:
    """To the first seed's run; the others stand below it in the table."""
    if not runs:
        return "none"
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return Link(f"{runs[0][:SHORT]}{more}", f"#run-{runs[0][:SHORT]}")


def _runs_of_cells(tables: Tables) -> dict[tuple[str, str, str], list[str]]:
    runs: dict[tuple[str, str, str], list[str]] = {}
    for cell in rows(tables, "cells"):
        if cell["training_run"] and cell["condition"] != CONTROL:
            key = (cell["experiment"], cell["architecture"], cell["condition"])
            runs.setdefault(key, []).append(cell["training_run"])
    return runs


def lineage(study: Study, tables: Tables, facts: Facts) -> list[Any]:
    """How to go from any number to its rows, and the table of training runs."""
    cells = [row for row in rows(tables, "cells") if row["training_run"]]
    if not cells:
        return []
    snapshot = facts.snapshot or facts.ratings_digest or "unknown"
    text = (
        "From a number to its rows: below each table stands the file that it is made of. A pooled effect leads to its "
        "forest plot; the experiment's list of every effect leads to the training runs here; a run has its MLflow run, "
        f"and its adapter in PLURALIGN_HOME. All rest on the ratings {snapshot}. On the command line, pluralign trace "
        f"{study.name} EFFECT-ID lists all of that for one effect, down to the numbers of ratings and participants, "
        f"and pluralign trace {study.name} PARTICIPANT what one participant's ratings touched."
    )
    users: dict[str, list[Row]] = {}
    for cell in cells:
        users.setdefault(cell["training_run"], []).append(cell)
    names = {key: dict.fromkeys(f"{c['experiment']} / {c['condition']}" for c in own) for key, own in users.items()}
    body = [
        [key[:SHORT], own[0]["architecture"], ", ".join(names[key]), whole(own[0]["seed"]), whole(own[0]["n_pairs"]),
         own[0]["mlflow_run_id"] or DASH, f"store/{place(RUNS, key)}/{ADAPTER}"]
        for key, own in users.items()
    ]  # fmt: skip
    header = ["Run", "Architecture", "Conditions", "Seed", "Pairs", "MLflow run", "Adapter, in PLURALIGN_HOME"]
    table = Table(header, "lllrrll", body, ids=[f"run-{key[:SHORT]}" for key in users])
    return [Text(text), Fold(f"Every training run: {whole(len(body))}", [table, Rows(("cells",))])]
