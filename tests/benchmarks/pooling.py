"""How often 95% intervals of a pooled effect hold the truth, and how long large tables take.

`python tests/benchmarks/pooling.py [REPLICATIONS]`: by default 2,000 meta-analyses of k = 7 architectures for each
heterogeneity and each spread of the standard errors. An architecture's effect is drawn from N(0.1, τ²), its estimate
from 147 normally distributed differences of held-out prompts, its standard error is estimated from them. I² is the part
of τ² in τ² + the mean sampling variance. The same is asked of the ratio of two effects. Then 100,000 effects in 1,000
groups are pooled, and every one left out.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd

from tasks.meta_analysis.groups import leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import pool_groups
from tasks.meta_analysis.ratios import ratio

REPLICATIONS, K, PROMPTS, TRUTH = 2000, 7, 147, 0.1
HETEROGENEITY = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99)
ERRORS = {"equal": np.full(K, 0.02), "1 to 4": np.geomspace(0.01, 0.04, K), "one 10 times as large": [0.02] * 6 + [0.2]}
"""Name → the standard errors of the seven architectures."""
INTERVALS = ("Wald", "HKSJ", "modified HKSJ")
"""Modified: never shorter than with t in place of the normal quantile (Knapp & Hartung 2003; Röver et al. 2015)."""


def main(replications: int) -> int:
    """Print coverage and mean length of the intervals, then seconds; 1 where HKSJ covers less than 90%."""
    rows = []
    for name, errors in ERRORS.items():
        for share in HETEROGENEITY:
            generator = np.random.default_rng([7, round(100 * share), len(name)])
            y, v = _draw(np.asarray(errors), share, replications, generator)
            for method in ("dl", "reml"):
                rows += [{"errors": name, "I²": share, "method": method, **row} for row in _intervals(y, v, method)]
    table = pd.DataFrame(rows)
    for value in ("coverage", "mean length"):
        wide = table.pivot_table(value, ["errors", "I²"], ["method", "interval"], sort=False)
        print(f"{value}, {replications:,} meta-analyses of {K}\n{wide.round(3).to_string()}\n")
    for share in HETEROGENEITY:
        print(f"ratio of two effects, I² {share}: Fieller's interval covers {_ratio_coverage(share, replications):.3f}")
    _clock()
    return int(table.loc[table["interval"] == "HKSJ", "coverage"].min() < 0.90)


def _draw(errors: np.ndarray, share: float, replications: int, generator: np.random.Generator) -> tuple:
    """Estimates and estimated variances, (replications, K) each."""
    tau2 = share / (1 - share) * np.mean(errors**2)
    effects = TRUTH + np.sqrt(tau2) * generator.standard_normal((replications, K))
    y = effects + errors * generator.standard_normal((replications, K))
    return y, errors**2 * generator.chisquare(PROMPTS - 1, (replications, K)) / (PROMPTS - 1)


def _intervals(y: np.ndarray, v: np.ndarray, method: str) -> list[dict]:
    from scipy.stats import norm, t

    found = pool_groups(y, v, method)
    wald, hksj = (found[f"{kind}ci_high"] - found["estimate"] for kind in ("", "hksj_"))
    modified, off = np.maximum(hksj, wald * t.ppf(0.975, K - 1) / norm.ppf(0.975)), np.abs(found["estimate"] - TRUTH)
    return [
        {"interval": name, "coverage": np.mean(off <= reach), "mean length": 2 * np.mean(reach)}
        for name, reach in zip(INTERVALS, (wald, hksj, modified), strict=True)
    ]


def _ratio_coverage(share: float, replications: int) -> float:
    """How often the interval holds a ratio of 1.5: of effects 0.15 and 0.1 that share half of their variances."""
    generator = np.random.default_rng([11, round(100 * share)])
    errors = ERRORS["1 to 4"]
    deviations = errors * np.sqrt(1 + share / (1 - share))
    held = 0
    for _ in range(replications):
        common, own_a, own_b = generator.standard_normal((3, K)) * deviations * np.sqrt(0.5)
        found = ratio(1.5 * TRUTH + common + own_a, errors, TRUTH + common + own_b, errors)
        held += found.low <= 1.5 <= found.high
    return held / replications


def _clock() -> None:
    generator = np.random.default_rng(0)
    size = 100_000
    table = pd.DataFrame({
        "group": generator.integers(0, 1000, size), "study": np.arange(size),
        "estimate": generator.normal(0, 0.3, size), "std_error": generator.uniform(0.05, 0.5, size),
    })  # fmt: skip
    for method in METHODS:
        started = time.perf_counter()
        pool_table(table, ["group"], method)
        pooled = time.perf_counter()
        leave_one_out(table, ["group"], "study", method)
        done = time.perf_counter()
        took = f"pooled in {pooled - started:.2f} s, each left out in {done - pooled:.1f} s"
        print(f"{method}: {size:,} effects in 1,000 groups {took}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else REPLICATIONS))
