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
from pandera.typing import DataFrame

from tasks.judging.tables import JudgeCalibration


def outside(calibration: pd.DataFrame, scores: pd.DataFrame) -> DataFrame[JudgeCalibration]:
    """The calibration with `outside`, the share of outputs whose score no rated response had or surpassed."""
    line = scores.dropna(subset=["score"]).merge(calibration[["dimension", "score_low", "score_high"]], on="dimension")
    beyond = ~line["score"].between(line["score_low"], line["score_high"])
    shares = beyond.groupby(line["dimension"]).mean()
    return JudgeCalibration.checked(calibration.assign(outside=calibration["dimension"].map(shares)))


def correct_effects(effects: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """Effects (dimension, estimate, std_error) with corrected and corrected_std_error.

    Both are NaN where the dimension's line can't correct.
    """
    usable = calibration[calibration["why_not"] == ""].set_index("dimension")
    slope, error = (effects["dimension"].map(usable[name]).astype(float) for name in ("slope", "slope_std_error"))
    variance = (slope * effects["std_error"]) ** 2 + (effects["estimate"] * error) ** 2
    return effects.assign(corrected=slope * effects["estimate"], corrected_std_error=np.sqrt(variance))
