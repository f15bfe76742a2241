"""Pooling with covariances that nobody would send on purpose, held against brute force.

`python tests/benchmarks/correlated_fuzz.py [TABLES]`, by default 5,000: 1 to 12 effects of every kind of `KINDS`,
pooled by every method and with each effect left out. Prints how many numbers are missing although they exist; how far
REML stays below the best of a fine grid of the restricted likelihood, from dense matrices; how far Paule-Mandel misses
its equation; how far the method of moments is from the same in fractions; and how far the posterior of half-normal
priors from narrow to wide is from a fine sum.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import numpy as np
import pandas as pd

from tasks.meta_analysis.correlated import left_out, pool_correlated
from tasks.meta_analysis.half_normal import half_normal
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import ALONE, MORE, STATISTICS

MOST = 12
KINDS = ("plain", "nearly singular", "blocks", "wild errors", "equal effects", "outlier", "equicorrelated", "negative")
OF_SPREAD = ["pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high", "hksj_p"]
"""What effects that are all equal say nothing of."""
GRID_STEP, MOST_IN_FRACTIONS = 0.02, 4
"""Fractions of larger matrices have thousands of digits."""
LIMITS = pd.Series(
    {
        "missing numbers, pooled": 0,
        "missing numbers, one left out": 0,
        "missing numbers, half-normal": 0,
        "REML below the grid's best": 1e-8,
        "Paule-Mandel off its equation": 1e-8,
        "moments off fractions, in standard errors": 1e-6,
        "half-normal off a fine sum, in standard deviations": 1e-6,
    }
)


def main(tables: int) -> int:
    """Print the figures; 1 where one is not as it must be."""
    start = time.perf_counter()
    figures = measure(tables, np.random.default_rng(17))
    print(figures.to_string(), f"\n{tables:,} tables in {time.perf_counter() - start:.0f} s")
    return int((figures > LIMITS).any())


def measure(tables: int, generator: np.random.Generator) -> pd.Series:
    """The figures of `LIMITS`."""
    worst = np.zeros(len(LIMITS))
    for number in range(tables):
        y, v = sample(KINDS[number % len(KINDS)], generator)
        pooled = {method: pool_correlated(y, v, method) for method in METHODS}
        differ, several = len(set(y)) > 1, len(y) > 1
        posterior = half_normal(y, v, float(np.sqrt(v[0, 0])) * 10.0 ** generator.uniform(-2, 2))
        worst[0] += sum(_missing(result, several, differ) for result in pooled.values())
        worst[2] += int((~np.isfinite(posterior)).sum())
        if several:
            without = left_out(y, v, METHODS_IN_TURN[number % 4])
            worst[1] += sum(int((~np.isfinite(without[name])).sum()) for name in ALONE)
            off = [
                _below_grid(y, v, pooled["reml"]["tau2"]),
                _off_equation(y, v, pooled["pm"]["tau2"]),
                _off_fractions(y, v, pooled["dl"]) if len(y) <= MOST_IN_FRACTIONS else 0.0,
            ]
            worst[3:6] = np.maximum(worst[3:6], off)
        scale = float(max(np.ptp(y), np.sqrt(v.diagonal().min()))) * 10.0 ** generator.uniform(-1, 2)
        worst[6] = max(worst[6], _off_sum(y, v, scale))
    return pd.Series(worst, LIMITS.index)


METHODS_IN_TURN = tuple(METHODS)


def sample(kind: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and their covariance, of a kind."""
    k = int(generator.integers(1, MOST + 1))
    errors = 10.0 ** generator.uniform(-1, 0, k) * 10.0 ** generator.uniform(-3, 3)
    if kind == "wild errors":
        errors = 10.0 ** generator.uniform(-8, 4, k)
    factors = generator.standard_normal((k, k + 2))
    v = factors @ factors.T
    if kind == "nearly singular":
        v = np.outer(factors[:, 0], factors[:, 0]) + 10.0 ** generator.uniform(-6, -1) * v
    if kind == "blocks":
        labels = generator.integers(0, 4, k)
        v = np.where(labels[:, None] == labels, generator.uniform(0, 0.99), 0.0)
        np.fill_diagonal(v, 1.0)
    if kind == "equicorrelated":
        v = np.full((k, k), generator.uniform(0, 0.999))
        np.fill_diagonal(v, 1.0)
    if kind == "negative":
        v = np.full((k, k), -generator.uniform(0, 0.99) / max(k - 1, 1))
        np.fill_diagonal(v, 1.0)
    d = errors / np.sqrt(v.diagonal())
    v = v * d[:, None] * d
    v = (v + v.T) / 2
    y = generator.normal(0, errors.mean() * 10.0 ** generator.uniform(-2, 2), k) + errors * generator.standard_normal(k)
    if kind == "equal effects":
        y[:] = generator.normal()
    if kind == "outlier":
        y[-1] += errors.max() * 10.0 ** generator.uniform(2, 5)
    return y, v


# ---- what must hold


def _missing(result: dict[str, float], several: bool, differ: bool) -> int:
    """How many numbers are missing that exist: of one effect its interval, of several all but Egger's test."""
    expected = list(ALONE)
    if several:
        expected += [name for name in (*STATISTICS, *MORE) if name not in OF_SPREAD and not name.startswith("egger")]
    if differ:
        expected += OF_SPREAD
    return sum(not np.isfinite(result[name]) for name in expected)


def _parts(y: np.ndarray, v: np.ndarray, tau2: np.ndarray) -> tuple[np.ndarray, ...]:
    """½ log |Σ|, 1ᵀΣ⁻¹1, the mean and Q at every τ² by the Cholesky factor of Σ = τ²I + V."""
    factor = np.linalg.cholesky(v + tau2[:, None, None] * np.eye(len(y)))
    one, own = np.ones((len(tau2), len(y))), np.tile(y, (len(tau2), 1))
    for i in range(len(y)):
        for values in (one, own):
            values[:, i] -= np.sum(factor[:, i, :i] * values[:, :i], axis=1)
            values[:, i] /= factor[:, i, i]
    precision = np.sum(one**2, axis=1)
    mean = np.sum(one * own, axis=1) / precision
    q = np.sum((own - one * mean[:, None]) ** 2, axis=1)
    return np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1), precision, mean, q


def _likelihood(y: np.ndarray, v: np.ndarray, tau2: np.ndarray) -> np.ndarray:
    """-½ (log |Σ| + log 1ᵀΣ⁻¹1 + Q)."""
    determinant, precision, _, q = _parts(y, v, tau2)
    return -determinant - 0.5 * np.log(precision) - 0.5 * q


def _centred(y: np.ndarray, v: np.ndarray) -> np.ndarray:
    return y - y[np.argmin(v.diagonal())]


def _below_grid(y: np.ndarray, v: np.ndarray, tau2: float) -> float:
    """How far the restricted likelihood at a τ² is below the best of a fine grid."""
    low, high = 1e-4 * v.diagonal().min(), 4 * max(np.ptp(y) ** 2, 1e-4 * v.diagonal().min())
    grid = np.exp(np.linspace(np.log(low), np.log(high), int(np.log(high / low) / GRID_STEP) + 2))
    heights = _likelihood(_centred(y, v), v, np.array([tau2, 0.0, *grid]))
    return float(heights.max() - heights[0])


def _off_equation(y: np.ndarray, v: np.ndarray, tau2: float) -> float:
    """How far Q(τ²) is from k - 1, as a share; 0 where τ² is 0 and Q below that."""
    off = float(_parts(_centred(y, v), v, np.array([tau2]))[3][0]) / (len(y) - 1) - 1
    return max(off, 0.0) if tau2 == 0 else abs(off)


def _off_fractions(y: np.ndarray, v: np.ndarray, result: dict[str, float]) -> float:
    """How far the estimate by moments and its error are from those in fractions, in standard errors."""
    k = len(y)
    exact = [[Fraction(value) for value in row] for row in v]
    values = [Fraction(value) for value in y]
    inverse = _inverse(exact)
    weights = [sum(row) for row in inverse]
    total = sum(weights)
    mean = sum(w * value for w, value in zip(weights, values, strict=True)) / total
    r = [value - mean for value in values]
    q = sum(r[i] * inverse[i][j] * r[j] for i in range(k) for j in range(k))
    trace = sum(inverse[i][i] for i in range(k)) - sum(w**2 for w in weights) / total
    tau2 = max((q - (k - 1)) / trace, Fraction(0))
    weights = [
        sum(row) for row in _inverse([[exact[i][j] + (tau2 if i == j else 0) for j in range(k)] for i in range(k)])
    ]
    total = sum(weights)
    mean = sum(w * value for w, value in zip(weights, values, strict=True)) / total
    error = float(1 / total) ** 0.5
    apart = abs(float(Fraction(result["estimate"]) - mean))
    rounding = 4 * np.finfo(float).eps * abs(result["estimate"])
    return max(max(apart - rounding, 0.0) / error, abs(result["std_error"] / error - 1))


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """By Gauss and Jordan."""
    k = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(k))] for i, row in enumerate(matrix)]
    for i in range(k):
        pivot = next(j for j in range(i, k) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(k):
            if j != i and rows[j][i]:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[k:] for row in rows]


def _off_sum(y: np.ndarray, v: np.ndarray, scale: float) -> float:
    """How far the posterior means of μ and τ are from a sum over a fine grid of log τ, in standard deviations."""
    ours, own = half_normal(y, v, scale), _centred(y, v)
    centre = float(y[np.argmin(v.diagonal())])
    top = np.sqrt(len(y) * np.ptp(own) ** 2 + 100 * scale**2)
    t = np.linspace(np.log(1e-9 * min(scale, np.sqrt(v.diagonal().min()))), np.log(top), 3000)
    determinant, precision, means, q = _parts(own, v, np.exp(2 * t))
    errors = precision**-0.5
    height = -determinant + np.log(errors) - 0.5 * q - 0.5 * np.exp(2 * t) / scale**2 + t
    shares = np.exp(height - height.max())
    shares /= shares.sum()
    tau, mean = np.exp(t), float(shares @ means)
    sd = float(np.sqrt(shares @ (errors**2 + (means - mean) ** 2)))
    tau_sd = float(np.sqrt(shares @ (tau - shares @ tau) ** 2))
    rounding = 1e-14 * abs(centre) / sd
    off = [
        (ours.mean - centre - mean) / sd,
        ours.sd / sd - 1,
        (ours.tau - shares @ tau) / tau_sd,
        ours.tau_sd / tau_sd - 1,
    ]
    return max(max(abs(value) for value in off) - rounding, 0.0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000))
