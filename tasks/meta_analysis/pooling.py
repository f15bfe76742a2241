"""Random-effects pooling over architectures (DerSimonian & Laird 1986), and what goes with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

STATISTICS = [
    "k", "estimate", "std_error", "ci_low", "ci_high", "p", "tau2", "q", "q_p", "i2", "pi_low", "pi_high",
    "hksj_ci_low", "hksj_ci_high", "hksj_p",
]  # fmt: skip


def pool(estimates: np.ndarray, std_errors: np.ndarray) -> dict[str, float]:
    """Pool k independent estimates with their standard errors; `STATISTICS` by name.

    τ² = max(0, (Q - (k - 1)) / (Σw - Σw²/Σw)), w = 1/se²; estimate = Σw*y / Σw*, w* = 1/(se² + τ²), with the Wald
    interval that the paper reports. hksj: Hartung-Knapp-Sidik-Jonkman, t with k - 1 degrees of freedom, wider where k
    is small; pi: prediction interval for another architecture on the same footing, ± t √(τ² + se_hksj²). Both are
    those of R's metafor with test="knha". I² = (Q - (k - 1)) / Q, in percent.

    k = 1 gives the estimate as it is and NaN for all that needs more; k = 0 gives NaN. Estimates with a missing
    standard error count for nothing.

    Raises:
        ValueError: a standard error that is zero or negative.
    """
    from scipy import stats

    usable = np.isfinite(estimates) & np.isfinite(std_errors)
    y, se = np.asarray(estimates, float)[usable], np.asarray(std_errors, float)[usable]
    if np.any(se <= 0):
        raise ValueError(f"standard errors must be above 0, got {se[se <= 0][0]}")
    result = dict.fromkeys(STATISTICS, np.nan) | {"k": len(y)}
    if len(y) == 0:
        return result
    if len(y) == 1:
        return result | _wald(float(y[0]), float(se[0]))
    from statsmodels.stats.meta_analysis import combine_effects

    with np.errstate(invalid="ignore", divide="ignore"):  # statsmodels keeps a negative τ²; then the fixed weights hold
        fit = combine_effects(y, se**2, method_re="dl")
    kind = "re" if fit.tau2 > 0 else "fe"
    estimate, error, hksj = (
        float(getattr(fit, name)) for name in (f"mean_effect_{kind}", f"sd_eff_w_{kind}", f"sd_eff_w_{kind}_hksj")
    )
    k, tau2, q = len(y), max(float(fit.tau2), 0.0), float(fit.q)
    reach = float(stats.t.ppf(0.975, k - 1)) * hksj
    ahead = float(stats.t.ppf(0.975, k - 1)) * float(np.sqrt(tau2 + hksj**2))
    return result | _wald(estimate, error) | {
        "tau2": tau2, "q": q, "q_p": float(stats.chi2.sf(q, k - 1)),
        "i2": 100 * max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0,
        "pi_low": estimate - ahead, "pi_high": estimate + ahead,
        "hksj_ci_low": estimate - reach, "hksj_ci_high": estimate + reach,
        "hksj_p": float(2 * stats.t.sf(abs(estimate) / hksj, k - 1)) if hksj > 0 else np.nan,
    }  # fmt: skip


def pool_table(effects: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """One row a group of `effects` (columns estimate, std_error), in the order in which the groups first appear."""
    rows = [
        [*key, *pool(table["estimate"].to_numpy(float), table["std_error"].to_numpy(float)).values()]
        for key, table in effects.groupby(list(by), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *STATISTICS])


def _wald(estimate: float, error: float) -> dict[str, float]:
    from scipy import stats

    reach = float(stats.norm.ppf(0.975)) * error
    return {
        "estimate": estimate, "std_error": error, "ci_low": estimate - reach, "ci_high": estimate + reach,
        "p": float(2 * stats.norm.sf(abs(estimate) / error)),
    }  # fmt: skip
