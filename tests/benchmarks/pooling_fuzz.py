"""Pooling on tables that nobody would send on purpose: what comes out is held against exact and against brute force.

`python tests/benchmarks/pooling_fuzz.py [TABLES]`, by default 20,000: tables of 1 to 12 effects of every hostile kind
of `KINDS`, pooled by every method, as groups of one table, and with each effect left out. Prints how many numbers are
missing although they exist; how far REML stays below the best of a fine grid of the restricted likelihood and, of two
effects, from its formula; how far Paule-Mandel misses its equation; how far DerSimonian-Laird is from the same in
fractions; and how many effects alone don't stand as they are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pandas as pd

from tasks.meta_analysis.groups import LEFT_OUT, leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import ALONE, MORE, STATISTICS, pool

MOST = 12
KINDS = ("plain", "equal errors", "equal effects", "wild errors", "precise pair", "ties", "outlier", "far", "exact one")
OF_SPREAD = ["pi_low", "pi_high", "hksj_ci_low", "hksj_ci_high", "hksj_p"]
"""What effects that are all equal say nothing of."""
GRID_STEP, AT_ONCE, EXACT_TABLES = 0.02, 200, 500


def main(tables: int) -> int:
    """Print the figures; 1 where one is not as it must be."""
    start = time.perf_counter()
    figures = measure(tables, np.random.default_rng(13))
    print(figures.to_string(), f"\n{tables:,} tables in {time.perf_counter() - start:.0f} s")
    return int((figures > LIMITS).any())


LIMITS = pd.Series(
    {
        "missing numbers, pooled": 0,
        "missing numbers, one left out": 0,
        "REML below the grid's best": 1e-8,
        "REML below the grid's best, one left out": 1e-8,
        "REML of two effects off its formula": 1e-8,
        "Paule-Mandel off its equation": 1e-8,
        "DerSimonian-Laird off fractions, in standard errors": 1e-9,
        "effects alone that changed": 0,
    }
)


def measure(tables: int, generator: np.random.Generator) -> pd.Series:
    """The figures of `LIMITS`."""
    effects = pd.concat([_table(number, generator) for number in range(tables)], ignore_index=True)
    pooled = {method: pool_table(effects, ["table"], method).set_index("table") for method in METHODS}
    without = {method: leave_one_out(effects, ["table"], "study", method) for method in METHODS}
    groups = {int(number): own for number, own in effects.groupby("table")}
    some = without["reml"][without["reml"]["table"] < tables / 10]
    others = {place: _others(groups[int(row.table)], row.without) for place, row in enumerate(some.itertuples())}
    values = [
        sum(_missing(table, effects) for table in pooled.values()),
        sum(int(table[LEFT_OUT[:6]].isna().to_numpy().sum()) for table in without.values()),
        _below_grid(groups, pooled["reml"]["tau2"].to_dict()),
        _below_grid(others, dict(enumerate(some["tau2"]))),
        max(_off_formula(own, pooled["reml"].loc[number, "std_error"]) for number, own in groups.items()),
        max(_off_equation(own, pooled["pm"].loc[number, "tau2"]) for number, own in groups.items()),
        max(_off_fractions(own, pooled["dl"].loc[number]) for number, own in list(groups.items())[:EXACT_TABLES]),
        sum(_changed(generator) for _ in range(max(tables // 20, 50))),
    ]
    return pd.Series(values, LIMITS.index)


# ---- tables


def _table(number: int, generator: np.random.Generator) -> pd.DataFrame:
    """One table of a kind: table, study, estimate, std_error."""
    k, kind = int(generator.integers(1, MOST + 1)), KINDS[number % len(KINDS)]
    errors = 10.0 ** generator.uniform(-2, 1, k)
    spread = 10.0 ** generator.uniform(-3, 2)
    if kind == "equal errors":
        errors[:] = errors[0]
    if kind in ("wild errors", "far"):
        errors = 10.0 ** generator.uniform(-12, 6, k)
    if kind == "precise pair":
        errors[:2] = 10.0 ** generator.uniform(-9, -2)
    if kind == "exact one":
        errors[0] = 1e-12
    estimates = generator.normal(0, spread, k) + errors * generator.standard_normal(k)
    if kind == "equal effects":
        estimates[:] = generator.normal()
    if kind == "ties":
        estimates, errors = np.round(estimates, 1), np.maximum(np.round(errors, 1), 0.1)
    if kind == "outlier":
        estimates[-1] = 10.0 ** generator.uniform(2, 6)
    if kind == "far":
        estimates += 10.0 ** generator.uniform(0, 9)
    return pd.DataFrame({"table": number, "study": range(k), "estimate": estimates, "std_error": errors})


def _others(table: pd.DataFrame, without: int) -> pd.DataFrame:
    return table[table["study"] != without]


# ---- what must hold


def _missing(pooled: pd.DataFrame, effects: pd.DataFrame) -> int:
    """How many numbers are missing that exist: of one effect its interval, of several all but Egger's test."""
    sizes = effects.groupby("table").size()
    differ = effects.groupby("table")["estimate"].nunique() > 1
    several = pooled[sizes.reindex(pooled.index) > 1]
    spread = pooled[differ.reindex(pooled.index)]
    more = [name for name in (*STATISTICS, *MORE) if name not in OF_SPREAD and not name.startswith("egger")]
    return sum(int((~np.isfinite(part)).to_numpy().sum()) for part in (pooled[ALONE], several[more], spread[OF_SPREAD]))


def _below_grid(tables: dict[int, pd.DataFrame], tau2: dict[int, float]) -> float:
    """The most by which the restricted likelihood at a τ² is below the best of a fine grid."""
    several = [number for number, table in tables.items() if len(table) > 1]
    worst = 0.0
    for some in np.array_split(several, -(-len(several) // AT_ONCE)):
        y, v = _matrices([tables[int(number)] for number in some])
        ours = _likelihood(y, v, np.array([tau2[int(number)] for number in some]))
        best = ours.copy()
        for values in _fine_grid(y, v):
            best = np.maximum(best, _likelihood(y, v, values))
        worst = max(worst, float(np.max(best - ours)))
    return worst


def _matrices(tables: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Estimates less that of the most precise effect, and variances, (N, MOST)."""
    y, v = np.zeros((len(tables), MOST)), np.full((len(tables), MOST), np.inf)
    for row, table in enumerate(tables):
        v[row, : len(table)] = table["std_error"] ** 2
        y[row, : len(table)] = table["estimate"] - table["estimate"].iloc[int(np.argmin(table["std_error"]))]
    return y, v


def _likelihood(y: np.ndarray, v: np.ndarray, tau2: np.ndarray) -> np.ndarray:
    """-½ (Σ log(v + τ²) + log Σw + Q) of every row."""
    total = v + tau2[:, None]
    w = 1 / total
    mean = np.sum(w * y, axis=1) / np.sum(w, axis=1)
    q = np.sum(w * (y - mean[:, None]) ** 2, axis=1)
    return -0.5 * (np.log(np.where(np.isfinite(v), total, 1)).sum(axis=1) + np.log(w.sum(axis=1)) + q)


def _fine_grid(y: np.ndarray, v: np.ndarray) -> Iterator[np.ndarray]:
    """0, and τ² from far below the smallest variance to four times the greatest squared difference."""
    low, high = 1e-4 * v.min(axis=1), 4 * np.ptp(y, axis=1) ** 2
    span = np.log(np.maximum(high / low, 1.0))
    yield np.zeros(len(y))
    for share in np.linspace(0, 1, int(span.max() / GRID_STEP) + 2):
        yield low * np.exp(share * span)


def _off_equation(table: pd.DataFrame, tau2: float) -> float:
    """How far Q(τ²) is from k - 1, as a share; 0 where τ² is 0 and Q below that."""
    if len(table) < 2:
        return 0.0
    y, v = (values[0, : len(table)] for values in _matrices([table]))
    w = 1 / (v + tau2)
    q = np.sum(w * (y - np.sum(w * y) / np.sum(w)) ** 2)
    off = float(q / (len(table) - 1) - 1)
    return max(off, 0.0) if tau2 == 0 else abs(off)


def _off_formula(table: pd.DataFrame, std_error: float) -> float:
    """How far the pooled error of two effects is from that at τ² = max(0, ((y₁ - y₂)² - v₁ - v₂) / 2), as a share."""
    if len(table) != 2:
        return 0.0
    (y1, y2), (v1, v2) = map(Fraction, table["estimate"]), (Fraction(error) ** 2 for error in table["std_error"])
    tau2 = max(((y1 - y2) ** 2 - v1 - v2) / 2, Fraction(0))
    return abs(std_error / float(1 / (1 / (v1 + tau2) + 1 / (v2 + tau2))) ** 0.5 - 1)


def _off_fractions(table: pd.DataFrame, row: pd.Series) -> float:
    """How far the pooled estimate and its error are from those in fractions, in standard errors."""
    y, v = [Fraction(value) for value in table["estimate"]], [Fraction(value) ** 2 for value in table["std_error"]]
    w = [1 / variance for variance in v]
    mean = sum(map(Fraction.__mul__, w, y)) / sum(w)
    q = sum(weight * (value - mean) ** 2 for weight, value in zip(w, y, strict=True))
    trace = sum(w) - sum(weight**2 for weight in w) / sum(w)
    tau2 = max((q - (len(y) - 1)) / trace, Fraction(0)) if len(y) > 1 else Fraction(0)
    w = [1 / (variance + tau2) for variance in v]
    mean, variance = sum(map(Fraction.__mul__, w, y)) / sum(w), 1 / sum(w)
    error = float(variance) ** 0.5
    apart = abs(float(Fraction(row["estimate"]) - mean))
    rounding = 4 * np.finfo(float).eps * abs(row["estimate"])
    return max(max(apart - rounding, 0.0) / error, abs(row["std_error"] / error - 1))


def _changed(generator: np.random.Generator) -> int:
    """How many methods change an effect that is alone."""
    y, se = generator.normal(0, 10.0 ** generator.uniform(-6, 6)), 10.0 ** generator.uniform(-12, 6)
    results = [pool(np.array([y]), np.array([se]), method) for method in METHODS]
    return sum((row["estimate"], row["std_error"]) != (y, se) for row in results)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
