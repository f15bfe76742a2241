"""The judge, its proof against the humans, and its scores of the outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from configs.schema import Study
from tasks.judging.calibration import calibrate
from tasks.judging.evidence import Evidence, gather_evidence
from tasks.judging.judge import Judge, Material
from tasks.judging.judges import make_judge
from tasks.judging.proof import prove, shortfalls
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import fingerprint, frame_digest
from tasks.runtime.store import Artifact, Record, Store

VERSION = 2
PROOF = ("judge_agreement", "judge_strata", "judge_calibration")
"""The tables of the proof."""
Secret = Callable[[str], str | None]


class ProvenJudge:
    """A judge that is ready, and its proof. Handed on by reference; `close` it when nothing more is judged."""

    __slots__ = ("dimensions", "judge", "proof", "stops")

    def __init__(self, study: Study, judge: Judge, proof: Artifact) -> None:
        self.dimensions, self.judge, self.proof = list(study.evaluation.dimensions), judge, proof
        below = shortfalls(self.tables["judge_agreement"], study.judge.proof.floor)
        self.stops = ""
        """Why the study must not go on, "" where it may."""
        if below and study.judge.proof.below == "stop":
            self.stops = (
                f"{study.judge.title} is below the floor that the study sets for its judge ({'; '.join(below)}), so "
                "nothing was trained or judged. judge.proof.below: mark goes on all the same, and says so"
            )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """judge_agreement, judge_strata and judge_calibration."""
        return {name: pd.read_parquet(self.proof.path / f"{name}.parquet") for name in PROOF}

    @property
    def facts(self) -> dict[str, Any]:
        """What the run has spent on it."""
        return self.judge.account

    def close(self) -> None:
        self.judge.close()


@task(name="judge", cache_policy=NO_CACHE)
def prepare_judge(study: Study, data: StudyData, store: Store, secret: Secret) -> ProvenJudge:
    """The study's judge, held against the humans before it is used; `secret` gives the key of a name, or None.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension; no key.
        JudgeFailed: the endpoint gives no verdicts.
    """
    judge, evidence = study_judge(study, data, store, secret)
    dimensions, settings = list(study.evaluation.dimensions), study.judge.proof
    digests = {name: frame_digest(table) for name, table in evidence.ratings.items()}
    measured = [digests, evidence.pairs, settings.draws, study.seed, study.survey.level]

    def build(folder: Path) -> Record:
        scores = judge.score_rated(evidence.sample)
        judged = pd.DataFrame(scores, columns=dimensions).assign(response_id=evidence.sample["response_id"].to_numpy())
        human = (evidence.ratings, dimensions, data.categories, evidence.pairs)
        agreement, strata = prove(judged, *human, settings.draws, study.seed, study.survey.level)
        line = calibrate(judged, evidence.ratings["all"], dimensions, data.categories)
        tables: tuple[pd.DataFrame, ...] = (agreement, strata, line)
        for name, table in zip(PROOF, tables, strict=True):
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return {"dimensions": dimensions, "categories": data.categories, "identity": judge.identity}

    try:
        key = fingerprint([VERSION, judge.identity, frame_digest(evidence.sample), *measured])
        return ProvenJudge(study, judge, store.make("judges", key, build))
    finally:
        judge.close()  # what it is asked next, opens it again


def score_outputs(judge: ProvenJudge, outputs: Artifact[Any], prompts: pd.DataFrame, store: Store) -> Artifact:
    """`scores.parquet`: prompt_id, reason, dimension, score in [0, 1]; NaN where unscored, and then the reason why.

    Raises:
        JudgeFailed: the endpoint gives no verdicts, or the cost ceiling is reached; the verdicts made are kept.
    """

    def build(folder: Path) -> Record:
        table = pd.read_parquet(outputs.path / "outputs.parquet").merge(prompts, on="prompt_id")
        scores = judge.judge.score(table["prompt"].tolist(), table["text"].tolist())
        wide = pd.DataFrame(scores.values, columns=judge.dimensions)
        wide = wide.assign(prompt_id=table["prompt_id"], reason=scores.reasons)
        long = wide.melt(["prompt_id", "reason"], var_name="dimension", value_name="score")
        long.to_parquet(folder / "scores.parquet", index=False)
        return {"unscored": int(long["score"].isna().sum())}

    return store.make("scores", scores_key(judge.judge.identity, outputs.key), build)


def scores_key(judge: str, outputs: str) -> str:
    """Identity of a judge's scores of some answers, from theirs."""
    return fingerprint([VERSION, judge, outputs])


def study_judge(
    study: Study, data: StudyData, store: Store, secret: Secret = lambda name: None
) -> tuple[Judge, Evidence]:
    """The study's judge, not yet proved, and the ratings that it learns from or is held against.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension.
    """
    evidence = gather_evidence(study, data)
    dimensions = {name: study.dimensions[name] for name in study.evaluation.dimensions}
    material = Material(dimensions, data.categories, evidence.rated, store.workspace("verdicts.db"), secret)
    return make_judge(study.judge, material), evidence
