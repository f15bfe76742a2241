"""Fan out: one task per cell, joined whatever happens to one of them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed, State
from prefect.task_runners import ThreadPoolTaskRunner

from configs.schema import CONTROL
from tasks.architectures.load import BaseRef
from tasks.architectures.step import prepare_base
from tasks.generation.replicates import answer_as_replicates
from tasks.generation.step import answer_prompts
from tasks.judging.step import score_outputs
from tasks.methods.replicates import train_replicates
from tasks.methods.step import train_adapter
from tasks.planning.bench import Bench, Inputs
from tasks.planning.cells import Cell, Replicates, cells, replicates
from tasks.planning.plan import plan_cells
from tasks.planning.results import (
    CellResult,
    Parts,
    ReplicateParts,
    ReplicatesResult,
    TrainedCell,
    carded_run,
    cell_result,
    each_run_once,
    failed,
    one_run_each,
    own_cells,
    own_replicates,
    replicates_result,
    sharing_conditions,
    tracked_facts,
    tracked_metrics,
    wanted_replicates,
)
from tasks.runtime.progress import Report, left_in_words, tell
from tasks.runtime.runner import again_if_damaged

log = logging.getLogger(__name__)
Futures = dict[PrefectFuture, Cell | Replicates]


class Grid(NamedTuple):
    """What became of all cells, and of their rater replicates."""

    cells: list[CellResult]
    replicates: list[ReplicatesResult]


def run_cells(bench: Bench, inputs: Inputs) -> Grid:
    """Every cell of the study, and its replicates; one that fails is a result too."""
    threads = len(cells(bench.study)) + len(replicates(bench.study)) + len(bench.study.architectures)
    runner: Any = ThreadPoolTaskRunner(max_workers=threads)  # all wait at the runner of jobs, which chooses
    return fan_out.with_options(task_runner=runner)(bench, inputs)


@flow(name="cells", flow_run_name="cells", validate_parameters=False)
def fan_out(bench: Bench, inputs: Inputs) -> Grid:
    """One task a base, a cell, and a group of replicates."""
    texts = bench.training_texts(inputs.data)
    bases = {
        architecture.name: make_base.submit(bench, architecture.name, texts)
        for architecture in bench.study.architectures
    }
    submit: Any = run_cell.submit  # a future stands for its result here, which the types don't say
    futures: Futures = {submit(bench, inputs, cell, bases[cell.architecture]): cell for cell in cells(bench.study)}
    submit = run_replicates.submit
    futures |= {submit(bench, inputs, own, bases[own.architecture]): own for own in replicates(bench.study)}
    try:
        expect_parts(bench, inputs)  # work has begun: nothing waits for it
        return join(bench, futures, bases)
    finally:
        bench.runner.close()  # also when the run is stopped: what trains ends, what waits for a slot fails


@task(name="base", task_run_name="{architecture} · base", cache_policy=NO_CACHE)
def make_base(bench: Bench, architecture: str, texts: pd.DataFrame) -> BaseRef:
    """An architecture ready to train."""
    settings = next(item for item in bench.study.architectures if item.name == architecture)
    name = f"{architecture} · base"
    try:
        with bench.board.working(name, bench.time_left.listener(name)):
            return again_if_damaged(lambda: prepare_base(bench.study, settings, texts, bench.store, bench.runner))
    finally:
        bench.time_left.over(name)


@task(name="cell", task_run_name="{cell.name}", cache_policy=NO_CACHE)
def run_cell(bench: Bench, inputs: Inputs, cell: Cell, base: BaseRef) -> CellResult | State:
    """Train, answer, judge. What exists is not made again; the task then ends as Cached."""
    with bench.board.working(cell.name, bench.time_left.listener(cell.name), shown=False):
        return again_if_damaged(lambda: make_cell(bench, inputs, cell, base))


def make_cell(bench: Bench, inputs: Inputs, cell: Cell, base: BaseRef) -> CellResult | State:
    """The body of `run_cell`."""
    study, store, runner = bench.study, bench.store, bench.runner
    data = None if cell.condition == CONTROL else inputs.prepared[cell.experiment][cell.condition]
    if data and data.error:
        raise ValueError(f"experiments.{cell.experiment}.conditions.{cell.condition}: {data.error}")
    sharing = sharing_conditions(inputs.prepared, cell, data) if data else []
    job = carded_run(study, cell, base, inputs.prepared, inputs.ratings) if data else None
    prompts, before = inputs.prompts.for_groups(data.naming if data else {}), []
    with runner.near(base.key):
        for own in own_cells(study, cell) if data and data.own else ():
            with bench.board.working(own.name, bench.time_left.listener(own.name), shown=False):
                run = carded_run(study, own, base, inputs.prepared, inputs.ratings)
                before.append(train_adapter(run, store, runner))
        trained = TrainedCell(data, job, train_adapter(job, store, runner)) if data and job else None
        run_key = trained.run.key if trained else None
        answers = answer_prompts(base, run_key, prompts, study.recipe, store, runner)
    parts = Parts(cell, base, trained, answers, score_outputs(inputs.judge, answers, inputs.prompts.table, store))
    result = cell_result(parts, len(prompts.table), inputs.grammatical)
    result = replace(result, trained_before=tuple(run.key for run in before if run.fresh))
    if trained:
        facts = tracked_facts(study, trained, result, sharing)
        result = replace(result, logged=bench.tracker.training_run(trained.run.key, parts.scores.key, **facts))
    return result if parts.fresh else Completed(name="Cached", data=result)


@task(name="replicates", task_run_name="{replicates.name}", cache_policy=NO_CACHE)
def run_replicates(bench: Bench, inputs: Inputs, replicates: Replicates, base: BaseRef) -> ReplicatesResult | State:
    """Train, answer and judge a cell's rater replicates. What exists is not made again."""
    name = replicates.name
    with bench.board.working(name, bench.time_left.listener(name), shown=False):
        return again_if_damaged(lambda: make_replicates(bench, inputs, replicates, base))


def make_replicates(bench: Bench, inputs: Inputs, replicates: Replicates, base: BaseRef) -> ReplicatesResult | State:
    """The body of `run_replicates`."""
    study, store, runner, cell = bench.study, bench.store, bench.runner, replicates.of
    data = inputs.prepared[cell.experiment][cell.condition]
    if data.error:
        raise ValueError(f"experiments.{cell.experiment}.conditions.{cell.condition}: {data.error}")
    replicated = inputs.replicated[cell.experiment][cell.condition]
    job, prompts = wanted_replicates(study, replicates, base, replicated), inputs.prompts.for_groups(data.naming)
    with runner.near(base.key):
        own, before = own_replicates(study, replicates, base, replicated), []
        for group, of_group in own.items():
            with bench.board.working(f"{replicates.name} · {group}", shown=False):
                before.append(train_replicates(of_group, store, runner))
        runs = train_replicates(job, store, runner)
        answers = answer_as_replicates(base, runs.key, replicates.numbers, prompts, study.recipe, store, runner)
    scores = score_outputs(inputs.judge, answers, inputs.prompts.table, store)
    parts = ReplicateParts(replicates, base, data, job, runs, answers, scores)
    result = replicates_result(parts, len(prompts.table), inputs.grammatical)
    result = replace(result, trained_before=tuple(run.key for run in before if run.fresh))
    return result if parts.fresh else Completed(name="Cached", data=result)


def join(bench: Bench, futures: Futures, bases: dict[str, PrefectFuture]) -> Grid:
    """Results in the order of the grid, whatever became of each; progress is shown as they come."""
    tell(Report("", 0, len(futures)))
    results: dict[Cell | Replicates, CellResult | ReplicatesResult] = {}
    for done, future in enumerate(as_completed(list(futures)), start=1):
        cell = futures[future]
        result = results[cell] = outcome(future, cell, bases[cell.architecture])
        bench.time_left.over(cell.name)
        tell(Report("", done, len(futures)))
        level = logging.WARNING if result.error else logging.INFO
        said = (
            f"{result.status}, {result.error or f'{result.seconds:.1f} s'} ({left_in_words(bench.time_left.seconds())})"
        )
        log.log(level, "cell %d of %d: %s: %s", done, len(futures), cell.name, said)
    in_order = [results[cell] for cell in futures.values()]
    own = [result for result in in_order if isinstance(result, CellResult)]
    replicated = [result for result in in_order if isinstance(result, ReplicatesResult)]
    with bench.board.working("log to MLflow"):
        grid = Grid(one_run_each(own), each_run_once(replicated))
    track_replicates(bench, grid)
    return grid


def expect_parts(bench: Bench, inputs: Inputs) -> None:
    """What each cell takes by the plan, for the time that is left; a plan that fails costs the run nothing else."""
    names = [cell.name for cell in cells(bench.study)] + [group.name for group in replicates(bench.study)]
    try:
        judge = inputs.judge.judge.identity
        planned = plan_cells(bench, inputs.data, inputs.prepared, inputs.replicated, judge)
        bench.time_left.expect({name: own.parts for name, own in zip(names, planned, strict=True)})
    except Exception as error:  # such as a base that can't be found, which its own task tells
        log.debug("the time left stays unknown: %s", error)


def track_replicates(bench: Bench, grid: Grid) -> None:
    """Log each group of replicates below the training run of its cell, which has been logged by now."""
    runs = {result.cell: result.training_run for result in grid.cells}
    for result in grid.replicates:
        if result.scores and result.status != "shared":
            name, scores = result.replicates.name, result.scores.parent.name
            bench.tracker.replicates(result.runs, scores, runs[result.replicates.of], name, tracked_metrics(result))


def outcome(future: PrefectFuture, cell: Cell | Replicates, base: PrefectFuture) -> CellResult | ReplicatesResult:
    """The cell's own result, or a failed one with the reason; never raises."""
    ready = base.result(raise_on_failure=False)
    if not isinstance(ready, BaseRef):  # then the cell never started, and has no result to ask for
        return failed(cell, f"its base failed: {_reason(ready)}")
    result = future.result(raise_on_failure=False)
    return result if isinstance(result, (CellResult, ReplicatesResult)) else failed(cell, _reason(result))


def _reason(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
