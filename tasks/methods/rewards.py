"""GRPO's reward: a model of one condition's ratings of training prompts. It is never the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.architectures.chat import encode
from tasks.architectures.load import Base
from tasks.methods.lora import without_adapter
from tasks.methods.text_regression import TextRegression

if TYPE_CHECKING:
    import pandas as pd

Reward = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Prompts and their responses → rewards in [0, 1]."""
ROWS_AT_ONCE = 16


def text_reward(rewards: pd.DataFrame) -> Reward:
    """From the words of the response, the mean over dimensions; fitted on (dimension, response, reward, n)."""
    models = [
        TextRegression(table["response"].tolist(), table["reward"].to_numpy(float), table["n"].to_numpy(float))
        for _, table in rewards.groupby("dimension", sort=True)
    ]

    def score(_: Sequence[str], texts: Sequence[str]) -> list[float]:
        return np.mean([model.predict(texts)[:, 0] for model in models], axis=0).tolist()

    return score


def head_reward(rewards: pd.DataFrame, base: Base, max_length: int) -> Reward:
    """From the architecture's own last hidden state, the mean over dimensions: a linear head on the untouched base.

    The head is fitted on (dimension, prompt, response, reward, n) by ridge regression, its penalty chosen by
    leave-one-out error; no second copy of the model is loaded or trained.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    heads = []
    for _, table in rewards.groupby("dimension", sort=True):
        head = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))
        states = last_states(base, table["prompt"].tolist(), table["response"].tolist(), max_length)
        heads.append(head.fit(states, table["reward"], ridgecv__sample_weight=table["n"].to_numpy(float)))

    def score(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        states = last_states(base, prompts, texts, max_length)
        return np.clip(np.mean([head.predict(states) for head in heads], axis=0), 0, 1).tolist()

    return score


def least(rewards: Sequence[Reward]) -> Reward:
    """The least of several rewards, answer by answer."""

    def score(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        return np.min([reward(prompts, texts) for reward in rewards], axis=0).tolist()

    return score


def last_states(base: Base, prompts: Sequence[str], texts: Sequence[str], max_length: int) -> np.ndarray:
    """Shape (texts, hidden size): the last layer's state at the last token, without what has been trained so far."""
    dialogues = list(zip(prompts, texts, strict=True))
    encoded = [item.prompt + item.response for item in encode(base.tokenizer, dialogues, max_length)]
    with without_adapter(base.model):
        parts = [_states(base, encoded[start : start + ROWS_AT_ONCE]) for start in range(0, len(encoded), ROWS_AT_ONCE)]
    return np.concatenate(parts)


def _states(base: Base, rows: list[list[int]]) -> Any:
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([row + [base.tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    device = base.model.device
    with torch.no_grad():
        states = base.model.get_decoder()(
            input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
        ).last_hidden_state
    return states[range(len(rows)), [len(row) - 1 for row in rows]].float().cpu().numpy()
