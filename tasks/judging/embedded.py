"""The embedded judge: a text regression of the human ratings of held-out prompts, which train no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tasks.judging.llm.rubric import EMPTY, Scores
from tasks.methods.text_regression import TextRegression


class EmbeddedJudge:
    """Scores in [0, 1] a dimension; 0 is the lowest category of the questionnaire, 1 the highest."""

    def __init__(self, rated: pd.DataFrame, dimensions: Sequence[str]) -> None:
        """Fit on rated responses: response, n and one column a dimension with the mean rating on [0, 1]."""
        self._model = TextRegression(
            rated["response"].tolist(), rated[list(dimensions)].to_numpy(float), rated["n"].to_numpy(float)
        )

    def score(self, prompts: Sequence[str], texts: Sequence[str]) -> Scores:
        """Shape (texts, dimensions), from the texts alone; an empty text stays unscored, NaN."""
        scores = self._model.predict(texts)
        reasons = ["" if text.strip() else EMPTY for text in texts]
        scores[[reason != "" for reason in reasons]] = np.nan
        return Scores(scores, reasons)


def mean_ratings(ratings: pd.DataFrame, dimensions: Sequence[str], categories: int) -> pd.DataFrame:
    """Ratings 1 … K → response_id, prompt_id, n and each dimension's mean on [0, 1], where all dimensions are rated."""
    groups = ratings.groupby("response_id", sort=True)
    means = (groups[list(dimensions)].mean().astype(float) - 1) / (categories - 1)
    table = means.assign(prompt_id=groups["prompt_id"].first(), n=groups.size())
    return table.dropna(subset=list(dimensions)).reset_index()


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
