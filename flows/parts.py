"""The parts of a study that also run alone: the survey, the audit, and a landing of ratings.

In a flow run, their steps are runs of their own in Prefect's pages; elsewhere the same outline runs without Prefect.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from configs.load import load_codebooks, load_study
from flows.outcome import Clock, Outcome
from flows.parameters import Folder, Overrides, StudyName
from flows.secret_keys import find_block
from flows.stages import ByReference, followed, gather_ratings, log_left_out, prepare_all, report_alone
from tasks.audit.audit import check_audit
from tasks.audit.step import audit_table, filtered_table, population_table
from tasks.methods.training_set import drops_table
from tasks.planning.bench import Bench
from tasks.preferences.experiment import Preferences
from tasks.ratings.landing.landing import Landing, land
from tasks.ratings.landing.pseudonym import find_key
from tasks.ratings.landing.snapshot import collection_of
from tasks.ratings.landing.summary import paragraph
from tasks.ratings.study_data import StudyData
from tasks.runtime.home import home
from tasks.runtime.step import part
from tasks.runtime.store import Artifact
from tasks.survey.describe import attributes_of, participants_table
from tasks.survey.step import survey_tables

log = logging.getLogger(__name__)


@part("survey")
def survey_ratings(bench: Bench, data: StudyData, ratings: Artifact) -> dict[str, pd.DataFrame]:
    """Participants, disagreement, co-occurrence, reliability, and differences between the strata that are compared."""
    return survey_tables(bench.study, data, ratings, bench.store, find_block)


@part("audit")
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


def survey_alone(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
    """The survey part of a study alone: ratings to tables, figures and a report.

    Args:
        study: a shipped study's name, or the path of a YAML file.
        overrides: settings to change, such as {"survey.draws": 200}.
        output: where the results go; by default outputs/NAME-survey.
    """
    bench = Bench(load_study(study, overrides))
    clock = Clock(bench.board)
    with followed(bench):
        ratings, data = gather_ratings(bench, clock)
        with clock.stage("survey"):
            tables = survey_ratings(bench, data, ratings)
        tables["drops"] = drops_table(data, {})
        log_left_out(tables["drops"])
        return report_alone("survey", bench, data, ratings, tables, clock, output or "")


def audit_alone(study: StudyName = "demo", overrides: Overrides = None, output: Folder = None) -> Outcome:
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
    with followed(bench):
        ratings, data = gather_ratings(bench, clock)
        prepared = prepare_all(bench, data, ratings, clock)
        with clock.stage("audit"):
            tables = audit_ratings(bench, data, ByReference(prepared.preferences))
        few = settings.survey.min_participants
        tables["participants"] = participants_table(data.participants, attributes_of(data.participants), few)
        tables["drops"] = drops_table(data, prepared.sets)
        log_left_out(tables["drops"])
        return report_alone("audit", bench, data, ratings, tables, clock, output or "")


def land_exports(exports: list[str], study: StudyName, strict: bool = False) -> Landing:
    """Validate exports and add them to the study's collection as a snapshot.

    Args:
        exports: folders with the files of the study's codebooks, or single files.
        study: whose codebooks read them. They land in its collection, or in one of the study's name.
        strict: whether one bad row is enough to refuse everything.
    """
    settings = load_study(study)
    codebooks = load_codebooks(settings.ratings.codebooks)
    collection, secret = collection_of(settings, home()), find_key(home(), find_block)
    landing = land(collection, [Path(export) for export in exports], codebooks, secret, strict)
    log.info("%s: %s", collection.name, paragraph(landing))
    return landing
