"""What the ratings say."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from configs.load import load_study
from flows.alone import report_alone
from flows.outcome import Clock, Outcome, run_name
from flows.parameters import Folder, Overrides, StudyName
from tasks.methods.training_set import drops_table
from tasks.planning.bench import Bench
from tasks.ratings.step import load_data, read_ratings
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import Artifact
from tasks.simulation.step import simulated_export
from tasks.survey.step import survey_tables


@flow(name="survey", flow_run_name="survey", validate_parameters=False)
def survey_ratings(bench: Bench, data: StudyData, ratings: Artifact) -> dict[str, pd.DataFrame]:
    """Participants, disagreement, co-occurrence, reliability, and differences between the strata that are compared."""
    return survey_tables(bench.study, data, ratings, bench.store)


@flow(name="survey-only", flow_run_name=lambda: f"{run_name()} · survey")
def run_survey(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
    """The survey part of a study alone: ratings to tables, figures and a report.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"survey.draws": 200}.
        output: where the results go; by default outputs/NAME-survey.
    """
    settings, clock = load_study(study, overrides), Clock()
    bench = Bench(settings)
    with clock.stage("ratings"):
        ratings = read_ratings(settings, bench.store, simulated_export(settings, bench.store))
        data = load_data(settings, ratings)
    with clock.stage("survey"):
        tables = survey_ratings(bench, data, ratings)
    tables["drops"] = drops_table(data, {})
    return report_alone("survey", bench, data, ratings, tables, clock, output)
