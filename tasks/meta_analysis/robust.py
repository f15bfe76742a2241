"""CR2: the variance of a pooled estimate from the residuals of clusters of effects (Pustejovsky & Tipton 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.meta_analysis.correlated import gls_weights, usable
from tasks.meta_analysis.heterogeneity import Array

RANK = 1e-12
"""Eigenvalues below this share of the largest are zero."""


class ClusterRobust(NamedTuple):
    """An estimate with its CR2 standard error, Satterthwaite's degrees of freedom, 95% interval and test by t."""

    clusters: int
    estimate: float
    std_error: float
    df: float
    ci_low: float
    ci_high: float
    p: float


def cr2(estimates: Array, sigma: Array, clusters: Sequence[object]) -> ClusterRobust:
    """Generalised least squares with the working covariance Σ (k, k), and its cluster-robust variance.

    With a = Σ⁻¹1 / 1ᵀΣ⁻¹1, the estimate is aᵀy, and the residuals e = (I - 1aᵀ)y have the covariance S under Σ. A
    cluster's block A solves A S A = Σ for its blocks of S and Σ, so that under Σ

        variance = Σ over clusters (aᵀ A e)² + max(0, aᵀ Σ a between clusters)

    is unbiased; the first term is right for many clusters even if Σ is wrong. The last one is zero where clusters are
    independent, which is the variance of Pustejovsky & Tipton: what clusters share, no residual shows, so it is taken
    from Σ, and where it would make the variance smaller it is left out. Degrees of freedom: 2 E² / Var of the variance
    under Σ. Below 4 the p-value is not to be trusted (Tipton 2015). NaN but for the estimate where there is only one
    cluster. Estimates without a variance count for nothing.

    Raises:
        ValueError: Σ is no covariance.
    """
    from scipy import stats

    present = np.isfinite(np.asarray(estimates, float)) & np.isfinite(np.diagonal(sigma))
    y, s = usable(estimates, sigma)
    labels = [label for label, kept in zip(clusters, present, strict=True) if kept]
    members = [np.array([label == other for label in labels]) for other in dict.fromkeys(labels)]
    if not members:
        return ClusterRobust(0, *[np.nan] * 6)
    a, precision = gls_weights(s)
    estimate, nothing = float(y[0] + a @ (y - y[0])), [np.nan] * 5
    if len(members) < 2:
        return ClusterRobust(1, estimate, *nothing)
    weights = np.array([_residual_weights(a, s, precision, member) for member in members])
    same = np.sum([np.outer(member, member) for member in members], axis=0, dtype=bool)
    between, p = max(float(a @ np.where(same, 0, s) @ a), 0.0), weights @ s @ weights.T
    error = float(np.sqrt(np.sum((weights @ (y - y[0])) ** 2) + between))
    df = float((np.trace(p) + between) ** 2 / np.sum(p**2))
    if not error:
        return ClusterRobust(len(members), estimate, *nothing)
    reach, test = error * float(stats.t.ppf(0.975, df)), 2 * float(stats.t.sf(abs(estimate) / error, df))
    return ClusterRobust(len(members), estimate, error, df, estimate - reach, estimate + reach, test)


def _residual_weights(a: Array, sigma: Array, precision: float, member: Array) -> Array:
    """g (k,) with gᵀy = aᵀ A e of one cluster."""
    own = sigma[np.ix_(member, member)]
    upper = np.linalg.cholesky(own).T
    values, vectors = np.linalg.eigh(upper @ (own - 1 / precision) @ upper.T)
    kept = values > RANK * max(values.max(), 0.0)
    root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    g = a[member] @ upper.T @ root @ upper
    whole = np.zeros(len(a))
    whole[member] = g
    return whole - g.sum() * a
