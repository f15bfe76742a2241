"""The judge's error carried into the effects.

An effect is a difference of the judge's mean scores. On the human-rated sample the raters' mean is a line of the
judge's score,

    E[human | score] = intercept + slope * score

and if that line holds for the outputs too, the effect on the raters' scale is slope * effect (regression calibration;
Carroll, Ruppert, Stefanski & Crainiceanu 2006, chapter 4). The intercept, an error that the judge makes everywhere,
cancels in a difference. By the delta method

    variance = slope² * Var(effect) + effect² * Var(slope)

All architectures share one calibration, so pooling averages the first term away and never the second: a pooled effect
is corrected after it is pooled. Prediction-powered inference (Angelopoulos et al. 2023) does not fit here: it needs
human ratings of the outputs themselves, and the same rated sample would add the same to both sides of a contrast.

It does not hold where the judge errs differently on outputs that differ from what was rated, or on those of one
condition: no rating of other responses can show that, only ratings of outputs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.judging.proof import Rated

COLUMNS = [
    "dimension", "n", "n_prompts", "intercept", "slope", "slope_std_error", "slope_low", "slope_high", "score_low",
    "score_high", "outside", "why_not",
]  # fmt: skip
FEWEST_PROMPTS = 20
"""A standard error that is robust to clusters means little with fewer of them."""
FEW, FLAT = f"fewer than {FEWEST_PROMPTS} rated prompts", "the interval of the slope includes zero"


def calibrate(judged: pd.DataFrame, ratings: pd.DataFrame, dimensions: list[str], categories: int) -> pd.DataFrame:
    """The line of each dimension, with standard errors clustered by prompt (`COLUMNS`; `outside` is not known yet).

    judged, ratings: as in `agreement.prove`, of all raters. `why_not`: why effects are not corrected, else "".
    """
    prompts = pd.Index(ratings["prompt_id"].unique())
    rows = []
    for dimension in dimensions:
        rated = Rated(ratings, judged, dimension, categories, prompts)
        rows.append({"dimension": dimension, **_line(rated.judge, rated.human, rated.prompt)})
    return pd.DataFrame(rows, columns=COLUMNS)


def outside(calibration: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The calibration with `outside`, the share of outputs whose score no rated response had or surpassed."""
    line = scores.dropna(subset=["score"]).merge(calibration[["dimension", "score_low", "score_high"]], on="dimension")
    beyond = ~line["score"].between(line["score_low"], line["score_high"])
    return calibration.assign(outside=calibration["dimension"].map(beyond.groupby(line["dimension"]).mean()))


def correct_effects(effects: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """`effects` with corrected and corrected_std_error; NaN where the dimension's line can't correct."""
    slope, error = _slopes(effects, calibration)
    variance = (slope * effects["std_error"]) ** 2 + (effects["estimate"] * error) ** 2
    return effects.assign(corrected=slope * effects["estimate"], corrected_std_error=np.sqrt(variance))


def correct_pooled(pooled: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """`pooled` with corrected, its standard error, and its Wald 95% interval."""
    from scipy.stats import norm

    found = correct_effects(pooled, calibration)
    reach = norm.ppf(0.975) * found["corrected_std_error"]
    return found.assign(corrected_ci_low=found["corrected"] - reach, corrected_ci_high=found["corrected"] + reach)


def _slopes(effects: pd.DataFrame, calibration: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    usable = calibration[calibration["why_not"] == ""].set_index("dimension")
    slope, error = (effects["dimension"].map(usable[name]).astype(float) for name in ("slope", "slope_std_error"))
    return slope, error


def _line(score: np.ndarray, human: np.ndarray, prompt: np.ndarray) -> dict[str, float | int | str]:
    """Least squares of the humans' mean on the judge's score; the slope's interval is Student's over prompts."""
    n_prompts = len(np.unique(prompt))
    sizes: dict[str, float | int | str] = {"n": len(score), "n_prompts": n_prompts}
    if n_prompts < FEWEST_PROMPTS or np.ptp(score) == 0:
        return sizes | {"why_not": FEW if n_prompts < FEWEST_PROMPTS else "the judge gives all the same score"}
    from scipy.stats import t
    from statsmodels.api import OLS, add_constant

    fit = OLS(human, add_constant(score)).fit(cov_type="cluster", cov_kwds={"groups": prompt})
    (intercept, slope), error = fit.params, float(fit.bse[1])
    reach = t.ppf(0.975, n_prompts - 1) * error
    return sizes | {
        "intercept": intercept, "slope": slope, "slope_std_error": error, "slope_low": slope - reach,
        "slope_high": slope + reach, "score_low": score.min(), "score_high": score.max(),
        "why_not": FLAT if slope - reach <= 0 <= slope + reach else "",
    }  # fmt: skip
