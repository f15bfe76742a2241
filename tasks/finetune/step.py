"""One training run: an adapter on a base, from one condition's data."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import fingerprint
from tasks.slots.pool import Pool, Slot

VERSION = 2


def training_run_key(
    base: BaseRef, optimiser: str, data_digest: str, recipe: Recipe, seed: int, steps: int | None = None
) -> str:
    """Identity of a training run: cells that share it share the run. `steps`: instead of the recipe's epochs."""
    own = [recipe.grpo, recipe.max_new_tokens] if optimiser == "grpo" else [recipe.dpo, recipe.max_length]
    modules = base.architecture.target_modules
    return fingerprint([VERSION, base.key, modules, data_digest, recipe.lora, own, seed, steps])


def training_settings(
    base: BaseRef, optimiser: str, recipe: Recipe, seed: int, steps: int | None = None
) -> dict[str, Any]:
    """The settings that a training run depends on, flat, as a person reads them."""
    own: dict[str, Any] = (
        {"max_new_tokens": recipe.max_new_tokens} if optimiser == "grpo" else {"max_length": recipe.max_length}
    )
    for name in ("lora", optimiser):
        own |= {f"{name}.{key}": value for key, value in getattr(recipe, name).model_dump(mode="json").items()}
    budget = {"steps": steps} if steps else {}
    return own | {"target_modules": base.architecture.target_modules, "seed": seed} | budget


def train_adapter(
    key: str, base: BaseRef, optimiser: str, data: Path, recipe: Recipe, seed: int, steps: int | None, store: Store,
    pool: Pool,
) -> Artifact:  # fmt: skip
    """The adapter in `adapter/`; the record has what `Trained` has, the margin at the end, and seconds.

    Checkpoints are kept beside the run until it is whole, so that a killed one goes on from its last.

    Raises:
        JobFailed: training raised, or its process died.
    """

    def build(slot: Slot, folder: Path) -> Record:
        started, checkpoints = time.monotonic(), store.path("checkpoints", key)
        record = slot.run(
            "train", architecture=base.architecture.model_dump(mode="json"), source=base.source,
            revision=base.revision, recipe=recipe.model_dump(mode="json"), optimiser=optimiser, data=str(data),
            seed=seed, steps=steps, adapter=str(folder / "adapter"), checkpoints=str(checkpoints),
            reference=str(store.path("reference", f"{base.key}.txt")),
        )  # fmt: skip
        shutil.rmtree(checkpoints, ignore_errors=True)
        return record | {"seconds": time.monotonic() - started}

    return pool.make(store, "training-runs", key, base.key, build)
