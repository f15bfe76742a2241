"""What DPO and KTO share: rows that stand for several labels each, with a soft target and a weight.

TRL 1.16 knows neither and drops their columns unsaid, so both are carried through collator and loss here. It departs
from TRL's trainers in four more ways: rows arrive tokenised, the reference log-probabilities are those of
`reference_log_probs.py`, rows of like length stand in a batch, and where one process trains on a CPU log π is that of
`response_log_probs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tasks.methods.group_weights import GROUP, GroupWeights
from tasks.methods.response_log_probs import response_log_probs
from tasks.methods.row_order import LengthGrouped

SUPPORTED = "1.16."

Rows = list[dict[str, Any]]


def with_columns(collate: Callable[[Rows], dict[str, Any]], names: Sequence[str]) -> Callable[[Rows], dict[str, Any]]:
    """A collator of TRL's, with columns that it would leave behind."""
    import torch

    def collated(rows: Rows) -> dict[str, Any]:
        groups = {GROUP: torch.tensor([row[GROUP] for row in rows])} if GROUP in rows[0] else {}
        return collate(rows) | {name: torch.tensor([float(row[name]) for row in rows]) for name in names} | groups

    return collated


def collapsed(trainer: Any) -> Any:
    """A class of TRL's trainers, for rows that are tokenised and weighted; its user adds the loss.

    Raises:
        RuntimeError: a TRL whose internals have not been checked, which might train unweighted.
    """
    import trl

    if not trl.__version__.startswith(SUPPORTED):
        name = trainer.__name__.removesuffix("Trainer")
        raise RuntimeError(f"trl {trl.__version__}: weighted {name} is checked against trl {SUPPORTED}x only")

    class Collapsed(trainer):
        share: float | None = None
        """What one row of a batch is of the loss; by default one over the batch's rows."""
        group_weights: GroupWeights | None = None
        """Where the run looks after the group that it serves worst."""

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
            return batches, count

        def log_probs(self, model: Any, batch: dict[str, Any], prefix: str = "", each: int = 1) -> Any:
            """log π of each response, summed over its tokens.

            `prefix` is that of the batch's columns; `each`: so many blocks of rows follow another, which have the same
            prompts. On a GPU logits are never kept, as TRL has it; on a CPU there is room for those of the responses,
            and the responses to a prompt share its keys and values, which takes a third less time. Where several
            processes share the run, their wrapper must see the pass, or gradients are not added up.
            """
            ids, mask = batch[f"{prefix}input_ids"], batch[f"{prefix}attention_mask"]
            inside = batch[f"{prefix}completion_mask"]
            if ids.device.type == "cpu" and self.accelerator.num_processes == 1:
                rows = [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]
                ends = [len(row) - int(own) for row, own in zip(rows, inside.sum(1), strict=True)]
                prompts = [row[:end] for row, end in zip(rows, ends, strict=True)][: len(rows) // each]
                blocks = [row[end:] for row, end in zip(rows, ends, strict=True)]
                responses = [blocks[number :: len(prompts)] for number in range(len(prompts))]
                base = self.accelerator.unwrap_model(model).get_base_model()
                return response_log_probs(base, prompts, responses, 1, self.processing_class.pad_token_id)[
                    0
                ].T.flatten()
            labels = ids.masked_fill(inside == 0, -100)
            outputs = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False)
            return outputs.log_probs.sum(1)

        def mean_loss(self, losses: Any, batch: dict[str, Any]) -> Any:
            """The batch's part of the step's loss."""
            if self.group_weights:
                weight, group = batch["weight"][None], batch[GROUP]
                losses = self.group_weights.weighed(losses[None], weight, group)[0]
                for name, values in self.group_weights.q.items():
                    self._metrics["train"][name].append(float(values[0]))
            return losses.mean() if self.share is None else self.share * losses.sum()

    return Collapsed
