"""A study's effects pooled with what the architectures share: the same held-out prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.effects.covariance import covariance_matrix
from tasks.effects.identity import KEYS
from tasks.meta_analysis.correlated import between_variance, error_of_pool, mean_correlation, pool_correlated
from tasks.meta_analysis.half_normal import half_normal
from tasks.meta_analysis.heterogeneity import Array
from tasks.meta_analysis.robust import cr2

TITLES = {
    "dl-shared": "DerSimonian–Laird",
    "reml-shared": "REML",
    "cr2": "CR2",
    "half-normal": "Half-normal τ",
}
"""Name of a method that uses the covariance → what it is called."""
SHARED = ["shared_std_error", "shared_hksj_std_error", "mean_correlation"]


def shared_errors(effects: pd.DataFrame, covariances: pd.DataFrame) -> pd.DataFrame:
    """Of each pooled effect `SHARED`: the errors of DerSimonian and Laird's estimate with the effects' covariance."""
    rows = [
        (*key, *error_of_pool(own["estimate"].to_numpy(float), covariance), mean_correlation(covariance))
        for key, own, covariance in _groups(effects, covariances)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, *SHARED])


def pool_shared(
    effects: pd.DataFrame, covariances: pd.DataFrame, families: Mapping[str, str], tau_scale: float
) -> pd.DataFrame:
    """Every pooled effect by every method of `TITLES`: the keys, method, and what a method has of `pool`'s statistics.

    cr2 has the estimate of reml-shared and df; its clusters are the families of the architectures. half-normal has the
    posterior's mean and sd as estimate and std_error, its credible and prediction intervals, and those of τ, squared.
    """
    rows = []
    for key, own, covariance in _groups(effects, covariances):
        clusters = [families[name] for name in own["architecture"]]
        for method, row in _by_every_method(own["estimate"].to_numpy(float), covariance, clusters, tau_scale):
            rows.append({**dict(zip(KEYS, key, strict=True)), "method": method, **row})
    return pd.DataFrame(rows, columns=None if rows else [*KEYS, "method", "k"])


def _groups(effects: pd.DataFrame, covariances: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], pd.DataFrame, Array]]:
    """Each pooled effect's key, its effects and their covariance."""
    known = dict(list(covariances.groupby(KEYS, sort=False)))
    for key, own in effects.groupby(KEYS, sort=False):
        errors = own["std_error"].to_numpy(float)
        yield key, own, covariance_matrix(known.get(key, covariances[:0]), own["architecture"].tolist(), errors)


def _by_every_method(
    y: Array, covariance: Array, clusters: list[str], tau_scale: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    by = {f"{method}-shared": pool_correlated(y, covariance, method) for method in ("dl", "reml")}
    yield from by.items()
    k = by["reml-shared"]["k"]
    robust = cr2(y, covariance + between_variance(y, covariance, "reml") * np.eye(len(y)), clusters)
    yield "cr2", {"k": k, **robust._asdict()}
    posterior = half_normal(y, covariance, tau_scale)
    yield "half-normal", {
        "k": k, "estimate": posterior.mean, "std_error": posterior.sd, "ci_low": posterior.low,
        "ci_high": posterior.high, "tau2": posterior.tau**2 + posterior.tau_sd**2, "tau2_low": posterior.tau_low**2,
        "tau2_high": posterior.tau_high**2, "pi_low": posterior.pi_low, "pi_high": posterior.pi_high,
    }  # fmt: skip
