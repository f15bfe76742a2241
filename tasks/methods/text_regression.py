"""A score in [0, 1] from the words of a text: ridge regression on TF-IDF of words and word pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer


def word_features(texts: Sequence[str]) -> TfidfVectorizer:
    """TF-IDF of words and word pairs, not yet fitted; in more than 50 texts a word must stand twice to count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2 if len(texts) > 50 else 1)


class TextRegression:
    """One score a dimension. Deterministic: the same texts and scores give the same predictions."""

    def __init__(self, texts: Sequence[str], scores: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Fit on texts (n) and scores (n, dimensions); weights (n), such as the number of ratings behind a score."""
        from sklearn.linear_model import Ridge

        self._words = word_features(texts)
        self._line = Ridge(alpha=1.0)
        self._line.fit(self._words.fit_transform(texts), scores, sample_weight=weights)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Scores of shape (n, dimensions), within [0, 1]."""
        predicted = self._line.predict(self._words.transform(texts))
        return np.clip(predicted.reshape(len(texts), -1), 0.0, 1.0)
