"""The whole study on one page: ratings → survey → preferences → cells → meta-analysis → report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import State

from configs.load import load_codebook, load_study
from configs.schema import Study
from flows.bench import Bench, Inputs
from flows.cells import CellResult, run_cells
from flows.meta_analysis import pool_study
from flows.survey import survey_ratings
from tasks.artifact import Artifact
from tasks.fingerprint import fingerprint, frame_digest
from tasks.judging.step import prepare_judge
from tasks.preferences.step import Prepared, prepare_experiment
from tasks.ratings.load import Data
from tasks.ratings.step import load_data, read_ratings
from tasks.reporting.step import write_outputs

log = logging.getLogger(__name__)
IN_PART = "Finished in part"


@dataclass(frozen=True)
class Outcome:
    """What a run of a study came to."""

    folder: Path
    report: Path
    cells: int
    failed: int
    trained: int


def _run_name() -> str:
    """The study's name, from its name or its file's."""
    return Path(flow_run.parameters["study"]).stem


@flow(name="study", flow_run_name=_run_name)
def run_study(
    study: str = "demo", overrides: dict[str, Any] | None = None, output: str | None = None, workers: int | None = None
) -> Outcome | State:
    """Run a study, or what is missing of it.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"recipe.dpo.epochs": 2}.
        output: where the results go; by default outputs/NAME.
        workers: processes that train on a machine without GPUs; by default one a core.
    """
    settings, clock = load_study(study, overrides), Clock()
    bench, folder = Bench(settings, workers), Path(output or f"outputs/{settings.name}")
    with clock.stage("ratings"):
        ratings = read_ratings(settings, bench.store)
        data = load_data(ratings)
    with clock.stage("survey"):
        tables = survey_ratings(settings, data)
    results: list[CellResult] = []
    prepared: dict[str, dict[str, Prepared]] = {}
    if settings.experiments:
        with clock.stage("preferences"):
            prepared = {
                name: prepare_experiment(settings, name, data, ratings, bench.store) for name in settings.experiments
            }
        with clock.stage("judge"):
            judge = prepare_judge(settings, data, bench.store)
            tables["judge_agreement"] = pd.read_csv(judge.path / "judge_agreement.csv")
        with clock.stage("cells"):
            prompts = bench.evaluation_prompts(data)
            results = run_cells(bench, Inputs(ratings, data, prepared, judge, prompts))
        with clock.stage("meta-analysis"):
            tables |= pool_study(settings, results, data.categories)
    tables |= {"drops": _drops(data, prepared), **_cell_tables(results)}
    with clock.stage("report"):
        facts = _facts(settings, bench, data, ratings, results, clock)
        report = write_outputs(settings, tables, facts, folder)
    if results:
        _track(bench, tables, folder)
    return _outcome(folder, report, results)


@flow(name="survey-only", flow_run_name=lambda: f"{_run_name()} · survey")
def run_survey(study: str = "demo", overrides: dict[str, Any] | None = None, output: str | None = None) -> Outcome:
    """The survey part of a study alone: ratings to tables, figures and a report."""
    settings, clock = load_study(study, overrides), Clock()
    bench, folder = Bench(settings), Path(output or f"outputs/{settings.name}-survey")
    with clock.stage("ratings"):
        ratings = read_ratings(settings, bench.store)
        data = load_data(ratings)
    with clock.stage("survey"):
        tables = survey_ratings(settings, data)
    tables["drops"] = _drops(data, {})
    facts = _facts(settings, bench, data, ratings, [], clock)
    return Outcome(folder, write_outputs(settings, tables, facts, folder), 0, 0, 0)


class Clock:
    """Seconds by stage, told as they pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        log.info("%s …", name)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        log.info("%s: done in %.1f s", name, self.seconds[name])


def _drops(data: Data, prepared: dict[str, dict[str, Prepared]]) -> pd.DataFrame:
    rows = [("all", "reading", reason, rows, len(data.ratings)) for reason, rows in data.dropped.items()]
    for experiment, conditions in prepared.items():
        for condition, made in conditions.items():
            rows += [(f"{experiment} / {condition}", *drop) for drop in made.drops]
    return pd.DataFrame(rows, columns=["condition", "step", "reason", "dropped", "kept"])


def _cell_tables(results: list[CellResult]) -> dict[str, pd.DataFrame]:
    if not results:
        return {}
    keys = [
        {"experiment": r.cell.experiment, "architecture": r.cell.architecture, "condition": r.cell.condition}
        for r in results
    ]
    names = ["training_run", "status", "n_pairs", "weight", "seconds", "mlflow_run_id", "error"]
    rows = [key | {name: getattr(r, name) for name in names} for key, r in zip(keys, results, strict=True)]
    health = [key | r.health | {"unscored": r.unscored} for key, r in zip(keys, results, strict=True) if r.health]
    return {"cells": pd.DataFrame(rows).astype({"n_pairs": "Int64", "weight": "Int64"}), "health": pd.DataFrame(health)}


def _facts(
    study: Study, bench: Bench, data: Data, ratings: Artifact, results: list[CellResult], clock: Clock
) -> dict[str, Any]:
    held = bench.evaluation_prompts(data)
    failed = sum(result.status == "failed" for result in results)
    runs = {result.training_run for result in results} - {""}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "in part" if failed else "whole",
        "label": study.label,
        "sources": [load_codebook(name).source for name in study.ratings.codebooks],
        "ratings_digest": ratings.key,
        "seconds": clock.seconds,
        "counts": {
            "participants": len(data.participants), "responses": len(data.responses),
            "prompts": int(data.responses["prompt_id"].nunique()),
            "rated responses by participant": len(data.ratings),
            "ratings": int(data.ratings[list(study.dimensions)].notna().to_numpy().sum()),
            "training prompts": int(data.responses["prompt_id"].nunique()) - len(held),
            "evaluation prompts": len(held),
            **({"cells": len(results), "training runs": len(runs), "failed cells": failed} if results else {}),
        },
    }  # fmt: skip


def _track(bench: Bench, tables: dict[str, pd.DataFrame], folder: Path) -> None:
    pooled = tables["pooled"]
    metrics = {
        f"pooled.{row.contrast}.{row.dimension}".replace(" - ", "-minus-").replace(" ", "-"): row.estimate
        for row in pooled.itertuples()
    }
    key = fingerprint([bench.study, frame_digest(pooled), frame_digest(tables["cells"][["training_run", "error"]])])
    bench.tracker.study_results(key, metrics, folder)


def _outcome(folder: Path, report: Path, results: list[CellResult]) -> Outcome | State:
    failed = sum(result.status == "failed" for result in results)
    trained = sum(result.status == "trained" for result in results)
    outcome = Outcome(folder, report, len(results), failed, trained)
    if not failed:
        return outcome
    return State(
        type=StateType.FAILED, name=IN_PART if failed < len(results) else "Failed",
        message=f"{failed} of {len(results)} cells failed; {report}", data=outcome,
    )  # fmt: skip
