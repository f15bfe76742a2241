"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024) on collapsed ratings of single responses, with TRL's trainer.

A label above the middle of its scale calls a response desirable, one below undesirable; a label in the middle says
neither, and is dropped and counted. Loss of a response y to x with soft target p = n(desirable) / n, weight w ∝ n
(mean 1) and class weights λ (equation 7 of the paper, its v averaged over the response's labels):

    w · (p · λ_D · (1 - σ(β(r - z))) + (1 - p) · λ_U · (1 - σ(β(z - r)))),   r = log π(y|x) - log π_ref(y|x),

which is exactly the loss of its n expanded rows under the same z. z = max(0, mean of log π(y'|x) - log π_ref(y'|x)),
the weighted mean over a step's rows, estimates the divergence of the policy from the reference by responses y' to other
prompts; no gradient flows through it.

It departs from the paper, where z is a microbatch's, and from TRL 1.16, which pairs x and y' within a microbatch, in
this: a row's y' is that of the row half of the table on, and z is the whole step's, so that a step is the same in
however many parts it goes through memory, down to single rows. It departs from TRL, which knows neither p nor w and
drops their columns unsaid, in what DPO does too: rows arrive tokenised, the reference log-probabilities are those of
`reference.py`, and rows of like length stand in a batch.
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
from tasks.architectures.cost import FORWARD, TRAIN, Texts, gradient_hours
from tasks.architectures.load import Base
from tasks.methods import voices
from tasks.methods.lora import lent, lora_config
from tasks.methods.memory import halving, rows_that_fit
from tasks.methods.method import Method
from tasks.methods.order import LengthGrouped
from tasks.methods.reference import Dialogue, encoded_with_reference
from tasks.methods.run import Run, Trained, callbacks, trained_from_checkpoint, training_arguments
from tasks.runtime.fingerprint import fingerprint, frame_digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.preferences.condition import ConditionData, Drop

SUPPORTED = "1.16."
COLUMNS = ("target", "weight", "ref_logps", "ref_KL_logps")


class KtoSettings(MethodSettings, method="kto"):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024)."""

    shared = "batch_size"
    beta: Positive = 0.1
    learning_rate: Positive = 5e-5
    batch_size: Count = 16
    """Rated responses a step. How many go through the model at once is found by the memory there is."""
    epochs: Positive = 1.0
    desirable_weight: Positive = 1.0
    undesirable_weight: Positive = 1.0
    """λ_D and λ_U; the paper advises that λ_D · n_D be 1 to 4/3 times λ_U · n_U, n the numbers of labels."""


class Kto(Method):
    """Trains on single rated responses, so prompts with one rated response count too."""

    name, title, settings = "kto", "KTO", KtoSettings
    reads, trainer = "labels", "KTOTrainer"
    margin, margin_means = "margin", "how far the policy tells desirable responses from undesirable ones"

    def lacks(self, data: ConditionData) -> str:
        if all(labels.scaled.empty for labels in data.labels.values()):
            return data.no_pairs
        taken = (labels.final["label"].ne(labels.middle).any() for labels in data.labels.values())
        return "" if any(taken) else "no label that its aggregation keeps is above or below the middle of the scale"

    def table(self, data: ConditionData, recipe: Recipe, seed: int) -> tuple[pd.DataFrame, list[Drop]]:
        """response_id, prompt, response, n (labels), target in [0, 1], weight (mean 1).

        A response's labels on several dimensions are united, each dimension with the same total weight.
        """
        import pandas as pd

        parts, drops = [], []
        for name, labels in data.labels.items():
            said = labels.final[labels.final["label"].ne(labels.middle)]
            reason = f"{name}: labels in the middle of the scale, neither desirable nor undesirable"
            drops.append(("labels", reason, len(labels.final) - len(said), len(said)))
            desirable = said["label"].gt(labels.middle).groupby(said["response_id"]).agg(["size", "mean"])
            share = desirable["size"] / max(len(said), 1)
            parts.append(pd.DataFrame({"n": desirable["size"], "weight": share, "good": share * desirable["mean"]}))
        rows = pd.concat(parts).astype(float).groupby(level="response_id").sum()
        texts = data.rewards.drop_duplicates("response_id").set_index("response_id")[["prompt", "response"]]
        table = pd.DataFrame(
            {
                **texts.loc[rows.index],
                "n": rows["n"].astype(int),
                "target": (rows["good"] / rows["weight"]).clip(0, 1),
                "weight": rows["weight"] / rows["weight"].mean(),
            }
        )
        return table.reset_index().sort_values(["prompt", "response_id"], ignore_index=True), drops

    def digest(self, table: pd.DataFrame) -> str:
        return fingerprint([self.name, frame_digest(table[["prompt", "response", "target", "weight"]])])

    def size(self, table: pd.DataFrame) -> int:
        return len(table)

    def steps(self, size: int, recipe: Recipe) -> int:
        settings = recipe.block(KtoSettings)
        return math.ceil(settings.epochs * math.ceil(size / settings.batch_size))

    def responses(self, table: pd.DataFrame) -> set[str]:
        return set(table["response_id"])

    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """Each label that says whether the response is desirable has the same weight."""
        return voices.of_labels(made_of[made_of["final"].ne(data.labels[dimension].middle)], made_of.index)

    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        """The difference between the shares of labels that call a response desirable."""
        return voices.lead_of_responses(table.assign(dimension="", value=table["target"]), a, b)

    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        """A response to another prompt goes forward beside each."""
        rows = steps * recipe.block(KtoSettings).batch_size
        return gradient_hours(parameters, rows * texts.tokens(recipe) * (1 + FORWARD / TRAIN))

    def before_sharding(
        self, base: Base, table: pd.DataFrame, recipe: Recipe, reference: Path, progress: Callable[[str], None]
    ) -> None:
        """The reference log-probabilities, which need the whole base."""
        encoded_with_reference(base, [*matched(table), *mismatched(table)], recipe.max_length, reference, progress)

    def train(
        self,
        base: Base,
        architecture: Architecture,
        table: pd.DataFrame,
        recipe: Recipe,
        run: Run,
        progress: Callable[[str], None],
    ) -> Trained:
        return train_kto(base, architecture, table, recipe, run, progress)


def matched(table: pd.DataFrame) -> list[Dialogue]:
    """Each row's prompt and response."""
    return list(zip(table["prompt"], table["response"], strict=True))


def mismatched(table: pd.DataFrame) -> list[Dialogue]:
    """Each row's prompt with the response half of the table on: in the order of prompts, one to another prompt."""
    responses, half = table["response"].tolist(), len(table) // 2
    return list(zip(table["prompt"], responses[half:] + responses[:half], strict=True))


def train_kto(
    base: Base,
    architecture: Architecture,
    table: pd.DataFrame,
    recipe: Recipe,
    run: Run,
    progress: Callable[[str], None],
) -> Trained:
    """Train an adapter on `table` (prompt, response, target, weight) and save it.

    Raises:
        OutOfMemory: not even one response at once fits.
        NotFinite: the loss became infinite or no number.
    """
    dialogues = [*matched(table), *mismatched(table)]
    encoded, reference = encoded_with_reference(base, dialogues, recipe.max_length, run.reference, progress)
    dataset = as_dataset(table, encoded, reference)
    share = recipe.block(KtoSettings).batch_size // run.processes

    def attempt(at_once: int) -> Trained:
        return _train(base, architecture, dataset, recipe, run, at_once, progress)

    fits = rows_that_fit(base.model, share, max(dataset["length"]), run.processes)
    trained, at_once = halving(attempt, fits, of=share) if run.processes == 1 else (attempt(fits), fits)
    return replace(trained, truncated=sum(encoded[key].cut for key in set(matched(table))), at_once=at_once)


def _train(
    base: Base,
    architecture: Architecture,
    dataset: Any,
    recipe: Recipe,
    run: Run,
    at_once: int,
    progress: Callable[[str], None],
) -> Trained:
    """Train with so many responses at once, from the last checkpoint if there is one."""
    import trl

    settings = recipe.block(KtoSettings)
    arguments = trl.KTOConfig(
        **training_arguments(base, settings.learning_rate, settings.epochs, run),
        beta=settings.beta,
        desirable_weight=settings.desirable_weight,
        undesirable_weight=settings.undesirable_weight,
        loss_type="apo_zero_unpaired",  # lets TRL's constructor leave y' to us; the loss is the one below
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


def as_dataset(table: pd.DataFrame, encoded: dict[Dialogue, Encoded], reference: dict[Dialogue, float]) -> Any:
    """The rows of the trainer: token ids, soft target, weight, reference log-probabilities, length in tokens."""
    from datasets import Dataset

    own, other = matched(table), mismatched(table)
    first, second = [encoded[key] for key in own], [encoded[key] for key in other]
    both = zip(first, second, strict=True)
    columns = {
        "prompt_ids": [item.prompt for item in first],
        "completion_ids": [item.response for item in first],
        "KL_completion_ids": [item.response for item in second],
        "ref_logps": [reference[key] for key in own],
        "ref_KL_logps": [reference[key] for key in other],
        "label": table["target"].gt(0.5).tolist(),
        "target": table["target"].astype(float).tolist(),
        "weight": table["weight"].astype(float).tolist(),
        "length": [len(item.prompt) + max(len(item.response), len(away.response)) for item, away in both],
    }
    return Dataset.from_dict(columns)


@cache
def collapsed_collator() -> type:
    """TRL's collator, with the columns that it would leave behind."""
    import torch
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    class CollapsedCollator(DataCollatorForUnpairedPreference):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch = super().torch_call(examples)
            return batch | {name: torch.tensor([float(row[name]) for row in examples]) for name in COLUMNS}

    return CollapsedCollator


@cache
def collapsed_trainer() -> type:
    """TRL's KTO trainer with soft targets, weights and a divergence that is a whole step's.

    Raises:
        RuntimeError: a TRL whose internals have not been checked, which might train unweighted.
    """
    import torch
    import trl

    if not trl.__version__.startswith(SUPPORTED):
        raise RuntimeError(f"trl {trl.__version__}: weighted KTO is checked against trl {SUPPORTED}x only")

    class CollapsedTrainer(trl.KTOTrainer):
        share: float | None = None
        """What one row of a batch is of the loss; by default one over the batch's rows."""
        z: Any = 0.0
        """The divergence from the reference, of the step that is under way."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            rows: Any = self.train_dataset if dataset is None else dataset
            batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
            return LengthGrouped(rows["length"], batch, self.args.seed)

        def get_batch_samples(self, *args: Any) -> Any:
            """All rows of a step count alike, in however many batches they come, also where the last one is short."""
            batches, count = super().get_batch_samples(*args)
            self.share = len(batches) / sum(len(batch["weight"]) for batch in batches) if batches else None
            self.z = self._divergence(batches) if batches else 0.0
            return batches, count

        def _divergence(self, batches: list[dict[str, Any]]) -> Any:
            sums = torch.zeros(2, device=self.accelerator.device, dtype=torch.float64)
            with torch.no_grad():
                for batch in batches:
                    ratio = self._log_probs(self.model_wrapped, batch, "KL_") - batch["ref_KL_logps"]
                    sums += torch.stack([(batch["weight"] * ratio).sum(), batch["weight"].sum()])
            weighted, weight = self.accelerator.reduce(sums, "sum")
            return (weighted / weight).clamp(min=0)

        def _log_probs(self, model: Any, batch: dict[str, Any], prefix: str = "") -> Any:
            """log π of each response, summed over its tokens; with the prefix KL_, of the responses y'."""
            ids, mask = batch[f"{prefix}input_ids"], batch[f"{prefix}attention_mask"]
            labels = ids.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100)
            outputs = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False)
            return outputs.log_probs.sum(1)

        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            r = self._log_probs(model, inputs) - inputs["ref_logps"]
            good, bad = inputs["weight"] * inputs["target"], inputs["weight"] * (1 - inputs["target"])
            losses = self.desirable_weight * good * (1 - torch.sigmoid(self.beta * (r - self.z)))
            losses = losses + self.undesirable_weight * bad * (1 - torch.sigmoid(self.beta * (self.z - r)))
            self._metrics["train"]["kl"].append(float(self.z))
            if good.sum() > 0 and bad.sum() > 0:
                apart = (good * r.detach()).sum() / good.sum() - (bad * r.detach()).sum() / bad.sum()
                self._metrics["train"]["margin"].append(self.beta * apart.item())
            loss = losses.mean() if self.share is None else self.share * losses.sum()
            return (loss, {}) if return_outputs else loss

    return CollapsedTrainer
