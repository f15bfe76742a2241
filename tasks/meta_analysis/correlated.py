"""Pooling of effects whose errors are correlated: their sampling covariance V is known, and Σ = τ²I + V.

With V = U diag(λ) Uᵀ, the rotated effects Uᵀy have the mean Uᵀ1 μ and the covariance τ²I + diag(λ): they are
independent, with variances λ and a design that is not all ones. Their τ², likelihood, Q and generalised least squares
are those of y. So every method of `tasks.meta_analysis.heterogeneity` holds for V as it stands there: τ² by the method
of moments (Jackson, White & Riley 2013, of one outcome), restricted maximum likelihood and Paule-Mandel, and so do the
intervals of `tasks.meta_analysis.pooling`. With V diagonal nothing changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.meta_analysis.heterogeneity import METHODS, Array, EffectGroups, Standardised, fit
from tasks.meta_analysis.pooling import checked_estimates, core, variances, whole

SINGULAR = 1e-10
"""Correlations whose smallest eigenvalue is not above this have no usable inverse."""
ASYMMETRY = 1e-8
"""Share of the two standard errors by which the two places of a covariance may differ."""


def pool_correlated(estimates: Array, covariance: Array, method: str = "dl") -> dict[str, float]:
    """`tasks.meta_analysis.pooling.pool` of k estimates (k,) with the covariance V (k, k) of their errors.

    estimate = 1ᵀΣ⁻¹y / 1ᵀΣ⁻¹1 with the variance 1 / 1ᵀΣ⁻¹1; hksj: times √q, q = rᵀΣ⁻¹r / (k - 1), with t of k - 1
    degrees of freedom (Knapp & Hartung 2003); Q and I² are those of V⁻¹. Estimates that are missing, or have no
    variance, count for nothing; k = 1 and k = 0 are as in `pool`.

    Raises:
        ValueError: V is no covariance (see `checked_covariance`), or a number is beyond what `pool` takes.
    """
    y, v = usable(estimates, covariance)
    columns = whole(rotated(y[None], v[None]), method)
    return {name: float(column[0]) for name, column in columns.items()} | {"k": len(y)}


def left_out(estimates: Array, covariance: Array, method: str = "dl") -> dict[str, Array]:
    """The statistics of `core` (k,) without each of k > 1 estimates in turn; all must be there."""
    y, v = usable(estimates, covariance)
    others = np.array([np.delete(np.arange(len(y)), out) for out in range(len(y))])
    return core(rotated(y[others], v[others[:, :, None], others[:, None, :]]), method)


def usable(estimates: Array, covariance: Array) -> tuple[Array, Array]:
    """The estimates that have a variance, and their covariance. Raises `ValueError` like `pool_correlated`."""
    y, v = np.asarray(estimates, float), np.asarray(covariance, float)
    if v.shape != (len(y), len(y)):
        raise ValueError(f"the covariance of {len(y)} estimates must be {len(y)} × {len(y)}, got {v.shape}")
    kept = np.isfinite(y) & np.isfinite(np.diagonal(v))
    return checked_estimates(y[kept]), checked_covariance(v[np.ix_(kept, kept)])


def checked_covariance(covariance: Array) -> Array:
    """The covariance, symmetric to the last digit.

    Raises:
        ValueError: a covariance is missing, stands there twice with two values, or is more than its variances allow; a
            variance is not above 0, or too small or large to pool.
    """
    errors = np.sqrt(np.diagonal(covariance))
    variances(errors)
    correlations = covariance / errors[:, None] / errors
    if not np.isfinite(correlations).all():
        raise ValueError("covariance: not a number between every two effects")
    if np.any(np.abs(correlations - correlations.T) > ASYMMETRY):
        raise ValueError("covariance: not symmetric")
    smallest = smallest_eigenvalue(correlations)
    if smallest <= SINGULAR:
        raise ValueError(f"covariance: not positive definite, its correlations have an eigenvalue of {smallest:.2g}")
    return np.asarray((covariance + covariance.T) / 2, float)


def smallest_eigenvalue(correlations: Array) -> float:
    """Of a symmetric matrix; 1 where it is empty."""
    return float(np.linalg.eigvalsh(correlations).min(initial=1.0))


def mean_correlation(covariance: Array) -> float:
    """Of every two of the effects that have a variance; NaN below two."""
    kept = np.isfinite(np.diagonal(covariance))
    v = covariance[np.ix_(kept, kept)]
    errors = np.sqrt(np.diagonal(v))
    pairs = np.triu_indices(len(v), 1)
    return float(np.mean((v / errors[:, None] / errors)[pairs])) if len(v) > 1 else np.nan


def rotated(y: Array, covariance: Array) -> Standardised:
    """Independent effects that say of μ and τ² what estimates (G, K) with covariances (G, K, K) say."""
    standard = Standardised.of(y, np.diagonal(covariance, axis1=1, axis2=2))
    if not y.size:
        return standard
    axes = [_principal_axes(own / unit**2) for own, unit in zip(covariance, standard.unit, strict=True)]
    v, turn = np.stack([own for own, _ in axes]), np.stack([own for _, own in axes])

    def turned(values: Array) -> Array:
        return (turn @ values[..., None])[..., 0]

    effects = EffectGroups(turned(standard.effects.y), v, turned(np.ones_like(y))[..., None])
    return Standardised(effects, turned(standard.errors), standard.centre, standard.unit)


def _principal_axes(covariance: Array) -> tuple[Array, Array]:
    """Eigenvalues (K,), and eigenvectors as rows.

    Errors that differ by a factor f leave f² between the eigenvalues, so an ordinary eigendecomposition would lose the
    small ones. One-sided Jacobi on the Cholesky factor has each to its own last digits (Demmel & Veselić 1992; LAPACK's
    dgejsv without its cut of small singular values).
    """
    from scipy.linalg import lapack

    factor = np.linalg.cholesky(covariance)
    values, _, vectors, scale, _, fault = lapack.dgejsv(factor.T, joba=0, jobu=3, jobv=0)
    if fault:
        raise ArithmeticError(f"covariance: no eigenvalues found (dgejsv {fault})")
    return (values * (scale[0] / scale[1])) ** 2, vectors.T


def gls_weights(sigma: Array) -> tuple[Array, float]:
    """Weights of generalised least squares Σ⁻¹1 / 1ᵀΣ⁻¹1 (k,), which may be negative, and their sum before, 1ᵀΣ⁻¹1."""
    from scipy.linalg import cho_factor, cho_solve

    inverse = cho_solve(cho_factor(sigma), np.ones(len(sigma)))
    return inverse / inverse.sum(), float(inverse.sum())


# ---- the error of an estimate whose weights know nothing of the covariance


class MeanError(NamedTuple):
    """The standard error of a weighted mean, and the same scaled by the effects' spread (NaN where they are equal)."""

    std_error: float
    hksj_std_error: float


def error_of_weighted_mean(estimates: Array, weights: Array, sigma: Array) -> MeanError:
    """What Σ w y / Σ w errs by where y has the covariance Σ (k, k), whatever the weights (k,) were made for.

    Variance: wᵀΣw / (Σ w)². Scaled by Knapp and Hartung's q = rᵀΣ⁻¹r / (k - 1), r the residuals of generalised least
    squares. With Σ diagonal and w = 1 / diag Σ, these are the Wald and the HKSJ error of `pool`.
    """
    y, s = usable(estimates, sigma)
    shares = weights / np.sum(weights)
    error = float(np.sqrt(shares @ s @ shares))
    standard = rotated(y[None], s[None])
    q = float(fit(standard.effects, np.zeros(1)).q[0])
    return MeanError(error, error * np.sqrt(q / (len(y) - 1)) if len(y) > 1 and q > 0 else np.nan)


def between_variance(estimates: Array, covariance: Array, method: str = "dl") -> float:
    """τ² by a method of `METHODS`."""
    y, v = usable(estimates, covariance)
    standard = rotated(y[None], v[None])
    return float((METHODS[method](standard.effects) * standard.unit**2)[0])


def error_of_pool(estimates: Array, covariance: Array, method: str = "dl") -> MeanError:
    """What `pool` errs by, whose weights 1 / (v + τ²) take the estimates for independent, where V is their covariance.

    τ² of the weights is that of `pool`, τ² of Σ = τ²I + V is that of `pool_correlated`. NaN without any estimate.
    """
    y, v = usable(estimates, covariance)
    if not len(y):
        return MeanError(np.nan, np.nan)
    alone = Standardised.of(y[None], np.diagonal(v)[None])
    weights = fit(alone.effects, METHODS[method](alone.effects)).w[0]
    return error_of_weighted_mean(y, weights, v + between_variance(y, v, method) * np.eye(len(y)))
