"""A sentence encoder from the hub or a folder, through sentence-transformers: safetensors only, no code of its own."""

from __future__ import annotations

import json
import threading
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from configs.errors import InputError
from configs.schema import Encoder
from tasks.architectures.faults import PICKLES, check_files, part, read_settings, refused
from tasks.architectures.load import FILES
from tasks.architectures.step import known_revision, settle_revision
from tasks.runtime.fingerprint import file_digest, fingerprint
from tasks.runtime.store import Store

VERSION = 1
MODULES = "modules.json"
KINDS = ("Transformer", "Pooling", "Normalize", "Dense")
"""The parts that an encoder may have, of the library's own."""
LIBRARY, SOME_TEXT = "sentence_transformers", "Some text."


class SentenceEncoder:
    """The encoder of the settings, loaded when first asked; on the CPU, a text at a time, so that no vector depends on
    what is encoded beside it. Texts beyond the encoder's own limit are cut off there."""

    def __init__(self, settings: Encoder, store: Store) -> None:
        self._settings, self._store = settings, store
        self._loading = threading.Lock()
        self._model: Any = None
        self._key = ""

    def settle(self) -> None:
        """Hold a hub model to a commit, at its first use.

        Raises:
            InputError: the hub doesn't have it.
        """
        settle_revision(self._settings, self._store)

    @property
    def key(self) -> str:
        """Of the hub model at its commit, or of the files' contents; "" for a hub model that was never resolved."""
        if not self._key:
            self._key = self._find_key()
        return self._key

    def _find_key(self) -> str:
        if self._settings.path:
            folder = Path(self._settings.path)
            files = {str(path.relative_to(folder)): file_digest(path) for path in _files(folder)}
            return fingerprint(["encoder", VERSION, files])
        commit = known_revision(self._settings, self._store)
        return fingerprint(["encoder", VERSION, self._settings.hub, commit]) if commit else ""

    def encode(self, text: str) -> np.ndarray:
        with self._loading:
            if self._model is None:
                self._model = self._load()
        return _vector(self._model, text)

    def close(self) -> None:
        self._model = None

    def _load(self) -> Any:
        from huggingface_hub import snapshot_download

        source = self._settings.hub or str(self._settings.path)
        try:
            folder = source
            if self._settings.hub:
                revision = known_revision(self._settings, self._store)
                folder = snapshot_download(source, revision=revision, allow_patterns=FILES)
            return load_encoder(Path(folder))
        except (InputError, OSError, ValueError) as error:
            raise refused(self._settings, source, error) from None


def load_encoder(folder: Path) -> Any:
    """The encoder of a folder in float32; code that comes with it is never run.

    It is loaded twice: weights that its files lack would be random, and give another vector each time. Those that no
    vector depends on may be missing, as a pooling layer often is.

    Raises:
        InputError: it is none, needs code of its own, lacks weights, or its weights are not safetensors.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    check_encoder_files(folder)
    disable_progress_bar()
    with part("parts", folder / "config.json"):
        first, second = (
            SentenceTransformer(
                str(folder),
                device="cpu",
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
            for _ in range(2)
        )
    if not np.array_equal(_vector(first, SOME_TEXT), _vector(second, SOME_TEXT)):
        raise InputError("weights missing in its files: each time it is loaded it gives another vector")
    return first


def _vector(model: Any, text: str) -> np.ndarray:
    return np.asarray(model.encode([text], normalize_embeddings=True, show_progress_bar=False)[0], dtype=np.float32)


def check_encoder(settings: Encoder) -> None:
    """Whether an encoder can be used, as far as that can be seen without asking the hub or loading it.

    Raises:
        InputError: the library is not installed, or the folder holds no encoder.
    """
    if not find_spec(LIBRARY):
        raise InputError(f"{settings.name}: needs sentence-transformers: pip install 'pluralign[embeddings]'")
    if settings.path:
        try:
            check_encoder_files(Path(settings.path))
        except InputError as error:
            raise refused(settings, settings.path, error) from None


def check_encoder_files(folder: Path) -> None:
    """Whether a folder has what an encoder needs, and nothing that would have to be run.

    Raises:
        InputError: it doesn't.
    """
    check_files(folder)
    try:
        parts = [(PurePosixPath(item["path"]), str(item["type"])) for item in json.loads(_text(folder / MODULES))]
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(f"no sentence encoder here (no {MODULES} with its parts)") from None
    for place, kind in parts:
        if kind.split(".")[0] != LIBRARY or kind.split(".")[-1] not in KINDS:
            raise InputError(f"{MODULES}: {kind[:80]!r} is no part of the library's own ({', '.join(KINDS)})")
        if place.is_absolute() or ".." in place.parts:
            raise InputError(f"{MODULES}: path {str(place)[:80]!r} leads out of the folder")
        own = folder / place
        pickled = [path.name for pattern in PICKLES for path in own.glob(pattern)]
        if pickled and not any(own.glob("*.safetensors")):
            raise InputError(f"the weights of {place} are pickled ({pickled[0]}), which may run code")
    if read_settings(folder / "config.json").get("auto_map"):
        raise InputError("config.json asks for code of its own (auto_map), which is never run")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    """What an encoder is made of, of all that lies in its folder."""
    found = sorted({path for pattern in FILES for path in folder.rglob(pattern) if path.is_file()})
    return [path for path in found if not path.name.startswith((".", "README"))]
