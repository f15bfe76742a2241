"""Effects of one architecture: paired differences of scores on the same held-out prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.schema import CONTROL, Study, split_contrast

COLUMNS = ["experiment", "contrast", "dimension", "architecture", "estimate", "std_error", "n_prompts"]


def paired_effect(a: pd.Series, b: pd.Series, step: float) -> tuple[float, float, int]:
    """Mean difference a - b over the prompts scored on both sides, its standard error and the number of prompts.

    SE = sd(difference) / √n, but at least step / n, that of a single prompt moved by one category of the
    questionnaire: where all differences are equal, the sample says nothing about their spread. NaN below n = 2.
    """
    difference = (a - b).dropna().to_numpy(float)
    n = len(difference)
    if n < 2:
        return (float(difference.mean()) if n else np.nan), np.nan, n
    error = difference.std(ddof=1) / np.sqrt(n)
    return float(difference.mean()), float(max(error, step / n)), n


def effects(study: Study, scores: pd.DataFrame, categories: int) -> pd.DataFrame:
    """Every contrast of every experiment on every evaluated dimension, one row an architecture that has both sides.

    scores: experiment, architecture, condition, prompt_id, dimension, score; the control's experiment is "control".
    """
    wide = scores.set_index(["architecture", "experiment", "condition", "dimension", "prompt_id"])["score"]
    sides = {key: table.droplevel([0, 1, 2, 3]) for key, table in wide.groupby(level=[0, 1, 2, 3])}
    rows = []
    for experiment, settings in study.experiments.items():
        for contrast in settings.contrasts:
            for dimension in study.evaluation.dimensions:
                for architecture in study.architectures:
                    pair = [
                        sides.get((architecture.name, CONTROL if name == CONTROL else experiment, name, dimension))
                        for name in split_contrast(contrast)
                    ]
                    if pair[0] is not None and pair[1] is not None:
                        effect = paired_effect(pair[0], pair[1], 1 / (categories - 1))
                        rows.append([experiment, contrast, dimension, architecture.name, *effect])
    return pd.DataFrame(rows, columns=COLUMNS)
