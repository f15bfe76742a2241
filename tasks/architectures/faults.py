"""What is wrong with a base's files, in one line: nothing of it is run, guessed or made up."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import InputError
from configs.schema import Architecture, Encoder
from tasks.architectures.endings import CONFIG, GENERATION

TOKENIZER, ADAPTER = "tokenizer_config.json", "adapter_config.json"
SETTINGS = (CONFIG, TOKENIZER, GENERATION, "tokenizer.json", "model.safetensors.index.json")
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "tekken.json")
"""One of these is what a tokenizer is made of."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
NAMED = 3
"""So many weights are named, the others counted."""


def check_files(folder: Path) -> None:
    """Whether a folder has what a base needs, as far as that can be seen without loading it.

    Raises:
        InputError: it doesn't, with all faults.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"no model here (no {CONFIG})")
    faults = [f"{path.name} is a link to nothing" for path in sorted(folder.iterdir()) if not path.exists()]
    faults += [fault for name in SETTINGS if (fault := _no_settings(folder / name))]
    if (folder / ADAPTER).exists():
        faults.append(f"{ADAPTER}: it is an adapter; give the base itself")
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        faults.append("no tokenizer here (tokenizer.json or tokenizer.model)")
    faults += _bad_weights(folder)
    if faults:
        raise InputError("; ".join(faults))


def refused(architecture: Architecture | Encoder, source: str, error: Exception) -> InputError:
    """That a base can't be loaded and why, on one line: much of it may come from its files."""
    text = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{architecture.name}: can't load {source}: {text}")


@contextmanager
def part(what: str, settings: Path) -> Iterator[None]:
    """Whatever libraries raise about one part of a base is said in one line. `settings`: the file that declares it.

    Raises:
        InputError: the part can't be read, or only by running code that comes with it.
    """
    import torch

    try:
        yield
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # readers of foreign files raise many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        own = _custom_code(settings.name, read_settings(settings))
        raise InputError(own or f"its {what} can't be read: {lines[0][:200]}") from None


def check_weights(model: Any, report: Mapping[str, Any]) -> None:
    """Whether all of the model's weights came from its files; others would be random.

    Weights that are tied to others need none in the files, and heads for other tasks may be there unused.

    report: what loading says: missing_keys, mismatched_keys (name, shape in the files, shape in the model) and
        unexpected_keys.

    Raises:
        InputError: some are missing, of another shape, or belong to parts of the model that its settings don't have.
    """
    parts = {name for name, _ in model.named_children()}
    foreign = [name for name in report["unexpected_keys"] if name.partition(".")[0] in parts]
    shapes = [f"{name} {list(own)} for {list(asked)}" for name, own, asked in report["mismatched_keys"]]
    faults = {
        "weights missing in its files": report["missing_keys"],
        f"weights of another shape than {CONFIG} asks for": shapes,
        f"weights in its files that {CONFIG} has no place for": foreign,
    }
    if text := named(faults):
        raise InputError(text)


def check_kind(config: Mapping[str, Any]) -> None:
    """Whether transformers itself knows the model, as one that writes text.

    Raises:
        InputError: it doesn't.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, __version__

    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise InputError(f"{CONFIG}: model_type is missing")
    own = _custom_code(CONFIG, config)
    if kind not in CONFIG_MAPPING:
        raise InputError(own or f"{CONFIG}: transformers {__version__} knows no model {kind[:80]!r}")
    if CONFIG_MAPPING[kind] not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(own or f"{CONFIG}: {kind[:80]!r} is no causal language model")


def named(faults: Mapping[str, Collection[str]]) -> str:
    """What is wrong, with a few of the weights that are concerned and how many more there are; "" for none."""
    return "; ".join(f"{what}: {_few(sorted(names))}" for what, names in faults.items() if names)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def read_settings(path: Path) -> dict[str, Any]:
    """A file of settings that has been checked; nothing where it isn't there."""
    return json.loads(path.read_text()) if path.is_file() else {}


def _no_settings(path: Path) -> str:
    """Why a file of settings is none; "" where it is one or isn't there."""
    if not path.is_file():
        return ""
    try:
        settings = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        return f"{path.name} is no JSON: {error}"
    return "" if isinstance(settings, dict) else f"{path.name} is no JSON object"


def _bad_weights(folder: Path) -> list[str]:
    """Files of weights that can't be read, or that there are none."""
    from safetensors import SafetensorError, safe_open

    files = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    faults = []
    for path in files:
        try:
            with safe_open(path, "np"):  # reads the header, which says how long the file is
                pass
        except (OSError, SafetensorError) as error:
            faults.append(f"{path.name} is damaged: {error}")
    pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not files and pickled:
        return [f"its weights are pickled ({_few(pickled)}), which may run code; save them as safetensors"]
    return faults if files else ["no weights here (*.safetensors)"]


def _custom_code(name: str, settings: Mapping[str, Any]) -> str:
    """That the file of settings asks for code which comes with the base; "" where it doesn't."""
    asked = settings.get("auto_map")
    if not asked:
        return ""
    classes = asked.items() if isinstance(asked, dict) else [("", asked)]
    names = ", ".join(f"{key} {value}".strip() for key, value in classes)
    return f"{name} asks for code of its own (auto_map: {names[:200]}), which is never run"
