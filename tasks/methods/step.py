"""One training run: an adapter on a base, from one condition's data."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.methods import METHODS
from tasks.runtime.files import write_atomically
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.local.pool import Pool, Slot
from tasks.runtime.store import Artifact, Record, Store

VERSION, REFERENCE_VERSION = 3, 1


@dataclass(frozen=True)
class TrainingRun:
    """What is to be trained. Cells with equal keys share the run."""

    base: BaseRef
    method: str
    digest: str
    """Of the training data."""
    recipe: Recipe
    seed: int
    steps: int | None = None
    """Instead of the recipe's epochs."""

    @cached_property
    def key(self) -> str:
        recipe, architecture = self.recipe, self.base.architecture
        own = METHODS[self.method].identity(recipe, architecture)
        return fingerprint([
            VERSION, self.base.key, architecture.target_modules, self.digest, recipe.lora, recipe.max_length, own,
            self.seed, self.steps,
        ])  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """What it depends on beside base and data, flat, as a person reads it."""
        architecture = self.base.architecture
        lora = {f"lora.{key}": value for key, value in self.recipe.lora.model_dump(mode="json").items()}
        own = METHODS[self.method].identity(self.recipe, architecture) | ({"steps": self.steps} if self.steps else {})
        last = {"target_modules": architecture.target_modules, "seed": self.seed}
        return {"max_length": self.recipe.max_length} | lora | own | last


def train_adapter(run: TrainingRun, data: Path, card: str, store: Store, pool: Pool) -> Artifact:
    """The adapter in `adapter/` with its card; the record has what `Trained` has, the margin at the end, and seconds.

    Checkpoints are kept beside the run until it is whole, so that a killed one goes on from its last.

    Raises:
        JobFailed: training raised, or its process died.
    """
    base = run.base

    def build(slot: Slot, folder: Path) -> Record:
        started, checkpoints = time.monotonic(), store.path("checkpoints", run.key)
        record = slot.run(
            "train", architecture=base.architecture.model_dump(mode="json"), source=base.source,
            revision=base.revision, recipe=run.recipe.model_dump(mode="json"), method=run.method, data=str(data),
            seed=run.seed, steps=run.steps, adapter=str(folder / "adapter"), checkpoints=str(checkpoints),
            reference=str(store.path("reference", f"{base.key}-{REFERENCE_VERSION}.txt")),
        )  # fmt: skip
        write_atomically(folder / "adapter" / "README.md", card)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return record | {"seconds": time.monotonic() - started}

    return pool.make(store, "training-runs", run.key, base.key, build)
