"""Krippendorff's α with bootstrap intervals over responses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.schema import Level

ROUNDING = 1e-12
"""Two values of α no farther apart are the same."""


def value_counts(ratings: pd.DataFrame, dimension: str, categories: int) -> np.ndarray:
    """How often each response got each category; shape (responses, categories)."""
    rated = ratings.dropna(subset=[dimension])
    codes, responses = pd.factorize(rated["response_id"])
    counts = np.zeros((len(responses), categories))
    np.add.at(counts, (codes, rated[dimension].to_numpy(int) - 1), 1)
    return counts


def coincidences(counts: np.ndarray) -> np.ndarray:
    """Each response's part of the coincidence matrix: o_ck = n_c (n_k - [c = k]) / (m - 1), m ratings.

    Shape (responses with two or more ratings, categories, categories).
    """
    paired = counts[counts.sum(1) >= 2]
    pairs = paired[:, :, None] * paired[:, None, :] - np.eye(counts.shape[1]) * paired[:, None, :]
    return pairs / (paired.sum(1) - 1)[:, None, None]


def alpha(matrix: np.ndarray, level: Level = "ordinal") -> np.ndarray:
    """α of coincidence matrices, shape (…, K, K) → (…): 1 - D_o / D_e (Krippendorff 2011).

    δ²(c, k) is [c ≠ k] (nominal), (Σ_{g=c}^{k} n_g - (n_c + n_k) / 2)² (ordinal) or (c - k)² (interval). NaN where all
    ratings are equal.
    """
    n_c = matrix.sum(-1)
    n = n_c.sum(-1)
    distance = _distance(n_c, level)
    observed = (matrix * distance).sum((-2, -1))
    expected = (n_c[..., :, None] * n_c[..., None, :] * distance).sum((-2, -1)) / np.maximum(n - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def _distance(n_c: np.ndarray, level: Level) -> np.ndarray:
    """δ² between categories that are given n_c times, shape (…, K) → (…, K, K) or (K, K)."""
    if level == "nominal":
        return 1 - np.eye(n_c.shape[-1])
    place = np.cumsum(n_c, -1) - n_c / 2 if level == "ordinal" else np.arange(n_c.shape[-1], dtype=float)
    return (place[..., :, None] - place[..., None, :]) ** 2


def reliability(
    ratings: pd.DataFrame, dimension: str, categories: int, draws: int, seed: int, level: Level = "ordinal"
) -> dict[str, float | str]:
    """α, its level of measurement, its 95% percentile interval, and the numbers behind it.

    The bootstrap draws responses with replacement: coincidence matrices add up over responses, so a draw is a
    weighted sum of theirs. A draw of equal ratings has no α: `undefined` counts these, and the interval rests on the
    others. Where all draws have the same α, as with one response, they tell no error, and there is no interval.
    """
    parts = coincidences(value_counts(ratings, dimension, categories))
    rated = ratings.dropna(subset=[dimension])
    point, low, high, undefined = np.nan, np.nan, np.nan, 0
    if len(parts):
        point = float(alpha(parts.sum(0), level))
        drawn = (_drawn(len(parts), draws, seed) @ parts.reshape(len(parts), -1)).reshape(draws, categories, categories)
        low, high, undefined = _ends(alpha(drawn, level))
    sizes = {"n_participants": rated["participant_id"].nunique(), "n_responses": len(parts), "n_ratings": len(rated)}
    counts = {"draws": draws if len(parts) else 0, "undefined": undefined}
    return {"alpha": point, "ci_low": low, "ci_high": high, **sizes, "level": level, **counts}


def _ends(alphas: np.ndarray) -> tuple[float, float, int]:
    """The 95% percentile interval of draws (draws,), NaN without width, and how many of them are undefined."""
    known = alphas[np.isfinite(alphas)]
    undefined = len(alphas) - len(known)
    if not len(known) or np.ptp(known) <= ROUNDING:
        return np.nan, np.nan, undefined
    low, high = np.percentile(known, [2.5, 97.5])
    return (float(low), float(high), undefined) if high - low > ROUNDING else (np.nan, np.nan, undefined)


def _drawn(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n responses is drawn, n times with replacement, in each of `draws` draws (draws, n)."""
    which = np.random.default_rng(seed).integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(which.ravel(), minlength=draws * n).reshape(draws, n)
