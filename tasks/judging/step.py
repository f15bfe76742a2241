"""The judge, its agreement with the humans, and its scores of the outputs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.errors import InputError
from configs.schema import Study
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import fingerprint, frame_digest
from tasks.judging.agreement import agreement_table
from tasks.judging.embedded import EmbeddedJudge, cross_validated, mean_ratings
from tasks.preferences.split import held_out
from tasks.preferences.strata import members
from tasks.ratings.load import Data

VERSION = 1


@task(name="judge", cache_policy=NO_CACHE)
def prepare_judge(study: Study, data: Data, store: Store) -> Artifact:
    """The embedded judge's material (`rated.parquet`) and `judge_agreement.csv`.

    Raises:
        InputError: no held-out prompt has ratings on every evaluated dimension.
    """
    dimensions = list(study.evaluation.dimensions)
    ratings = data.ratings[held_out(data.ratings["prompt_id"], study.evaluation.share, study.seed)]
    rated = mean_ratings(ratings, dimensions, data.categories)
    if rated["prompt_id"].nunique() < 2:
        raise InputError(
            f"{study.name}: evaluation.share: {rated['prompt_id'].nunique()} held-out prompts have ratings on "
            f"{', '.join(dimensions)}; the judge needs at least 2"
        )
    rated = rated.merge(data.responses[["response_id", "response"]], on="response_id")
    human = {"all": rated} | {
        name: mean_ratings(
            ratings[ratings["participant_id"].isin(members(data.participants, stratum))], dimensions, data.categories
        )
        for name, stratum in study.strata.items()
    }
    key = fingerprint(
        [VERSION, study.judge, dimensions, data.categories, {k: frame_digest(v) for k, v in human.items()}]
    )

    def build(folder: Path) -> Record:
        rated.to_parquet(folder / "rated.parquet", index=False)
        judged = cross_validated(rated, dimensions)
        agreement_table(judged, human, dimensions, data.categories).to_csv(folder / "judge_agreement.csv", index=False)
        return {"dimensions": dimensions}

    return store.make("judges", key, build)


def score_outputs(judge: Artifact, outputs: Artifact, store: Store) -> Artifact:
    """`scores.parquet`: prompt_id, dimension, score in [0, 1]; NaN where unscored."""
    dimensions = judge.record["dimensions"]

    def build(folder: Path) -> Record:
        table = pd.read_parquet(outputs.path / "outputs.parquet")
        scores = _judge(judge.path, tuple(dimensions)).score(table["text"].tolist())
        wide = pd.DataFrame(scores, columns=dimensions).assign(prompt_id=table["prompt_id"])
        long = wide.melt("prompt_id", var_name="dimension", value_name="score")
        long.to_parquet(folder / "scores.parquet", index=False)
        return {"unscored": int(long["score"].isna().sum())}

    return store.make("scores", fingerprint([VERSION, judge.key, outputs.key]), build)


@lru_cache(maxsize=4)
def _judge(path: Path, dimensions: tuple[str, ...]) -> EmbeddedJudge:
    return EmbeddedJudge(pd.read_parquet(path / "rated.parquet"), dimensions)
