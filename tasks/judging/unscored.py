"""The answers that a judge could not score."""

from __future__ import annotations

import pandas as pd
from pandera.typing import DataFrame

from tasks.judging.tables import Unscored


def unscored_table(reasons: pd.DataFrame) -> DataFrame[Unscored]:
    """How many answers of each condition are unscored for each reason.

    reasons: one row an answer and dimension, with the columns of the scores and reason, "" where it is scored.
    """
    keys = ["experiment", "condition", "reason"]
    each = reasons[reasons["reason"] != ""].drop_duplicates(["architecture", "seed", "prompt_id", *keys])
    return Unscored.checked(each.groupby(keys, sort=False).size().rename("n").reset_index())
