"""The survey's tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import DataFrame
from threadpoolctl import threadpool_limits

from configs.load import load_codebooks
from configs.schema import Study
from tasks.ratings.landing.pseudonym import find_key, key_check
from tasks.ratings.reading.attention import failed_checks
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.home import home
from tasks.runtime.step import step
from tasks.runtime.store import Artifact, Record, Store
from tasks.simulation.step import simulated_export
from tasks.survey.describe import attributes_of, cooccurrence, disagreement, group_difference, participants_table
from tasks.survey.ordinal_regression import ordinal_regression
from tasks.survey.rater_indices import rater_indices
from tasks.survey.raters import careless_raters, rater_fits, rater_names, raters_table
from tasks.survey.reliability import reliability
from tasks.survey.tables import OrdinalModels, OrdinalRegression, Reliability, SurveyContrasts

log = logging.getLogger(__name__)
VERSION = 6
SURVEYS = "surveys"


@step("survey tables")
def survey_tables(
    study: Study, data: StudyData, ratings: Artifact, store: Store,
    kept_key: Callable[[str], str | None] = lambda name: None,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """The tables that `tables.py` declares; `kept_key`: where a key for pseudonyms may be kept, see `find_key`."""
    contrasts = [[experiment.conditions, list(experiment.contrasts)] for experiment in study.experiments.values()]
    asked = [list(study.dimensions), study.strata, study.survey, study.evaluation.dimensions, contrasts]
    secret = None if study.ratings.collection else find_key(home(), kept_key)
    pseudonyms = key_check(secret) if secret else ""
    key = fingerprint([VERSION, ratings.key, *asked, study.ratings.simulate, pseudonyms, study.seed])

    def build(folder: Path) -> Record:
        own = Path(study.ratings.folder) if study.ratings.folder else simulated_export(study, store)
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as pool:  # the models of raters beside those of terms
            # the fit of a person takes ratings one by one, and those of a comparison come in pairs
            asked_of = (data.ratings, list(study.dimensions), study.seed)
            indices = None if data.compared else pool.submit(rater_indices, *asked_of)
            regression = ordinal_regression(study, data)
        tables = _tables(study, data, regression)
        if indices:
            tables |= _raters(study, data, indices.result(), secret, own)
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return {"tables": list(tables)}

    artifact = store.make(SURVEYS, key, build)
    return {name: pd.read_parquet(artifact.path / f"{name}.parquet") for name in artifact.record["tables"]}


def _tables(
    study: Study, data: StudyData, regression: tuple[DataFrame[OrdinalRegression], DataFrame[OrdinalModels]]
) -> dict[str, pd.DataFrame]:
    dimensions = list(study.dimensions)
    positive = study.survey.positive_from or data.categories // 2 + 2
    terms, models = regression
    people, few = data.participants, study.survey.min_participants
    return {
        "participants": participants_table(people, attributes_of(people), few),
        "disagreement": disagreement(data.ratings, dimensions),
        "cooccurrence": cooccurrence(data.ratings, dimensions, positive),
        "reliability": _reliability(study, data),
        "ordinal_regression": terms,
        "ordinal_models": models,
        "survey_contrasts": _contrasts(study, data),
    }


def _raters(
    study: Study,
    data: StudyData,
    measured: tuple[pd.DataFrame, dict[str, str]],
    secret: bytes | None,
    export: Path | None,
) -> dict[str, pd.DataFrame]:
    """measured: what `rater_indices` returns."""
    indices, reasons = measured
    for dimension, reason in reasons.items():
        log.warning("person fit on %s: %s", dimension, reason)
    careless, few = careless_raters(study, data), study.survey.min_participants
    codebooks = load_codebooks(study.ratings.codebooks)
    checks = failed_checks(codebooks, export) if export else pd.Series(dtype="int64")
    return {
        "raters": raters_table(indices, rater_names(study, secret), checks, careless, few),
        "rater_fits": rater_fits(indices, reasons, data.strata_shown, careless, few),
    }


def _reliability(study: Study, data: StudyData) -> DataFrame[Reliability]:
    strata = {"all": set(data.participants["participant_id"]), **data.strata_shown}
    rows, survey = [], study.survey
    for dimension in study.dimensions:
        for stratum, ids in strata.items():
            ratings = data.ratings[data.ratings["participant_id"].isin(ids)]
            values = reliability(ratings, dimension, data.categories, survey.draws, study.seed, survey.level)
            _warn(f"{survey.level} alpha of {stratum}, {dimension}", values)
            rows.append({"dimension": dimension, "stratum": stratum, **values})
    return Reliability.checked(rows)


def _warn(what: str, values: dict[str, Any]) -> None:
    """Log what an alpha lacks."""
    if values["n_responses"] and np.isnan(values["alpha"]):
        log.warning("%s: all ratings equal, so there is none", what)
    elif values["undefined"]:
        log.warning("%s: undefined in %d of %d draws", what, values["undefined"], values["draws"])


def _contrasts(study: Study, data: StudyData) -> DataFrame[SurveyContrasts]:
    """The difference in ratings between the strata of each contrast of two conditions with strata; of comparisons there
    is none, since everybody gives as much to one side as they take from the other."""
    rows: list[dict[str, object]] = []
    for settings in () if data.compared else study.experiments.values():
        for contrast, strata in settings.compared_strata.items():
            a, b = (data.strata[stratum] for stratum in strata)
            if min(len(a), len(b)) < study.survey.min_participants:
                continue
            for dimension in study.evaluation.dimensions:
                values = group_difference(data.ratings, a, b, dimension, data.categories)
                rows.append({"contrast": contrast, "dimension": dimension, **values})
    return SurveyContrasts.checked(rows)
