"""One training run: an adapter on a base, from one condition's data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import fingerprint
from tasks.slots.pool import Pool, Slot

VERSION = 1


def training_run_key(base: BaseRef, optimiser: str, data_digest: str, recipe: Recipe, seed: int) -> str:
    """Identity of a training run: cells that share it share the run."""
    own = [recipe.grpo, recipe.max_new_tokens] if optimiser == "grpo" else [recipe.dpo, recipe.max_length]
    modules = base.architecture.target_modules
    return fingerprint([VERSION, base.key, modules, data_digest, recipe.lora, own, seed])


def training_settings(base: BaseRef, optimiser: str, recipe: Recipe, seed: int) -> dict[str, Any]:
    """The settings that a training run depends on, flat, as a person reads them."""
    own: dict[str, Any] = (
        {"max_new_tokens": recipe.max_new_tokens} if optimiser == "grpo" else {"max_length": recipe.max_length}
    )
    for name in ("lora", optimiser):
        own |= {f"{name}.{key}": value for key, value in getattr(recipe, name).model_dump(mode="json").items()}
    return own | {"target_modules": base.architecture.target_modules, "seed": seed}


def train_adapter(
    key: str, base: BaseRef, optimiser: str, data: Path, recipe: Recipe, seed: int, store: Store, pool: Pool
) -> Artifact:
    """The adapter in `adapter/`; the record has curve, steps, truncated and seconds.

    Raises:
        JobFailed: training raised, or its process died.
    """

    def build(slot: Slot, folder: Path) -> Record:
        started = time.monotonic()
        record = slot.run(
            "train", architecture=base.architecture.model_dump(mode="json"), source=base.source,
            revision=base.revision, recipe=recipe.model_dump(mode="json"), optimiser=optimiser, data=str(data),
            seed=seed, folder=str(folder / "adapter"),
        )  # fmt: skip
        return record | {"seconds": time.monotonic() - started}

    return pool.make(store, "training-runs", key, base.key, build)
