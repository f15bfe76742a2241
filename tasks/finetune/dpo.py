"""Direct preference optimisation (Rafailov et al. 2023) on collapsed pairs, with TRL's trainer.

Loss of a pair (a, b) with soft target p = n(a ≻ b) / n and weight w ∝ n (mean 1):

    w · (p · -log σ(d) + (1 - p) · -log σ(-d)) = w · (-log σ(d) + (1 - p) · d),
    d = β · [(log π(a) - log π_ref(a)) - (log π(b) - log π_ref(b))],

which is exactly the loss of its n expanded rows. TRL 1.16 knows neither p nor w and drops their columns unsaid, so the
trainer below carries them through collator, signature and loss. It departs from TRL's in two more ways: pairs arrive
tokenised, and the reference log-probabilities are computed once a response, not once a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Architecture, Recipe
from tasks.architectures.chat import Encoded, encode
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

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED = "1.16."
Dialogue = tuple[str, str]
COLUMNS = ("target", "weight", "ref_chosen_logps", "ref_rejected_logps")


def train_dpo(
    base: Base, architecture: Architecture, pairs: pd.DataFrame, recipe: Recipe, seed: int, folder: Path,
    progress: Callable[[str], None],
) -> Trained:  # fmt: skip
    """Train an adapter on `pairs` (prompt, text_a, text_b, target, weight) and save it into `folder`."""
    import trl

    unique = list(dict.fromkeys([*_dialogues(pairs, "text_a"), *_dialogues(pairs, "text_b")]))
    encoded = dict(zip(unique, encode(base.tokenizer, unique, recipe.max_length), strict=True))
    progress(f"{len(pairs)} pairs, reference log-probabilities of {len(unique)} responses")
    log_probs = response_log_probs(base, list(encoded.values()), recipe.dpo.batch_size)
    reference = dict(zip(unique, log_probs, strict=True))
    arguments = trl.DPOConfig(
        **training_arguments(recipe.dpo.learning_rate, recipe.dpo.epochs, seed, str(folder)),
        per_device_train_batch_size=recipe.dpo.batch_size, gradient_accumulation_steps=recipe.dpo.accumulation,
        beta=recipe.dpo.beta, max_length=None,
    )  # fmt: skip
    with lent(base.model) as model:
        trainer = collapsed_trainer()(
            model=model, args=arguments, processing_class=base.tokenizer,
            data_collator=collapsed_collator()(pad_token_id=base.tokenizer.pad_token_id),
            train_dataset=as_dataset(pairs, encoded, reference), peft_config=lora_config(architecture, recipe.lora),
            callbacks=[progress_callback(progress)],
        )  # fmt: skip
        trainer.train()
        save_adapter(trainer, folder)
        return Trained(curve_of(trainer), trainer.state.global_step, sum(item.cut for item in encoded.values()))


def as_dataset(pairs: pd.DataFrame, encoded: dict[Dialogue, Encoded], reference: dict[Dialogue, float]) -> Any:
    """The rows of the trainer: token ids, soft target, weight, reference log-probabilities."""
    from datasets import Dataset

    a, b = _dialogues(pairs, "text_a"), _dialogues(pairs, "text_b")
    return Dataset.from_dict({
        "prompt_ids": [encoded[key].prompt for key in a],
        "chosen_ids": [encoded[key].response for key in a],
        "rejected_ids": [encoded[key].response for key in b],
        "ref_chosen_logps": [reference[key] for key in a],
        "ref_rejected_logps": [reference[key] for key in b],
        "target": pairs["target"].astype(float).tolist(),
        "weight": pairs["weight"].astype(float).tolist(),
    })  # fmt: skip


def _dialogues(pairs: pd.DataFrame, side: str) -> list[Dialogue]:
    return list(zip(pairs["prompt"], pairs[side], strict=True))


def response_log_probs(base: Base, encoded: Sequence[Encoded], batch_size: int = 64) -> list[float]:
    """log π_ref(response | prompt) of each, summed over the response's tokens, under the base as it is."""
    import torch

    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].prompt) + len(encoded[index].response))
    log_probs = [0.0] * len(encoded)
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        with torch.no_grad():
            sums = _sum_log_probs(base, [encoded[index] for index in indices])
        for index, value in zip(indices, sums.tolist(), strict=True):
            log_probs[index] = value
    return log_probs


def _sum_log_probs(base: Base, batch: list[Encoded]) -> Any:
    """Shape (sequences,)."""
    import torch

    sequences = [item.prompt + item.response for item in batch]
    longest = max(map(len, sequences))
    pad = base.tokenizer.pad_token_id
    ids = torch.tensor([s + [pad] * (longest - len(s)) for s in sequences], device=base.model.device)
    position = torch.arange(longest, device=ids.device)
    lengths = torch.tensor([[len(s)] for s in sequences], device=ids.device)
    starts = torch.tensor([[len(item.prompt)] for item in batch], device=ids.device)
    logits = base.model(input_ids=ids, attention_mask=(position < lengths).long(), use_cache=False).logits[:, :-1]
    rows = zip(logits, ids[:, 1:, None], strict=True)  # one at a time: a vocabulary's logits in float32 are large
    token = torch.stack([(row := logit.float()).gather(1, id).squeeze(1) - row.logsumexp(1) for logit, id in rows])
    answer = (position[1:] >= starts) & (position[1:] < lengths)
    return (token * answer).sum(1)


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
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            known: list[str] = list(self._signature_columns or [])
            self._signature_columns: Any = list(dict.fromkeys([*known, *COLUMNS]))

        def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
            labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
            outputs = model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels,
                fused_lm_head=True, use_cache=False,
            )  # fmt: skip
            log_a, log_b = outputs.log_probs.sum(1).chunk(2)
            d = self.beta * ((log_a - inputs["ref_chosen_logps"]) - (log_b - inputs["ref_rejected_logps"]))
            loss = (inputs["weight"] * (-F.logsigmoid(d) + (1 - inputs["target"]) * d)).mean()
            agrees = (d.detach() > 0) == (inputs["target"] > 0.5)
            self._metrics["train"]["margin"].append(d.detach().abs().mean().item())
            self._metrics["train"]["accuracy"].append(agrees.float().mean().item())
            return (loss, outputs) if return_outputs else loss

    return CollapsedTrainer
