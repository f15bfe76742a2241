"""The line of the raters' mean on the judge's score: the part of the judge's proof by which effects are corrected."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from tasks.judging.proof import Rated
from tasks.judging.tables import JudgeCalibration

FEWEST_PROMPTS = 20
"""A standard error that is robust to clusters means little with fewer of them."""
FEW, FLAT = f"fewer than {FEWEST_PROMPTS} rated prompts", "the interval of the slope includes zero"
SAME = "the judge gives all the same score"


def calibrate(
    judged: pd.DataFrame, ratings: pd.DataFrame, dimensions: list[str], categories: int
) -> DataFrame[JudgeCalibration]:
    """The line of each dimension, with standard errors clustered by prompt; `outside` is not known yet.

    judged, ratings: as in `proof.prove`, of all raters. `why_not`: why effects are not corrected, else "".
    """
    prompts = pd.Index(ratings["prompt_id"].unique())
    rows = []
    for dimension in dimensions:
        rated = Rated(ratings, judged, dimension, categories, prompts)
        rows.append({"dimension": dimension, **_line(rated.judge, rated.human, rated.prompt)})
    return JudgeCalibration.checked(rows)


def _line(score: np.ndarray, human: np.ndarray, prompt: np.ndarray) -> dict[str, float | int | str]:
    """Least squares of the humans' mean on the judge's score; the slope's interval is Student's over prompts."""
    n_prompts = len(np.unique(prompt))
    numbers = ("intercept", "slope", "slope_std_error", "slope_low", "slope_high", "score_low", "score_high", "outside")
    line: dict[str, float | int | str] = {"n": len(score), "n_prompts": n_prompts, **dict.fromkeys(numbers, np.nan)}
    if n_prompts < FEWEST_PROMPTS or np.ptp(score) == 0:
        return line | {"why_not": FEW if n_prompts < FEWEST_PROMPTS else SAME}
    from scipy.stats import t
    from statsmodels.api import OLS, add_constant

    fit = OLS(human, add_constant(score)).fit(cov_type="cluster", cov_kwds={"groups": prompt})
    (intercept, slope), error = fit.params, float(fit.bse[1])
    reach = t.ppf(0.975, n_prompts - 1) * error
    return line | {
        "intercept": intercept,
        "slope": slope,
        "slope_std_error": error,
        "slope_low": slope - reach,
        "slope_high": slope + reach,
        "score_low": score.min(),
        "score_high": score.max(),
        "why_not": FLAT if slope - reach <= 0 <= slope + reach else "",
    }
