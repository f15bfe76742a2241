"""GRPO's reward: a model of one condition's ratings of training prompts. It is never the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tasks.text_regression import TextRegression

Reward = Callable[[Sequence[str]], list[float]]


def reward_model(rewards: pd.DataFrame) -> Reward:
    """Texts → rewards in [0, 1], the mean over dimensions; fitted on (dimension, response, reward, n)."""
    models = [
        TextRegression(table["response"].tolist(), table["reward"].to_numpy(float), table["n"].to_numpy(float))
        for _, table in rewards.groupby("dimension", sort=True)
    ]

    def score(texts: Sequence[str]) -> list[float]:
        return np.mean([model.predict(texts)[:, 0] for model in models], axis=0).tolist()

    return score
