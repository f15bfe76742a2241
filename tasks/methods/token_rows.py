"""A table's rows as token ids with log π_ref: what a loss of rows is computed from, apart from TRL's trainers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Recipe
from tasks.architectures.load import Base
from tasks.methods.reference_log_probs import encoded_with_reference
from tasks.methods.response_log_probs import Ids, response_log_probs
from tasks.methods.row_loss import RowLoss
from tasks.runtime.job import Progress

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TokenRows:
    """What all runs share of their rows: token ids, and log π_ref of the responses."""

    prompts: list[Ids]
    responses: list[list[Ids]]
    """Of each row, one or more."""
    others: list[Ids]
    """Of each row the response that the divergence is estimated by, or no row has one."""
    reference: Any
    """(rows, responses)."""
    other_reference: Any
    """(rows, 1)."""
    truncated: int

    def ratio(self, base: Base, rows: Sequence[int], copies: int = 1, others: bool = False) -> Any:
        """log π - log π_ref of the rows' responses, or of those of the divergence: (copies, rows, responses)."""
        reference = self.other_reference if others else self.reference
        responses = [[self.others[row]] if others else self.responses[row] for row in rows]
        prompts, pad = [self.prompts[row] for row in rows], base.tokenizer.pad_token_id
        return response_log_probs(base.model, prompts, responses, copies, pad) - reference[list(rows)]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row's longest sequence."""
        others = [[item] for item in self.others] or [[] for _ in self.prompts]
        each = zip(self.prompts, self.responses, others, strict=True)
        return [len(prompt) + max(map(len, [*own, *other])) for prompt, own, other in each]


def rows_of(
    loss: RowLoss, table: pd.DataFrame, base: Base, recipe: Recipe, reference: Path, progress: Progress
) -> TokenRows:
    """The rows of a table, which all runs have. `reference`: the file of the base's reference log-probabilities."""
    import torch

    sides, others = loss.responses(table), loss.others(table)
    dialogues = [*(item for side in sides for item in side), *others]
    encoded, log_probs = encoded_with_reference(base, dialogues, recipe.max_length, reference, progress)
    device = base.model.device
    return TokenRows(
        prompts=[encoded[item].prompt for item in sides[0]],
        responses=[[encoded[item].response for item in row] for row in zip(*sides, strict=True)],
        others=[encoded[item].response for item in others],
        reference=torch.tensor([[log_probs[item] for item in row] for row in zip(*sides, strict=True)], device=device),
        other_reference=torch.tensor([[log_probs[item]] for item in others], device=device),
        truncated=sum(encoded[item].cut for item in {item for side in sides for item in side}),
    )
