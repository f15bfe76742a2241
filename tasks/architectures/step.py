"""The bases: tiny ones pre-trained here, others resolved to a commit or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd

from configs.errors import InputError
from configs.schema import Architecture, Pretraining, Study
from tasks.architectures.faults import check_files, refused
from tasks.architectures.load import BASES, MODEL, BaseRef, resolve_revision
from tasks.architectures.tiny import build_base
from tasks.runtime.fingerprint import file_digest, fingerprint, frame_digest
from tasks.runtime.job import Desk, Job, Result
from tasks.runtime.runner import Runner
from tasks.runtime.store import Store, StoredFile

VERSION = 1
TEXTS = "texts.parquet"


class Pretrained(Result):
    """How a tiny base came out."""

    parameters: int
    vocabulary: int
    first_loss: float
    """Mean of the first ten steps, nats a token."""
    last_loss: float
    """Of the last ten."""


class Pretrain(Job[Pretrained]):
    """Build and pre-train a tiny base on `texts` (prompt, response)."""

    stage: ClassVar[str] = BASES
    result: ClassVar[type[Result]] = Pretrained
    architecture: Architecture
    recipe: Pretraining
    max_length: int
    texts: StoredFile
    seed: int

    @property
    def key(self) -> str:
        model = (self.architecture.family, self.architecture.tiny, self.architecture.dtype)
        return fingerprint([VERSION, *model, self.recipe, self.max_length, self.texts.key, self.seed])

    @property
    def title(self) -> str:
        return f"{self.architecture.name}: pretrain"

    def run(self, desk: Desk) -> Pretrained:
        table = pd.read_parquet(self.texts.fetch(desk.store))
        texts = list(zip(table["prompt"], table["response"], strict=True))
        family, tiny, into = self.architecture.family, self.architecture.tiny, desk.folder / MODEL
        assert tiny is not None
        facts = build_base(family, tiny, self.recipe, texts, self.max_length, self.seed, into, desk.progress)
        return Pretrained(**facts)


def prepare_base(
    study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store, runner: Runner
) -> BaseRef:
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
        job = _pretraining(study, architecture, texts)
        store.make("texts", job.texts.key, lambda folder: texts.to_parquet(folder / TEXTS, index=False))
        runner.run(job)
    return base


def known_base(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store) -> BaseRef | None:
    """The base's identity, whether or not it has been made; None for a hub model that was never resolved.

    Raises:
        InputError: the folder doesn't have what a base needs.
    """
    if architecture.hub:
        commit = known_revision(architecture, store)
        if commit is None:
            return None
        key = fingerprint(["hub", architecture.hub, commit, architecture.dtype])
        return BaseRef(architecture=architecture, key=key, revision=commit)
    if architecture.path:
        return BaseRef(architecture=architecture, key=_folder_key(architecture, Path(architecture.path)))
    return BaseRef(architecture=architecture, key=_pretraining(study, architecture, texts).key)


def known_revision(architecture: Architecture, store: Store) -> str | None:
    """The commit that a hub model is held to; None for others, and before its first use."""
    known = store.find("revisions", _hub_key(architecture)) if architecture.hub else None
    return known.record["commit"] if known else None


def _hub_key(architecture: Architecture) -> str:
    return fingerprint(["hub", architecture.hub, architecture.revision])


def _folder_key(architecture: Architecture, folder: Path) -> str:
    try:
        check_files(folder)
    except InputError as error:
        raise refused(architecture, str(folder), error) from None
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "README")))
    return fingerprint(["path", architecture.dtype, {file.name: file_digest(file) for file in files}])


def _pretraining(study: Study, architecture: Architecture, texts: pd.DataFrame) -> Pretrain:
    recipe = study.recipe
    return Pretrain(
        architecture=architecture,
        recipe=recipe.pretraining,
        max_length=recipe.max_length,
        texts=StoredFile(stage="texts", key=frame_digest(texts), name=TEXTS),
        seed=study.seed,
    )
