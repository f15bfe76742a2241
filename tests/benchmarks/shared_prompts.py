"""How often 95% intervals hold the truth where architectures answer the same prompts.

`python tests/benchmarks/shared_prompts.py [REPLICATIONS]`: by default 500 studies of k = 7 architectures on 147 prompts
for each correlation and heterogeneity. An architecture's effect is drawn from N(0.1, τ²), its differences by prompt are
normal with standard deviations from 0.12 to 0.48 and equal correlations between architectures, and all covariances are
estimated from them, as a study does. I² is the part of τ² in τ² + the mean sampling variance.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd
from scipy.stats import t

from tasks.effects.covariance import shared_correlations
from tasks.meta_analysis.correlated import between_variance, error_of_pool, pool_correlated
from tasks.meta_analysis.half_normal import half_normal
from tasks.meta_analysis.pooling import pool
from tasks.meta_analysis.robust import cr2
from tasks.survey.intervals import Z95

REPLICATIONS, K, PROMPTS, TRUTH = 500, 7, 147, 0.1
CORRELATIONS, HETEROGENEITY = (0.0, 0.2, 0.5), (0.0, 0.5, 0.9)
DEVIATIONS = np.geomspace(0.12, 0.48, K)
LEAST = 0.90
"""What the HKSJ intervals that know the covariance must cover."""


def main(replications: int) -> int:
    """Print coverage and mean length of the intervals; 1 where one of DL's or REML's HKSJ covers less than `LEAST`."""
    rows = []
    for r in CORRELATIONS:
        for share in HETEROGENEITY:
            generator = np.random.default_rng([19, round(10 * r), round(10 * share)])
            ends = pd.concat([_intervals(*_draw(r, share, generator)) for _ in range(replications)])
            held = (ends["low"] <= TRUTH) & (ends["high"] >= TRUTH)
            length = (ends["high"] - ends["low"]).groupby(level=0, sort=False).mean()
            coverage = held.groupby(level=0, sort=False).mean()
            rows.append(pd.DataFrame({"coverage": coverage, "length": length}).assign(correlation=r, I2=share))
    table = pd.concat(rows).rename_axis("interval").reset_index()
    for value in ("coverage", "length"):
        wide = table.pivot_table(value, "interval", ["correlation", "I2"], sort=False)
        print(f"{value}, {replications:,} studies of {K} architectures\n{wide.round(3).to_string()}\n")
    return int(table.loc[table["interval"].str.endswith("shared, HKSJ"), "coverage"].min() < LEAST)


def _draw(r: float, share: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and their estimated covariance."""
    common, own = generator.standard_normal((PROMPTS, 1)), generator.standard_normal((PROMPTS, K))
    effects = TRUTH + math.sqrt(share / (1 - share) * np.mean(DEVIATIONS**2) / PROMPTS) * generator.standard_normal(K)
    differences = pd.DataFrame(effects + DEVIATIONS * (math.sqrt(r) * common + math.sqrt(1 - r) * own))
    errors = differences.std().to_numpy() / math.sqrt(PROMPTS)
    return differences.mean().to_numpy(), shared_correlations(differences, errors)[0] * np.outer(errors, errors)


def _intervals(y: np.ndarray, v: np.ndarray) -> pd.DataFrame:
    """low and high by the name of the interval."""
    alone, dl, reml = pool(y, np.sqrt(v.diagonal())), pool_correlated(y, v), pool_correlated(y, v, "reml")
    error, posterior = error_of_pool(y, v), half_normal(y, v)
    robust = cr2(y, v + between_variance(y, v, "reml") * np.eye(K), range(K))
    estimate, quantile = alone["estimate"], float(t.ppf(0.975, K - 1))
    ends = {
        "DL, Wald": (alone["ci_low"], alone["ci_high"]),
        "DL, HKSJ": (alone["hksj_ci_low"], alone["hksj_ci_high"]),
        "DL, shared_std_error": (estimate - Z95 * error.std_error, estimate + Z95 * error.std_error),
        "DL, shared_hksj_std_error": (
            estimate - quantile * error.hksj_std_error,
            estimate + quantile * error.hksj_std_error,
        ),
        "DL-shared, Wald": (dl["ci_low"], dl["ci_high"]),
        "DL-shared, HKSJ": (dl["hksj_ci_low"], dl["hksj_ci_high"]),
        "REML-shared, HKSJ": (reml["hksj_ci_low"], reml["hksj_ci_high"]),
        "CR2": (robust.ci_low, robust.ci_high),
        "half-normal": (posterior.low, posterior.high),
    }
    return pd.DataFrame(ends, index=["low", "high"]).T


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else REPLICATIONS))
