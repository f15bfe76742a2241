"""A GGUF file as a folder that loads like any other: weights as safetensors, tokenizer, chat template."""

from __future__ import annotations

import copy
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.errors import InputError
from tasks.architectures.endings import CONFIG
from tasks.architectures.faults import TOKENIZER, check_kind, check_weights, part

MAGIC = b"GGUF"
NAME = "model.gguf"


def check_gguf(file: Path) -> None:
    """Whether a file is there and begins as GGUF does.

    Raises:
        InputError: it isn't, or doesn't.
    """
    if not file.is_file():
        raise InputError("no such file")
    with file.open("rb") as content:
        if content.read(len(MAGIC)) != MAGIC:
            raise InputError("it is no GGUF file (it doesn't begin with GGUF)")


def dequantise(file: Path, dtype: str, folder: Path) -> int:
    """Save the model of a GGUF file into `folder`, in float32 if `dtype` is that, else in bfloat16.

    Returns:
        its number of parameters.

    Raises:
        InputError: the package gguf is not installed, the file can't be read whole or has no tokenizer, transformers
            can't read its architecture, or weights are missing in it.
    """
    if not find_spec("gguf"):
        raise InputError("a GGUF file needs gguf: pip install 'pluralign[gguf]'")
    check_gguf(file)
    _check_content(file)
    with tempfile.TemporaryDirectory() as alone:  # so that nothing that lies beside the file is read with it
        Path(alone, NAME).symlink_to(file.resolve())
        return _converted(alone, dtype, folder)


def _check_content(file: Path) -> None:
    """Raises `InputError` if the file is cut short, or has no tokenizer."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(file).fields
    except Exception as error:  # what its reader meets where the file ends, of many kinds
        raise InputError(f"it is damaged or cut short: {str(error) or type(error).__name__}") from None
    if "general.architecture" not in fields:
        raise InputError("it names no architecture (general.architecture)")
    if "tokenizer.ggml.tokens" not in fields:
        raise InputError("no tokenizer in it (tokenizer.ggml.tokens)")


def _converted(source: str, dtype: str, folder: Path) -> int:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    asked: dict[str, Any] = {"gguf_file": NAME, "trust_remote_code": False}
    with part("settings", folder / CONFIG):
        config = AutoConfig.from_pretrained(source, **asked)
    check_kind(config.to_dict())
    with part("tokenizer", folder / TOKENIZER):
        AutoTokenizer.from_pretrained(source, **asked).save_pretrained(folder)
    kind: Any = AutoModelForCausalLM
    precision = torch.float32 if dtype == "float32" else torch.bfloat16
    with part("weights", folder / CONFIG):
        # with the settings that are known by now: to read them of the file again takes seconds
        model, report = kind.from_pretrained(source, config=config, dtype=precision, output_loading_info=True, **asked)
        check_weights(model, report)
        # transformers refuses to save what it has read of a quantised file; the same weights in another model it saves
        config = copy.deepcopy(model.config)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = kind.from_config(config, dtype=precision)
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(folder)
    return sum(parameter.numel() for parameter in plain.parameters())
