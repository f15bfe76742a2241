"""What the rest of the study may ask of a training method; each method answers in its own file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from configs.schema import Architecture, MethodSettings, Recipe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tasks.architectures.cost import Texts
    from tasks.architectures.load import Base
    from tasks.methods.expanded import Expanded
    from tasks.methods.row_loss import RowLoss
    from tasks.methods.run import Run, Trained
    from tasks.preferences.condition import ConditionData, Drop
    from tasks.runtime.job import Progress


class Method(ABC):
    """How one condition's feedback becomes the weights of an adapter; one instance a method, in `METHODS`."""

    name: ClassVar[str]
    """As a condition's `method` and the recipe's block call it."""
    title: ClassVar[str]
    """As a sentence calls it."""
    settings: ClassVar[type[MethodSettings]]
    """The recipe's block."""
    reads: ClassVar[Literal["pairs", "rewards", "labels"]]
    """Which table of a condition's data it trains on."""
    weighed: ClassVar[tuple[str, ...]] = ("target", "weight")
    """The columns of its table that follow the weights of raters; the others say which rows there are."""
    trainer: ClassVar[str]
    """The class of TRL that trains; a process that is to train imports it before its first job."""
    margin: ClassVar[str]
    """The metric in the training curve that says whether training still moves something; it is not above the study's
    `limits.margin` where training has collapsed."""
    margin_means: ClassVar[str]
    """What that metric is, to complete a sentence of the report."""

    # ---- what it makes of a condition's data

    def lacks(self, data: ConditionData) -> str:
        """Why the condition's data can't train; "" where they can."""
        return data.no_pairs

    @abstractmethod
    def table(self, data: ConditionData, recipe: Recipe, seed: int) -> tuple[pd.DataFrame, list[Drop]]:
        """The rows that train, and what was dropped on the way from the table that it reads."""

    @abstractmethod
    def digest(self, table: pd.DataFrame) -> str:
        """The identity of what training reads of the table: conditions that share it share their training run."""

    def size(self, table: pd.DataFrame) -> int:
        """How many rows or prompts an epoch goes through."""
        return len(table)

    @abstractmethod
    def steps(self, size: int, recipe: Recipe) -> int:
        """Optimiser steps of the recipe's epochs over `size` rows or prompts; a last short batch is a step too."""

    @abstractmethod
    def expanded(self, table: pd.DataFrame, data: ConditionData, within: str) -> Expanded:
        """The same feedback as TRL's own trainer of the method reads it, a row a preference, a label or a prompt.

        Args:
            table: the rows that train, made of `data`; of one group alone where the condition has several.
            within: the condition's `within`.
        """

    # ---- what a voice is under it

    @abstractmethod
    def responses(self, table: pd.DataFrame) -> set[str]:
        """Ids of the responses whose labels train."""

    @abstractmethod
    def voices(
        self, table: pd.DataFrame, data: ConditionData, dimension: str, made_of: pd.DataFrame, within: str
    ) -> np.ndarray:
        """The weight in training of each rating of one dimension, in the order of its `labels.scaled`.

        Args:
            table: the rows that train, made of `data`.
            made_of: `aggregation.behind` of the dimension's labels: each rating's part of the label that its response
                keeps.
            within: the condition's `within`.
        """

    @abstractmethod
    def lead(self, table: pd.DataFrame, a: pd.Series, b: pd.Series) -> np.ndarray:
        """How far the training rows prefer response a of each pair (a, b): positive for a, negative for b, else 0."""

    # ---- a training run

    def identity(self, recipe: Recipe, architecture: Architecture) -> dict[str, Any]:
        """The settings that a run depends on beside base, data, LoRA, max_length, seed and steps.

        Flat, as a person reads them: `{"dpo.epochs": 2.0}`.
        """
        block = recipe.block(self.settings).model_dump(mode="json")
        return {f"{self.name}.{key}": value for key, value in block.items()}

    @abstractmethod
    def gpu_hours(self, parameters: float, steps: int, texts: Texts, recipe: Recipe) -> float:
        """What a run of so many steps takes on one GPU, at the speed that `architectures.cost` assumes."""

    @abstractmethod
    def train(
        self, base: Base, architecture: Architecture, table: pd.DataFrame, recipe: Recipe, run: Run, progress: Progress
    ) -> Trained:
        """Train an adapter on the table's rows and save it.

        Raises:
            OutOfMemory: not even one row at once fits.
            NotFinite: the loss became infinite or no number.
        """

    def row_loss(self, recipe: Recipe) -> RowLoss | None:
        """The loss of a row, with which several runs on the same rows are trained in one pass; None where each has to
        be trained alone, which is the default."""
        return None

    def before_sharding(
        self, base: Base, table: pd.DataFrame, recipe: Recipe, reference: Path, progress: Progress
    ) -> None:
        """What must be done with the whole base before several processes share the run; by default nothing."""
        return

    def leaves_base_changed(self) -> bool:
        """Whether training on this machine leaves other weights in the base, so that it has to be loaded anew."""
        return False
