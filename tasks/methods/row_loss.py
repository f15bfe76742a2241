"""A method's loss of one row, apart from how the row goes through the model: what training several runs at once needs.

Shapes: `ratio`, log π - log π_ref of a row's responses, (copies, rows, responses); `target`, `weight`, losses
(copies, rows); `z` and metrics (copies).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.architectures.chat import Dialogue

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RowLoss(ABC):
    """Of rows that have a target and a weight."""

    learning_rate: float
    batch_size: int
    """Rows of a step."""

    @abstractmethod
    def responses(self, table: pd.DataFrame) -> list[list[Dialogue]]:
        """The responses that a row's loss is of: for each of them, that of every row."""

    def others(self, table: pd.DataFrame) -> list[Dialogue]:
        """A response of every row whose ratio enters the step's divergence `z`; none where the loss has no `z`."""
        return []

    @abstractmethod
    def losses(self, ratio: Any, target: Any, weight: Any, z: Any) -> Any:
        """Of each row; a step's loss is their mean over the step's rows."""

    @abstractmethod
    def metrics(self, ratio: Any, target: Any, weight: Any, z: Any) -> dict[str, Any]:
        """What the training curve tells of a step, by name; NaN where a step says nothing."""
