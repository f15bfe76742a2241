"""What the ratings say."""

from __future__ import annotations

import pandas as pd
from prefect import flow

from configs.load import load_study
from flows.outcome import Clock, Outcome, run_name
from flows.parameters import Folder, Overrides, StudyName
from flows.secret_keys import find_block
from flows.showing import showing
from flows.stages import gather_ratings, log_left_out, report_alone
from tasks.methods.training_set import drops_table
from tasks.planning.bench import Bench
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import Artifact
from tasks.survey.step import survey_tables


@flow(name="survey", flow_run_name="survey", validate_parameters=False)
def survey_ratings(bench: Bench, data: StudyData, ratings: Artifact) -> dict[str, pd.DataFrame]:
    """Participants, disagreement, co-occurrence, reliability, and differences between the strata that are compared."""
    return survey_tables(bench.study, data, ratings, bench.store, find_block)


@flow(name="survey-only", flow_run_name=lambda: f"{run_name()} · survey")
def run_survey(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
    """The survey part of a study alone: ratings to tables, figures and a report.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"survey.draws": 200}.
        output: where the results go; by default outputs/NAME-survey.
    """
    settings = load_study(study, overrides)
    bench = Bench(settings)
    clock = Clock(bench.board)
    with showing(bench.board, settings.name):
        ratings, data = gather_ratings(bench, clock)
        with clock.stage("survey"):
            tables = survey_ratings(bench, data, ratings)
        tables["drops"] = drops_table(data, {})
        log_left_out(tables["drops"])
        return report_alone("survey", bench, data, ratings, tables, clock, output or "")
