"""Whose voice is in the data, and what each design choice does to it."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from configs.load import load_study
from flows.outcome import Clock, Outcome, run_name
from flows.parameters import Folder, Overrides, StudyName
from flows.showing import showing
from flows.stages import ByReference, gather_ratings, log_left_out, prepare_all, report_alone
from tasks.audit.audit import check_audit
from tasks.audit.step import audit_table, filtered_table, population_table
from tasks.methods.training_set import drops_table
from tasks.planning.bench import Bench
from tasks.preferences.experiment import Preferences
from tasks.ratings.study_data import StudyData
from tasks.survey.describe import attributes_of, participants_table


@flow(name="audit", flow_run_name="audit", validate_parameters=False)
def audit_ratings(
    bench: Bench, data: StudyData, preferences: ByReference[dict[str, Preferences]]
) -> dict[str, pd.DataFrame]:
    """What each condition keeps of each stratum's ratings, and whose preferences it trains on."""
    audited = audit_table(bench.study, data, preferences.value, bench.store)
    asked = {
        "filtered_raters": filtered_table(bench.study, data, preferences.value),
        "population_weights": population_table(bench.study, data, preferences.value),
    }
    return {"audit": audited} | {name: table for name, table in asked.items() if table is not None}


@flow(name="audit-only", flow_run_name=lambda: f"{run_name()} · audit")
def run_audit(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
    """The audit of a study alone: no model is trained.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"scales.binary": [1, 1, 1, 2, 2]}.
        output: where the results go; by default outputs/NAME-audit.
    """
    settings = load_study(study, overrides)
    check_audit(settings)
    bench = Bench(settings)
    clock = Clock(bench.board)
    with showing(bench.board, settings.name):
        ratings, data = gather_ratings(bench, clock)
        prepared = prepare_all(bench, data, ratings, clock)
        with clock.stage("audit"):
            tables = audit_ratings(bench, data, ByReference(prepared.preferences))
        few = settings.survey.min_participants
        tables["participants"] = participants_table(data.participants, attributes_of(data.participants), few)
        tables["drops"] = drops_table(data, prepared.sets)
        log_left_out(tables["drops"])
        return report_alone("audit", bench, data, ratings, tables, clock, output or "")
