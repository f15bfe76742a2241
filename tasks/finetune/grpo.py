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
from tasks.architectures.chat import TEMPLATE_VALUES
from tasks.architectures.load import Base
from tasks.finetune.lora import (
    Trained,
    curve_of,
    lent,
    lora_config,
    progress_callback,
    save_adapter,
    training_arguments,
)
from tasks.finetune.rewards import reward_model
from tasks.fingerprint import stable_share
from tasks.generation.greedy import end_ids, strip_thinking


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
        max_completion_length=recipe.max_new_tokens, chat_template_kwargs=TEMPLATE_VALUES,
    )  # fmt: skip

    ends = end_ids(base.model, base.tokenizer)

    def reward(completions: list[list[dict[str, str]]], completion_ids: list[list[int]], **_: Any) -> list[float]:
        finished = [bool(ids) and ids[-1] in ends for ids in completion_ids]
        texts = [completion[0]["content"] for completion in completions]
        return score(
            [strip_thinking(text, architecture.reasoning, done)[0] for text, done in zip(texts, finished, strict=True)]
        )

    with lent(base.model) as model:
        trainer = trl.GRPOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, reward_funcs=cast(Any, reward),
            train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in prompts]}),
            peft_config=lora_config(architecture, recipe.lora), callbacks=[progress_callback(progress)],
        )  # fmt: skip
        trainer.train()
        save_adapter(trainer, folder)
        return Trained(curve_of(trainer), trainer.state.global_step, 0)
