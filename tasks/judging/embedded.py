"""The embedded judge: a text regression of the human ratings of held-out prompts, which train no model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import Lock

import numpy as np
import pandas as pd

from configs.schema import EmbeddedJudgeSettings
from tasks.judging.group_fits import GroupFit, fit_words
from tasks.judging.judge import EMPTY, Judge, JudgeScores, Material
from tasks.methods.text_regression import TextRegression
from tasks.runtime.fingerprint import fingerprint, frame_digest


class EmbeddedJudge(Judge):
    """Scores by the words of the answer alone, whatever the prompt."""

    def __init__(self, rated: pd.DataFrame, dimensions: Sequence[str]) -> None:
        """`rated`: response, n (ratings), prompt_id and one column a dimension with the mean rating on [0, 1]."""
        self._rated, self._dimensions = rated, list(dimensions)
        self._fitting = Lock()

    @classmethod
    def of(cls, settings: EmbeddedJudgeSettings, material: Material) -> EmbeddedJudge:
        return cls(material.rated, list(material.dimensions))

    @cached_property
    def identity(self) -> str:
        return fingerprint(["embedded", frame_digest(self._rated), self._dimensions])

    @cached_property
    def _model(self) -> TextRegression:
        means = self._rated[self._dimensions].to_numpy(float)
        return TextRegression(self._rated["response"].tolist(), means, self._rated["n"].to_numpy(float))

    def score(self, prompts: Sequence[str], answers: Sequence[str]) -> JudgeScores:
        """From the answers alone; an empty one stays unscored."""
        with self._fitting:
            model = self._model
        scores = model.predict(answers)
        reasons = ["" if answer.strip() else EMPTY for answer in answers]
        scores[[reason != "" for reason in reasons]] = np.nan
        return JudgeScores(scores, reasons)

    def score_rated(self, sample: pd.DataFrame) -> JudgeScores:
        """By judges that have not seen the prompt."""
        scores = cross_validated(self._rated, self._dimensions).set_index("response_id")
        values = scores.loc[sample["response_id"], self._dimensions].to_numpy()
        return JudgeScores(values, [EMPTY if empty else "" for empty in np.isnan(values).any(axis=1)])

    @property
    def group_fit(self) -> GroupFit:
        """By the words of the answers, too."""
        return fit_words


def cross_validated(rated: pd.DataFrame, dimensions: Sequence[str], folds: int = 5) -> pd.DataFrame:
    """Scores by judges that have not seen the prompt: response_id and one column a dimension.

    Raises:
        ValueError: fewer than two prompts, so nothing can be left out.
    """
    from sklearn.model_selection import GroupKFold

    prompts = rated["prompt_id"].nunique()
    if prompts < 2:
        raise ValueError(f"{prompts} held-out prompts with ratings; the judge's agreement needs at least 2")
    scores = np.full((len(rated), len(dimensions)), np.nan)
    for train, test in GroupKFold(min(folds, prompts)).split(rated, groups=rated["prompt_id"]):
        judge = EmbeddedJudge(rated.iloc[train], dimensions)
        held = rated.iloc[test]
        scores[test] = judge.score(held["prompt"].tolist(), held["response"].tolist()).values
    return pd.DataFrame(scores, columns=list(dimensions)).assign(response_id=rated["response_id"].to_numpy())
