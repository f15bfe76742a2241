"""The answers of a base or an adapter to the held-out prompts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.generation.health import health, mark
from tasks.runtime.fingerprint import fingerprint, frame_digest
from tasks.runtime.local.pool import Pool, Slot
from tasks.runtime.store import Artifact, Record, Store
from tasks.simulation.language import is_well_formed

VERSION = 1


@dataclass(frozen=True)
class Prompts:
    """The held-out prompts (prompt_id, prompt), and their digest, which every cell needs."""

    table: pd.DataFrame
    digest: str

    @classmethod
    def of(cls, table: pd.DataFrame) -> Prompts:
        return cls(table, frame_digest(table))


def outputs_key(base: BaseRef, run: str | None, prompts: Prompts, recipe: Recipe, simulated: bool) -> str:
    """Identity of the answers of a training run, or of the control."""
    return fingerprint([
        VERSION, base.key, base.architecture.reasoning, run, prompts.digest, recipe.max_new_tokens, recipe.max_length,
        recipe.generation_batch, simulated,
    ])  # fmt: skip


def answer_prompts(
    base: BaseRef,
    run: Artifact | None,
    prompts: Prompts,
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
    key = outputs_key(base, run.key if run else None, prompts, recipe, simulated)

    def build(slot: Slot, folder: Path) -> Record:
        table, path = folder / "prompts.parquet", folder / "outputs.parquet"
        prompts.table.to_parquet(table, index=False)
        started = time.monotonic()
        record = slot.run(
            "generate", architecture=base.architecture.model_dump(mode="json"), source=base.source,
            revision=base.revision, recipe=recipe.model_dump(mode="json"),
            adapter=str(run.path / "adapter") if run else None, prompts=str(table), path=str(path),
        )  # fmt: skip
        outputs = mark(pd.read_parquet(path), is_well_formed if simulated else None)
        outputs.to_parquet(path, index=False)
        return record | {"seconds": time.monotonic() - started, "health": health(outputs)}

    return pool.make(store, "outputs", key, base.key, build)
