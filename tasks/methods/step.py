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
from tasks.runtime.files import write_atomically
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.local.pool import Pool, Slot
from tasks.runtime.store import Artifact, Record, Store

VERSION, REFERENCE_VERSION = 2, 1


@dataclass(frozen=True)
class TrainingRun:
    """What is to be trained. Cells with equal keys share the run."""

    base: BaseRef
    optimiser: str
    digest: str
    """Of the training data."""
    recipe: Recipe
    seed: int
    steps: int | None = None
    """Instead of the recipe's epochs."""

    @cached_property
    def key(self) -> str:
        recipe, architecture = self.recipe, self.base.architecture
        own = [recipe.dpo] if self.optimiser == "dpo" else [recipe.grpo, recipe.max_new_tokens, architecture.reasoning]
        return fingerprint([
            VERSION, self.base.key, architecture.target_modules, self.digest, recipe.lora, recipe.max_length, own,
            self.seed, self.steps,
        ])  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """What it depends on beside base and data, flat, as a person reads it."""
        own: dict[str, Any] = {"max_length": self.recipe.max_length}
        for name in ("lora", self.optimiser):
            values = getattr(self.recipe, name).model_dump(mode="json")
            own |= {f"{name}.{key}": value for key, value in values.items()}
        own |= {"max_new_tokens": self.recipe.max_new_tokens} if self.optimiser == "grpo" else {}
        own |= {"steps": self.steps} if self.steps else {}
        return own | {"target_modules": self.base.architecture.target_modules, "seed": self.seed}


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
            revision=base.revision, recipe=run.recipe.model_dump(mode="json"), optimiser=run.optimiser, data=str(data),
            seed=run.seed, steps=run.steps, adapter=str(folder / "adapter"), checkpoints=str(checkpoints),
            reference=str(store.path("reference", f"{base.key}-{REFERENCE_VERSION}.txt")),
        )  # fmt: skip
        write_atomically(folder / "adapter" / "README.md", card)
        shutil.rmtree(checkpoints, ignore_errors=True)
        return record | {"seconds": time.monotonic() - started}

    return pool.make(store, "training-runs", run.key, base.key, build)
