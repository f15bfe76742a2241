"""Krippendorff's α with bootstrap intervals over responses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.schema import Level


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
) -> dict[str, float]:
    """α, its 95% percentile interval, and the numbers behind it.

    The bootstrap draws responses with replacement: coincidence matrices add up over responses, so a draw is a
    weighted sum of theirs.
    """
    parts = coincidences(value_counts(ratings, dimension, categories))
    rated = ratings.dropna(subset=[dimension])
    sizes = {"n_participants": rated["participant_id"].nunique(), "n_responses": len(parts), "n_ratings": len(rated)}
    if len(parts) == 0:
        return {"alpha": np.nan, "ci_low": np.nan, "ci_high": np.nan, **sizes}
    weights = _drawn(len(parts), draws, seed)
    drawn = (weights @ parts.reshape(len(parts), -1)).reshape(draws, categories, categories)
    alphas = alpha(drawn, level)
    known = alphas[np.isfinite(alphas)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"alpha": float(alpha(parts.sum(0), level)), "ci_low": float(low), "ci_high": float(high), **sizes}


def _drawn(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n responses is drawn, n times with replacement, in each of `draws` draws (draws, n)."""
    which = np.random.default_rng(seed).integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(which.ravel(), minlength=draws * n).reshape(draws, n)
