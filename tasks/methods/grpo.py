"""Group-relative policy optimisation (Shao et al. 2024) with TRL's trainer.

Each step samples a group of responses to a prompt, scores them with the reward model and pushes towards those above
their group's mean. Prompts are the condition's training prompts; the reward is a model of the same ratings that DPO
gets as pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import pandas as pd

from configs.schema import Architecture, Recipe
from tasks.architectures.chat import TEMPLATE_VALUES, end_ids, strip_thinking
from tasks.architectures.load import Base
from tasks.methods.lora import lent, lora_config
from tasks.methods.memory import halving, rows_that_fit
from tasks.methods.order import seeded_by_epoch
from tasks.methods.rewards import Reward, head_reward, text_reward
from tasks.methods.run import Run, Trained, callbacks, trained_from_checkpoint, training_arguments
from tasks.runtime.fingerprint import stable_share


def train_grpo(
    base: Base, architecture: Architecture, rewards: pd.DataFrame, recipe: Recipe, run: Run,
    progress: Callable[[str], None],
) -> Trained:  # fmt: skip
    """Train an adapter on the prompts of `rewards` (prompt, response, dimension, reward, n) and save it.

    Raises:
        OutOfMemory: not even one sample at once fits.
        NotFinite: the loss became infinite or no number.
    """
    prompts = sorted(rewards["prompt"].unique(), key=lambda text: stable_share("grpo", run.seed, text))
    prompts = prompts[: recipe.grpo.prompts]
    score = text_reward(rewards) if recipe.grpo.reward == "text" else head_reward(rewards, base, recipe.max_length)
    batch = recipe.grpo.group_size * min(recipe.grpo.prompts_per_step, len(prompts))
    progress(f"{len(prompts)} prompts, {recipe.grpo.group_size} samples each")

    def attempt(at_once: int) -> Trained:
        return _train(base, architecture, prompts, score, recipe, run, batch, at_once, progress)

    share = batch // run.processes
    fits = rows_that_fit(base.model, share, recipe.max_length + _longest_sample(recipe), run.processes)
    trained, at_once = halving(attempt, fits, of=share) if run.processes == 1 else (attempt(fits), fits)
    return replace(trained, at_once=at_once)


def _train(
    base: Base, architecture: Architecture, prompts: list[str], score: Reward, recipe: Recipe, run: Run, batch: int,
    at_once: int, progress: Callable[[str], None],
) -> Trained:  # fmt: skip
    """Train with so many samples at once, from the last checkpoint if there is one.

    On a GPU vLLM draws the samples, where it is installed.
    """
    import trl
    from datasets import Dataset

    arguments = trl.GRPOConfig(
        **training_arguments(base, recipe.grpo.learning_rate, recipe.grpo.epochs, run), beta=recipe.grpo.beta,
        num_generations=recipe.grpo.group_size, temperature=recipe.grpo.temperature,
        per_device_train_batch_size=at_once, gradient_accumulation_steps=batch // (at_once * run.processes),
        steps_per_generation=batch // (at_once * run.processes), max_completion_length=_longest_sample(recipe),
        chat_template_kwargs=TEMPLATE_VALUES, loss_type="grpo", **vllm_settings(base.model, recipe),
    )  # fmt: skip
    with lent(base.model) as model:
        trainer = ordered_trainer()(
            model=model, args=arguments, processing_class=base.tokenizer,
            reward_funcs=cast(Any, _reward(base, architecture, score)),
            train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in prompts]}),
            peft_config=lora_config(architecture, recipe.lora), callbacks=callbacks(recipe, run, progress),
        )  # fmt: skip
        return trained_from_checkpoint(trainer, run)


@cache
def ordered_trainer() -> type:
    """TRL's GRPO trainer, with an order of prompts that a checkpoint keeps."""
    import trl

    class OrderedTrainer(trl.GRPOTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return seeded_by_epoch(super()._get_train_sampler(dataset), self.args.seed)

    return OrderedTrainer


def _reward(base: Base, architecture: Architecture, score: Reward) -> Callable[..., list[float]]:
    """The reward as TRL asks for it: of the answers alone, without their thinking; none for an empty one."""
    ends = end_ids(base.model, base.tokenizer)

    def reward(
        prompts: list[list[dict[str, str]]], completions: list[list[dict[str, str]]], completion_ids: list[list[int]],
        **_: Any,
    ) -> list[float]:  # fmt: skip
        finished = [bool(ids) and ids[-1] in ends for ids in completion_ids]
        texts = [
            strip_thinking(completion[0]["content"], architecture.reasoning, done)[0]
            for completion, done in zip(completions, finished, strict=True)
        ]
        scores = score([prompt[0]["content"] for prompt in prompts], texts)
        return [value if text.strip() else 0.0 for value, text in zip(scores, texts, strict=True)]

    return reward


def uses_vllm() -> bool:
    """Whether vLLM draws the samples: where it is installed and there is a GPU."""
    import torch

    return torch.cuda.is_available() and find_spec("vllm") is not None


def vllm_settings(model: Any, recipe: Recipe) -> dict[str, Any]:
    """TRL's settings for an engine that shares the GPU with what trains: its own copy of the weights, and a tenth."""
    if not uses_vllm():
        return {"use_vllm": False}
    import torch

    _, total = torch.cuda.mem_get_info()
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {
        "use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": min(weights / total + 0.1, 0.9),
        "vllm_max_model_length": recipe.max_length + _longest_sample(recipe),
    }  # fmt: skip


def _longest_sample(recipe: Recipe) -> int:
    return recipe.grpo.max_new_tokens or recipe.max_new_tokens
