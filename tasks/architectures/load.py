"""A base model with its tokenizer, from a folder or from the hub; safetensors only, no code from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from configs.errors import InputError
from configs.schema import Architecture


@dataclass(frozen=True)
class Base:
    """A causal language model in evaluation mode, and its tokenizer (padding on the left)."""

    model: Any
    tokenizer: Any


@dataclass(frozen=True)
class BaseRef:
    """Where a base is and what it is: equal keys mean equal weights in equal precision."""

    architecture: Architecture
    key: str
    source: str
    revision: str | None = None


def load_base(architecture: Architecture, source: str, revision: str | None) -> Base:
    """Load from `source`: a folder, or a hub id at a revision; onto the GPU where there is one.

    Raises:
        InputError: it can't be found or read (not there, no network, gated without a token, not safetensors).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(
            source, revision=revision, dtype=getattr(torch, architecture.dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{architecture.name}: can't load {source}: {str(error).strip().splitlines()[0]}") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    device: Any = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Base(model.to(device).eval(), tokenizer)


def resolve_revision(architecture: Architecture) -> str | None:
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
