"""How large an architecture is, without loading it: by its own files where they are at hand, else by its parameters.

A low-rank adapter of rank r on a matrix with n inputs and m outputs has r · (n + m) weights, kept in float32.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Architecture, Lora
from tasks.architectures.endings import CONFIG
from tasks.architectures.load import FILES
from tasks.architectures.tiny import FAMILIES

BYTES = {"float32": 4.0, "bfloat16": 2.0, "4-bit": 0.6}
"""Of a weight; in 4 bits with its scales, and with embeddings that stay in two bytes."""
FLOAT = 4
BESIDE_WEIGHTS = 8_000
"""Bytes of an adapter's settings, card and record."""
NOT_ADAPTED = ("embed", "wte", "wpe", "lm_head")
"""What is in the name of a matrix that `all-linear` leaves out."""
HEADER_LENGTH, LONGEST_HEADER = 8, 100_000_000
"""Bytes at the beginning of a safetensors file that say how long its header is; the longest that its readers take."""


@dataclass(frozen=True)
class ModelShape:
    """hidden: width of a layer. inner: of its feed-forward part. adapted: inputs and outputs of all matrices that an
    adapter is put on, summed. assumed: none of it is known, it is what models of so many parameters have, or more."""

    hidden: int
    layers: int
    inner: int
    vocabulary: int
    adapted: int
    assumed: bool = False

    def adapter_weights(self, lora: Lora) -> int:
        return lora.rank * self.adapted

    def adapter_bytes(self, lora: Lora) -> int:
        """Of its folder."""
        return FLOAT * self.adapter_weights(lora) + BESIDE_WEIGHTS


def shape_of(architecture: Architecture, folder: Path | None) -> ModelShape:
    """The shape of an architecture; `folder`: where its weights and settings lie, if they do on this machine."""
    if folder is not None and (folder / CONFIG).is_file():
        return _shape_of_folder(architecture, folder)
    if architecture.tiny and architecture.family in FAMILIES:
        sizes = FAMILIES[architecture.family][1] | architecture.tiny.config
        inner = int(sizes.get("intermediate_size") or sizes.get("ffn_hidden_size") or 4 * int(sizes["hidden_size"]))
        return _shape(architecture, int(sizes["hidden_size"]), int(sizes["num_hidden_layers"]), inner, 2000)
    return _assumed(architecture)


def weights_folder(architecture: Architecture) -> Path | None:
    """The folder of this machine with an architecture's weights: the user's, or the hub's cache; None where there is
    none. The hub is not asked."""
    if architecture.path:
        return Path(architecture.path) if Path(architecture.path).is_dir() else None
    if architecture.hub is None or architecture.gguf:
        return None
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            architecture.hub, revision=architecture.revision, allow_patterns=FILES, local_files_only=True
        )
    except (OSError, ValueError):  # the cache does not have it, or can't be read
        return None
    return Path(found) if any(Path(found).glob("*.safetensors")) else None


def matrices(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name of the module and (outputs, inputs) of each weight matrix in a folder, by the headers of its files."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(HEADER_LENGTH), "little")
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
        for name, facts in header.items():
            shape = facts.get("shape", [])
            if name.endswith(".weight") and len(shape) == 2:
                yield name.removesuffix(".weight"), (shape[0], shape[1])


def _shape_of_folder(architecture: Architecture, folder: Path) -> ModelShape:
    config: Mapping[str, Any] = json.loads((folder / CONFIG).read_text())
    config = {**config, **config.get("text_config", {})}
    guess = _assumed(architecture)
    hidden = int(config.get("hidden_size") or guess.hidden)
    inner = int(config.get("intermediate_size") or 4 * hidden)
    layers = int(config.get("num_hidden_layers") or guess.layers)
    vocabulary = int(config.get("vocab_size") or guess.vocabulary)
    adapted = sum(sum(sides) for name, sides in matrices(folder) if _is_adapted(name, architecture.target_modules))
    if not adapted:
        adapted = _shape(architecture, hidden, layers, inner, vocabulary).adapted
    return ModelShape(hidden, layers, inner, vocabulary, adapted)


def _is_adapted(name: str, targets: str | tuple[str, ...]) -> bool:
    if isinstance(targets, str):
        return not any(part in name for part in NOT_ADAPTED)
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _assumed(architecture: Architecture) -> ModelShape:
    """What models of so many parameters have: about 12 · layers · hidden² of them, hidden ≈ 0.089 · parameters^0.47.

    Of open models from 135 million to 15 billion parameters, an adapter is then 1.2 to 2 times as large as it is.
    """
    hidden = max(round(0.089 * architecture.parameters**0.47), 8)
    layers = max(math.ceil(architecture.parameters / (12 * hidden**2)), 1)
    return _shape(architecture, hidden, layers, 4 * hidden, 150_000, assumed=True)


def _shape(
    architecture: Architecture, hidden: int, layers: int, inner: int, vocabulary: int, assumed: bool = False
) -> ModelShape:
    """With the matrices that a layer of this size has; keys and values half as wide as queries."""
    narrow = hidden // 2
    sides = {
        "q_proj": 2 * hidden,
        "k_proj": hidden + narrow,
        "v_proj": hidden + narrow,
        "o_proj": 2 * hidden,
        "gate_proj": hidden + inner,
        "up_proj": hidden + inner,
        "down_proj": hidden + inner,
    }
    fused = {"qkv_proj": 2 * hidden + 2 * narrow, "gate_up_proj": hidden + 2 * inner}
    targets = architecture.target_modules
    each = (
        sides.values() if isinstance(targets, str) else [(sides | fused).get(name, hidden + inner) for name in targets]
    )
    return ModelShape(hidden, layers, inner, vocabulary, layers * sum(each), assumed)
