"""GRPO and its reward model."""

from __future__ import annotations

import pandas as pd
import torch

from tasks.finetune.grpo import train_grpo
from tasks.finetune.rewards import reward_model
from tests.models import RECIPE, a_run, some_rewards


def test_the_reward_model_scores_words_that_raters_liked_higher():
    score = reward_model(some_rewards())
    liked, other = score(["You are not alone with how you feel.", "There are many different views about it."])
    assert 0 <= other < 0.3 < 0.7 < liked <= 1


def test_the_reward_is_the_mean_over_dimensions():
    up = some_rewards()
    down = up.assign(dimension="other", reward=1 - up["reward"])
    text = ["You are not alone with how you feel."]
    both, one, two = (reward_model(table)(text)[0] for table in (pd.concat([up, down]), up, down))
    assert abs(both - (one + two) / 2) < 1e-9


def test_grpo_trains_an_adapter_the_same_for_the_same_seed_and_gives_the_base_back(llama, tmp_path):
    architecture, base = llama
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    for name in ("one", "two"):
        trained = train_grpo(base, architecture, some_rewards(), RECIPE, a_run(tmp_path / name), lambda _: None)
        assert trained.steps == 2  # 4 prompts, 2 a step
    files = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
