"""The bases: tiny ones pre-trained here, GGUF files dequantised, others resolved to a commit or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from configs.errors import InputError
from configs.schema import Architecture, Encoder, Pretraining, Study
from tasks.architectures.download import bars_that_tell
from tasks.architectures.faults import check_files, refused
from tasks.architectures.gguf_file import check_gguf, dequantise
from tasks.architectures.load import BASES, MODEL, BaseRef, resolve_revision, with_precision
from tasks.architectures.tiny import build_base
from tasks.runtime.fingerprint import file_digest, fingerprint, frame_digest
from tasks.runtime.job import Desk, Job, Result
from tasks.runtime.progress import Report
from tasks.runtime.runner import Runner
from tasks.runtime.store import Store, StoredFile

VERSION = 1
GGUF_VERSION = 1
"""Of what becomes of a GGUF file."""
TEXTS = "texts.parquet"
REVISIONS = "revisions"
"""The stage of the commits that hub models are held to."""


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


class Dequantised(Result):
    """What was read of a GGUF file."""

    parameters: int


class Dequantise(Job[Dequantised]):
    """Turn a GGUF file into a folder of safetensors with its tokenizer, in the architecture's precision."""

    stage: ClassVar[str] = BASES
    result: ClassVar[type[Result]] = Dequantised
    architecture: Architecture
    content: str
    """The file's digest, or the commit of its hub repository."""

    @property
    def key(self) -> str:
        model = self.architecture
        named = (model.hub, model.gguf) if model.hub else ()
        return fingerprint(["gguf", GGUF_VERSION, *named, self.content, model.dtype])

    @property
    def title(self) -> str:
        return f"{self.architecture.name}: dequantise"

    def run(self, desk: Desk) -> Dequantised:
        model = self.architecture
        assert model.gguf is not None
        try:
            if model.hub:
                from huggingface_hub import hf_hub_download

                told: dict[str, Any] = {"tqdm_class": bars_that_tell(desk.progress)}
                file = Path(hf_hub_download(model.hub, model.gguf, revision=self.content, **told))
            else:
                file = Path(model.gguf)
            desk.progress(Report("dequantise"))
            return Dequantised(parameters=dequantise(file, model.dtype, desk.folder / MODEL))
        except (InputError, OSError, ValueError) as error:
            raise refused(model, model.gguf, error) from None


def prepare_base(
    study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store, runner: Runner
) -> BaseRef:
    """A base ready to train; `texts` (prompt, response) are those of the training prompts.

    A hub model's revision is resolved to a commit at its first use, and that commit is used from then on; a precision
    that is left to the machine, to this machine's.

    Raises:
        InputError: the hub or the folder doesn't have it, or the file is no GGUF.
        JobFailed: pre-training or dequantising failed.
    """
    architecture = with_precision(architecture)
    settle_revision(architecture, store)
    base = known_base(study, architecture, texts, store)
    assert base is not None
    if architecture.tiny:
        job = _pretraining(study, architecture, texts)
        store.make("texts", job.texts.key, lambda folder: texts.to_parquet(folder / TEXTS, index=False))
        runner.run(job)
    if architecture.gguf:
        runner.run(_dequantising(architecture, base.revision))
    return base


def known_base(study: Study, architecture: Architecture, texts: pd.DataFrame, store: Store) -> BaseRef | None:
    """The base's identity, whether or not it has been made; None for a hub model that was never resolved.

    Raises:
        InputError: the folder doesn't have what a base needs, or the file is no GGUF.
    """
    architecture = with_precision(architecture)
    if architecture.hub:
        commit = known_revision(architecture, store)
        if commit is None:
            return None
        key = fingerprint(["hub", architecture.hub, commit, architecture.dtype])
        if architecture.gguf:
            key = _dequantising(architecture, commit).key
        return BaseRef(architecture=architecture, key=key, revision=commit)
    if architecture.gguf:
        return BaseRef(architecture=architecture, key=_dequantising(architecture, None).key)
    if architecture.path:
        return BaseRef(architecture=architecture, key=_folder_key(architecture, Path(architecture.path)))
    return BaseRef(architecture=architecture, key=_pretraining(study, architecture, texts).key)


def settle_revision(architecture: Architecture | Encoder, store: Store) -> None:
    """Hold a hub model to the commit that its revision stands for at its first use; nothing to do for others.

    Raises:
        InputError: the hub doesn't have it.
    """
    if architecture.hub:
        store.make(REVISIONS, _hub_key(architecture), lambda _: {"commit": resolve_revision(architecture)})


def known_revision(architecture: Architecture | Encoder, store: Store) -> str | None:
    """The commit that a hub model is held to; None for others, and before its first use."""
    known = store.find(REVISIONS, _hub_key(architecture)) if architecture.hub else None
    return known.record["commit"] if known else None


def _hub_key(architecture: Architecture | Encoder) -> str:
    return fingerprint(["hub", architecture.hub, architecture.revision])


def _folder_key(architecture: Architecture, folder: Path) -> str:
    try:
        check_files(folder)
    except InputError as error:
        raise refused(architecture, str(folder), error) from None
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "README")))
    return fingerprint(["path", architecture.dtype, {file.name: file_digest(file) for file in files}])


def _dequantising(architecture: Architecture, commit: str | None) -> Dequantise:
    """`commit`: of the hub repository that has the file; None for a file of this machine."""
    if commit:
        return Dequantise(architecture=architecture, content=commit)
    file = Path(str(architecture.gguf))
    try:
        check_gguf(file)
    except InputError as error:
        raise refused(architecture, str(file), error) from None
    return Dequantise(architecture=architecture, content=file_digest(file))


def _pretraining(study: Study, architecture: Architecture, texts: pd.DataFrame) -> Pretrain:
    recipe = study.recipe
    return Pretrain(
        architecture=architecture,
        recipe=recipe.pretraining,
        max_length=recipe.max_length,
        texts=StoredFile(stage="texts", key=frame_digest(texts), name=TEXTS),
        seed=study.seed,
    )
