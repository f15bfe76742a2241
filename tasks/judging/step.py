"""The judge, its proof against the humans, and its scores of the outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import Study
from tasks.judging.calibration import calibrate
from tasks.judging.evidence import Evidence, gather_evidence
from tasks.judging.group_judges import GroupJudges, make_group_judges
from tasks.judging.judge import Judge, JudgeFailed, JudgeScores, Material
from tasks.judging.judges import make_judge
from tasks.judging.proof import compare, prove, shortfalls
from tasks.ratings.study_data import StudyData
from tasks.runtime.fingerprint import content_digest, fingerprint, frame_digest
from tasks.runtime.progress import Report, tell
from tasks.runtime.step import step
from tasks.runtime.store import Artifact, Record, Store

VERSION = 5
PROOF, FEATURES = ("judge_agreement", "judge_strata", "judge_calibration"), "judge_features"
"""The tables of the proof, and that of what the judge chose from, where it did."""
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
        """judge_agreement, judge_strata and judge_calibration; judge_features where the judge had a choice."""
        files = {name: self.proof.path / f"{name}.parquet" for name in (*PROOF, FEATURES)}
        return {name: pd.read_parquet(file) for name, file in files.items() if name in PROOF or file.exists()}

    @property
    def facts(self) -> dict[str, Any]:
        """What the run has spent on it."""
        return self.judge.account

    def close(self) -> None:
        self.judge.close()


@step("judge")
def prepare_judge(study: Study, data: StudyData, store: Store, secret: Secret) -> ProvenJudge:
    """The study's judge, held against the humans before it is used; `secret` gives the key of a name, or None.

    Raises:
        InputError: fewer than two held-out prompts have ratings on every evaluated dimension; no key; a hub model that
            can't be had.
        JudgeFailed: the endpoint gives no verdicts, or none on any of the rated responses.
    """
    judge, evidence = study_judge(study, data, store, secret)
    judge.settle()
    dimensions, settings = list(study.evaluation.dimensions), study.judge.proof
    digests = {name: frame_digest(table) for name, table in evidence.ratings.items()}
    measured = [digests, evidence.pairs, settings.draws, study.seed, study.survey.level]

    def score() -> JudgeScores:
        tell(Report("judge rated responses"))
        scores = judge.score_rated(evidence.sample)
        tell(Report("hold the judge against the raters"))
        if np.isnan(scores.values).all():
            why = "; ".join(f"{reason}: {n}" for reason, n in Counter(scores.reasons).most_common())
            raise JudgeFailed(f"{study.judge.title} scores none of the rated responses, so it can't be used ({why})")
        return scores

    def of_sample(scores: JudgeScores) -> pd.DataFrame:
        responses = evidence.sample["response_id"].to_numpy()
        return pd.DataFrame(scores.values, columns=dimensions).assign(response_id=responses)

    def write(folder: Path, scores: JudgeScores) -> Record:
        judged = of_sample(scores)
        human = (evidence.ratings, dimensions, data.categories, evidence.pairs)
        agreement, strata = prove(judged, *human, settings.draws, study.seed, study.survey.level)
        line = calibrate(judged, evidence.ratings["all"], dimensions, data.categories)
        tables: tuple[pd.DataFrame, ...] = (agreement, strata, line)
        for name, table in zip(PROOF, tables, strict=True):
            table.to_parquet(folder / f"{name}.parquet", index=False)
        if tried := [(one, of_sample(one.scores)) for one in judge.tried(evidence.sample)]:
            features = compare(tried, evidence.ratings["all"], dimensions, data.categories, settings.draws, study.seed,
                               study.survey.level)  # fmt: skip
            features.to_parquet(folder / f"{FEATURES}.parquet", index=False)
        return {"dimensions": dimensions, "categories": data.categories, "identity": judge.identity}

    try:
        key = fingerprint([VERSION, judge.identity, frame_digest(evidence.sample), *measured])
        return ProvenJudge(study, judge, _make(store, "judges", key, score, write))
    finally:
        judge.close()  # what it is asked next, opens it again


def judge_groups(study: Study, judge: ProvenJudge, data: StudyData, groups: Sequence[str]) -> GroupJudges:
    """A judge for each of these strata, made from everybody's and held against it."""
    evidence, dimensions = gather_evidence(study, data), judge.dimensions
    try:
        scores = judge.judge.score_rated(evidence.sample)
    finally:
        judge.close()
    judged = pd.DataFrame(scores.values, columns=dimensions)
    judged = judged.assign(response_id=evidence.sample["response_id"].to_numpy())
    members = {group: data.strata[group] for group in groups}
    return make_group_judges(
        judge.judge.group_fit, judged, evidence.sample, evidence.ratings["all"], members, dimensions, data.categories,
        study.judge.proof.draws, study.seed,
    )  # fmt: skip


def score_outputs(judge: ProvenJudge, outputs: Artifact[Any], prompts: pd.DataFrame, store: Store) -> Artifact:
    """`scores.parquet`: prompt_id, reason, dimension, score in [0, 1]; NaN where unscored, and then the reason why.

    Answers of rater replicates have a column replicate, those of a model that is told whom it answers a column group,
    and so have their scores. The judge is told no group.

    Raises:
        JudgeFailed: the endpoint gives no verdicts, or the cost ceiling is reached; the verdicts made are kept.
    """

    table = pd.read_parquet(outputs.path / "outputs.parquet").merge(prompts, on="prompt_id")

    def score() -> JudgeScores:
        tell(Report("judge answers"))
        return judge.judge.score(table["prompt"].tolist(), table["text"].tolist())

    def write(folder: Path, scores: JudgeScores) -> Record:
        wide = pd.DataFrame(scores.values, columns=judge.dimensions)
        place = [name for name in ("replicate", "group", "prompt_id") if name in table]
        wide = pd.concat([table[place], wide], axis=1).assign(reason=scores.reasons)
        long = wide.melt([*place, "reason"], var_name="dimension", value_name="score")
        long.to_parquet(folder / "scores.parquet", index=False)
        return {"unscored": int(long["score"].isna().sum())}

    return _make(store, "scores", scores_key(judge.judge.identity, outputs.key), score, write)


class _NotFinal(Exception):
    """Scores that may be others tomorrow."""

    def __init__(self, scores: JudgeScores) -> None:
        super().__init__("scores that may be others tomorrow")
        self.scores = scores


def _make(
    store: Store, stage: str, key: str, score: Callable[[], JudgeScores], write: Callable[[Path, JudgeScores], Record]
) -> Artifact:
    """What `write` makes of the scores, under the key where they are final; else under a key of these very scores, so
    that the next run asks for those that are missing."""

    def build(folder: Path) -> Record:
        scores = score()
        if not scores.final:
            raise _NotFinal(scores)
        return write(folder, scores)

    try:
        return store.make(stage, key, build)
    except _NotFinal as passing:
        scores = passing.scores
    own = fingerprint([key, content_digest(scores.values.tobytes()), scores.reasons])
    return store.make(stage, own, lambda folder: write(folder, scores))


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
    files = store.workspace("verdicts.db").open(), store.workspace("vectors.db").open()
    material = Material(dimensions, data.categories, evidence.rated, *files, secret, store)
    return make_judge(study.judge, material), evidence
