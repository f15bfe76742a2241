"""What a whole study and the parts of one that run alone begin and end with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pandas as pd

from flows.outcome import Clock, Outcome
from flows.screen import on_screen
from tasks.methods.replicate_set import ReplicateSet, replicate_sets
from tasks.methods.training_set import TrainingSet, training_sets
from tasks.planning.bench import Bench
from tasks.planning.study_facts import study_facts
from tasks.preferences.experiment import Preferences
from tasks.preferences.step import prepare_experiment
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.reporting.step import write_outputs
from tasks.runtime.step import in_flow_run
from tasks.runtime.store import Artifact
from tasks.simulation.step import simulated_export

log = logging.getLogger(__name__)
Value = TypeVar("Value")


class ByReference(Generic[Value]):
    """A value for the next flow; the slot keeps Prefect from storing it as a parameter."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value


@contextmanager
def followed(bench: Bench) -> Iterator[None]:
    """Within it, standard error shows how far the study is; in a flow run, Prefect's pages do too."""
    if in_flow_run():
        from flows.showing import showing

        with showing(bench.board, bench.study.name):
            yield
    else:
        with on_screen(bench.board):
            yield


def gather_ratings(bench: Bench, clock: Clock) -> tuple[Artifact, StudyData]:
    """The ratings of a study, simulated where its settings say so, and the tables read from them."""
    study, store = bench.study, bench.store
    with clock.stage("ratings"):
        ratings = read_ratings(study, store, simulated_export(study, store))
        return ratings, load_data(study, ratings)


class Prepared(NamedTuple):
    """Experiment → its preferences; experiment → condition → what trains, and what its rater replicates train on."""

    preferences: dict[str, Preferences]
    sets: dict[str, dict[str, TrainingSet]]
    replicated: dict[str, dict[str, ReplicateSet]]


def prepare_all(bench: Bench, data: StudyData, ratings: Artifact, clock: Clock) -> Prepared:
    """What each condition of each experiment makes of the ratings."""
    study, store = bench.study, bench.store
    with clock.stage("preferences"):
        preferences = {name: prepare_experiment(study, name, data, ratings, store) for name in study.experiments}
        sets = {name: training_sets(study, name, own, store) for name, own in preferences.items()}
        replicated = {
            name: replicate_sets(study, name, own, sets[name], data.responses, store)
            for name, own in preferences.items()
        }
        return Prepared(preferences, sets, replicated)


def log_left_out(drops: pd.DataFrame) -> None:
    """A line for each reason for which something was left out; `drops` has it by condition."""
    for (step, reason), own in drops[drops["dropped"] > 0].groupby(["step", "reason"], sort=False):
        where = f", in {len(own)} conditions" if len(own) > 1 else ""
        log.info("left out (%s): %s %s%s", step, f"{own['dropped'].sum():,}", reason, where)


def report_alone(
    kind: str, bench: Bench, data: StudyData, ratings: Artifact, tables: dict[str, pd.DataFrame], clock: Clock, to: str
) -> Outcome:
    """Write the report of `kind` ("survey" or "audit"), without models; by default into outputs/NAME-KIND.

    In a flow run, Prefect's pages show what it has found.
    """
    study = bench.study.model_copy(update={"architectures": ()})
    folder = Path(to or f"outputs/{study.name}-{kind}")
    report = write_outputs(study, tables, study_facts(bench, data, ratings, None, clock.seconds), folder)
    if in_flow_run():
        from flows.artifacts import show_results

        show_results(kind, study, tables, report)
    return Outcome(folder, report, cells=0, failed=0, trained=0)
