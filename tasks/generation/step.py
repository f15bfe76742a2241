"""The answers of a base or an adapter to the held-out prompts."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.artifact import Artifact, Record, Store
from tasks.fingerprint import fingerprint, frame_digest
from tasks.generation.health import health, mark
from tasks.ratings.language import is_well_formed
from tasks.slots.pool import Pool, Slot

VERSION = 1


def answer_prompts(
    base: BaseRef,
    run: Artifact | None,
    prompts: pd.DataFrame,
    recipe: Recipe,
    simulated: bool,
    store: Store,
    pool: Pool,
) -> Artifact:
    """`outputs.parquet` (prompt_id, text, tokens, finished, thought, empty, repetitive, well_formed); `run` None is
    the control. The record has the health of the outputs.

    Raises:
        JobFailed: generation raised, or its process died.
    """
    key = fingerprint([
        VERSION, base.key, base.architecture.reasoning, run.key if run else None,
        frame_digest(prompts), recipe.max_new_tokens, recipe.max_length, recipe.generation_batch, simulated,
    ])  # fmt: skip

    def build(slot: Slot, folder: Path) -> Record:
        table, path = folder / "prompts.parquet", folder / "outputs.parquet"
        prompts.to_parquet(table, index=False)
        started = time.monotonic()
        slot.run(
            "generate", architecture=base.architecture.model_dump(mode="json"), source=base.source,
            revision=base.revision, recipe=recipe.model_dump(mode="json"),
            adapter=str(run.path / "adapter") if run else None, prompts=str(table), path=str(path),
        )  # fmt: skip
        outputs = mark(pd.read_parquet(path), is_well_formed if simulated else None)
        outputs.to_parquet(path, index=False)
        return {"seconds": time.monotonic() - started, "health": health(outputs)}

    return pool.make(store, "outputs", key, base.key, build)
