"""What a study needs of a store: all that a run of it would ask for, found by asking for it as a run does.

The walk calls the functions of the stages themselves, with a store that notes each stage and key and a runner that does
no job. A new stage is called here too, and stands in `STAGES`: what is of a stage that does not, is never removed.
Tests hold the walk against whole runs, of which it must name everything.

What the ratings come to is cheap and tells the keys of all that rests on it, so that what is missing of it is made
beside the store, in a folder that is then gone. Nothing else is made, and the store is never written. Scores that may
be others tomorrow, since a judge failed to give some, are not told: a run makes them again of the verdicts it has kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from configs.schema import CONTROL, Architecture, Study
from tasks.architectures.load import BASES, BaseRef
from tasks.architectures.step import REVISIONS, known_base, prepare_base
from tasks.audit.step import audit_table
from tasks.generation.replicates import AnswerReplicates
from tasks.generation.step import PROMPTS, Answer, Prompts, keep_prompts
from tasks.judging.step import prepare_judge, scores_key, study_judge
from tasks.methods.replicate_set import ReplicateSet, replicate_sets
from tasks.methods.replicates import TrainReplicates, train_replicates
from tasks.methods.step import CHECKPOINTS, RUNS, Train, train_adapter
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.planning.bench import Bench
from tasks.planning.cells import Cell, Replicates, cells, replicates
from tasks.planning.finished import FinishedRun
from tasks.planning.results import own_replicates, wanted_replicates, wanted_run
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.job import Desk, Done, Job
from tasks.runtime.progress import Report, tell
from tasks.runtime.runner import find_result
from tasks.runtime.store import (
    Artifact,
    Entry,
    FolderStore,
    Journal,
    Record,
    Store,
    StoredDocument,
    Workspace,
    place,
)
from tasks.simulation.step import simulated_export
from tasks.survey.step import SURVEYS, survey_tables

Key = tuple[str, str]
"""Stage and key, as an `Entry` has them."""
KeptKey = Callable[[str], str | None]
"""Where a key for pseudonyms may be kept: see `landing.pseudonym.find_key`."""
SCORES = "scores"
STAGES = frozenset({
    "simulated-export", "ratings", SURVEYS, "rater-indices", "preferences", "training-sets", "replicate-sets", "audits",
    "judges", "texts", BASES, PROMPTS, RUNS, TrainReplicates.stage, Answer.stage, AnswerReplicates.stage, SCORES,
})  # fmt: skip
"""All of which the walk tells what a study needs."""


class NotKept(RuntimeError):
    """The store does not have what was asked for, and nothing is made for it."""


@dataclass
class Asked:
    """What was asked for, and what of it the store does not have."""

    keys: set[Key] = field(default_factory=set)
    missing: set[Key] = field(default_factory=set)


class AskedStore(Store):
    """A store of which is noted what it is asked for. What is not there is made `aside`, or where there is no such
    place `NotKept` is raised."""

    __slots__ = ("_aside", "_asked", "_store", "address")

    def __init__(self, store: Store, asked: Asked, aside: Store | None = None) -> None:
        self.address, self._store, self._asked, self._aside = store.address, store, asked, aside

    def make(self, stage: str, key: str, build: Callable[[Path], Record | None]) -> Artifact:
        found = self.find(stage, key)
        if found is None and self._aside is None:
            raise NotKept(f"{place(stage, key)}: not in the store")
        return found or self._aside.make(stage, key, build)  # type: ignore[union-attr]

    def find(self, stage: str, key: str) -> Artifact | None:
        self._asked.keys.add((stage, key))
        found = self._store.find(stage, key)
        if found is None:
            self._asked.missing.add((stage, key))
        return found

    def workspace(self, *names: str) -> Workspace:
        self._asked.keys.add((names[0], "/".join(names[1:])))
        return self._store.workspace(*names)

    def fetch(self, stage: str, key: str) -> Path:
        return self._store.fetch(stage, key)

    def document(self, *names: str) -> StoredDocument:
        return self._store.document(*names)

    def journal(self, name: str) -> Journal:
        return self._store.journal(name)

    def entries(self) -> Iterator[Entry]:
        return self._store.entries()

    def check(self) -> None:
        self._store.check()

    def distrust(self, stage: str, key: str, fault: str) -> None:
        self._store.distrust(stage, key, fault)

    def building(self, stage: str, key: str) -> AbstractContextManager[Path]:
        self._refuse()

    def publish(self, stage: str, key: str, folder: Path, record: Record) -> Artifact:
        self._refuse()

    def discard(self, entry: Entry) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotKept(f"{self.address}: it is only asked, and not written")


class AskedRunner:
    """A `Runner` that finds what jobs have made and does none. Raises `NotKept` where a job has not been done."""

    def __init__(self, store: AskedStore) -> None:
        self._store = store

    @property
    def size(self) -> int:
        return 0

    def check(self) -> None:
        """Nothing is done here."""

    def run(self, job: Job[Done]) -> Artifact[Done]:
        artifact, desk = find_result(job, self._store), Desk(Path(), self._store)
        if isinstance(job, (Train, TrainReplicates)):
            (job if isinstance(job, Train) else job.of_one).reference(desk)
        if artifact is None:
            self._store.workspace(CHECKPOINTS, job.key)  # from which a run goes on
            raise NotKept(f"{job.title}: not in the store")
        return artifact

    def near(self, base: str) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        """Nothing is under way."""


class AskedBench(Bench):
    """A bench at which nothing is done."""

    def __init__(self, study: Study, store: AskedStore) -> None:
        self.study, self.store, self.runner = study, store, AskedRunner(store)


@dataclass(frozen=True)
class Needs:
    """What a study needs of a store."""

    name: str
    keys: frozenset[Key]
    """Of artifacts and workspaces, whether they are there or not."""
    cells: int = 0
    """Rater replicates are cells too; those without training data are not counted."""
    missing: int = 0
    """Cells of which the store lacks something."""
    parts: tuple[str, ...] = ()
    """Stages of which it lacks something, beside what jobs make."""
    untold: tuple[str, ...] = ()
    """Hub models whose commit the store does not know, so that nobody can tell what rests on them."""
    absent: bool = False
    """Whether the store has nothing that the study's runs would have left at the end."""


def study_needs(study: Study, store: Store, kept_key: KeptKey) -> Needs:
    """What a run of the study as it is now would ask for.

    Raises:
        InputError: its ratings, a model's folder or a file that it names can't be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        walk = _Walk(study, store, Path(folder))
        ratings = read_ratings(study, walk.making, simulated_export(study, walk.making))
        return walk.from_ratings(ratings, kept_key)


def finished_needs(run: FinishedRun, name: str, store: Store, kept_key: KeptKey) -> Needs:
    """What a finished run rests on: what a run with its settings and its ratings would ask for, and its training runs,
    also where this version of pluralign would make others. name: as which it is told.

    Of a run whose ratings the store no longer has, these training runs are all that is left.

    Raises:
        InputError: a model's folder or a file that it names can't be read.
    """
    own, ratings = _training_runs(run), run.kept_ratings(store)
    if ratings is None:
        return Needs(name, own, parts=("ratings",))
    with tempfile.TemporaryDirectory() as folder:
        walk = _Walk(run.study, store, Path(folder))
        walk.asked.keys |= {("ratings", ratings.key), *own}
        walk.holds(lambda: simulated_export(run.study, walk.store))
        needs = walk.from_ratings(ratings, kept_key)
        return Needs(**vars(needs) | {"name": name, "absent": False})


def _training_runs(run: FinishedRun) -> frozenset[Key]:
    """Those that its table of cells names; one of rater replicates as KEY/NUMBER."""
    if not (run.tables / "cells.csv").exists():
        return frozenset()
    named = {name.partition("/")[0] for name in run.table("cells")["training_run"].dropna()}
    return frozenset((stage, key) for key in named for stage in (RUNS, TrainReplicates.stage))


class _Walk:
    """Through a study, as a run goes."""

    def __init__(self, study: Study, store: Store, aside: Path) -> None:
        self.study, self.asked = study, Asked()
        self.store = AskedStore(store, self.asked)
        self.making = AskedStore(store, self.asked, FolderStore(aside))
        """For what the ratings come to."""
        self.bench = AskedBench(study, self.store)

    def holds(self, ask: Callable[[], object]) -> bool:
        """Whether the store has all that `ask` asks it for."""
        try:
            ask()
        except NotKept:
            return False
        return True

    def from_ratings(self, ratings: Artifact, kept_key: KeptKey) -> Needs:
        """With everything that rests on them."""
        study, data = self.study, load_data(self.study, ratings)
        surveyed = self.holds(lambda: survey_tables(study, data, ratings, self.store, kept_key))
        if not study.experiments:
            return self._needs({}, self._lacking(), [], absent=not surveyed)
        tell(Report(f"{study.name}: preferences"))
        names, store = study.experiments, self.making
        preferences = {name: keep_preferences(study, name, data, ratings, store) for name in names}
        sets = {name: training_sets(study, name, own, store) for name, own in preferences.items()}
        replicated = {
            name: replicate_sets(study, name, own, sets[name], data.responses, store)
            for name, own in preferences.items()
        }
        self.holds(lambda: audit_table(study, data, preferences, self.store))
        judge, parts = self._judge(data), self._lacking()
        untold = ["the judge's encoder"] if REVISIONS in parts else []
        bases = self._bases(data)
        untold += [name for name, known in bases.items() if not known]
        whole = self._cells(Prompts.of(self.bench.evaluation_prompts(data)), bases, sets, replicated, judge)
        return self._needs(whole, parts, untold, absent=bool(whole) and not any(whole.values()))

    def _needs(self, whole: dict[Cell, bool], parts: set[str], untold: list[str], absent: bool) -> Needs:
        return Needs(
            self.study.name,
            frozenset(self.asked.keys),
            len(whole),
            sum(not there for there in whole.values()),
            tuple(sorted(parts - {REVISIONS})),
            tuple(untold),
            absent,
        )

    def _lacking(self) -> set[str]:
        """Stages of which something was missing so far."""
        return {stage for stage, _ in self.asked.missing}

    def _judge(self, data: StudyData) -> str:
        """Its identity."""
        tell(Report(f"{self.study.name}: judge"))
        self.holds(lambda: prepare_judge(self.study, data, self.store, lambda name: None))
        judge, _ = study_judge(self.study, data, self.store)
        try:
            return judge.identity
        finally:
            judge.close()

    def _bases(self, data: StudyData) -> dict[str, list[BaseRef]]:
        """Architecture → its base, in each precision that a machine may choose for it; none for a hub model whose
        commit the store does not know."""
        texts, bases = self.bench.training_texts(data), dict[str, list[BaseRef]]()
        for settings in self.study.architectures:
            each = {item.dtype: item for item in precisions(settings)}
            known = {dtype: known_base(self.study, item, texts, self.store) for dtype, item in each.items()}
            bases[settings.name] = [base for base in known.values() if base]
            self.asked.keys |= {(BASES, base.key) for base in bases[settings.name]}
            for item in each.values():
                self.holds(partial(prepare_base, self.study, item, texts, self.store, self.bench.runner))
        return bases

    def _cells(
        self, prompts: Prompts, bases: dict[str, list[BaseRef]], sets: dict[str, dict[str, TrainingSet]],
        replicated: dict[str, dict[str, ReplicateSet]], judge: str,
    ) -> dict[Cell, bool]:  # fmt: skip
        """Whether the store has all of each cell that can be made, those of rater replicates too."""
        study, whole = self.study, dict[Cell, bool]()
        grid, groups = cells(study), replicates(study)
        for done, cell in enumerate(grid):
            tell(Report(f"{study.name}: look up", done, len(grid) + len(groups), "cells"))
            own = None if cell.condition == CONTROL else sets[cell.experiment][cell.condition]
            if not (own and own.error):
                each = [self._cell(cell, base, own, prompts, judge) for base in bases[cell.architecture]]
                whole[cell] = any(each)
        for done, group in enumerate(groups, start=len(grid)):
            tell(Report(f"{study.name}: look up", done, len(grid) + len(groups), "cells"))
            experiment, condition = group.of.experiment, group.of.condition
            if table := replicated[experiment].get(condition):
                asked = prompts.for_groups(sets[experiment][condition].naming)
                each = [self._replicates(group, base, table, asked, judge) for base in bases[group.architecture]]
                whole |= dict.fromkeys(group.cells, any(each))
        return whole

    def _cell(self, cell: Cell, base: BaseRef, own: TrainingSet | None, prompts: Prompts, judge: str) -> bool:
        """Whether the store has all of it."""
        study, store, runner = self.study, self.store, self.bench.runner
        jobs = [wanted_run(study, cell, base, data) for data in (*own.own.values(), own)] if own else []
        trained = [self.holds(partial(train_adapter, job, store, runner)) for job in jobs]
        asked, run = prompts.for_groups(own.naming if own else {}), jobs[-1].key if jobs else None
        answer = Answer(base=base, run_key=run, prompts=asked.digest, recipe=study.recipe)
        return all([*trained, *self._answers(answer, asked, judge)])

    def _replicates(self, group: Replicates, base: BaseRef, table: ReplicateSet, prompts: Prompts, judge: str) -> bool:
        """Whether the store has all of them."""
        study, store, runner = self.study, self.store, self.bench.runner
        job = wanted_replicates(study, group, base, table)
        jobs = [*own_replicates(study, group, base, table).values(), job]
        trained = [self.holds(partial(train_replicates, own, store, runner)) for own in jobs]
        answer = AnswerReplicates(
            base=base, runs=job.key, replicates=group.numbers, prompts=prompts.digest, recipe=study.recipe
        )
        return all([*trained, *self._answers(answer, prompts, judge)])

    def _answers(self, answer: Answer | AnswerReplicates, prompts: Prompts, judge: str) -> list[bool]:
        """Whether the store has the prompts, the answers, and the judge's scores of them."""
        return [
            self.holds(lambda: keep_prompts(prompts, self.store)),
            self.holds(lambda: self.bench.runner.run(answer)),
            self.store.find(SCORES, scores_key(judge, answer.key)) is not None,
        ]


def precisions(architecture: Architecture) -> list[Architecture]:
    """The architecture in each precision that the machine of a run may have chosen for it."""
    if architecture.tiny or architecture.dtype != "auto":
        return [architecture]
    return [architecture.model_copy(update={"dtype": dtype}) for dtype in ("bfloat16", "float32")]
