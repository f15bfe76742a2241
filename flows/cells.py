"""Fan out: one task per cell, joined whatever happens to one of them."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed, State
from prefect.task_runners import ThreadPoolTaskRunner

from configs.schema import CONTROL, Study
from flows.artifacts import Progress
from tasks.architectures.load import BaseRef
from tasks.architectures.step import prepare_base
from tasks.generation.step import answer_prompts
from tasks.judging.step import score_outputs
from tasks.methods import METHODS
from tasks.methods.card import model_card
from tasks.methods.step import TrainingRun, train_adapter
from tasks.methods.training_set import TrainingSet
from tasks.planning.bench import Bench, Inputs
from tasks.planning.cells import Cell, cells
from tasks.planning.history import Made
from tasks.runtime.store import Artifact

log = logging.getLogger(__name__)
TRAINING = ("steps", "margin", "truncated", "resumed_from", "at_once")


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
    health: dict[str, float] = field(default_factory=dict)
    unscored: int = 0
    training: dict[str, float] = field(default_factory=dict)
    """Steps, margin, truncated, resumed_from, at_once: of the training run's record."""
    logged: Future[str] | None = None
    made: Made | None = None
    """What it was made of, for the plan of the next run."""


class Joined:
    """All results, handed to the next flow by reference; the slot keeps Prefect from storing them as a parameter."""

    __slots__ = ("results",)

    def __init__(self, results: list[CellResult]) -> None:
        self.results = results


def run_cells(bench: Bench, inputs: Inputs) -> list[CellResult]:
    """Every cell of the study; a cell that fails is a result too."""
    threads = 2 * bench.pool.size  # some train, the others stand ready or wait for a run that they share
    if bench.study.judge.waits:
        threads += len(cells(bench.study))  # a batch may take a day, and nothing waits for another's
    runner: Any = ThreadPoolTaskRunner(max_workers=threads)
    return fan_out.with_options(task_runner=runner)(bench, inputs)


@flow(name="cells", flow_run_name="cells", validate_parameters=False)
def fan_out(bench: Bench, inputs: Inputs) -> list[CellResult]:
    """One task a base and a cell."""
    grid = cells(bench.study)
    texts = bench.training_texts(inputs.data)
    bases = {
        architecture.name: make_base.submit(bench, architecture.name, texts)
        for architecture in bench.study.architectures
    }
    submit: Any = run_cell.submit  # a future stands for its result here, which the types don't say
    futures = {submit(bench, inputs, cell, bases[cell.architecture]): cell for cell in grid}
    try:
        return _joined(bench, futures, bases)
    finally:
        bench.pool.close()  # also when the run is stopped: what trains ends, what waits for a slot fails


@task(name="base", task_run_name="{architecture} · base", cache_policy=NO_CACHE)
def make_base(bench: Bench, architecture: str, texts: pd.DataFrame) -> BaseRef:
    """An architecture ready to train."""
    settings = next(item for item in bench.study.architectures if item.name == architecture)
    return prepare_base(bench.study, settings, texts, bench.store, bench.pool)


@task(name="cell", task_run_name="{cell.name}", cache_policy=NO_CACHE)
def run_cell(bench: Bench, inputs: Inputs, cell: Cell, base: BaseRef) -> CellResult | State:
    """Train, answer, judge. What exists is not made again; the task then ends as Cached."""
    study, store, pool = bench.study, bench.store, bench.pool
    prepared = None if cell.condition == CONTROL else inputs.prepared[cell.experiment][cell.condition]
    run = _training_run(bench, inputs, cell, base, prepared) if prepared else None
    simulated = study.ratings.simulate is not None
    outputs = answer_prompts(base, run, inputs.prompts, study.recipe, simulated, store, pool)
    scores = score_outputs(inputs.judge, outputs, inputs.prompts.table, store)
    result = CellResult(
        cell, status="control", scores=scores.path / "scores.parquet",
        health=outputs.record["health"], unscored=scores.record["unscored"],
    )  # fmt: skip
    if prepared and run:
        result = replace(
            result, status="trained" if run.fresh else "cached", training_run=run.key, n_pairs=prepared.n_pairs,
            training={name: run.record[name] for name in TRAINING},
            weight=prepared.weight, logged=_tracked(bench, inputs, cell, base, prepared, run, outputs, scores),
        )  # fmt: skip
    result = replace(result, made=_made(study, cell, base, prepared, run, outputs, inputs))
    parts = [part for part in (run, outputs, scores) if part and part.fresh]
    result = replace(result, seconds=sum(part.record.get("seconds", 0.0) for part in parts))
    return result if parts else Completed(name="Cached", data=result)


def _made(
    study: Study, cell: Cell, base: BaseRef, prepared: TrainingSet | None, run: Artifact | None, outputs: Artifact,
    inputs: Inputs,
) -> Made:  # fmt: skip
    return Made(
        base=base.key, data=prepared.digest if prepared else "", method=prepared.method if prepared else "",
        settings=wanted_run(study, cell, base, prepared).settings if prepared else {},
        n_pairs=prepared.n_pairs if prepared else 0, train_seconds=run.record["seconds"] if run else 0.0,
        n_prompts=len(inputs.prompts.table), answer_seconds=outputs.record["seconds"],
    )  # fmt: skip


def wanted_run(study: Study, cell: Cell, base: BaseRef, prepared: TrainingSet) -> TrainingRun:
    """The training run that a cell needs."""
    seed = study.seed + cell.seed
    return TrainingRun(base, prepared.method, prepared.digest, study.recipe, seed, prepared.steps)


def _training_run(bench: Bench, inputs: Inputs, cell: Cell, base: BaseRef, prepared: TrainingSet) -> Artifact:
    if prepared.error:
        raise ValueError(f"experiments.{cell.experiment}.conditions.{cell.condition}: {prepared.error}")
    study, run = bench.study, wanted_run(bench.study, cell, base, prepared)
    facts = {"study": study.name, "ratings": inputs.ratings, "training data": prepared.digest,
             "response pairs": prepared.n_pairs, "label preferences": prepared.weight, **run.settings}  # fmt: skip
    condition = study.experiments[cell.experiment].conditions[cell.condition]
    cells = _sharing(inputs, cell, prepared)
    card = model_card(base.architecture, base.source, base.revision, condition, cells, facts, study.label)
    return train_adapter(run, prepared.path, card, bench.store, bench.pool)


def _tracked(
    bench: Bench, inputs: Inputs, cell: Cell, base: BaseRef, prepared: TrainingSet, run: Artifact, outputs: Artifact,
    scores: Artifact,
) -> Future[str]:  # fmt: skip
    """The training run's MLflow id, soon; logged once, with all cells that share it."""
    recipe = bench.study.recipe
    means = pd.read_parquet(scores.path / "scores.parquet").groupby("dimension")["score"].mean()
    method = recipe.block(METHODS[prepared.method].settings)
    return bench.tracker.training_run(
        run.key, scores.key,
        cells=[f"{base.architecture.name}/{name}" for name in _sharing(inputs, cell, prepared)],
        params={"architecture": base.architecture.name, "base": base.key, "revision": base.revision,
                "seed": bench.study.seed + cell.seed, "method": prepared.method, "n_pairs": prepared.n_pairs,
                "preferences": prepared.weight, "label": bench.study.label or "real",
                **{f"lora_{name}": value for name, value in recipe.lora.model_dump().items()}, **method.model_dump()},
        metrics={f"score.{dimension}": value for dimension, value in means.items()}
        | {f"health.{name}": value for name, value in outputs.record["health"].items()}
        | {"seconds": run.record["seconds"]} | {name: run.record[name] for name in TRAINING},
        curve=run.record["curve"], digest=prepared.digest, data=prepared.path.stem, adapter=run.path / "adapter",
    )  # fmt: skip


def _sharing(inputs: Inputs, cell: Cell, prepared: TrainingSet) -> list[str]:
    """All conditions that train the same, as EXPERIMENT/CONDITION, with the seed if it is not the first."""
    seed = f"/seed-{cell.seed}" if cell.seed else ""
    return [
        f"{experiment}/{condition}{seed}"
        for experiment, conditions in inputs.prepared.items()
        for condition, other in conditions.items()
        if other.identity == prepared.identity
    ]


def _joined(bench: Bench, futures: dict[PrefectFuture, Cell], bases: dict[str, PrefectFuture]) -> list[CellResult]:
    """Results in the order of the grid, whatever became of each."""
    started, results, progress = time.monotonic(), {}, Progress(bench.study.name, len(futures))
    for done, future in enumerate(as_completed(list(futures)), start=1):
        cell = futures[future]
        results[cell] = _result(future, cell, bases[cell.architecture])
        _say(done, len(futures), results[cell], time.monotonic() - started)
        progress.at(done)
    return _one_run_each([results[cell] for cell in futures.values()])


def _one_run_each(results: list[CellResult]) -> list[CellResult]:
    """Of the cells that share a training run, the first keeps what became of it, the others are called shared."""
    trained = {result.training_run for result in results if result.status == "trained"}
    named, seen = [], set()
    for result in results:
        if result.training_run in seen:
            result = replace(result, status="shared")
        elif result.training_run in trained:
            result = replace(result, status="trained")
        seen |= {result.training_run} - {""}
        named.append(replace(result, mlflow_run_id=result.logged.result() if result.logged else "", logged=None))
    return named


def _result(future: PrefectFuture, cell: Cell, base: PrefectFuture) -> CellResult:
    """The cell's own result, or a failed one with the reason; never raises."""
    ready = base.result(raise_on_failure=False)
    if not isinstance(ready, BaseRef):  # then the cell never started, and has no result to ask for
        return CellResult(cell, "failed", error=f"its base failed: {_reason(ready)}")
    result = future.result(raise_on_failure=False)
    return result if isinstance(result, CellResult) else CellResult(cell, "failed", error=_reason(result))


def _reason(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _say(done: int, total: int, result: CellResult, elapsed: float) -> None:
    left = elapsed / done * (total - done)
    log.info(
        "cell %d of %d: %s: %s%s (about %s left)", done, total, result.cell.name, result.status,
        f", {result.error}" if result.error else f", {result.seconds:.1f} s", _minutes(left),
    )  # fmt: skip


def _minutes(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f} min"
