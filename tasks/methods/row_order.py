"""The order of training rows: of the seed and the epoch alone, so that a run that goes on sees what it would have seen.

transformers' length-grouped sampler draws from the global generator, TRL's for GRPO from one that runs on from epoch to
epoch; after a checkpoint both would start another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


class LengthGrouped:
    """Rows of like length in a batch, batches in random order, another order each epoch; a short batch comes last."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = list(lengths), batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch
        from transformers.trainer_pt_utils import get_length_grouped_indices

        generator = generator_of(self._seed, self._epoch)
        rows = get_length_grouped_indices(self._lengths, self._batch, generator=generator)
        whole = len(rows) // self._batch
        for batch in torch.randperm(whole, generator=generator).tolist():
            yield from rows[batch * self._batch : (batch + 1) * self._batch]
        yield from rows[whole * self._batch :]


def seeded_by_epoch(sampler: Any, seed: int) -> Any:
    """A sampler with a generator of its own, which every epoch now starts anew."""
    sampler.set_epoch = lambda epoch: setattr(sampler, "generator", generator_of(seed, epoch))
    return sampler


def generator_of(seed: int, epoch: int) -> Any:
    """A generator for one epoch."""
    import torch

    return torch.Generator().manual_seed(1_000_003 * seed + epoch)
