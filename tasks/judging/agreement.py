"""How far a judge's scores agree with the humans', for all raters and for each stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

COLUMNS = ["dimension", "stratum", "n", "agreement", "weighted_kappa", "spearman", "mean_error"]


def agreement_table(
    judged: pd.DataFrame, human: Mapping[str, pd.DataFrame], dimensions: Sequence[str], categories: int
) -> pd.DataFrame:
    """One row a dimension and stratum; both sides are scores in [0, 1] by response_id."""
    rows = []
    for stratum, table in human.items():
        both = table.merge(judged, on="response_id", suffixes=("_human", "_judge"))
        for dimension in dimensions:
            pair = both[[f"{dimension}_human", f"{dimension}_judge"]].dropna().to_numpy(float)
            rows.append({"dimension": dimension, "stratum": stratum, **agreement(pair[:, 0], pair[:, 1], categories)})
    return pd.DataFrame(rows, columns=COLUMNS)


def agreement(human: np.ndarray, judge: np.ndarray, categories: int) -> dict[str, float]:
    """Agreement of two sets of scores in [0, 1].

    agreement: share on the same side of the middle, as the paper's 85%; weighted_kappa: Cohen's with quadratic weights
    on scores rounded to the questionnaire's categories; spearman: rank correlation; mean_error: judge - human. NaN
    where undefined (no response, no variation).
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import cohen_kappa_score

    if len(human) == 0:
        return {"n": 0, "agreement": np.nan, "weighted_kappa": np.nan, "spearman": np.nan, "mean_error": np.nan}
    a, b = (np.floor(scores * (categories - 1) + 0.5).astype(int) for scores in (human, judge))
    varied = len(np.unique(human)) > 1 and len(np.unique(judge)) > 1
    graded = len(np.unique(np.concatenate([a, b]))) > 1
    kappa = cohen_kappa_score(a, b, weights="quadratic", labels=range(categories)) if varied and graded else np.nan
    return {
        "n": len(human),
        "agreement": float(np.mean((human > 0.5) == (judge > 0.5))),
        "weighted_kappa": float(kappa),
        "spearman": float(spearmanr(human, judge).statistic) if varied else np.nan,
        "mean_error": float(np.mean(judge - human)),
    }
