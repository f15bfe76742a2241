"""The bases: tiny ones pre-trained here, others resolved to a commit or a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Architecture, Study
from tasks.architectures.load import BaseRef, resolve_revision
from tasks.runtime.fingerprint import file_digest, fingerprint, frame_digest
from tasks.runtime.local.pool import Pool, Slot
from tasks.runtime.store import Record, Store

VERSION = 1


def prepare_base(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store, pool: Pool) -> BaseRef:
    """A base ready to train; `texts` (prompt, response) are those of the training prompts.

    A hub model's revision is resolved to a commit at its first use, and that commit is used from then on.

    Raises:
        InputError: the hub or the folder doesn't have it.
        JobFailed: pre-training failed.
    """
    if architecture.hub:
        store.make("revisions", _hub_key(architecture), lambda _: {"commit": resolve_revision(architecture)})
    base = known_base(study, architecture, texts, store)
    assert base is not None
    if architecture.tiny:
        _make_tiny(study, base, texts, store, pool)
    return base


def known_base(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store) -> BaseRef | None:
    """The base's identity, whether or not it has been made; None for a hub model that was never resolved.

    Raises:
        InputError: the folder doesn't have it.
    """
    if architecture.hub:
        commit = known_revision(architecture, store)
        if commit is None:
            return None
        key = fingerprint(["hub", architecture.hub, commit, architecture.dtype])
        return BaseRef(architecture, key, architecture.hub, commit)
    if architecture.path:
        return BaseRef(architecture, _folder_key(Path(architecture.path), architecture.dtype), architecture.path)
    key = fingerprint([
        VERSION, architecture.family, architecture.tiny, architecture.dtype, study.recipe.pretraining,
        study.recipe.max_length, frame_digest(texts), study.seed,
    ])  # fmt: skip
    return BaseRef(architecture, key, str(store.path("bases", key) / "model"))


def known_revision(architecture: Architecture, store: Store) -> str | None:
    """The commit that a hub model is held to; None for others, and before its first use."""
    found = store.find("revisions", _hub_key(architecture)) if architecture.hub else None
    return found.record["commit"] if found else None


def _hub_key(architecture: Architecture) -> str:
    return fingerprint(["hub", architecture.hub, architecture.revision])


def _folder_key(folder: Path, dtype: str) -> str:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no model here (no config.json)")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "README")))
    return fingerprint(["path", dtype, {file.name: file_digest(file) for file in files}])


def _make_tiny(study: Study, base: BaseRef, texts: pd.DataFrame, store: Store, pool: Pool) -> None:
    def build(slot: Slot, folder: Path) -> Record:
        table = folder / "texts.parquet"
        texts.to_parquet(table, index=False)
        return slot.run(
            "pretrain", architecture=base.architecture.model_dump(mode="json"),
            recipe=study.recipe.model_dump(mode="json"), texts=str(table), seed=study.seed,
            folder=str(folder / "model"),
        )  # fmt: skip

    pool.make(store, "bases", base.key, base.key, build)
