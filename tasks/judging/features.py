"""What the embedded judge reads of an answer: its words, its sentence embedding, or both; and how it chooses.

All are ridge regressions of the raters' mean, weighted by the number of ratings. Words alone are those of
`tasks.methods.text_regression`, with a fixed penalty. Embeddings have one of `PENALTIES`, both together a pair: that
with the least squared error on prompts that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.judging.group_fits import Array, folds
from tasks.judging.proof import measures
from tasks.methods.text_regression import TextRegression, word_features

Places = NDArray[np.int64]
WORDS, EMBEDDINGS, BOTH = FEATURES = ("words", "embeddings", "both")
"""From the simplest to the richest; of equally good ones the first is taken."""


class Penalties(NamedTuple):
    """Of the ridge, in ratings; the features of a text have length 1."""

    embeddings: float
    words: float | None = None
    """None where words are not read."""


PENALTIES: dict[str, tuple[Penalties, ...]] = {
    EMBEDDINGS: tuple(Penalties(embeddings) for embeddings in (3.0, 10.0, 30.0, 100.0)),
    BOTH: tuple(Penalties(embeddings, words) for embeddings in (10.0, 30.0, 100.0) for words in (3.0, 10.0, 30.0)),
}


class RatedTexts(NamedTuple):
    """Texts that people rated, a place each.

    vectors: sentence embeddings of length 1, shape (n, width); of width 0 where nobody reads them. means: the raters'
    mean of each dimension in [0, 1], (n, dimensions). weights: numbers of ratings. prompts: a number for each prompt.
    """

    texts: list[str]
    vectors: Array
    means: Array
    weights: Array
    prompts: Places

    def at(self, places: Places) -> RatedTexts:
        """Some of them."""
        texts = [self.texts[place] for place in places]
        return RatedTexts(texts, self.vectors[places], self.means[places], self.weights[places], self.prompts[places])


class Regression(Protocol):
    """One score a dimension, from a text and its vector."""

    def predict(self, texts: Sequence[str], vectors: Array) -> Array:
        """Scores of shape (n, dimensions), within [0, 1]."""
        ...


class WordRegression:
    """By the words alone."""

    def __init__(self, rated: RatedTexts) -> None:
        self._line = TextRegression(rated.texts, rated.means, rated.weights)

    def predict(self, texts: Sequence[str], vectors: Array) -> Array:
        return self._line.predict(texts)


class EmbeddingRegression:
    """intercept + vector · v + words · u, the part of the words only where they have a penalty.

    It minimises Σ n (mean - score)² + penalty_v |v|² + penalty_u |u|². In dual form, with K = V Vᵀ / penalty_v +
    U Uᵀ / penalty_u and D = diag(1 / n): the intercept is 1ᵀ(K + D)⁻¹ mean / 1ᵀ(K + D)⁻¹ 1, and the coefficients of the
    texts are (K + D)⁻¹ (mean - intercept).
    """

    def __init__(self, design: TextProducts, penalties: Penalties) -> None:
        from scipy.linalg import cho_factor, cho_solve

        rated = design.rated
        system = design.of_vectors / penalties.embeddings + np.diag(1 / rated.weights)
        if penalties.words is not None:
            system += design.of_words / penalties.words
        factor = cho_factor(system)
        ones = cho_solve(factor, np.ones(len(system)))
        self._intercept = ones @ rated.means / ones.sum()
        dual = cho_solve(factor, rated.means - self._intercept)
        self._vector = rated.vectors.T @ dual / penalties.embeddings
        self._word = None if penalties.words is None else design.word_counts.T @ dual / penalties.words
        self._words = design.words

    def predict(self, texts: Sequence[str], vectors: Array) -> Array:
        scores = self._intercept + vectors @ self._vector
        if self._word is not None:
            scores = scores + self._words.transform(texts) @ self._word
        return np.clip(scores, 0, 1)


class TextProducts:
    """Rated texts as a regression takes them, made once for all penalties: products of each two texts (n, n)."""

    def __init__(self, rated: RatedTexts, words: bool) -> None:
        self.rated, self.of_vectors = rated, rated.vectors @ rated.vectors.T
        self.words = word_features(rated.texts)
        if words:
            self.word_counts = self.words.fit_transform(rated.texts)
            self.of_words = (self.word_counts @ self.word_counts.T).toarray()


def fit_all(features: str, rated: RatedTexts, penalties: Sequence[Penalties]) -> list[Regression]:
    """A regression on words, embeddings or both for each of the penalties; for words there is one, without."""
    if features == WORDS:
        return [WordRegression(rated)]
    design = TextProducts(rated, words=features == BOTH)
    return [EmbeddingRegression(design, own) for own in penalties]


@dataclass(frozen=True)
class Choice:
    """What cross-validation over the prompts of some rated texts found: the penalties of each kind of features, and the
    rank correlation of each with the raters' means, a mean over the dimensions."""

    penalties: Mapping[str, Penalties | None]
    spearman: Mapping[str, float]

    @property
    def best(self) -> str:
        """The features by which answers to unseen prompts are ranked most as the raters do."""
        return max(self.spearman, key=lambda name: self.spearman[name])

    def fit(self, features: str, rated: RatedTexts) -> Regression:
        """The regression on these features, with the penalties found."""
        penalties = self.penalties[features]
        return fit_all(features, rated, [penalties] if penalties else [])[0]


def choose(rated: RatedTexts, among: Sequence[str]) -> Choice:
    """Penalties and features, by predictions of each prompt's texts from other prompts'.

    Penalties are compared by the squared error, features as the judge's proof does: by Spearman's correlation with the
    raters' means, which counts as 0 where it is undefined. With fewer than two prompts nothing can be left out: the
    first features and the largest penalties are taken. What leaves no choice is not tried.
    """
    if len(among) == 1 and among[0] not in PENALTIES:
        return Choice({among[0]: None}, {among[0]: np.nan})
    penalties: dict[str, Penalties | None] = {}
    spearman: dict[str, float] = {}
    several = len(np.unique(rated.prompts)) > 1
    for features in among:
        tried = PENALTIES.get(features, ())
        unseen = _unseen(features, rated, tried) if several else [np.zeros_like(rated.means)]
        errors = [float((rated.weights @ (rated.means - scores) ** 2).sum()) for scores in unseen]
        best = int(np.argmin(errors)) if several else -1
        penalties[features], spearman[features] = tried[best] if tried else None, _spearman(rated.means, unseen[best])
    return Choice(penalties, spearman)


def _unseen(features: str, rated: RatedTexts, penalties: Sequence[Penalties]) -> list[Array]:
    """Predictions (n, dimensions) with each of the penalties."""
    scores = [np.empty_like(rated.means) for _ in range(len(penalties) or 1)]
    for train, test in folds(rated.prompts):
        held = rated.at(test)
        for own, fitted in zip(scores, fit_all(features, rated.at(train), penalties), strict=True):
            own[test] = fitted.predict(held.texts, held.vectors)
    return scores


def _spearman(human: Array, judge: Array) -> float:
    """Mean over the columns of two arrays (n, dimensions)."""
    once = np.ones((1, len(human)))
    each = [measures(human[:, i], judge[:, i], once, 2)["spearman"][0] for i in range(human.shape[1])]
    return float(np.mean(np.nan_to_num(each)))
