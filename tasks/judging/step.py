"""The judge, its proof against the humans, and its scores of the outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.blocks.system import Secret
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL

from configs.errors import InputError
from configs.schema import Dimension, Study
from configs.schema import EmbeddedJudge as EmbeddedSettings
from configs.schema import LlmJudge as LlmSettings
from tasks.judging.calibration import calibrate
from tasks.judging.embedded import EmbeddedJudge, cross_validated, mean_ratings
from tasks.judging.llm.judge import LlmJudge, identity_of
from tasks.judging.llm.rubric import make_rubric
from tasks.judging.llm.verdicts import Verdicts
from tasks.judging.proof import prove, shortfalls
from tasks.preferences.split import held_out
from tasks.preferences.strata import strata_shown
from tasks.ratings.reading.load import Data
from tasks.runtime.fingerprint import fingerprint, frame_digest, stable_share
from tasks.runtime.store import Artifact, Record, Store

VERSION = 2
KEY, SECRET_BLOCK = "OPENAI_API_KEY", "openai-api-key"
PROOF = ("judge_agreement", "judge_strata", "judge_calibration")
"""The tables of the proof."""


class Judge:
    """A judge that is ready, and its proof. Handed on by reference; `close` it when nothing more is judged."""

    __slots__ = ("categories", "dimensions", "identity", "proof", "scorer", "stops")

    def __init__(self, study: Study, scorer: EmbeddedJudge | LlmJudge, identity: str, proof: Artifact) -> None:
        self.dimensions, self.categories = list(study.evaluation.dimensions), proof.record["categories"]
        self.scorer, self.identity, self.proof = scorer, identity, proof
        found = shortfalls(self.tables["judge_agreement"], study.judge.proof.floor)
        self.stops = _why_stop(study, found) if found and study.judge.proof.below == "stop" else ""
        """Why the study must not go on, "" where it may."""

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """judge_agreement, judge_strata and judge_calibration."""
        return {name: pd.read_parquet(self.proof.path / f"{name}.parquet") for name in PROOF}

    @property
    def facts(self) -> dict[str, Any]:
        """What the run has spent on it."""
        return self.scorer.account if isinstance(self.scorer, LlmJudge) else {}

    def close(self) -> None:
        if isinstance(self.scorer, LlmJudge):
            self.scorer.close()


def _why_stop(study: Study, found: list[str]) -> str:
    name = study.judge.model if isinstance(study.judge, LlmSettings) else "the embedded judge"
    return (
        f"{name} is below the floor that the study sets for its judge ({'; '.join(found)}), so nothing was trained or "
        "judged. judge.proof.below: mark goes on all the same, and says so"
    )


@task(name="judge", cache_policy=NO_CACHE)
def prepare_judge(study: Study, data: Data, store: Store) -> Judge:
    """The study's judge, held against the humans before it is used.

    The embedded judge is fitted on the ratings of held-out prompts, and proved on prompts that it has not seen.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension; no key.
        JudgeFailed: the endpoint gives no verdicts.
    """
    rated, ratings = _rated(study, data)
    sample, dimensions = _sample(study, rated), list(study.evaluation.dimensions)
    scorer = _scorer(study, rated, data.categories, store)
    identity = _identity(study, rated, data.categories)
    pairs, proof = _compared(study, ratings), study.judge.proof
    digests = {name: frame_digest(table) for name, table in ratings.items()}
    measured = [digests, pairs, proof.draws, study.seed, study.survey.level]
    key = fingerprint([VERSION, identity, frame_digest(sample), *measured])

    def build(folder: Path) -> Record:
        judged = _judge_rated(scorer, rated, sample, dimensions)
        agreement, strata = prove(
            judged, ratings, dimensions, data.categories, pairs, proof.draws, study.seed, study.survey.level
        )
        line = calibrate(judged, ratings["all"], dimensions, data.categories)
        tables: tuple[pd.DataFrame, ...] = (agreement, strata, line)
        for name, table in zip(PROOF, tables, strict=True):
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return {"dimensions": dimensions, "categories": data.categories, "identity": identity}

    try:
        return Judge(study, scorer, identity, store.make("judges", key, build))
    finally:
        if isinstance(scorer, LlmJudge):
            scorer.close()  # what it is asked next, opens it again


def score_outputs(judge: Judge, outputs: Artifact[Any], prompts: pd.DataFrame, store: Store) -> Artifact:
    """`scores.parquet`: prompt_id, reason, dimension, score in [0, 1]; NaN where unscored, and then the reason why.

    Raises:
        JudgeFailed: the endpoint gives no verdicts, or the cost ceiling is reached; the verdicts made are kept.
    """

    def build(folder: Path) -> Record:
        table = pd.read_parquet(outputs.path / "outputs.parquet").merge(prompts, on="prompt_id")
        scores = judge.scorer.score(table["prompt"].tolist(), table["text"].tolist())
        wide = pd.DataFrame(scores.values, columns=judge.dimensions)
        wide = wide.assign(prompt_id=table["prompt_id"], reason=scores.reasons)
        long = wide.melt(["prompt_id", "reason"], var_name="dimension", value_name="score")
        long.to_parquet(folder / "scores.parquet", index=False)
        return {"unscored": int(long["score"].isna().sum())}

    return store.make("scores", scores_key(judge.identity, outputs.key), build)


def scores_key(judge: str, outputs: str) -> str:
    """Identity of a judge's scores of some answers, from theirs."""
    return fingerprint([VERSION, judge, outputs])


def judge_identity(study: Study, data: Data) -> str:
    """What a score depends on, beside the answer. Raises `InputError` like `prepare_judge`."""
    return _identity(study, _rated(study, data)[0], data.categories)


def proof_calls(study: Study, data: Data, store: Store) -> int:
    """How many calls the proof still takes; none for the embedded judge."""
    if isinstance(study.judge, EmbeddedSettings):
        return 0
    sample = _sample(study, _rated(study, data)[0])
    scorer = _chat_model(study, study.judge, data.categories, store)
    return scorer.missing(list(zip(sample["prompt"], sample["response"], strict=True)))


def _scorer(study: Study, rated: pd.DataFrame, categories: int, store: Store) -> EmbeddedJudge | LlmJudge:
    if isinstance(study.judge, EmbeddedSettings):
        return EmbeddedJudge(rated, list(study.evaluation.dimensions))
    return _chat_model(study, study.judge, categories, store)


def _chat_model(study: Study, settings: LlmSettings, categories: int, store: Store) -> LlmJudge:
    rubric = make_rubric(settings, _evaluated(study), categories)
    return LlmJudge(settings, rubric, Verdicts(store.workspace("verdicts.db")), lambda: _key(settings))


def _key(settings: LlmSettings) -> str:
    """The endpoint's key: `OPENAI_API_KEY`, else Prefect's Secret block. An address of one's own may need none.

    Raises:
        InputError: there is no key.
    """
    if given := os.environ.get(KEY):
        return given
    if PREFECT_API_URL.value():
        try:
            return str(Secret.load(SECRET_BLOCK).get())  # type: ignore[union-attr]
        except ValueError:
            pass
    if settings.base_url:
        return "none"
    raise InputError(f"judge {settings.model}: needs a key in {KEY}, or in Prefect's Secret block {SECRET_BLOCK}")


def _identity(study: Study, rated: pd.DataFrame, categories: int) -> str:
    """What a score depends on: for a chat model what it is asked, for the embedded judge what it is fitted on."""
    dimensions = _evaluated(study)
    if isinstance(study.judge, EmbeddedSettings):
        return fingerprint(["embedded", frame_digest(rated), list(dimensions)])
    return identity_of(study.judge, make_rubric(study.judge, dimensions, categories))


def _rated(study: Study, data: Data) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Mean ratings of held-out prompts' responses with their texts; and the ratings of all and of each stratum."""
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
    return rated, {"all": ratings} | by_stratum


def _sample(study: Study, rated: pd.DataFrame) -> pd.DataFrame:
    """The responses of the proof: those with the lowest hash, so that new ratings change few of them."""
    size = study.judge.proof.sample
    if size is None or size >= len(rated):
        return rated
    draw = rated["response_id"].map(lambda id: stable_share("proof", study.seed, id))
    return rated.loc[draw.nsmallest(size).index].sort_index()


def _compared(study: Study, shown: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """The strata that the study's contrasts compare, where both are shown."""
    pairs = [pair for experiment in study.experiments.values() for pair in experiment.compared_strata.values()]
    return [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(shown)]


def _judge_rated(
    scorer: EmbeddedJudge | LlmJudge, rated: pd.DataFrame, sample: pd.DataFrame, dimensions: list[str]
) -> pd.DataFrame:
    """The judge's scores of the sample: response_id and one column a dimension."""
    if isinstance(scorer, EmbeddedJudge):
        judged = cross_validated(rated, dimensions)
        return judged[judged["response_id"].isin(sample["response_id"])]
    scores = scorer.score(sample["prompt"].tolist(), sample["response"].tolist())
    return pd.DataFrame(scores.values, columns=dimensions).assign(response_id=sample["response_id"].to_numpy())


def _evaluated(study: Study) -> dict[str, Dimension]:
    return {name: study.dimensions[name] for name in study.evaluation.dimensions}
