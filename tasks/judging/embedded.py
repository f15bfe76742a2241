"""The embedded judge: a text regression of the human ratings of held-out prompts, which train no model.

What it reads of an answer is set, or chosen by its own cross-validation: see `tasks.judging.features`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock

import numpy as np
import pandas as pd

from configs.schema import EmbeddedJudgeSettings, Features
from tasks.judging.encoder import SentenceEncoder, check_encoder
from tasks.judging.features import FEATURES, WORDS, Choice, RatedTexts, Regression, choose
from tasks.judging.group_fits import FOLDS, Array, GroupFit, TextModel, fit_words, folds
from tasks.judging.judge import EMPTY, Judge, JudgeScores, Material, Tried
from tasks.judging.vectors import Vectors
from tasks.runtime.fingerprint import fingerprint, frame_digest

VERSION = 1
"""Of what becomes of embeddings; a judge of words alone is as it was before there were any."""


class EmbeddedJudge(Judge):
    """Scores by the answer alone, whatever the prompt."""

    def __init__(
        self, rated: pd.DataFrame, dimensions: Sequence[str], reads: Features = "words", vectors: Vectors | None = None
    ) -> None:
        """`rated`: response_id, prompt_id, response, n (ratings) and a column a dimension with the mean rating on
        [0, 1]. `vectors`: needed where it reads more than words."""
        self._table, self._dimensions, self._reads, self._vectors = rated, list(dimensions), reads, vectors
        self._fitting = Lock()

    @classmethod
    def of(cls, settings: EmbeddedJudgeSettings, material: Material) -> EmbeddedJudge:
        vectors = [Vectors(SentenceEncoder(own, material.store), material.vectors) for own in settings.encoders]
        return cls(material.rated, list(material.dimensions), settings.reads, *vectors)

    @classmethod
    def check(cls, settings: EmbeddedJudgeSettings) -> None:
        for encoder in settings.encoders:
            check_encoder(encoder)

    def settle(self) -> None:
        if self._vectors:
            self._vectors.encoder.settle()

    @cached_property
    def identity(self) -> str:
        learned = ["embedded", frame_digest(self._table), self._dimensions]
        if not self._vectors:
            return fingerprint(learned)
        return fingerprint([*learned, VERSION, self._reads, self._vectors.encoder.key])

    @property
    def _among(self) -> tuple[str, ...]:
        return FEATURES if self._reads == "best" else (self._reads,)

    @cached_property
    def rated(self) -> RatedTexts:
        """What it learns from."""
        texts, prompts = self._table["response"].tolist(), pd.factorize(self._table["prompt_id"])[0]
        means, weights = self._table[self._dimensions].to_numpy(float), self._table["n"].to_numpy(float)
        return RatedTexts(texts, self._embed(texts), means, weights, prompts)

    def _embed(self, texts: Sequence[str]) -> Array:
        return self._vectors.of(texts) if self._vectors else np.zeros((len(texts), 0))

    @cached_property
    def _choice(self) -> Choice:
        """Of all rated texts."""
        return choose(self.rated, self._among)

    @cached_property
    def _model(self) -> Regression:
        return self._choice.fit(self.features, self.rated)

    @property
    def features(self) -> str:
        """What it reads: words, embeddings or both."""
        return self._choice.best

    def score(self, prompts: Sequence[str], answers: Sequence[str]) -> JudgeScores:
        """From the answers alone; an empty one stays unscored."""
        with self._fitting:
            model = self._model
        reasons = ["" if answer.strip() else EMPTY for answer in answers]
        scores = model.predict(answers, self._embed(answers))
        scores[[reason != "" for reason in reasons]] = np.nan
        return JudgeScores(scores, reasons)

    def score_rated(self, sample: pd.DataFrame) -> JudgeScores:
        """By judges that have not seen the prompt, and have made their choice without it."""
        return self._of_sample(self._unseen.chosen, sample)

    def tried(self, sample: pd.DataFrame) -> list[Tried]:
        if len(self._among) == 1:
            return []
        parts = self._unseen.parts
        return [
            Tried(name, self._of_sample(scores, sample), parts.count(name), len(parts), name == self.features)
            for name, scores in self._unseen.each.items()
        ]

    @cached_property
    def _unseen(self) -> Unseen:
        return cross_validated(self.rated, self._among)

    def _of_sample(self, scores: Array, sample: pd.DataFrame) -> JudgeScores:
        empty = ~self._table["response"].str.strip().astype(bool).to_numpy()
        table = pd.DataFrame(np.where(empty[:, None], np.nan, scores), index=self._table["response_id"])
        values = table.loc[sample["response_id"]].to_numpy()
        return JudgeScores(values, [EMPTY if unscored else "" for unscored in np.isnan(values).any(axis=1)])

    @property
    def group_fit(self) -> GroupFit:
        """By what it reads of the answers, too."""
        if self.features == WORDS or not self._vectors:
            return fit_words
        return partial(TextModel, kind=self.features, embed=self._vectors.of)

    def close(self) -> None:
        if self._vectors:
            self._vectors.encoder.close()


@dataclass(frozen=True)
class Unseen:
    """Scores of rated texts by judges that have not seen the prompt, of shape (texts, dimensions).

    each: by kind of features. chosen: by those that were chosen without the prompt. parts: which these were, of each
    part of the prompts.
    """

    each: dict[str, Array]
    chosen: Array
    parts: list[str]


def cross_validated(rated: RatedTexts, among: Sequence[str] = (WORDS,), most: int = FOLDS) -> Unseen:
    """Each of `most` parts of the prompts scored by judges that learn, and choose, from the others.

    Raises:
        ValueError: fewer than two prompts, so nothing can be left out.
    """
    if (prompts := len(np.unique(rated.prompts))) < 2:
        raise ValueError(f"{prompts} held-out prompts with ratings; the judge's agreement needs at least 2")
    each, parts = {name: np.full(rated.means.shape, np.nan) for name in among}, []
    chosen = np.full(rated.means.shape, np.nan)
    for train, test in folds(rated.prompts, most):
        learned, held = rated.at(train), rated.at(test)
        choice = choose(learned, among)
        for name, scores in each.items():
            scores[test] = choice.fit(name, learned).predict(held.texts, held.vectors)
        chosen[test] = each[choice.best][test]
        parts.append(choice.best)
    return Unseen(each, chosen, parts)
