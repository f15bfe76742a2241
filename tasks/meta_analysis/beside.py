"""What stands beside a pool whose effects share something: CR2, and a half-normal prior on τ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.meta_analysis.correlated import between_variance, mean_correlation
from tasks.meta_analysis.half_normal import Posterior, half_normal
from tasks.meta_analysis.heterogeneity import Array
from tasks.meta_analysis.robust import ClusterRobust, cr2

CR2 = [f"cr2_{name}" for name in ClusterRobust._fields if name != "estimate"]
HALF_NORMAL = [f"half_normal_{name}" for name in Posterior._fields]
BESIDE = ["mean_correlation", *CR2, *HALF_NORMAL]
"""The columns of `beside`."""


def beside(
    estimates: Array, covariance: Array, clusters: Sequence[object], method: str, tau_scale: float
) -> dict[str, float]:
    """`BESIDE` of k estimates with the covariance V: CR2 of the pool by `method` over clusters, and the posterior."""
    sigma = covariance + between_variance(estimates, covariance, method) * np.eye(len(estimates))
    robust, posterior = cr2(estimates, sigma, clusters)._asdict(), half_normal(estimates, covariance, tau_scale)
    return {
        "mean_correlation": mean_correlation(covariance),
        **{name: float(robust[name.removeprefix("cr2_")]) for name in CR2},
        **dict(zip(HALF_NORMAL, posterior, strict=True)),
    }
