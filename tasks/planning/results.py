"""What became of each cell, and what of it the study remembers, tracks and shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from configs.schema import Study
from tasks.architectures.load import BaseRef
from tasks.generation.health import Grammar, health, mark
from tasks.generation.step import ANSWERS_FILE, Answered, read_answers
from tasks.methods import METHODS
from tasks.methods.card import model_card
from tasks.methods.replicate_set import ReplicateSet
from tasks.methods.replicates import ReplicateRuns, TrainReplicates
from tasks.methods.run import Curve
from tasks.methods.step import ADAPTER, Train, TrainingRun
from tasks.methods.training_set import TrainingSet
from tasks.planning.cells import Cell, Replicates
from tasks.planning.earlier_runs import Made
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.store import Artifact

REPLICATES = "replicates"
"""What a method's training of replicates is called in the history, which tells how long it takes."""
TRAINING = ("steps", "margin", "truncated", "resumed_from", "at_once")
"""What a cell's row tells of its training run."""
TrainingSets = Mapping[str, Mapping[str, TrainingSet]]
"""Experiment → condition → its training data."""


@dataclass(frozen=True)
class CellResult:
    """A row of cells.csv, and where the cell's scores are (None where it failed)."""

    cell: Cell
    status: str
    """control, trained (now), cached (earlier), shared (another cell's run) or failed."""
    training_run: str = ""
    n_pairs: int | None = None
    weight: int | None = None
    seconds: float = 0.0
    """Training and generation, where they happened now; waiting for a slot is not in it."""
    mlflow_run_id: str = ""
    error: str = ""
    scores: Path | None = None
    answers: Path | None = None
    health: dict[str, float] = field(default_factory=dict)
    unscored: int = 0
    training: dict[str, float] = field(default_factory=dict)
    """`TRAINING` of the training run."""
    curve: Curve = field(default_factory=list)
    logged: Future[str] | None = None
    trained_before: tuple[str, ...] = ()
    """Runs of groups' own adapters that were trained now, because this cell starts from them."""
    made: Made | None = None
    """What it was made of, for the plan of the next run."""


@dataclass(frozen=True)
class ReplicatesResult:
    """What became of a cell's rater replicates, and where their scores are (None where they failed)."""

    replicates: Replicates
    status: str
    """trained (now), cached (earlier), shared (another cell's runs) or failed."""
    runs: str = ""
    """Key of their training runs."""
    n_pairs: int | None = None
    seconds: float = 0.0
    """Of all of them."""
    error: str = ""
    scores: Path | None = None
    answers: Path | None = None
    well_formed: float = math.nan
    """Share of their answers."""
    margins: dict[int, float] = field(default_factory=dict)
    """Of the method, at the end of each training."""
    trained_before: tuple[str, ...] = ()
    """As of a `CellResult`."""
    made: Made | None = None

    @property
    def cells(self) -> list[CellResult]:
        """Each replicate as a cell."""
        seconds = self.seconds / len(self.replicates.numbers)
        one = CellResult(self.replicates.of, self.status, n_pairs=self.n_pairs, seconds=seconds, error=self.error)
        return [
            replace(one, cell=cell, training_run=f"{self.runs}/{cell.replicate}" if self.runs else "")
            for cell in self.replicates.cells
        ]


@dataclass(frozen=True)
class TrainedCell:
    """What training made a cell of: the data, the job, and the run that came of it."""

    data: TrainingSet
    job: Train
    run: Artifact[TrainingRun]


@dataclass(frozen=True)
class Parts:
    """All that a cell that finished was made of; the control has no training."""

    cell: Cell
    base: BaseRef
    trained: TrainedCell | None
    answers: Artifact[Answered]
    scores: Artifact

    @property
    def fresh(self) -> bool:
        """Whether anything was made now."""
        return any(part.fresh for part in (*self.work, self.scores))

    @property
    def seconds(self) -> float:
        """Of training and generation, where they happened now."""
        return sum(part.record.seconds for part in self.work if part.fresh)

    @property
    def work(self) -> list[Artifact[Any]]:
        """What jobs made: the training run, if there is one, and the answers."""
        return [*([self.trained.run] if self.trained else []), self.answers]


def wanted_run(study: Study, cell: Cell, base: BaseRef, prepared: TrainingSet) -> Train:
    """The training run that a cell needs."""
    return Train(
        base=base,
        method=prepared.method,
        data=prepared.table,
        digest=prepared.digest,
        recipe=study.recipe,
        seed=study.seed + cell.seed,
        steps=prepared.steps,
        robust=study.recipe.robust if prepared.robust else None,
        own={group: wanted_run(study, cell, base, own).key for group, own in prepared.own.items()},
    )


def own_cells(study: Study, cell: Cell) -> list[Cell]:
    """The cells of the groups' own adapters, from which a cell's training starts."""
    experiment = study.experiments[cell.experiment]
    own = experiment.own_conditions(experiment.conditions[cell.condition])
    return [replace(cell, condition=str(name)) for name in own.values()]


def carded_run(study: Study, cell: Cell, base: BaseRef, training_sets: TrainingSets, ratings: str) -> Train:
    """The same with the adapter's model card. `ratings`: the snapshot's id."""
    prepared = training_sets[cell.experiment][cell.condition]
    sharing = sharing_conditions(training_sets, cell, prepared)
    run = wanted_run(study, cell, base, prepared)
    facts = {
        "study": study.name,
        "ratings": ratings,
        "training data": prepared.digest,
        "response pairs": prepared.n_pairs,
        "label preferences": prepared.weight,
        **{f"system turn for {group}": text for group, text in prepared.naming.items()},
        **run.settings,
    }
    condition = study.experiments[cell.experiment].conditions[cell.condition]
    return run.model_copy(update={"card": model_card(base, condition, sharing, facts, study.label)})


def sharing_conditions(training_sets: TrainingSets, cell: Cell, prepared: TrainingSet) -> list[str]:
    """All conditions that train the same, as EXPERIMENT/CONDITION, with the seed if it is not the first."""
    seed = f"/seed-{cell.seed}" if cell.seed else ""
    return [
        f"{experiment}/{condition}{seed}"
        for experiment, conditions in training_sets.items()
        for condition, other in conditions.items()
        if other.identity == prepared.identity
    ]


def cell_result(parts: Parts, n_prompts: int, grammatical: Grammar | None) -> CellResult:
    """The result of a cell that finished; `grammatical`: whether a text keeps its grammar, where that is known."""
    trained, answers = parts.trained, parts.answers
    result = CellResult(
        parts.cell,
        status="control",
        seconds=parts.seconds,
        scores=parts.scores.path / "scores.parquet",
        answers=answers.path / ANSWERS_FILE,
        health=health(mark(read_answers(answers), grammatical)),
        unscored=parts.scores.record["unscored"],
        made=Made(
            base=parts.base.key,
            data=trained.data.digest if trained else "",
            method=trained.data.method if trained else "",
            settings=trained.job.settings if trained else {},
            n_pairs=trained.data.n_pairs if trained else 0,
            train_seconds=trained.run.record.seconds if trained else 0.0,
            n_prompts=n_prompts,
            answer_seconds=answers.record.seconds,
        ),
    )
    if not trained:
        return result
    return replace(
        result,
        status="trained" if trained.run.fresh else "cached",
        training_run=trained.run.key,
        n_pairs=trained.data.n_pairs,
        weight=trained.data.weight,
        training={name: getattr(trained.run.record, name) for name in TRAINING},
        curve=trained.run.record.curve,
    )


def tracked_facts(study: Study, trained: TrainedCell, result: CellResult, sharing: list[str]) -> dict[str, Any]:
    """What MLflow gets of a training run, as `Tracker.training_run` takes it; `sharing`: the cells that share it."""
    job, run = trained.job, trained.run
    means = pd.read_parquet(result.scores).groupby("dimension")["score"].mean()
    architecture, block = job.base.architecture.name, study.recipe.block(METHODS[job.method].settings)
    return {
        "cells": [f"{architecture}/{name}" for name in sharing],
        "params": {
            "architecture": architecture,
            "base": job.base.key,
            "revision": job.base.revision,
            "precision": job.base.architecture.dtype,
            "seed": job.seed,
            "method": job.method,
            "n_pairs": trained.data.n_pairs,
            "preferences": trained.data.weight,
            "label": study.label or "real",
            **{f"lora_{name}": value for name, value in study.recipe.lora.model_dump().items()},
            **block.model_dump(),
        },
        "metrics": {
            **{f"score.{dimension}": value for dimension, value in means.items()},
            **{f"health.{name}": value for name, value in result.health.items()},
            "seconds": run.record.seconds,
            **result.training,
        },
        "curve": run.record.curve,
        "digest": job.digest,
        "data": Path(job.data.name).stem,
        "adapter": run.path / ADAPTER,
    }


def wanted_replicates(study: Study, replicates: Replicates, base: BaseRef, prepared: ReplicateSet) -> TrainReplicates:
    """The training runs that a cell's replicates need."""
    return TrainReplicates(
        base=base,
        method=prepared.method,
        data=prepared.table,
        digests={number: prepared.digests[number] for number in replicates.numbers},
        recipe=study.recipe,
        seed=study.seed,
        steps=prepared.steps,
        robust=study.recipe.robust if prepared.robust else None,
        own={group: run.key for group, run in own_replicates(study, replicates, base, prepared).items()},
    )


def own_replicates(
    study: Study, replicates: Replicates, base: BaseRef, prepared: ReplicateSet
) -> dict[str, TrainReplicates]:
    """Group → the replicates of its own adapter, where the cell's start from them."""
    return {group: wanted_replicates(study, replicates, base, own) for group, own in prepared.own.items()}


@dataclass(frozen=True)
class ReplicateParts:
    """All that a cell's replicates, once finished, were made of."""

    replicates: Replicates
    base: BaseRef
    data: TrainingSet
    job: TrainReplicates
    runs: Artifact[ReplicateRuns]
    answers: Artifact[Answered]
    scores: Artifact

    @property
    def fresh(self) -> bool:
        """Whether anything was made now."""
        return self.runs.fresh or self.answers.fresh or self.scores.fresh


def replicates_result(parts: ReplicateParts, n_prompts: int, grammatical: Grammar | None) -> ReplicatesResult:
    """The result of replicates that finished."""
    runs, answers = parts.runs, parts.answers
    n = len(parts.replicates.numbers)
    return ReplicatesResult(
        parts.replicates,
        status="trained" if runs.fresh else "cached",
        runs=runs.key,
        n_pairs=parts.data.n_pairs,
        seconds=sum(part.record.seconds for part in (runs, answers) if part.fresh),
        scores=parts.scores.path / "scores.parquet",
        answers=answers.path / ANSWERS_FILE,
        well_formed=health(mark(read_answers(answers), grammatical))["well_formed"],
        margins=runs.record.margins,
        made=Made(
            base=parts.base.key,
            data=fingerprint(list(parts.job.digests.values())),
            method=f"{parts.job.method} {REPLICATES}",
            settings=parts.job.settings,
            n_pairs=parts.data.n_pairs * n,
            train_seconds=runs.record.seconds,
            n_prompts=n_prompts * n,
            answer_seconds=answers.record.seconds,
        ),
    )


def tracked_metrics(result: ReplicatesResult) -> dict[int, dict[str, float]]:
    """What MLflow gets of each replicate: its mean score on every dimension, and its margin."""
    means = pd.read_parquet(result.scores).groupby(["replicate", "dimension"])["score"].mean().unstack()
    scores = means.add_prefix("score.").to_dict(orient="index")
    return {number: {**scores[number], "margin": margin} for number, margin in result.margins.items()}


def failed(cell: Cell | Replicates, reason: str) -> CellResult | ReplicatesResult:
    """The result of one that did not finish."""
    if isinstance(cell, Replicates):
        return ReplicatesResult(cell, "failed", error=reason)
    return CellResult(cell, "failed", error=reason)


def each_run_once(results: Sequence[ReplicatesResult]) -> list[ReplicatesResult]:
    """Of the replicates that share training runs, all but the first are called shared."""
    first = {result.runs: result for result in reversed(results)}
    before = {key for result in results for key in result.trained_before}
    named = [replace(result, status="trained") if result.runs in before else result for result in results]
    return [
        replace(result, status="shared")
        if result.runs and first[result.runs].replicates != result.replicates
        else result
        for result in named
    ]


def one_run_each(results: Sequence[CellResult]) -> list[CellResult]:
    """Of the cells that share a training run, the first keeps what became of it, the others are called shared."""
    trained = {result.training_run for result in results if result.status == "trained"}
    trained |= {key for result in results for key in result.trained_before}
    named, seen = [], set()
    for result in results:
        if result.training_run in seen:
            result = replace(result, status="shared")
        elif result.training_run in trained:
            result = replace(result, status="trained")
        seen |= {result.training_run} - {""}
        named.append(replace(result, mlflow_run_id=result.logged.result() if result.logged else "", logged=None))
    return named
