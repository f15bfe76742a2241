"""Group-relative policy optimisation (Shao et al. 2024) with TRL's trainer.

Each step samples a group of responses to a prompt, scores them with the reward model and pushes towards those above
their group's mean. Prompts are the condition's training prompts; the reward is a model of the same ratings that DPO
gets as pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from configs.schema import Architecture, Count, MethodSettings, Positive, Recipe
from tasks.architectures.chat import TEMPLATE_VALUES
from tasks.architectures.cost import Texts, sampling_hours
from tasks.architectures.endings import end_ids
from tasks.architectures.load import Base
from tasks.architectures.thinking import AnswerReader
from tasks.methods import rating_weights
from tasks.methods.expanded import Expanded
from tasks.methods.group_weights import GROUP
from tasks.methods.method import Method
from tasks.methods.rewards import Reward, head_reward, least, text_reward
from tasks.methods.row_order import seeded_by_epoch
from tasks.methods.run import Run, Trained, train_with, training_arguments, with_what_fits
from tasks.runtime.fingerprint import fingerprint, frame_digest, stable_share
from tasks.runtime.progress import Progress, Report

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.preferences.condition import ConditionData, Drop

Conversation = list[dict[str, str]]
"""TRL's: one message, with its role and content."""


class GrpoSettings(MethodSettings, method="grpo"):
    """Group-relative policy optimisation (Shao et al. 2024)."""

    voices = frozenset({"maxmin", "merged"})
    shared = "group_size"
    beta: Annotated[float, Field(ge=0)] = 0.04
    learning_rate: Positive = 1e-5
    prompts: Count = 64
    """Training prompts used, chosen by a stable hash."""
    group_size: Annotated[int, Field(ge=2)] = 8
    prompts_per_step: Count = 4
    epochs: Positive = 1.0
    temperature: Positive = 1.0
    max_new_tokens: Count | None = None
    """Longest sample, in tokens; by default the recipe's `max_new_tokens`, which answers get."""
    reward: Literal["text", "head"] = "text"
    """What is fitted on the condition's ratings: a regression on the words of the response, or a head on the
    architecture's own hidden states."""


class Grpo(Method):
    """Trains on samples of its own, by a reward that is fitted on the responses' mean labels."""

    name, title, settings = "grpo", "GRPO", GrpoSettings
    reads, weighed, trainer = "rewards", ("reward", "n"), "GRPOTrainer"
    margin, margin_means = "reward_std", "the spread of rewards in a group"

    def table(self, data: ConditionData, recipe: Recipe, seed: int) -> tuple[pd.DataFrame, list[Drop]]:
        return data.rewards, []

    def digest(self, table: pd.DataFrame) -> str:
        return fingerprint([self.name, frame_digest(table)])

    def size(self, table: pd.DataFrame) -> int:
        return int(table["prompt"].nunique())

    def steps(self, size: int, recipe: Recipe) -> int:
        settings = recipe.block(GrpoSettings)
        used = min(size, settings.prompts)
        return math.ceil(settings.epochs * max(used // settings.prompts_per_step, 1))

    def expanded(self, table: pd.DataFrame, data: ConditionData, within: str) -> Expanded:
        """The prompts that samples may be drawn for, each once; the reward is fitted on the table."""
        import numpy as np

        rows = table[["prompt"]].drop_duplicates(ignore_index=True).assign(weight=1.0)
        return Expanded(rows, np.ones(len(rows), dtype=int))

    def responses(self, table: pd.DataFrame) -> set[str]:
        return set(table["response_id"])

    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """Each label that the reward is fitted on has the same weight: the fit weighs a response by its labels."""
        return rating_weights.of_labels(made_of, made_of.index)

    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        """The difference in reward, summed over the dimensions that reward both."""
        return rating_weights.lead_of_responses(table.rename(columns={"reward": "value"}), a, b)

    def identity(self, recipe: Recipe, architecture: Architecture) -> dict[str, Any]:
        """Also what its samples depend on: their length, and whether thinking is stripped from them."""
        samples = {"max_new_tokens": recipe.max_new_tokens, "reasoning": architecture.reasoning}
        return super().identity(recipe, architecture) | samples

    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        """Of samples as long as they may be."""
        settings = recipe.block(GrpoSettings)
        samples = steps * settings.prompts_per_step * settings.group_size
        return sampling_hours(parameters, samples, texts.prompt, _longest_sample(recipe))

    def leaves_base_changed(self) -> bool:
        """vLLM was given the adapter merged into the base, which rounding does not survive."""
        return uses_vllm()

    def train(
        self, base: Base, architecture: Architecture, table: pd.DataFrame, recipe: Recipe, run: Run, progress: Progress
    ) -> Trained:
        """Of a row it reads prompt, response, dimension, reward and n. vLLM draws the samples, where it can.

        Where rows have a group, each group's reward is fitted on its own, and an answer gets the least of them
        (Chakraborty et al. 2024).
        """
        import trl
        from datasets import Dataset

        settings, longest = recipe.block(GrpoSettings), _longest_sample(recipe)
        prompts = sorted(table["prompt"].unique(), key=lambda text: stable_share("grpo", run.seed, text))
        prompts = prompts[: settings.prompts]
        parts = [own for _, own in table.groupby(GROUP)] if GROUP in table else [table]
        if settings.reward == "text":
            score = least([text_reward(own) for own in parts])
        else:
            score = least([head_reward(own, base, recipe.max_length) for own in parts])
        batch = settings.group_size * min(settings.prompts_per_step, len(prompts))
        reward = _reward(base, architecture, score)
        asked = Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in prompts]})
        progress(Report(f"{len(prompts)} prompts, {settings.group_size} samples each"))

        def attempt(at_once: int) -> Trained:
            arguments = trl.GRPOConfig(
                **training_arguments(base, settings.learning_rate, settings.epochs, run),
                beta=settings.beta,
                num_generations=settings.group_size,
                temperature=settings.temperature,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=batch // (at_once * run.processes),
                steps_per_generation=batch // (at_once * run.processes),
                max_completion_length=longest,
                chat_template_kwargs=TEMPLATE_VALUES,
                loss_type="grpo",
                **vllm_settings(base.model, recipe),
            )
            inputs = {"args": arguments, "train_dataset": asked, "reward_funcs": reward}
            return train_with(ordered_trainer(), inputs, base, architecture, recipe, run, progress)

        return with_what_fits(attempt, base, batch, recipe.max_length + longest, run)


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
    ends, reader = end_ids(base.model), AnswerReader(base.tokenizer, architecture.reasoning)

    def answer(ids: list[int]) -> str:
        finished = bool(ids) and ids[-1] in ends
        return reader.read(ids[:-1] if finished else ids, finished)[0]

    def reward(prompts: list[Conversation], completion_ids: list[list[int]], **_: Any) -> list[float]:
        texts = [answer(ids) for ids in completion_ids]
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
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": min(weights / total + 0.1, 0.9),
        "vllm_max_model_length": recipe.max_length + _longest_sample(recipe),
        "generation_kwargs": {"stop_token_ids": sorted(end_ids(model))},
    }


def _longest_sample(recipe: Recipe) -> int:
    return recipe.block(GrpoSettings).max_new_tokens or recipe.max_new_tokens
