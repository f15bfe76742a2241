"""The judge, its agreement with the humans, and its scores of the outputs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.errors import InputError
from configs.schema import Dimension, Study
from configs.schema import EmbeddedJudge as EmbeddedSettings
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import fingerprint, frame_digest
from tasks.judging.agreement import agreement_table
from tasks.judging.embedded import EmbeddedJudge, cross_validated, mean_ratings
from tasks.judging.llm import LlmJudge, rubric
from tasks.preferences.split import held_out
from tasks.preferences.strata import strata_shown
from tasks.ratings.load import Data

VERSION = 1


@task(name="judge", cache_policy=NO_CACHE)
def prepare_judge(study: Study, data: Data, store: Store) -> Artifact:
    """`rated.parquet`, the human ratings of held-out prompts, and `judge_agreement.csv`, the judge held against them.

    The embedded judge is fitted on those ratings, and judged on prompts that it has not seen.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension.
    """
    rated, human = _human(study, data)
    dimensions = list(study.evaluation.dimensions)
    identity = _identity(study, rated, data.categories)
    digests = {name: frame_digest(table) for name, table in human.items()}
    key = fingerprint([VERSION, identity, digests])

    def build(folder: Path) -> Record:
        rated.to_parquet(folder / "rated.parquet", index=False)
        judged = _judge_rated(study, rated, dimensions, data.categories)
        agreement_table(judged, human, dimensions, data.categories).to_csv(folder / "judge_agreement.csv", index=False)
        return {"dimensions": dimensions, "categories": data.categories, "identity": identity}

    return store.make("judges", key, build)


def score_outputs(study: Study, judge: Artifact, outputs: Artifact, prompts: pd.DataFrame, store: Store) -> Artifact:
    """`scores.parquet`: prompt_id, dimension, score in [0, 1]; NaN where unscored."""

    def build(folder: Path) -> Record:
        table = pd.read_parquet(outputs.path / "outputs.parquet").merge(prompts, on="prompt_id")
        scores = _judge(study, judge).score(table["prompt"].tolist(), table["text"].tolist())
        wide = pd.DataFrame(scores, columns=judge.record["dimensions"]).assign(prompt_id=table["prompt_id"])
        long = wide.melt("prompt_id", var_name="dimension", value_name="score")
        long.to_parquet(folder / "scores.parquet", index=False)
        return {"unscored": int(long["score"].isna().sum())}

    return store.make("scores", scores_key(judge.record["identity"], outputs.key), build)


def scores_key(judge: str, outputs: str) -> str:
    """Identity of a judge's scores of some answers, from theirs."""
    return fingerprint([VERSION, judge, outputs])


def judge_identity(study: Study, data: Data) -> str:
    """What a score depends on, beside the answer. Raises `InputError` like `prepare_judge`."""
    return _identity(study, _human(study, data)[0], data.categories)


def _identity(study: Study, rated: pd.DataFrame, categories: int) -> str:
    """What a score depends on: for a chat model what it is asked, for the embedded judge what it is fitted on."""
    dimensions = _evaluated(study)
    if isinstance(study.judge, EmbeddedSettings):
        return fingerprint(["embedded", frame_digest(rated), list(dimensions)])
    asked = rubric(dimensions, categories)
    return fingerprint(["llm", study.judge.model, study.judge.base_url, asked, list(dimensions), categories])


def _human(study: Study, data: Data) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Mean ratings of held-out prompts' responses with their texts, and by stratum."""
    dimensions = list(study.evaluation.dimensions)
    ratings = data.ratings[held_out(data.ratings["prompt_id"], study.evaluation.share, study.seed)]
    rated = mean_ratings(ratings, dimensions, data.categories)
    if rated["prompt_id"].nunique() < 2:
        raise InputError(
            f"{study.name}: evaluation.share: {rated['prompt_id'].nunique()} held-out prompts have ratings on "
            f"{', '.join(dimensions)}; the judge needs at least 2"
        )
    rated = rated.merge(data.responses[["response_id", "prompt", "response"]], on="response_id")
    by_stratum = {
        name: ratings[ratings["participant_id"].isin(ids)]
        for name, ids in strata_shown(study, data.participants).items()
    }
    human = {name: mean_ratings(table, dimensions, data.categories) for name, table in by_stratum.items()}
    return rated, {"all": rated} | human


def _judge_rated(study: Study, rated: pd.DataFrame, dimensions: list[str], categories: int) -> pd.DataFrame:
    """The judge's scores of what humans rated: response_id and one column a dimension."""
    if isinstance(study.judge, EmbeddedSettings):
        return cross_validated(rated, dimensions)
    scores = _chat_model(study, categories).score(rated["prompt"].tolist(), rated["response"].tolist())
    return pd.DataFrame(scores, columns=dimensions).assign(response_id=rated["response_id"].to_numpy())


def _judge(study: Study, judge: Artifact) -> EmbeddedJudge | LlmJudge:
    if isinstance(study.judge, EmbeddedSettings):
        return _embedded(judge.path, tuple(judge.record["dimensions"]))
    return _chat_model(study, judge.record["categories"])


def _chat_model(study: Study, categories: int) -> LlmJudge:
    assert not isinstance(study.judge, EmbeddedSettings)
    return LlmJudge(study.judge, _evaluated(study), categories)


def _evaluated(study: Study) -> dict[str, Dimension]:
    return {name: study.dimensions[name] for name in study.evaluation.dimensions}


@lru_cache(maxsize=4)
def _embedded(path: Path, dimensions: tuple[str, ...]) -> EmbeddedJudge:
    """The judge fitted again from its ratings: quicker than reading a model back, and there is none to trust."""
    return EmbeddedJudge(pd.read_parquet(path / "rated.parquet"), dimensions)
