"""The whole study on one page: ratings → survey → preferences → audit → cells → meta-analysis → report."""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from prefect import flow
from prefect.client.schemas.objects import StateType
from prefect.states import State

from configs.load import load_study
from configs.schema import Study
from flows.artifacts import show_results
from flows.cells import Grid, run_cells
from flows.meta_analysis import pool_study
from flows.outcome import IN_PART, Clock, Outcome, run_name
from flows.parameters import Folder, Overrides, RunnerAddress, StoreAddress, StudyName, Workers
from flows.parts import audit_ratings, survey_ratings
from flows.secret_keys import find_secret
from flows.showing import showing
from flows.stages import ByReference, Prepared, gather_ratings, log_left_out, prepare_all
from tasks.architectures.load import check_access
from tasks.generation.step import Prompts
from tasks.judging.judges import check_judge
from tasks.judging.step import ProvenJudge, prepare_judge
from tasks.meta_analysis.moved import moved
from tasks.methods.training_set import drops_table
from tasks.planning.bench import Bench, Inputs
from tasks.planning.earlier_runs import EarlierResult
from tasks.planning.study_facts import study_facts
from tasks.reporting.run_facts import Earlier
from tasks.reporting.step import write_outputs
from tasks.runtime.fingerprint import fingerprint, frame_digest
from tasks.simulation.language import is_well_formed

log = logging.getLogger(__name__)


@flow(name="study", flow_run_name=run_name)
def run_study(
    study: StudyName = "demo",
    overrides: Overrides = None,
    output: Folder = None,
    workers: Workers = None,
    runner: RunnerAddress = None,
    store: StoreAddress = None,
) -> Outcome | State:
    """Run a study, or what is missing of it.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"recipe.dpo.epochs": 2}.
        output: where the results go; by default outputs/NAME.
        workers: processes that train on a machine without GPUs; by default one a core.
            Where they are fewer, each has several threads for a model that is not tiny.
        runner: where jobs are done: local, ray, or ray://HOST:PORT of a cluster's head.
        store: where artifacts are kept: a folder, or a URL such as s3://BUCKET/PREFIX.
    """
    settings = load_study(study, overrides)
    bench, folder = Bench(settings, workers, runner, store), Path(output or f"outputs/{settings.name}")
    with showing(bench.board, settings.name), closing(bench.runner):
        return _run(bench, folder)


def _run(bench: Bench, folder: Path) -> Outcome | State:
    settings, clock = bench.study, Clock(bench.board)
    check_access(settings.architectures)
    bench.store.check()
    if settings.experiments:
        check_judge(settings.judge)
        bench.runner.check()
    ratings, data = gather_ratings(bench, clock)
    with clock.stage("survey"):
        tables = survey_ratings(bench, data, ratings)
    grid = Grid([], [])
    judge: ProvenJudge | None = None
    earlier: Earlier | None = None
    prepared = Prepared({}, {}, {})
    if settings.experiments:
        prepared = prepare_all(bench, data, ratings, clock)
        with clock.stage("audit"):
            tables |= audit_ratings(bench, data, ByReference(prepared.preferences))
        with clock.stage("judge"):
            judge = prepare_judge(settings, data, bench.store, find_secret)
            tables |= judge.tables
        if judge.stops:
            log.warning("%s", judge.stops)
        else:
            with clock.stage("cells", bench.time_left.seconds), closing(judge):
                snapshot = ratings.record.get("snapshot", ratings.key)
                prompts = Prompts.of(bench.evaluation_prompts(data))
                grammatical = is_well_formed if settings.ratings.simulate else None
                inputs = Inputs(data, snapshot, prepared.sets, prepared.replicated, judge, prompts, grammatical)
                grid = run_cells(bench, inputs)
            with clock.stage("meta-analysis"):
                tables |= pool_study(bench, inputs, ByReference(grid))
                earlier = _remember(bench, ratings.key, grid, tables)
    tables["drops"] = drops_table(data, prepared.sets)
    log_left_out(tables["drops"])
    with clock.stage("report"):
        spent = judge.facts if judge else None
        facts = study_facts(bench, data, ratings, tables.get("cells"), clock.seconds, earlier, spent)
        report = write_outputs(settings, tables, facts, folder)
    with bench.board.working("log to MLflow"):
        page = _track(bench, tables, folder) if grid.cells else ""
    show_results("study", settings, tables, report, page)
    return _outcome(bench.study, folder, report, grid, judge.stops if judge else "")


def _remember(bench: Bench, ratings: str, grid: Grid, tables: dict[str, pd.DataFrame]) -> Earlier | None:
    """Keep what this run made, and say what moved since the last one with other ratings or settings."""
    made = {result.cell.name: result.made for result in grid.cells}
    made |= {result.replicates.name: result.made for result in grid.replicates}
    bench.history.remember({name: own for name, own in made.items() if own})
    identity = fingerprint([bench.study, ratings])
    created = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = bench.history.conclude(EarlierResult(identity, created, ratings, tables["pooled"]))
    if earlier is None:
        return None
    tables["moved"] = moved(earlier.pooled, tables["pooled"])
    return Earlier(earlier.created, earlier.ratings)


def _track(bench: Bench, tables: dict[str, pd.DataFrame], folder: Path) -> str:
    """Log the results; the address of the report in MLflow's pages."""
    pooled = tables["pooled"]
    effects = ((f"pooled.{row.experiment}.{row.contrast}.{row.dimension}", row.estimate) for row in pooled.itertuples())
    metrics = {name.replace(" - ", "-minus-").replace(" ", "-"): estimate for name, estimate in effects}
    key = fingerprint([bench.study, frame_digest(pooled), frame_digest(tables["cells"][["training_run", "error"]])])
    return bench.tracker.page(bench.tracker.study_results(key, metrics, folder), "report.html")


def _outcome(study: Study, folder: Path, report: Path, grid: Grid, stopped: str) -> Outcome | State:
    if stopped:
        outcome = Outcome(folder, report, 0, 0, 0, stopped)
        return State(type=StateType.FAILED, name="Judge below its floor", message=stopped, data=outcome)
    results = [*grid.cells, *(cell for result in grid.replicates for cell in result.cells)]
    failed = sum(result.status == "failed" for result in results)
    made = [result.cell for result in results if result.status == "trained"]
    trained = sum(study.experiments[cell.experiment].conditions[cell.condition].trains for cell in made)
    outcome = Outcome(folder, report, len(results), failed, trained)
    if not failed:
        return outcome
    name, message = IN_PART if failed < len(results) else "Failed", f"{failed} of {len(results)} cells failed; {report}"
    return State(type=StateType.FAILED, name=name, message=message, data=outcome)
