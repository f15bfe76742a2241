"""Direct preference optimisation (Rafailov et al. 2023) on collapsed pairs, with TRL's trainer.

Loss of a pair (a, b) with soft target p = n(a ≻ b) / n and weight w ∝ n (mean 1):

    w · (p · -log σ(d) + (1 - p) · -log σ(-d)) = w · (-log σ(d) + (1 - p) · d),
    d = β · [(log π(a) - log π_ref(a)) - (log π(b) - log π_ref(b))],

which is exactly the loss of its n expanded rows. TRL 1.16 knows neither p nor w and drops their columns unsaid, so the
trainer below carries them through collator and loss. It departs from TRL's in three more ways: pairs arrive tokenised,
the reference log-probabilities are those of `reference.py`, and pairs of like length stand in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Architecture, Count, MethodSettings, Positive, Recipe
from tasks.architectures.chat import Encoded
from tasks.architectures.cost import Texts, gradient_hours
from tasks.architectures.load import Base
from tasks.methods import voices
from tasks.methods.lora import lent, lora_config
from tasks.methods.memory import halving, rows_that_fit
from tasks.methods.method import Method
from tasks.methods.order import LengthGrouped
from tasks.methods.reference import Dialogue, encoded_with_reference
from tasks.methods.run import Run, Trained, callbacks, trained_from_checkpoint, training_arguments
from tasks.runtime.fingerprint import fingerprint, frame_digest, stable_hash

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.preferences.condition import ConditionData, Drop

SUPPORTED = "1.16."
COLUMNS = ("target", "weight", "ref_chosen_logps", "ref_rejected_logps")


class DpoSettings(MethodSettings, method="dpo"):
    """Direct preference optimisation (Rafailov et al. 2023)."""

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

    def size(self, table: pd.DataFrame) -> int:
        return len(table)

    def steps(self, size: int, recipe: Recipe) -> int:
        settings = recipe.block(DpoSettings)
        return math.ceil(settings.epochs * math.ceil(size / settings.batch_size))

    def responses(self, table: pd.DataFrame) -> set[str]:
        return {*table["a"], *table["b"]}

    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """Each preference in the pairs counts for either of its labels."""
        return voices.of_pairs(table, data, dimension, made_of, within)

    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        return voices.lead_of_pairs(table, a, b)

    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        pairs = steps * recipe.block(DpoSettings).batch_size
        return gradient_hours(parameters, pairs * 2 * texts.tokens(recipe))

    def before_sharding(
        self, base: Base, table: pd.DataFrame, recipe: Recipe, reference: Path, progress: Callable[[str], None]
    ) -> None:
        """The reference log-probabilities, which need the whole base."""
        dialogues = [*_dialogues(table, "text_a"), *_dialogues(table, "text_b")]
        encoded_with_reference(base, dialogues, recipe.max_length, reference, progress)

    def train(
        self,
        base: Base,
        architecture: Architecture,
        table: pd.DataFrame,
        recipe: Recipe,
        run: Run,
        progress: Callable[[str], None],
    ) -> Trained:
        return train_dpo(base, architecture, table, recipe, run, progress)


def train_dpo(
    base: Base,
    architecture: Architecture,
    pairs: pd.DataFrame,
    recipe: Recipe,
    run: Run,
    progress: Callable[[str], None],
) -> Trained:
    """Train an adapter on `pairs` (prompt, text_a, text_b, target, weight) and save it.

    Raises:
        OutOfMemory: not even one pair at once fits.
        NotFinite: the loss became infinite or no number.
    """
    dialogues = [*_dialogues(pairs, "text_a"), *_dialogues(pairs, "text_b")]
    encoded, reference = encoded_with_reference(base, dialogues, recipe.max_length, run.reference, progress)
    dataset = as_dataset(pairs, encoded, reference)
    share = recipe.block(DpoSettings).batch_size // run.processes

    def attempt(at_once: int) -> Trained:
        return _train(base, architecture, dataset, recipe, run, at_once, progress)

    fits = rows_that_fit(base.model, share, 2 * max(dataset["length"]), run.processes)
    trained, at_once = halving(attempt, fits, of=share) if run.processes == 1 else (attempt(fits), fits)
    return replace(trained, truncated=sum(item.cut for item in encoded.values()), at_once=at_once)


def _train(
    base: Base,
    architecture: Architecture,
    dataset: Any,
    recipe: Recipe,
    run: Run,
    at_once: int,
    progress: Callable[[str], None],
) -> Trained:
    """Train with so many pairs at once, from the last checkpoint if there is one."""
    import trl

    settings = recipe.block(DpoSettings)
    arguments = trl.DPOConfig(
        **training_arguments(base, settings.learning_rate, settings.epochs, run),
        beta=settings.beta,
        max_length=None,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=settings.batch_size // (at_once * run.processes),
        remove_unused_columns=False,
    )
    with lent(base.model) as model:
        trainer = collapsed_trainer()(
            model=model,
            args=arguments,
            processing_class=base.tokenizer,
            data_collator=collapsed_collator()(pad_token_id=base.tokenizer.pad_token_id),
            train_dataset=dataset,
            peft_config=lora_config(architecture, recipe.lora),
            callbacks=callbacks(recipe, run, progress),
        )
        return trained_from_checkpoint(trainer, run)


def as_dataset(pairs: pd.DataFrame, encoded: dict[Dialogue, Encoded], reference: dict[Dialogue, float]) -> Any:
    """The rows of the trainer: token ids, soft target, weight, reference log-probabilities, length in tokens."""
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
    return Dataset.from_dict(columns)


def _dialogues(pairs: pd.DataFrame, side: str) -> list[Dialogue]:
    return list(zip(pairs["prompt"], pairs[side], strict=True))


@cache
def collapsed_collator() -> type:
    """TRL's collator, with the columns that it would leave behind."""
    import torch
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    class CollapsedCollator(DataCollatorForPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch = super().torch_call(examples)
            return batch | {name: torch.tensor([float(row[name]) for row in examples]) for name in COLUMNS}

    return CollapsedCollator


@cache
def collapsed_trainer() -> type:
    """TRL's DPO trainer with soft targets and weights.

    Raises:
        RuntimeError: a TRL whose internals have not been checked, which might train unweighted.
    """
    import torch.nn.functional as F
    import trl

    if not trl.__version__.startswith(SUPPORTED):
        raise RuntimeError(f"trl {trl.__version__}: weighted DPO is checked against trl {SUPPORTED}x only")

    class CollapsedTrainer(trl.DPOTrainer):
        share: float | None = None
        """What one pair of a batch is of the loss; by default one over the batch's pairs."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            rows: Any = self.train_dataset if dataset is None else dataset
            batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            return LengthGrouped(rows["length"], batch, self.args.seed)

        def get_batch_samples(self, *args: Any) -> Any:
            """All pairs of a step count alike, in however many batches they come, also where the last one is short."""
            batches, count = super().get_batch_samples(*args)
            self.share = len(batches) / sum(len(batch["weight"]) for batch in batches) if batches else None
            return batches, count

        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            outputs = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False)
            log_a, log_b = outputs.log_probs.sum(1).chunk(2)
            d = self.beta * ((log_a - inputs["ref_chosen_logps"]) - (log_b - inputs["ref_rejected_logps"]))
            losses = inputs["weight"] * (-F.logsigmoid(d) + (1 - inputs["target"]) * d)
            loss = losses.mean() if self.share is None else self.share * losses.sum()
            preferred = 2 * inputs["target"] - 1
            self._metrics["train"]["margin"].append((preferred * d.detach()).mean().item())
            self._metrics["train"]["accuracy"].append((preferred * d.detach() > 0).float().mean().item())
            return (loss, outputs) if return_outputs else loss

    return CollapsedTrainer
