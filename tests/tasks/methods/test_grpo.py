"""GRPO and its reward model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from tasks.methods.lora import lent, lora_config
from tasks.methods.rewards import head_reward, last_states, least, text_reward
from tests.models import RECIPE, a_run, some_rewards, train_grpo


def test_the_reward_model_scores_words_that_raters_liked_higher():
    score = text_reward(some_rewards())
    liked, other = score(["", ""], ["You are not alone with how you feel.", "There are many different views about it."])
    assert 0 <= other < 0.3 < 0.7 < liked <= 1


def test_the_reward_is_the_mean_over_dimensions():
    up = some_rewards()
    down = up.assign(dimension="other", reward=1 - up["reward"])
    text = ["You are not alone with how you feel."]
    both, one, two = (text_reward(table)([""], text)[0] for table in (pd.concat([up, down]), up, down))
    assert abs(both - (one + two) / 2) < 1e-9


def test_an_answer_gets_the_least_of_the_groups_rewards():
    up = some_rewards()
    down = up.assign(reward=1 - up["reward"])
    text = ["You are not alone with how you feel.", "There are many different views about it."]
    rewards = [text_reward(table) for table in (up, down)]
    both = least(rewards)(["", ""], text)
    assert both == [min(values) for values in zip(*(reward(["", ""], text) for reward in rewards), strict=True)]
    assert max(both) < 0.3  # each is disliked by one of the groups


def test_groups_that_reward_the_same_train_as_one(llama, tmp_path):
    architecture, base = llama
    rows = some_rewards()
    two = pd.concat([rows.assign(group=name) for name in "xy"], ignore_index=True)
    for name, table in (("one", rows), ("two", two)):
        train_grpo(base, architecture, table, RECIPE, a_run(tmp_path / name), lambda _: None)
    files = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_grpo_trains_an_adapter_the_same_for_the_same_seed_and_gives_the_base_back(llama, tmp_path):
    architecture, base = llama
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    for name in ("one", "two"):
        trained = train_grpo(base, architecture, some_rewards(), RECIPE, a_run(tmp_path / name), lambda _: None)
        assert trained.steps == 2  # 4 prompts, 2 a step
    files = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())


def test_a_head_on_the_architecture_scores_what_raters_liked_higher_and_trains(llama, tmp_path):
    architecture, base = llama
    rewards = some_rewards()
    scored = rewards.assign(score=head_reward(rewards, base, 96)(rewards["prompt"], rewards["response"]))
    assert scored["score"].between(0, 1).all()
    assert scored.groupby("reward")["score"].mean().diff().iloc[-1] > 0.3
    recipe = RECIPE.model_copy(update={"grpo": RECIPE.grpo.model_copy(update={"reward": "head"})})
    trained = train_grpo(base, architecture, rewards, recipe, a_run(tmp_path), lambda _: None)
    assert trained.steps == 2


def test_the_head_sees_the_untouched_base_while_an_adapter_trains(llama):
    from peft import get_peft_model

    architecture, base = llama
    prompts, responses = (some_rewards()[name].tolist()[:5] for name in ("prompt", "response"))
    before = last_states(base, prompts, responses, 96)
    with lent(base.model) as model:
        adapted = get_peft_model(model, lora_config(architecture, RECIPE.lora))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        np.testing.assert_allclose(last_states(base, prompts, responses, 96), before, atol=1e-6)
        assert all(p.requires_grad for name, p in adapted.named_parameters() if "lora_" in name)
