"""Whose voice is in the data, and what each design choice does to it."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from configs.load import load_study
from flows.alone import report_alone
from flows.outcome import Clock, Outcome, run_name
from flows.parameters import Folder, Overrides, StudyName
from tasks.audit.audit import check_audit
from tasks.audit.step import audit_table
from tasks.methods.training_set import drops_table, training_sets
from tasks.planning.bench import Bench
from tasks.preferences.experiment import Preferences
from tasks.preferences.step import prepare_experiment
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.simulation.step import simulated_export
from tasks.survey.describe import attributes_of, participants_table


class Preferred:
    """Experiment → its preferences, handed to the next flow by reference, as `flows.cells.Joined` is."""

    __slots__ = ("preferences",)

    def __init__(self, preferences: dict[str, Preferences]) -> None:
        self.preferences = preferences


@flow(name="audit", flow_run_name="audit", validate_parameters=False)
def audit_ratings(bench: Bench, data: StudyData, preferred: Preferred) -> dict[str, pd.DataFrame]:
    """What each condition keeps of each stratum's ratings, and whose preferences it trains on."""
    return {"audit": audit_table(bench.study, data, preferred.preferences, bench.store)}


@flow(name="audit-only", flow_run_name=lambda: f"{run_name()} · audit")
def run_audit(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
    """The audit of a study alone: no model is trained.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"scales.binary": [1, 1, 1, 2, 2]}.
        output: where the results go; by default outputs/NAME-audit.
    """
    settings, clock = load_study(study, overrides), Clock()
    check_audit(settings)
    bench = Bench(settings)
    with clock.stage("ratings"):
        ratings = read_ratings(settings, bench.store, simulated_export(settings, bench.store))
        data = load_data(settings, ratings)
    with clock.stage("preferences"):
        preferences = {
            name: prepare_experiment(settings, name, data, ratings, bench.store) for name in settings.experiments
        }
        prepared = {name: training_sets(settings, name, made, bench.store) for name, made in preferences.items()}
    with clock.stage("audit"):
        tables = audit_ratings(bench, data, Preferred(preferences))
    few = settings.survey.min_participants
    tables["participants"] = participants_table(data.participants, attributes_of(data.participants), few)
    tables["drops"] = drops_table(data, prepared)
    return report_alone("audit", bench, data, ratings, tables, clock, output)
