"""Direct preference optimisation (Rafailov et al. 2023) on collapsed pairs, with TRL's trainer.

Loss of a pair (a, b) with soft target p = n(a ≻ b) / n and weight w ∝ n (mean 1):

    w · (p · -log σ(d) + (1 - p) · -log σ(-d)) = w · (-log σ(d) + (1 - p) · d),
    d = β · [(log π(a) - log π_ref(a)) - (log π(b) - log π_ref(b))],

which is exactly the loss of its n expanded rows. How it departs from TRL's trainer is told in `collapsed.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Architecture, Count, MethodSettings, Positive, Recipe
from tasks.architectures.chat import Dialogue, Encoded
from tasks.architectures.cost import Texts, gradient_hours
from tasks.architectures.load import Base
from tasks.methods import rating_weights
from tasks.methods.collapsed import collapsed, with_columns
from tasks.methods.expanded import Expanded, both_sides
from tasks.methods.group_weights import GROUP, GroupedRows, GroupWeights
from tasks.methods.method import Method
from tasks.methods.reference_log_probs import dialogues_of, encoded_with_reference
from tasks.methods.row_loss import RowLoss
from tasks.methods.run import Run, Trained, train_with, training_arguments, with_what_fits
from tasks.runtime.fingerprint import fingerprint, frame_digest, stable_hash
from tasks.runtime.job import Progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.preferences.condition import ConditionData, Drop

COLUMNS = ("target", "weight", "ref_chosen_logps", "ref_rejected_logps")


class DpoSettings(MethodSettings, method="dpo"):
    """Direct preference optimisation (Rafailov et al. 2023)."""

    voices = frozenset({"equal", "population", "robust", "least-regret", "named", "merged"})
    shared = "batch_size"
    beta: Positive = 0.1
    learning_rate: Positive = 5e-5
    batch_size: Count = 16
    """Pairs a step. How many go through the model at once is found by the memory there is."""
    epochs: Positive = 1.0
    max_pairs: Count | None = None
    """At most this many pairs a condition, chosen by a stable hash; what is left out is counted."""


class Dpo(Method):
    """Trains on pairs of responses."""

    name, title, settings = "dpo", "DPO", DpoSettings
    reads, trainer = "pairs", "DPOTrainer"
    margin, margin_means = "margin", "how far the policy tells a pair apart as raters do"

    def table(self, data: ConditionData, recipe: Recipe, seed: int) -> tuple[pd.DataFrame, list[Drop]]:
        """The pairs, at most `max_pairs` of them."""
        pairs, limit = data.pairs, recipe.block(DpoSettings).max_pairs
        if limit is None or len(pairs) <= limit:
            return pairs, []
        kept = pairs.loc[stable_hash(pairs[["a", "b"]], seed).nsmallest(limit).index].sort_index(ignore_index=True)
        drop = ("cap", "pairs beyond the recipe's max_pairs", len(pairs) - limit, limit)
        return kept.assign(weight=kept["weight"] / kept["weight"].mean()), [drop]

    def digest(self, table: pd.DataFrame) -> str:
        return fingerprint([self.name, frame_digest(table[["prompt", "text_a", "text_b", "target", "weight"]])])

    def steps(self, size: int, recipe: Recipe) -> int:
        settings = recipe.block(DpoSettings)
        return math.ceil(settings.epochs * math.ceil(size / settings.batch_size))

    def expanded(self, table: pd.DataFrame, data: ConditionData, within: str) -> Expanded:
        """chosen and rejected: n(a ≻ b) rows of one and n(b ≻ a) of the other, over all dimensions."""
        import pandas as pd

        from tasks.preferences.pairs import count_preferences

        keys = ["prompt_id", "a", "b"]
        # a label counts as one whatever its rater weighs, which is in `weight` instead
        final = [labels.final.drop(columns="weight", errors="ignore") for labels in data.labels.values()]
        counts = pd.concat([count_preferences(labels, within) for labels in final])
        n = table[keys].join(counts.groupby(keys)[["n_a", "n_b"]].sum().astype(int), on=keys)
        texts = table.rename(columns={"text_a": "chosen", "text_b": "rejected"})[["prompt", "chosen", "rejected"]]
        turned = texts.rename(columns={"chosen": "rejected", "rejected": "chosen"})[list(texts)]
        return both_sides(table, n["n_a"], n["n_b"], texts, turned)

    def responses(self, table: pd.DataFrame) -> set[str]:
        return {*table["a"], *table["b"]}

    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """Each preference in the pairs counts for either of its labels."""
        return rating_weights.of_pairs(table, data, dimension, made_of, within)

    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        """By how much a pair's soft target is above one half; 0 for two responses that are no pair. a < b."""
        import pandas as pd

        asked = pd.DataFrame({"a": a, "b": b}).merge(table[["a", "b", "target"]], on=["a", "b"], how="left")
        return asked["target"].fillna(0.5).to_numpy(float) - 0.5

    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        pairs = steps * recipe.block(DpoSettings).batch_size
        return gradient_hours(parameters, pairs * 2 * texts.tokens(recipe))

    def before_sharding(
        self, base: Base, table: pd.DataFrame, recipe: Recipe, reference: Path, progress: Progress
    ) -> None:
        """The reference log-probabilities, which need the whole base."""
        dialogues = [*_dialogues(table, "text_a"), *_dialogues(table, "text_b")]
        encoded_with_reference(base, dialogues, recipe.max_length, reference, progress)

    def train(
        self, base: Base, architecture: Architecture, table: pd.DataFrame, recipe: Recipe, run: Run, progress: Progress
    ) -> Trained:
        """Of a row it reads prompt, text_a, text_b, target and weight, and the system turn if there is one."""
        import trl

        settings, dialogues = recipe.block(DpoSettings), [*_dialogues(table, "text_a"), *_dialogues(table, "text_b")]
        encoded, reference = encoded_with_reference(base, dialogues, recipe.max_length, run.reference, progress)
        groups = GroupedRows.of(table) if run.robust else None
        dataset = as_dataset(table, encoded, reference, groups)

        def attempt(at_once: int) -> Trained:
            arguments = trl.DPOConfig(
                **training_arguments(base, settings.learning_rate, settings.epochs, run),
                beta=settings.beta,
                max_length=None,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=settings.batch_size // (at_once * run.processes),
                remove_unused_columns=False,
            )
            inputs = {"args": arguments, "train_dataset": dataset, "data_collator": collapsed_collator(base.tokenizer)}
            weights = None
            if run.robust and groups:
                weights = GroupWeights(run.robust, groups, [run.own_losses], base.model.device)
            return train_with(collapsed_trainer(), inputs, base, architecture, recipe, run, progress, weights)

        trained = with_what_fits(attempt, base, settings.batch_size, 2 * max(dataset["length"]), run)
        return replace(trained, truncated=sum(item.cut for item in encoded.values()))

    def row_loss(self, recipe: Recipe) -> RowLoss:
        settings = recipe.block(DpoSettings)
        return PairLoss(settings.learning_rate, settings.batch_size, settings.beta)


@dataclass(frozen=True)
class PairLoss(RowLoss):
    """The loss of the module's docstring, for pairs of several runs at once."""

    beta: float

    def responses(self, table: pd.DataFrame) -> list[list[Dialogue]]:
        return [_dialogues(table, "text_a"), _dialogues(table, "text_b")]

    def losses(self, ratio: Any, target: Any, weight: Any, z: Any) -> Any:
        return pair_losses(self._d(ratio), target, weight)

    def metrics(self, ratio: Any, target: Any, weight: Any, z: Any) -> dict[str, Any]:
        agreement = (2 * target - 1) * self._d(ratio)
        return {"margin": agreement.mean(1), "accuracy": (agreement > 0).float().mean(1)}

    def _d(self, ratio: Any) -> Any:
        return self.beta * (ratio[..., 0] - ratio[..., 1])


def pair_losses(d: Any, target: Any, weight: Any) -> Any:
    """w · (-log σ(d) + (1 - p) · d) of each pair."""
    import torch.nn.functional as F

    return weight * (-F.logsigmoid(d) + (1 - target) * d)


def as_dataset(
    pairs: pd.DataFrame,
    encoded: dict[Dialogue, Encoded],
    reference: dict[Dialogue, float],
    groups: GroupedRows | None = None,
) -> Any:
    """The rows of the trainer: token ids, soft target, weight, reference log-probabilities, length in tokens, group."""
    from datasets import Dataset

    a, b = _dialogues(pairs, "text_a"), _dialogues(pairs, "text_b")
    first, second = [encoded[key] for key in a], [encoded[key] for key in b]
    both = zip(first, second, strict=True)
    columns = {
        "prompt_ids": [item.prompt for item in first],
        "chosen_ids": [item.response for item in first],
        "rejected_ids": [item.response for item in second],
        "ref_chosen_logps": [reference[key] for key in a],
        "ref_rejected_logps": [reference[key] for key in b],
        "target": pairs["target"].astype(float).tolist(),
        "weight": pairs["weight"].astype(float).tolist(),
        "length": [len(item.prompt) + max(len(item.response), len(other.response)) for item, other in both],
    }
    if groups:
        columns[GROUP] = list(groups.of_row)
    return Dataset.from_dict(columns)


def _dialogues(pairs: pd.DataFrame, side: str) -> list[Dialogue]:
    return dialogues_of(pairs, pairs[side])


def collapsed_collator(tokenizer: Any) -> Any:
    """TRL's collator, with the columns that the loss needs."""
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    return with_columns(DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id), COLUMNS)


@cache
def collapsed_trainer() -> type:
    """TRL's DPO trainer with soft targets and weights; raises as `collapsed` does."""
    import trl

    trainer: Any = collapsed(trl.DPOTrainer)

    class CollapsedTrainer(trainer):
        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            log_a, log_b = self.log_probs(model, inputs, each=2).chunk(2)
            d = self.beta * ((log_a - inputs["ref_chosen_logps"]) - (log_b - inputs["ref_rejected_logps"]))
            loss = self.mean_loss(pair_losses(d, inputs["target"], inputs["weight"]), inputs)
            agreement = (2 * inputs["target"] - 1) * d.detach()
            self._metrics["train"]["margin"].append(agreement.mean().item())
            self._metrics["train"]["accuracy"].append((agreement > 0).float().mean().item())
            return (loss, {}) if return_outputs else loss

    return CollapsedTrainer
