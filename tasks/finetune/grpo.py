"""Group-relative policy optimisation (Shao et al. 2024) with TRL's trainer.

Each step samples a group of responses to a prompt, scores them with the reward model and pushes towards those above
their group's mean. Prompts are the condition's training prompts; the reward is a model of the same ratings that DPO
gets as pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pandas as pd

from configs.schema import Architecture, Recipe
from tasks.architectures.load import Base
from tasks.finetune.lora import Trained, curve_of, lent, lora_config, save_adapter, training_arguments
from tasks.finetune.rewards import reward_model
from tasks.fingerprint import stable_share


def train_grpo(
    base: Base, architecture: Architecture, rewards: pd.DataFrame, recipe: Recipe, seed: int, folder: Path,
    progress: Callable[[str], None],
) -> Trained:  # fmt: skip
    """Train an adapter on the prompts of `rewards` (prompt, response, dimension, reward, n), save it into `folder`."""
    import trl
    from datasets import Dataset

    prompts = sorted(rewards["prompt"].unique(), key=lambda text: stable_share("grpo", seed, text))
    prompts = prompts[: recipe.grpo.prompts]
    score = reward_model(rewards)
    progress(f"{len(prompts)} prompts, {recipe.grpo.group_size} samples each")
    arguments = trl.GRPOConfig(
        **training_arguments(recipe.grpo.learning_rate, recipe.grpo.epochs, seed, str(folder)),
        beta=recipe.grpo.beta, num_generations=recipe.grpo.group_size, temperature=recipe.grpo.temperature,
        per_device_train_batch_size=recipe.grpo.group_size * recipe.grpo.prompts_per_step, steps_per_generation=1,
        max_completion_length=recipe.max_new_tokens,
    )  # fmt: skip

    def reward(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
        return score([completion[0]["content"] for completion in completions])

    with lent(base.model) as model:
        trainer = trl.GRPOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, reward_funcs=cast(Any, reward),
            train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in prompts]}),
            peft_config=lora_config(architecture, recipe.lora),
        )  # fmt: skip
        trainer.train()
        save_adapter(trainer, folder)
        return Trained(curve_of(trainer), trainer.state.global_step, 0)
