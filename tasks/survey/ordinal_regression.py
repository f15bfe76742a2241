"""Who rates differently: the paper's mixed ordinal model of each dimension, from a study's tables.

    rating ~ country + gender + age + political spectrum + ethnicity + (1 | participant) + (1 | response)

(paper, Ordinal Regression Analysis; the attributes and their reference values are the study's). An attribute's term
`gender[he/him/his]` is 1 for those who declare the value, among others or alone, so that somebody who names two values
has the effects of both. Values that few declare are one term, `gender[other]`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import DataFrame
from threadpoolctl import threadpool_limits

from configs.errors import InputError
from configs.schema import Study
from tasks.ratings.reading.load import Data
from tasks.runtime.tables import columns_of
from tasks.survey.clmm.model import fit
from tasks.survey.clmm.result import Fit
from tasks.survey.holm import holm
from tasks.survey.tables import OrdinalModels, OrdinalRegression

log = logging.getLogger(__name__)

OTHER = "other"
GROUPS = {"participant": "participant_id", "response": "response_id"}


def ordinal_regression(study: Study, data: Data) -> tuple[DataFrame[OrdinalRegression], DataFrame[OrdinalModels]]:
    """The terms and the facts of one model a dimension; both empty without `survey.reference`.

    p_holm is adjusted over all terms of all dimensions; ci_low and ci_high bound the odds ratio (95%); percent =
    100 · (odds ratio − 1), as the paper prints effects. Ratings of participants who leave one of the attributes
    undeclared are left out. A dimension whose ratings no model can be fitted to has its reason in `notes`. Terms of
    fewer than `survey.min_participants` are in the model, but are not shown.
    """
    if not study.survey.reference or data.compared:  # in a comparison one side has what the other lacks: no level
        return OrdinalRegression.checked([]), OrdinalModels.checked([])
    indicators = indicator_terms(data.participants, study.survey.reference, study.survey.min_participants)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda name: _dimension(study, data, indicators, name), study.dimensions))
    for rows, facts in parts:  # a thread's log lines would know no flow run
        if not rows and np.isnan(facts["log_likelihood"]):
            log.warning("ordinal regression of %s: %s", facts["dimension"], facts["notes"])
    terms = pd.DataFrame([term for rows, _ in parts for term in rows], columns=list(columns_of(OrdinalRegression)))
    terms = terms.assign(p_holm=holm(terms["p"].astype(float)))
    return OrdinalRegression.checked(terms), OrdinalModels.checked([facts for _, facts in parts])


def indicator_terms(participants: pd.DataFrame, reference: dict[str, str], few: int) -> pd.DataFrame:
    """0/1 by participant who declares all attributes, and (attribute, value) other than the reference's.

    Values that fewer than `few` of them declare are `other`.
    """
    declared = participants.set_index("participant_id")[list(reference)]
    declared = declared[(declared.map(len) > 0).all(axis=1)]
    columns = {}
    for attribute, baseline in reference.items():
        pairs = declared[attribute].explode()
        counts = pairs.value_counts()
        rare = set(counts.index[counts < few]) - {baseline}
        names = pairs.where(~pairs.isin(rare), OTHER)
        for value in sorted(set(names) - {baseline}, key=lambda value: (value == OTHER, value)):
            columns[attribute, value] = declared.index.isin(names.index[names == value]).astype(float)
    terms = pd.MultiIndex.from_tuples(columns, names=["attribute", "value"])
    return pd.DataFrame(np.column_stack([*columns.values()]) if columns else None, index=declared.index, columns=terms)


def _dimension(
    study: Study, data: Data, indicators: pd.DataFrame, name: str
) -> tuple[list[dict[str, object]], dict[str, Any]]:
    """The rows of the dimension's terms, and the row of its model."""
    rated = data.ratings.dropna(subset=[name])
    kept = rated[rated["participant_id"].isin(indicators.index)]
    facts: dict[str, Any] = {
        "dimension": name,
        "reference": "; ".join(f"{attribute}: {value}" for attribute, value in study.survey.reference.items()),
        "n_ratings": len(kept),
        "n_participants": kept["participant_id"].nunique(),
        "n_responses": kept["response_id"].nunique(),
        "left_out": len(rated) - len(kept),
        **dict.fromkeys(("log_likelihood", "aic", "sd_participant", "sd_response"), np.nan),
        "converged": False,
    }
    groups = {group: kept[column] for group, column in GROUPS.items() if 1 < kept[column].nunique() < len(kept)}
    present = indicators[indicators.index.isin(kept["participant_id"])]
    rows = indicators.loc[kept["participant_id"]]
    try:
        result = fit(kept[name].to_numpy(float), rows.set_axis(_names(rows), axis=1), groups)
    except InputError as error:
        return [], {**facts, "notes": str(error)}
    counts = present.sum().astype(int)
    sds = {f"sd_{group}": float(result.random_effects["sd"][group]) for group in groups}
    hidden = [term for term, n in zip(_names(rows), counts, strict=True) if n < study.survey.min_participants]
    left = [f"no random intercept of {group}: one rating each" for group in GROUPS if group not in groups]
    notes = [*result.notes, *left]
    if hidden:
        notes.append(f"in the model, not shown, since too few: {', '.join(hidden)}")
    facts |= {name: getattr(result, name) for name in ("log_likelihood", "aic", "converged")} | sds
    return list(_terms(study, name, result, counts)), facts | {"notes": "; ".join(notes)}


def _names(indicators: pd.DataFrame) -> list[str]:
    return [f"{attribute}[{value}]" for attribute, value in indicators.columns]


def _terms(study: Study, dimension: str, result: Fit, counts: pd.Series) -> Iterator[dict[str, object]]:
    published = study.survey.published.get(dimension, {})
    for (attribute, value), n in counts.items():
        term = f"{attribute}[{value}]"
        if n < study.survey.min_participants or term not in result.coefficients.index:
            continue
        known = published.get(attribute, {}).get(value)
        row = {"dimension": dimension, "term": term, "attribute": attribute, "value": value, "n_participants": n}
        row |= result.coefficients.loc[term].to_dict()
        yield row | {"published": known.percent if known else np.nan, "published_p": known.p if known else ""}
