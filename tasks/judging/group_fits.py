"""How the ratings of one group are explained, given the scores of everybody's judge: two ways, each a `GroupFit`.

`score` is what everybody's judge says, on the raters' scale (`tasks.judging.group_judges`); a group that judges like
everybody has the mean `score`. A fit looks for what the group's mean is beside that, and may find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.methods.text_regression import word_features

Array = NDArray[np.float64]
Texts = NDArray[np.object_]
Embed = Callable[[Sequence[str]], Array]
"""Gives texts' sentence embeddings of length 1, shape (n, width)."""
FOLDS = 5
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, np.inf)
"""Of the ridge, in ratings: a constant deviation is halved where there are as many ratings as the penalty."""


class GroupSample(NamedTuple):
    """Responses that some raters rated on one dimension; each array has a place a response.

    texts: the responses. score: of everybody's judge that has not seen the prompt. human: the raters' mean. n: their
    number. prompt: a number for each prompt. Scores and means are in [0, 1].
    """

    texts: Texts
    score: Array
    human: Array
    n: Array
    prompt: NDArray[np.int64]

    def where(self, kept: NDArray[np.bool_]) -> GroupSample:
        """The responses of a mask."""
        return GroupSample(self.texts[kept], self.score[kept], self.human[kept], self.n[kept], self.prompt[kept])


class GroupModel(Protocol):
    """A group's mean as a function of everybody's score and the answer.

    kind: line, isotonic, or what is read of the text. penalty: of the ridge, inf where the deviation is zero; NaN of
    the others.
    """

    kind: str
    penalty: float

    def predict(self, score: Array, texts: Texts) -> Array:
        """The group's mean rating (n,) of answers with these scores (n,); may lie outside [0, 1]."""
        ...


GroupFit = Callable[[GroupSample], GroupModel]


# ---- by a line


class LineModel:
    """intercept + slope · score."""

    kind, penalty = "line", np.nan

    def __init__(self, sample: GroupSample) -> None:
        from sklearn.linear_model import LinearRegression

        self._line = LinearRegression().fit(sample.score[:, None], sample.human, sample_weight=sample.n)

    def predict(self, score: Array, texts: Texts) -> Array:
        return np.asarray(self._line.predict(score[:, None]))


class IsotonicModel:
    """A step function that only rises with the score, or only falls: as the line does."""

    kind, penalty = "isotonic", np.nan

    def __init__(self, sample: GroupSample) -> None:
        from sklearn.isotonic import IsotonicRegression

        rises = bool(np.diff(LineModel(sample).predict(np.array([0.0, 1.0]), sample.texts[:2]))[0] >= 0)
        self._steps = IsotonicRegression(increasing=rises, out_of_bounds="clip")
        self._steps.fit(sample.score, sample.human, sample_weight=sample.n)

    def predict(self, score: Array, texts: Texts) -> Array:
        return np.asarray(self._steps.predict(score))


def fit_line(sample: GroupSample) -> GroupModel:
    """E[group's mean | score] by least squares, weighted by the number of ratings.

    The line is bad where isotonic regression predicts the means of unseen prompts better, beyond chance: where the 95%
    interval of the gain lies above zero. Then that is taken.
    """
    if len(np.unique(sample.prompt)) < 2:
        return LineModel(sample)
    errors = [(sample.human - unseen(fit, sample)) ** 2 for fit in (LineModel, IsotonicModel)]
    better = gain(errors[0], errors[1], sample.n, sample.prompt)
    return IsotonicModel(sample) if better.low > 0 else LineModel(sample)


# ---- by what is read of the answers


class TextModel:
    """score + deviation, the deviation a ridge regression of group's mean - score.

    Its features are a constant, the standardised score, and those of the text that everybody's embedded judge reads:
    groups differ first in level and in how sharply they tell texts apart. One penalty shrinks all of them.
    """

    def __init__(self, sample: GroupSample, kind: str = "words", embed: Embed | None = None) -> None:
        """`embed`: where embeddings are read, alone or beside the words."""
        self.kind = kind
        self._centre = np.average(sample.score, weights=sample.n)
        self._unit = np.sqrt(np.average((sample.score - self._centre) ** 2, weights=sample.n)) or 1.0
        self._reading = _reading(kind, list(sample.texts), embed)
        self._reading.fit(sample.texts)
        features, deviation = self._features(sample.score, sample.texts), sample.human - sample.score
        kernel = (features @ features.T).toarray()
        self.penalty = _best_penalty(kernel, deviation, sample.n, sample.prompt)
        self._weights = features.T @ _ridge(kernel, deviation, sample.n, self.penalty)

    def _features(self, score: Array, texts: Texts) -> Any:
        from scipy.sparse import hstack

        own = np.column_stack([np.ones_like(score), (score - self._centre) / self._unit])
        return hstack([own, self._reading.transform(texts)], format="csr")

    def predict(self, score: Array, texts: Texts) -> Array:
        return np.asarray(score + self._features(score, texts) @ self._weights)


def fit_words(sample: GroupSample) -> GroupModel:
    """The deviation from everybody's judge, by words; its penalty is that of `PENALTIES` with the least squared error
    on prompts that were left out. An infinite one, no deviation at all, is allowed."""
    return TextModel(sample)


def _reading(kind: str, texts: Sequence[str], embed: Embed | None) -> Any:
    """What makes sparse rows of texts, not yet fitted."""
    from scipy.sparse import csr_matrix
    from sklearn.pipeline import make_union
    from sklearn.preprocessing import FunctionTransformer

    words = word_features(texts)
    if embed is None:
        return words
    vectors = FunctionTransformer(lambda own: csr_matrix(embed(list(own))))
    return make_union(words, vectors) if kind == "both" else vectors


def _best_penalty(kernel: Array, target: Array, weight: Array, prompt: NDArray[np.int64]) -> float:
    """By cross-validation over prompts; of equal ones the largest."""
    if len(np.unique(prompt)) < 2:
        return np.inf
    errors = np.zeros(len(PENALTIES))
    for train, test in folds(prompt):
        inner, across = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
        for place, penalty in enumerate(PENALTIES):
            predicted = across @ _ridge(inner, target[train], weight[train], penalty)
            errors[place] += weight[test] @ (target[test] - predicted) ** 2
    return PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]


def _ridge(kernel: Array, target: Array, weight: Array, penalty: float) -> Array:
    """Dual coefficients (n,) of weighted ridge regression: √w (√w K √w + λ I)⁻¹ √w y. Zero where λ is infinite."""
    from scipy.linalg import cho_factor, cho_solve

    if not np.isfinite(penalty):
        return np.zeros_like(target)
    root = np.sqrt(weight)
    system = root[:, None] * kernel * root + penalty * np.eye(len(root))
    return np.asarray(root * cho_solve(cho_factor(system), root * target))


# ---- what both are tried by


def folds(prompt: NDArray[np.int64], most: int = FOLDS) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions to fit on and to try on, `most` times or once a prompt, all responses of a prompt on one side."""
    from sklearn.model_selection import GroupKFold

    return list(GroupKFold(min(most, len(np.unique(prompt)))).split(prompt, groups=prompt))


def unseen(fit: GroupFit, sample: GroupSample) -> Array:
    """What the fit predicts of each response (n,) from the others, without those of its prompt."""
    predicted = np.empty(len(sample.human))
    for train, test in folds(sample.prompt):
        inside = np.isin(np.arange(len(predicted)), train)
        predicted[test] = fit(sample.where(inside)).predict(sample.score[test], sample.texts[test])
    return np.clip(predicted, 0, 1)


class Gain(NamedTuple):
    """By how much one squared error is smaller than another, its standard error over prompts, and its 95% interval."""

    estimate: float
    std_error: float
    low: float
    high: float


def gain(worse: Array, better: Array, weight: Array, prompt: NDArray[np.int64]) -> Gain:
    """Weighted mean of worse - better (n,), clustered by prompt: √(P / (P - 1) Σ_p (Σ_i w_i (d_i - mean))²) / Σ w,
    with Student's t of P - 1 degrees of freedom. NaN below two prompts."""
    from scipy.stats import t

    difference = worse - better
    mean = float(np.average(difference, weights=weight))
    sums = np.bincount(np.unique(prompt, return_inverse=True)[1], weights=weight * (difference - mean))
    if (prompts := len(sums)) < 2:
        return Gain(mean, np.nan, np.nan, np.nan)
    error = float(np.sqrt(prompts / (prompts - 1) * np.sum(sums**2)) / weight.sum())
    reach = t.ppf(0.975, prompts - 1) * error
    return Gain(mean, error, mean - reach, mean + reach)
