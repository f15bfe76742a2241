"""What a run of a study would do, and why, before anything is trained: `pluralign plan`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from configs.load import load_study
from configs.schema import CONTROL, Condition, Study
from tasks.architectures.cost import ASSUMED, Texts, answering_hours
from tasks.architectures.load import BaseRef
from tasks.architectures.step import known_base
from tasks.generation.greedy import ANSWERS
from tasks.generation.replicates import AnswerReplicates
from tasks.generation.step import Answer, Prompts
from tasks.judging.judge import VERDICTS
from tasks.judging.step import scores_key, study_judge
from tasks.methods import METHODS
from tasks.methods.replicate_set import ReplicateSet, replicate_sets
from tasks.methods.replicates import TrainReplicates
from tasks.methods.run import STEPS
from tasks.methods.step import Train
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.planning.bench import Bench
from tasks.planning.cells import Cell, Replicates, cells, replicates
from tasks.planning.disk_use import CellFiles, DiskUse, asked, disk_use
from tasks.planning.earlier_runs import Made, seconds_each, why
from tasks.planning.results import REPLICATES, wanted_replicates, wanted_run
from tasks.planning.time_left import Part
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.tracking import local_file
from tasks.simulation.step import simulated_export

CACHED, RUNS, SHARED, FAILS, NONE = "cached", "runs", "shared", "fails", ""
Rates = Mapping[str | None, Mapping[str, float]]
"""Method, None for answering → architecture → seconds a pair or a prompt, by earlier runs."""
Users = dict[str, str]
"""Key of what is to be made → the cell that makes it."""


@dataclass(frozen=True)
class Planned:
    """One cell. training and answers: cached, runs, shared (another cell's run), fails, or "" where there is none."""

    experiment: str
    architecture: str
    condition: str
    seed: int
    training: str
    answers: str
    because: str
    n_pairs: int
    judged: int
    """Answers that the judge has not scored yet."""
    seconds: float | None = None
    """Of training and answering on one slot; None where no earlier run tells."""
    gpu_hours: float = 0.0
    """Of training and answering on one GPU, at assumed speed; nothing for tiny models."""
    replicates: int = 0
    """How many rater replicates of the cell this is, which are made together; 0: the cell itself."""
    parts: tuple[Part, ...] = ()
    """What has to be done, in its order."""

    @property
    def times(self) -> int:
        """How many training runs and sets of answers it is."""
        return self.replicates or 1


@dataclass(frozen=True)
class Plan:
    """All cells, and what they come to."""

    study: Study
    cells: list[Planned]
    slots: int
    proof_calls: int = 0
    """Paid calls that hold the judge against the humans beforehand."""
    dollars_each: float | None = None
    """What a call costs at most: every answer as long as it may be; None where the judge's price is not set."""
    disk: DiskUse | None = None

    @property
    def training_runs(self) -> int:
        """Those that are to be made; adapters that are merged from others are none."""
        return sum(cell.times for cell in self.cells if cell.training == RUNS and self._condition(cell).trains)

    def _condition(self, cell: Planned) -> Condition:
        return self.study.experiments[cell.experiment].conditions[cell.condition]

    @property
    def judge_calls(self) -> int:
        """Paid ones."""
        return sum(cell.judged for cell in self.cells) + self.proof_calls if self.study.judge.paid else 0

    @property
    def seconds(self) -> float | None:
        """Wall time on this machine's slots; None where no earlier run tells, or nothing of the kind has run yet."""
        expected = [cell.seconds for cell in self.cells if RUNS in (cell.training, cell.answers)]
        return None if None in expected else sum(seconds for seconds in expected if seconds is not None) / self.slots

    @property
    def cost(self) -> float | None:
        """US dollars at most; None where the judge's price is not set."""
        return None if self.dollars_each is None else self.judge_calls * self.dollars_each

    def table(self) -> pd.DataFrame:
        return pd.DataFrame([vars(cell) for cell in self.cells]).drop(columns="parts", errors="ignore")


def plan_study(study: str, overrides: dict[str, Any] | None = None, workers: int | None = None) -> Plan:
    """Read ratings, prepare preferences (both kept for the run), and look up what exists; asks no hub and no judge."""
    settings = load_study(study, overrides)
    bench = Bench(settings, workers)
    ratings = read_ratings(settings, bench.store, simulated_export(settings, bench.store))
    data = load_data(settings, ratings)
    if not settings.experiments:
        return Plan(settings, [], bench.runner.size)
    preferences = {name: keep_preferences(settings, name, data, ratings, bench.store) for name in settings.experiments}
    sets = {name: training_sets(settings, name, kept, bench.store) for name, kept in preferences.items()}
    replicated = {
        name: replicate_sets(settings, name, kept, sets[name], data.responses, bench.store)
        for name, kept in preferences.items()
    }
    judge, evidence = study_judge(settings, data, bench.store)
    proof = judge.missing(list(zip(evidence.sample["prompt"], evidence.sample["response"], strict=True)))
    dollars = judge.dollars_each(settings.recipe.max_length + settings.recipe.max_new_tokens)
    planned = plan_cells(bench, data, sets, replicated, judge.identity)
    return Plan(settings, planned, bench.runner.size, proof, dollars, _disk_use(bench, data, planned))


def _disk_use(bench: Bench, data: StudyData, planned: list[Planned]) -> DiskUse:
    """What the cells' files take; bases are there where anything that was made with them is."""
    made = {cell.architecture for cell in planned if CACHED in (cell.training, cell.answers)}
    files = [
        CellFiles(
            cell.architecture,
            adapter=cell.training in (RUNS, CACHED),
            answers=cell.answers in (RUNS, CACHED),
            asked=asked(bench.study, cell.experiment, cell.condition),
            replicates=cell.replicates,
            adapter_there=cell.training == CACHED,
            answers_there=cell.answers == CACHED,
        )
        for cell in planned
    ]
    prompts, local = len(bench.evaluation_prompts(data)), local_file(bench.tracker.uri) is not None
    return disk_use(bench.study, files, prompts, bench.runner.size, local, made)


def plan_cells(
    bench: Bench, data: StudyData, prepared: dict[str, dict[str, TrainingSet]],
    replicated: dict[str, dict[str, ReplicateSet]], judge: str,
) -> list[Planned]:  # fmt: skip
    """Every cell and then every group of replicates, in the order of the grid; `judge` is its identity."""
    return list(_planned(bench, data, prepared, replicated, judge))


def _planned(
    bench: Bench, data: StudyData, prepared: dict[str, dict[str, TrainingSet]],
    replicated: dict[str, dict[str, ReplicateSet]], judge: str,
) -> Iterator[Planned]:  # fmt: skip
    study, history, grid = bench.study, bench.history.cells(), cells(bench.study)
    texts, prompts = bench.training_texts(data), Prompts.of(bench.evaluation_prompts(data))
    bases = {item.name: known_base(study, item, texts, bench.store) for item in study.architectures}
    architectures = {cell.name: cell.architecture for cell in grid}
    rates: Rates = {method: seconds_each(history, architectures, method) for method in (*METHODS, None)}
    users: Users = {}
    written = Texts(*(float(data.responses[name].str.len().mean()) for name in ("prompt", "response")))
    for cell in grid:
        base = bases[cell.architecture]
        own = None if cell.condition == CONTROL else prepared[cell.experiment][cell.condition]
        asked = prompts.for_groups(own.naming) if own else prompts
        n_prompts = len(asked.table)
        planned, run = _training(bench, cell, base, own, history.get(cell.name), users)
        answer = Answer(base=base, run_key=run, prompts=asked.digest, recipe=study.recipe) if base else None
        planned = _answers(bench, cell, planned, answer, n_prompts, judge, users)
        hours = _gpu_hours(study, planned, own, n_prompts, written)
        yield _timed(study, replace(planned, gpu_hours=hours), own, n_prompts, rates, f"{cell.seed}")
    groups = replicates(study)
    together = {group.name: group.architecture for group in groups}
    known: Rates = {method: seconds_each(history, together, f"{method} {REPLICATES}") for method in METHODS}
    known = {**known, None: seconds_each(history, together, None)}
    rates = {method: known[method] or rates[method] for method in rates}  # before the first, as if one by one
    for group in groups:
        base, cell = bases[group.architecture], group.of
        own, table = prepared[cell.experiment][cell.condition], replicated[cell.experiment].get(cell.condition)
        job = wanted_replicates(study, group, base, table) if base and table else None
        asked = prompts.for_groups(own.naming)
        n_prompts = len(asked.table)
        planned = _replicates(bench, group, own, job, asked, judge, history.get(group.name), users)
        hours = _gpu_hours(study, planned, own, n_prompts, written)
        yield _timed(study, replace(planned, gpu_hours=hours), own, n_prompts, rates, f"{group.numbers}")


def _replicates(
    bench: Bench, group: Replicates, own: TrainingSet, job: TrainReplicates | None, prompts: Prompts, judge: str,
    made: Made | None, users: Users,
) -> Planned:  # fmt: skip
    """A cell's rater replicates; `users` collects who makes what."""
    cell, n = group.of, len(group.numbers)
    planned = Planned(
        cell.experiment, cell.architecture, cell.condition, 0, RUNS, RUNS, "", own.n_pairs,
        judged=n * len(prompts.table), seconds=None, replicates=n,
    )  # fmt: skip
    if own.error:
        return replace(planned, training=FAILS, answers=FAILS, because=own.error, judged=0)
    key = job.key if job else f"{group.name}/{own.identity}"
    if key in users:
        return replace(planned, training=SHARED, answers=SHARED, because=f"those of {users[key]}", judged=0)
    users[key] = group.name
    if job is None:
        return replace(planned, because="its base has not been resolved yet: the hub is asked at the first run")
    if bench.store.find(TrainReplicates.stage, key) is None:
        data = fingerprint(list(job.digests.values()))
        return replace(planned, because=why(made, job.base.key, data, job.settings, own.n_pairs * n))
    answer = AnswerReplicates(
        base=job.base, runs=key, replicates=group.numbers, prompts=prompts.digest, recipe=job.recipe
    )
    answered = bench.store.find(AnswerReplicates.stage, answer.key) is not None
    scored = answered and bench.store.find("scores", scores_key(judge, answer.key)) is not None
    because = "" if scored else "the judge changed, or left some unscored" if answered else "the prompts changed"
    return replace(
        planned, training=CACHED, answers=CACHED if answered else RUNS, because=because,
        judged=0 if scored else planned.judged,
    )  # fmt: skip


def _training(
    bench: Bench, cell: Cell, base: BaseRef | None, prepared: TrainingSet | None, made: Made | None, users: Users
) -> tuple[Planned, str | None]:
    """The cell with its training planned, and its run's key; `users` collects who makes each run."""
    planned = Planned(cell.experiment, cell.architecture, cell.condition, cell.seed, NONE, RUNS, "", 0, 0, None)
    if prepared is None:
        return planned, None
    planned = replace(planned, n_pairs=prepared.n_pairs)
    if prepared.error:
        return replace(planned, training=FAILS, answers=FAILS, because=prepared.error), None
    run = wanted_run(bench.study, cell, base, prepared) if base else None
    key = run.key if run else f"{cell.architecture}/{cell.seed}/{prepared.identity}"  # the same for any base
    if run and bench.store.find(Train.stage, key):
        return replace(planned, training=CACHED), key
    if key in users:
        return replace(planned, training=SHARED, because=f"the training run of {users[key]}"), key
    users[key] = cell.name
    reason = "its base has not been resolved yet: the hub is asked at the first run"
    if run:
        reason = why(made, run.base.key, run.digest, run.settings, prepared.n_pairs)
    return replace(planned, training=RUNS, because=reason), key


def _answers(
    bench: Bench, cell: Cell, planned: Planned, answer: Answer | None, n_prompts: int, judge: str, users: Users
) -> Planned:
    """The cell with its answers and their judging planned; `users` collects who has each answered and judged."""
    if planned.answers == FAILS:
        return planned
    if planned.training == SHARED:
        return replace(planned, answers=SHARED)
    if answer is None:
        return replace(planned, judged=n_prompts)
    key = answer.key
    answered = bench.store.find(Answer.stage, key) is not None
    scored = answered and bench.store.find("scores", scores_key(judge, key)) is not None
    if not scored and key in users:
        return replace(planned, answers=SHARED, because=f"the answers of {users[key]}")
    users[key] = cell.name
    because = planned.because
    if planned.training in (NONE, CACHED):
        unjudged = "the judge changed, or left some unscored"
        because = "" if scored else unjudged if answered else "the prompts changed, or it never answered"
    judged = 0 if scored else n_prompts
    return replace(planned, answers=CACHED if answered else RUNS, because=because, judged=judged)


def _timed(
    study: Study, planned: Planned, own: TrainingSet | None, n_prompts: int, rates: Rates, which: str
) -> Planned:
    """With its parts, and the seconds that its own are expected to take. which: seed or replicates.

    A cell that shares a training run has its parts too: whoever of them comes first does them.
    """
    name, times, parts = planned.architecture, planned.times, list[Part]()
    key = f"{name}/{which}/{own.identity}" if own else name
    parameters = next(item.parameters for item in study.architectures if item.name == name)

    def add(unit: str, method: str | None, size: int) -> None:
        known = rates.get(method, {})
        rate = known.get(name, known.get(""))
        kind = f"{method} {REPLICATES}" if method and planned.replicates else method or unit
        seconds = None if rate is None else times * size * rate
        parts.append(Part(unit, kind, name, times * size, parameters, seconds, f"{key}/{unit}"))

    shares = planned.training == SHARED
    if own and planned.training in (RUNS, SHARED):
        add(STEPS, own.method, planned.n_pairs)
    if planned.answers == RUNS or shares:
        add(ANSWERS, None, n_prompts)
    expected = [part.seconds for part in parts]
    seconds = None if None in expected else sum(part.seconds or 0.0 for part in parts)
    if study.judge.paid and (planned.judged or shares):
        verdicts = times * n_prompts if shares else planned.judged
        parts.append(Part(VERDICTS, VERDICTS, "", verdicts, 1.0, None, f"{key}/{VERDICTS}", on_slot=False))
    return replace(planned, parts=tuple(parts), seconds=0.0 if shares else seconds)


def _gpu_hours(study: Study, planned: Planned, prepared: TrainingSet | None, n_prompts: int, texts: Texts) -> float:
    architecture = next(item for item in study.architectures if item.name == planned.architecture)
    if architecture.tiny:
        return 0.0
    hours, size, recipe = 0.0, architecture.parameters, study.recipe
    if planned.training == RUNS and prepared:
        method = METHODS[prepared.method]
        steps = prepared.steps or method.steps(prepared.size, recipe)
        hours += method.gpu_hours(size, steps, texts, recipe)
    hours += answering_hours(size, n_prompts, recipe) if planned.answers == RUNS else 0.0
    return planned.times * hours


def describe(plan: Plan) -> str:
    """The plan as text: cells, then what they come to."""
    table, judge = plan.table(), plan.study.judge
    if table.empty:
        return f"{plan.study.name}: no experiments, so there are no cells"
    columns = ["architecture", "experiment", "condition", "n_pairs", "training", "answers", "because"]
    if table["replicates"].any():
        columns.insert(3, "replicates")
    shown = table[columns]
    times = table["replicates"].clip(lower=1)
    states = times.groupby(table["training"].where(table["training"] != NONE, "control"), sort=False).sum()
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    replicated = f", {table['replicates'].sum()} of them rater replicates" if table["replicates"].any() else ""
    lines = [shown.to_string(index=False), "", f"{times.sum()} cells{replicated}: {counts}"]
    lines.append(f"training runs to make: {plan.training_runs}; answers to judge: {sum(table['judged'])}")
    if judge.paid:
        cost = "unknown (set judge.price)" if plan.cost is None else f"at most ${plan.cost:,.2f}"
        calls = f"{plan.judge_calls:,} to {judge.title} ({plan.proof_calls:,} for its proof)"
        lines.append(f"judge calls: {calls}, cost {cost}")
    time = "unknown, no earlier run tells"
    if plan.seconds is not None:
        slots = f"{plan.slots} slot{'s' if plan.slots > 1 else ''}"
        time = f"about {plan.seconds / 60:.1f} min on {slots} by earlier runs, beside starting up, bases and the survey"
    lines.append(f"time: {time}")
    if plan.disk:
        lines.append(f"disk: at most {plan.disk}")
    return "\n".join([*lines, *_by_architecture(table)])


def _by_architecture(table: pd.DataFrame) -> list[str]:
    """GPU-hours of each architecture that is not tiny."""
    hours = table.groupby("architecture", sort=False)["gpu_hours"].sum()
    times = table["replicates"].clip(lower=1).where(table["training"] == RUNS, 0)
    runs = times.groupby(table["architecture"], sort=False).sum()
    shown = [f"  {name}: {runs[name]} training runs, {value:.1f}" for name, value in hours.items() if value]
    total = f"GPU-hours, at most about {hours.sum():.0f}, assuming {ASSUMED}:"
    return [total, *shown] if shown else []
