"""A base model with its tokenizer, from a folder or from the hub; safetensors only, no code from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic

from configs.errors import InputError
from configs.schema import Architecture, Encoder, Frozen
from tasks.architectures.download import bars_that_tell
from tasks.architectures.endings import settle_endings
from tasks.architectures.faults import (
    CONFIG,
    TOKENIZER,
    check_files,
    check_kind,
    check_weights,
    part,
    read_settings,
    refused,
)
from tasks.runtime.job import Desk, Done, Job
from tasks.runtime.progress import Progress, Report, unheard
from tasks.runtime.store import Store

BASES, MODEL = "bases", "model"
"""The stage of bases that are made here, and the folder of their artifact that has the weights."""
FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
"""What is taken of a hub model: weights as safetensors, tokenizer and settings, no code and no pickle."""


@dataclass(frozen=True)
class Base:
    """A causal language model in evaluation mode, and its tokenizer (padding on the left)."""

    model: Any
    tokenizer: Any


class BaseRef(Frozen):
    """What a base is: a hub model at a revision, a user's folder, or an artifact of the stage `bases` (a tiny one, or
    what was a GGUF file).

    Equal keys mean equal weights in equal precision.
    """

    architecture: Architecture
    key: str
    revision: str | None = None

    def source(self, store: Store) -> str:
        """The hub id, or a folder of this machine."""
        if self.architecture.tiny or self.architecture.gguf:
            return str(store.fetch(BASES, self.key) / MODEL)
        return self.architecture.hub or str(self.architecture.path)


class BaseJob(Job[Done], Generic[Done]):
    """A job that works with a base."""

    base: BaseRef

    @property
    def near(self) -> str:
        return self.base.key

    @property
    def gpus(self) -> int:
        return self.base.architecture.gpus


def with_precision(architecture: Architecture) -> Architecture:
    """The architecture with the precision that `dtype: auto` comes to on this machine; with its own where it has one.

    Tiny models gain nothing from bfloat16: their steps take twice as long in it on a CPU.
    """
    if architecture.dtype != "auto":
        return architecture
    precision = "bfloat16" if not architecture.tiny and computes_in_bfloat16() else "float32"
    return architecture.model_copy(update={"dtype": precision})


def computes_in_bfloat16() -> bool:
    """Whether the GPU, or where there is none the processor, multiplies matrices of bfloat16 by instructions of its
    own; what emulates them is slower than float32."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older ones of torch do not tell
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def base_at(desk: Desk, ref: BaseRef) -> Base:
    """The base where a job is done: kept loaded for the next job, or one process's copy in main memory."""

    def load(device: str | None = None) -> Base:
        return load_base(ref.architecture, ref.source(desk.store), ref.revision, device, desk.progress)

    return desk.warm.get(ref.key, load) if desk.processes == 1 else load("cpu")


def load_base(
    architecture: Architecture, source: str, revision: str | None, device: str | None = None,
    progress: Progress = unheard,
) -> Base:  # fmt: skip
    """Load from `source`: a folder, or a hub id at a revision.

    Onto the GPU where there is one, layer by layer over several where the architecture asks for them; or to `device`.

    Raises:
        InputError: it can't be found or read (not there, no network, gated without a token, not safetensors), it needs
            code of its own, weights are missing, or it is to be in 4 bits and bitsandbytes is not installed.
    """
    from huggingface_hub import snapshot_download

    precision = _precision(with_precision(architecture))
    try:
        # a hub model by the folder of its commit: whoever loads it again by its path gets the same weights
        from_hub = architecture.hub and not architecture.gguf
        told: dict[str, Any] = {"tqdm_class": bars_that_tell(progress)}
        folder = snapshot_download(source, revision=revision, allow_patterns=FILES, **told) if from_hub else source
        progress(Report("load the base"))
        return _load(architecture, Path(folder), device, precision)
    except InputError as error:
        raise refused(architecture, source, error) from None
    except (OSError, ValueError) as error:  # of the hub
        raise refused(architecture, source, OSError(str(error).strip().partition("\n")[0])) from None


def _load(architecture: Architecture, folder: Path, device: str | None, precision: dict[str, Any]) -> Base:
    """The base in a folder. Code that comes with it is never run, nor asked about."""
    from transformers import AutoConfig, AutoTokenizer

    check_files(folder)
    check_kind(read_settings(folder / CONFIG))
    with part("settings", folder / CONFIG):
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    with part("tokenizer", folder / TOKENIZER):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), padding_side="left", trust_remote_code=False)
    endings = settle_endings(folder, tokenizer)
    with part("weights", folder / CONFIG):
        model = _model(folder, config, _places(architecture, device), precision)
    model.generation_config = endings
    return Base(model.eval(), tokenizer)


def _model(folder: Path, config: Any, places: Any, precision: dict[str, Any]) -> Any:
    """The model with all its weights, and none of the folder's generation settings."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    kind: Any = AutoModelForCausalLM
    model, report = kind.from_pretrained(
        str(folder),
        config=config,
        generation_config=GenerationConfig(),
        use_safetensors=True,
        trust_remote_code=False,
        device_map=places,
        ignore_mismatched_sizes=True,  # which are told by name below
        output_loading_info=True,
        **precision,
    )
    check_weights(model, report)
    return model


def _places(architecture: Architecture, device: str | None) -> Any:
    """Where the weights go, as transformers is told."""
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return "auto" if architecture.gpus > 1 and device == "cuda" else {"": device}


def _precision(architecture: Architecture) -> dict[str, Any]:
    """What transformers is told about the weights."""
    import torch

    if architecture.dtype != "4-bit":
        return {"dtype": getattr(torch, architecture.dtype)}
    if not find_spec("bitsandbytes"):
        raise InputError(f"{architecture.name}: dtype 4-bit needs bitsandbytes: pip install 'pluralign[4bit]'")
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"dtype": torch.bfloat16, "quantization_config": settings}


def check_access(architectures: Sequence[Architecture]) -> None:
    """Whether there is a token for what the hub does not give to everybody.

    Raises:
        InputError: there is none, though a model is gated.
    """
    gated = [item for item in architectures if item.gated and item.hub]
    if not gated:
        return
    from huggingface_hub import get_token

    if not get_token():
        names = ", ".join(f"{item.name} ({item.hub})" for item in gated)
        raise InputError(
            f"architectures: gated on the hub: {names}; accept their licences there, then set HF_TOKEN or run "
            "`hf auth login`"
        )


def resolve_revision(architecture: Architecture | Encoder) -> str | None:
    """The commit that a hub model's revision stands for now; None for folders.

    Raises:
        InputError: the hub can't be reached, or doesn't know or doesn't give the model.
    """
    if architecture.hub is None:
        return None
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(architecture.hub, revision=architecture.revision).sha
    except Exception as error:  # the hub's client raises many kinds, all of which mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{architecture.name}: can't resolve {architecture.hub} on the hub: {reason}") from None
