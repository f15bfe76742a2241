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
however many parts it goes through memory, down to single rows. How else it departs from TRL is told in `collapsed.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Architecture, Count, MethodSettings, Positive, Recipe
from tasks.architectures.chat import Dialogue, Encoded
from tasks.architectures.cost import FORWARD, TRAIN, Texts, gradient_hours
from tasks.architectures.load import Base
from tasks.methods import rating_weights
from tasks.methods.collapsed import collapsed, with_columns
from tasks.methods.expanded import Expanded, both_sides
from tasks.methods.group_weights import GROUP, GroupedRows, GroupWeights
from tasks.methods.method import Method
from tasks.methods.reference_log_probs import dialogues_of, encoded_with_reference
from tasks.methods.row_loss import RowLoss
from tasks.methods.run import Run, Trained, train_with, training_arguments, with_what_fits
from tasks.runtime.fingerprint import fingerprint, frame_digest
from tasks.runtime.job import Progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.preferences.condition import ConditionData, Drop, Labels

COLUMNS = ("target", "weight", "ref_logps", "ref_KL_logps")


class KtoSettings(MethodSettings, method="kto"):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024)."""

    voices = frozenset({"equal", "population", "robust", "least-regret", "named", "merged"})
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
            decided = labels.final[_decided(labels)]
            reason = f"{name}: labels in the middle of the scale, neither desirable nor undesirable"
            drops.append(("labels", reason, len(labels.final) - len(decided), len(decided)))
            weight = decided["weight"] if "weight" in decided else pd.Series(1, decided.index)
            desirable = weight.where(decided["label"].gt(labels.middle), 0)
            n, good = (values.groupby(decided["response_id"]).sum() for values in (weight, desirable))
            share = n / max(weight.sum(), 1e-300)
            parts.append(pd.DataFrame({"n": n, "weight": share, "good": share * (good / n)}))
        rows = pd.concat(parts).groupby(level="response_id").sum()
        texts = data.rewards.drop_duplicates("response_id").set_index("response_id")[["prompt", "response"]]
        table = pd.DataFrame(
            {
                **texts.loc[rows.index],
                "n": rows["n"],
                "target": (rows["good"] / rows["weight"]).clip(0, 1),
                "weight": rows["weight"] / rows["weight"].mean(),
            }
        )
        return table.reset_index().sort_values(["prompt", "response_id"], ignore_index=True), drops

    def digest(self, table: pd.DataFrame) -> str:
        return fingerprint([self.name, frame_digest(table[["prompt", "response", "target", "weight"]])])

    def steps(self, size: int, recipe: Recipe) -> int:
        settings = recipe.block(KtoSettings)
        return math.ceil(settings.epochs * math.ceil(size / settings.batch_size))

    def expanded(self, table: pd.DataFrame, data: ConditionData, within: str) -> Expanded:
        """completion and label: a row for each label above or below the middle of its scale, true for one above."""
        import pandas as pd

        labels = pd.concat([own.final.assign(above=own.final["label"].gt(own.middle))[_decided(own)]
                            for own in data.labels.values()])  # fmt: skip
        n = labels.groupby("response_id")["above"].agg(["sum", "size"]).loc[table["response_id"]].set_index(table.index)
        texts = table.rename(columns={"response": "completion"})[["prompt", "completion"]]
        return both_sides(table, n["sum"], n["size"] - n["sum"], texts.assign(label=True), texts.assign(label=False))

    def responses(self, table: pd.DataFrame) -> set[str]:
        return set(table["response_id"])

    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """Each label that says whether the response is desirable has the same weight."""
        return rating_weights.of_labels(made_of[made_of["final"].ne(data.labels[dimension].middle)], made_of.index)

    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        """The difference between the shares of labels that call a response desirable."""
        return rating_weights.lead_of_responses(table.assign(dimension="", value=table["target"]), a, b)

    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        """A response to another prompt goes forward beside each."""
        rows = steps * recipe.block(KtoSettings).batch_size
        return gradient_hours(parameters, rows * texts.tokens(recipe) * (1 + FORWARD / TRAIN))

    def before_sharding(
        self, base: Base, table: pd.DataFrame, recipe: Recipe, reference: Path, progress: Progress
    ) -> None:
        """The reference log-probabilities, which need the whole base."""
        encoded_with_reference(base, [*matched(table), *mismatched(table)], recipe.max_length, reference, progress)

    def train(
        self, base: Base, architecture: Architecture, table: pd.DataFrame, recipe: Recipe, run: Run, progress: Progress
    ) -> Trained:
        """Of a row it reads prompt, response, target and weight, and the system turn if there is one."""
        import trl

        settings, own = recipe.block(KtoSettings), matched(table)
        dialogues = [*own, *mismatched(table)]
        encoded, reference = encoded_with_reference(base, dialogues, recipe.max_length, run.reference, progress)
        groups = GroupedRows.of(table) if run.robust else None
        dataset = as_dataset(table, encoded, reference, groups)

        def attempt(at_once: int) -> Trained:
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
            inputs = {"args": arguments, "train_dataset": dataset, "data_collator": collapsed_collator(base.tokenizer)}
            weights = None
            if run.robust and groups:
                weights = GroupWeights(run.robust, groups, [run.own_losses], base.model.device)
            return train_with(collapsed_trainer(), inputs, base, architecture, recipe, run, progress, weights)

        trained = with_what_fits(attempt, base, settings.batch_size, max(dataset["length"]), run)
        return replace(trained, truncated=sum(encoded[key].cut for key in set(own)))

    def row_loss(self, recipe: Recipe) -> RowLoss:
        settings = recipe.block(KtoSettings)
        weights = settings.desirable_weight, settings.undesirable_weight
        return LabelLoss(settings.learning_rate, settings.batch_size, settings.beta, *weights)


def _decided(labels: Labels) -> pd.Series:
    """Which of the labels that train are above or below the middle of the scale."""
    return labels.final["label"].ne(labels.middle)


@dataclass(frozen=True)
class LabelLoss(RowLoss):
    """The loss of the module's docstring, for rated responses of several runs at once."""

    beta: float
    desirable_weight: float
    undesirable_weight: float

    def responses(self, table: pd.DataFrame) -> list[list[Dialogue]]:
        return [matched(table)]

    def others(self, table: pd.DataFrame) -> list[Dialogue]:
        return mismatched(table)

    def losses(self, ratio: Any, target: Any, weight: Any, z: Any) -> Any:
        return label_losses(self, ratio[..., 0], z[:, None], weight * target, weight * (1 - target))

    def metrics(self, ratio: Any, target: Any, weight: Any, z: Any) -> dict[str, Any]:
        good, bad, r = weight * target, weight * (1 - target), ratio[..., 0]
        apart = (good * r).sum(1) / good.sum(1) - (bad * r).sum(1) / bad.sum(1)
        return {"kl": z, "margin": self.beta * apart}


def label_losses(settings: Any, r: Any, z: Any, good: Any, bad: Any) -> Any:
    """w · p · λ_D · (1 - σ(β(r - z))) + w · (1 - p) · λ_U · (1 - σ(β(z - r))) of each response; good: w · p, bad:
    w · (1 - p)."""
    import torch

    losses = settings.desirable_weight * good * (1 - torch.sigmoid(settings.beta * (r - z)))
    return losses + settings.undesirable_weight * bad * (1 - torch.sigmoid(settings.beta * (z - r)))


def matched(table: pd.DataFrame) -> list[Dialogue]:
    """Each row's prompt and response."""
    return dialogues_of(table, table["response"])


def mismatched(table: pd.DataFrame) -> list[Dialogue]:
    """Each row's prompt with the response half of the table on: in the order of prompts, one to another prompt."""
    responses, half = table["response"].tolist(), len(table) // 2
    return dialogues_of(table, responses[half:] + responses[:half])


def as_dataset(
    table: pd.DataFrame,
    encoded: dict[Dialogue, Encoded],
    reference: dict[Dialogue, float],
    groups: GroupedRows | None = None,
) -> Any:
    """The rows of the trainer: token ids, soft target, weight, reference log-probabilities, length in tokens, group."""
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
    if groups:
        columns[GROUP] = list(groups.of_row)
    return Dataset.from_dict(columns)


def collapsed_collator(tokenizer: Any) -> Any:
    """TRL's collator, with the columns that the loss needs."""
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    return with_columns(DataCollatorForUnpairedPreference(pad_token_id=tokenizer.pad_token_id), COLUMNS)


@cache
def collapsed_trainer() -> type:
    """TRL's KTO trainer with soft targets, weights and a step's own divergence; raises as `collapsed` does."""
    import torch
    import trl

    trainer: Any = collapsed(trl.KTOTrainer)

    class CollapsedTrainer(trainer):
        z: Any = 0.0
        """The divergence from the reference, of the step that is under way."""

        def get_batch_samples(self, *args: Any) -> Any:
            batches, count = super().get_batch_samples(*args)
            self.z = self._divergence(batches) if batches else 0.0
            return batches, count

        def _divergence(self, batches: list[dict[str, Any]]) -> Any:
            sums = torch.zeros(2, device=self.accelerator.device, dtype=torch.float64)
            with torch.no_grad():
                for batch in batches:
                    ratio = self.log_probs(self.model_wrapped, batch, "KL_") - batch["ref_KL_logps"]
                    sums += torch.stack([(batch["weight"] * ratio).sum(), batch["weight"].sum()])
            weighted, weight = self.accelerator.reduce(sums, "sum")
            return (weighted / weight).clamp(min=0)

        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            r = self.log_probs(model, inputs) - inputs["ref_logps"]
            good, bad = inputs["weight"] * inputs["target"], inputs["weight"] * (1 - inputs["target"])
            losses = label_losses(self, r, self.z, good, bad)
            self._metrics["train"]["kl"].append(float(self.z))
            if good.sum() > 0 and bad.sum() > 0:
                apart = (good * r.detach()).sum() / good.sum() - (bad * r.detach()).sum() / bad.sum()
                self._metrics["train"]["margin"].append(self.beta * apart.item())
            loss = self.mean_loss(losses, inputs)
            return (loss, {}) if return_outputs else loss

    return CollapsedTrainer
