"""The tables that the report reads: their columns, and their rows with every value text or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from configs.schema import Study, split_contrast
from tasks.reporting.words import MINUS, finite, title_of

Row = dict[str, Any]
Tables = Mapping[str, pd.DataFrame]
Facts = Mapping[str, Any]

COLUMNS = {
    "participants": "attribute value n share",
    "disagreement": "dimension n_responses disagreement",
    "cooccurrence": "row column probability n",
    "reliability": "dimension stratum alpha ci_low ci_high n_participants n_responses n_ratings",
    "survey_contrasts": "contrast dimension estimate std_error ci_low ci_high n_a n_b",
    "ordinal_regression": "dimension term attribute value n_participants estimate std_error z p odds_ratio ci_low"
    " ci_high percent published published_p",
    "ordinal_models": "dimension reference n_ratings n_participants n_responses left_out log_likelihood aic"
    " sd_participant sd_response converged notes",
    "audit": "experiment condition stratum n_participants n_ratings share_of_participants share_of_ratings"
    " share_of_preferences retained majority_loses majority_unheard n_majorities chance_loses chance_sd",
    "drops": "condition step reason dropped kept",
    "cells": "experiment architecture condition seed training_run status n_pairs weight seconds mlflow_run_id error",
    "health": "experiment architecture condition seed n_outputs finished well_formed empty repetitive mean_words steps"
    " margin resumed_from marked",
    "judge_agreement": "dimension stratum n agreement weighted_kappa spearman mean_error n_prompts n_unscored alpha"
    " agreement_low agreement_high weighted_kappa_low weighted_kappa_high spearman_low spearman_high mean_error_low"
    " mean_error_high alpha_low alpha_high n_human human_agreement human_agreement_low human_agreement_high"
    " human_weighted_kappa human_weighted_kappa_low human_weighted_kappa_high human_spearman human_spearman_low"
    " human_spearman_high human_alpha human_alpha_low human_alpha_high",
    "judge_strata": "dimension contrast measure difference ci_low ci_high",
    "judge_calibration": "dimension n n_prompts intercept slope slope_std_error slope_low slope_high score_low"
    " score_high outside why_not",
    "unscored": "experiment condition reason n",
    "effects": "experiment contrast dimension architecture estimate std_error n_prompts n_seeds n_unscored n_malformed"
    " marked corrected corrected_std_error",
    "pooled": "experiment contrast dimension k estimate std_error ci_low ci_high p tau2 q q_p i2 pi_low pi_high"
    " hksj_ci_low hksj_ci_high hksj_p published published_p tau2_low tau2_high i2_low i2_high egger_z egger_p p_holm"
    " hksj_p_holm n_marked unmarked_k unmarked_estimate unmarked_ci_low unmarked_ci_high unmarked_hksj_ci_low"
    " unmarked_hksj_ci_high corrected corrected_std_error corrected_ci_low corrected_ci_high",
    "pooling_methods": "experiment contrast dimension method k estimate ci_low ci_high tau2 hksj_ci_low hksj_ci_high",
    "leave_one_out": "experiment contrast dimension without k estimate ci_low ci_high hksj_ci_low hksj_ci_high",
    "pairwise": "experiment contrast dimension k estimate ci_low ci_high p hksj_ci_low hksj_ci_high hksj_p p_holm"
    " hksj_p_holm",
    "ratios": "experiment of to dimension k estimate_of estimate_to ratio ci_low ci_high published",
    "moved": "experiment contrast dimension before after change k_before k_after moved beyond",
}
TEXT = frozenset([
    "dimension", "row", "column", "stratum", "contrast", "condition", "step", "reason", "experiment", "architecture",
    "training_run", "status", "mlflow_run_id", "error", "published_p", "attribute", "value", "term", "reference",
    "converged", "notes", "marked", "method", "without", "of", "to", "measure", "why_not",
])  # fmt: skip


def rows(tables: Tables, name: str, **match: object) -> list[Row]:
    """The rows of a table as dictionaries, text as str and the rest as float; none where the table is missing.

    Columns that are missing hold "" or NaN. `match` keeps the rows whose columns have these values.
    """
    frame, columns = tables.get(name), COLUMNS[name].split()
    if frame is None:
        return []
    clean = [
        {key: _text(value) if key in TEXT else _float(value) for key, value in zip(columns, values, strict=True)}
        for values in frame.reindex(columns=columns).itertuples(index=False)
    ]
    return [row for row in clean if all(row[key] == value for key, value in match.items())]


def pooled_rows(study: Study, tables: Tables, experiment: str) -> list[Row]:
    """The pooled effects of an experiment's contrasts, in the order of its settings.

    Adds `first` and `second` (the sides of the contrast), `focus` (whether the dimension is what it is about: named
    in its focus, or no focus given) and, where the table lacks them, `published` and `published_p` of the settings.
    """
    by_key = {(row["contrast"], row["dimension"]): row for row in rows(tables, "pooled", experiment=experiment)}
    found = []
    for name, contrast in study.experiments[experiment].contrasts.items():
        first, second = split_contrast(name)
        for dimension in study.evaluation.dimensions:
            row, known = by_key.get((name, dimension)), contrast.published.get(dimension)
            if row is None:
                continue
            row |= {"first": first, "second": second, "focus": not contrast.focus or dimension in contrast.focus}
            if known and not finite(row["published"]):
                row["published"] = _float(known.estimate)
            row["published_p"] = row["published_p"] or (known.p if known and known.p else "")
            found.append(row)
    return found


def contrast_text(row: Row) -> str:
    """`5-point − binary`, with a proper minus."""
    return f"{row['first']} {MINUS} {row['second']}"


def titled(study: Study, row: Row) -> str:
    """The title of a row's dimension."""
    return title_of(study, row["dimension"])


def _text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
