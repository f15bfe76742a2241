"""The bases: tiny ones pre-trained here, others resolved to a commit or a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Architecture, Study
from tasks.architectures.load import BaseRef, resolve_revision
from tasks.artifact import Record, Store
from tasks.fingerprint import file_digest, fingerprint, frame_digest
from tasks.slots.pool import Pool, Slot

VERSION = 1


def prepare_base(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store, pool: Pool) -> BaseRef:
    """A base ready to train; `texts` (prompt, response) are those of the training prompts.

    Raises:
        InputError: the hub or the folder doesn't have it.
        JobFailed: pre-training failed.
    """
    if architecture.hub:
        revision = resolve_revision(architecture)
        key = fingerprint(["hub", architecture.hub, revision, architecture.dtype])
        return BaseRef(architecture, key, architecture.hub, revision)
    if architecture.path:
        return BaseRef(architecture, _folder_key(Path(architecture.path), architecture.dtype), architecture.path)
    return _tiny(study, architecture, texts, store, pool)


def _folder_key(folder: Path, dtype: str) -> str:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no model here (no config.json)")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "README")))
    return fingerprint(["path", dtype, {file.name: file_digest(file) for file in files}])


def _tiny(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store, pool: Pool) -> BaseRef:
    recipe = study.recipe
    key = fingerprint([
        VERSION, architecture.family, architecture.tiny, architecture.dtype, recipe.pretraining, recipe.max_length,
        frame_digest(texts), study.seed,
    ])  # fmt: skip

    def build(slot: Slot, folder: Path) -> Record:
        table = folder / "texts.parquet"
        texts.to_parquet(table, index=False)
        return slot.run(
            "pretrain", architecture=architecture.model_dump(mode="json"), recipe=recipe.model_dump(mode="json"),
            texts=str(table), seed=study.seed, folder=str(folder / "model"),
        )  # fmt: skip

    return BaseRef(architecture, key, str(pool.make(store, "bases", key, key, build).path / "model"))
