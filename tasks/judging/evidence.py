"""What human raters say of the responses to held-out prompts: what a judge learns from, or is held against."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from configs.errors import InputError
from configs.schema import Study
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import stable_share


@dataclass(frozen=True)
class Evidence:
    """The human ratings that concern a judge.

    rated: each response that is rated on all evaluated dimensions: response_id, prompt_id, prompt, response, n (its
    ratings) and each dimension's mean on [0, 1]. sample: the rows of `rated` that the judge is tried on. ratings: "all"
    and every stratum that may be shown → its ratings. pairs: the strata that the study compares.
    """

    rated: pd.DataFrame
    sample: pd.DataFrame
    ratings: dict[str, pd.DataFrame]
    pairs: list[tuple[str, str]]


def gather_evidence(study: Study, data: StudyData) -> Evidence:
    """The evidence in a study's ratings.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension.
    """
    dimensions = list(study.evaluation.dimensions)
    ratings = data.evaluation(data.ratings)
    ratings = ratings.assign(prompt_id=ratings["prompt_id"].map(data.prompt_groups))  # a text is one prompt
    rated = mean_ratings(ratings, dimensions, data.categories)
    if (prompts := rated["prompt_id"].nunique()) < 2:
        have = f"{prompts} held-out prompts have ratings on {', '.join(dimensions)}"
        raise InputError(f"{study.name}: evaluation.share: {have}; the judge needs at least 2")
    rated = rated.merge(data.responses[["response_id", "prompt", "response"]], on="response_id")
    strata = {name: ratings[ratings["participant_id"].isin(ids)] for name, ids in data.strata_shown.items()}
    return Evidence(rated, sample_of(study, rated), {"all": ratings} | strata, compared_strata(study, strata))


def mean_ratings(ratings: pd.DataFrame, dimensions: Sequence[str], categories: int) -> pd.DataFrame:
    """Ratings 1 … K → response_id, prompt_id, n and each dimension's mean on [0, 1], where all dimensions are rated."""
    groups = ratings.groupby("response_id", sort=True)
    means = (groups[list(dimensions)].mean().astype(float) - 1) / (categories - 1)
    table = means.assign(prompt_id=groups["prompt_id"].first(), n=groups.size())
    return table.dropna(subset=list(dimensions)).reset_index()


def sample_of(study: Study, rated: pd.DataFrame) -> pd.DataFrame:
    """As many responses as `judge.proof.sample` says: those with the lowest hash, so that new ratings change few."""
    size = study.judge.proof.sample
    if size is None or size >= len(rated):
        return rated
    draw = rated["response_id"].map(lambda response: stable_share("proof", study.seed, response))
    return rated.loc[draw.nsmallest(size).index].sort_index()


def compared_strata(study: Study, shown: Collection[str]) -> list[tuple[str, str]]:
    """The strata that the study's contrasts compare, where both may be shown."""
    pairs = [pair for experiment in study.experiments.values() for pair in experiment.compared_strata.values()]
    return [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(shown)]
