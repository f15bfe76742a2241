"""Several LoRA adapters on one base at once, for a batch that holds the same rows once for each adapter.

PEFT can mix adapters in a batch (`adapter_names`), by a loop over them in every layer, and refuses to in training. Here
the adapters' weights are stacked, so that each layer is one batched product: its input of shape (copies · rows, tokens,
features) has the rows of the first adapter, then those of the second, and so on. Adapters begin as PEFT begins them,
and are kept and loaded as PEFT's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from configs.schema import Architecture, Lora
from tasks.methods.lora import WEIGHTS, adapted, check_weights, lora_config

DENSE = 16
"""Below so many times the rank, a layer is so narrow that W + s·BA costs less than LoRA's own thin products: measured
on the tiny models, a tenth of a training step and a third of an answer."""


class StackedLora:
    """A linear layer with one low-rank adapter for each copy of the batch: y_c = W x_c + b + s · B_c A_c x_c."""

    def __init__(self, base: nn.Module, down: Tensor, up: Tensor, scale: float) -> None:
        """`down`: the A of all adapters, (copies, rank, features in). `up`: their B, (copies, features out, rank)."""
        self.base, self.scale = base, scale
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)
        narrow = min(down.shape[2], up.shape[1]) <= DENSE * down.shape[1]
        self.dense = isinstance(base, nn.Linear) and base.weight.dtype == down.dtype and narrow
        self._merged: Tensor | None = None

    def merge(self) -> None:
        """Keep W + s·BA, for adapters that change no more."""
        self._merged = self._weights().detach() if self.dense else None

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(len(self.down), -1, x.shape[-1])
        if self.dense:
            weights = self._weights() if self._merged is None else self._merged
            bias: Any = self.base.bias
            y = torch.bmm(rows, weights) if bias is None else torch.baddbmm(bias, rows, weights)
            return y.view(*x.shape[:-1], -1)
        y = self.base(x)
        low = torch.bmm(rows.to(self.down.dtype), self.down.transpose(1, 2))
        return (y + torch.bmm(low, self.up.transpose(1, 2)).view(y.shape) * self.scale).to(y.dtype)

    def _weights(self) -> Tensor:
        """W + s·BA of each adapter, (copies, features in, features out)."""
        base: Any = self.base
        return torch.baddbmm(base.weight.expand(len(self.up), -1, -1), self.up, self.down, alpha=self.scale).mT


@dataclass(frozen=True)
class Stack:
    """The adapters that stand on a base. `peft`: PEFT's own model around it, which knows the files."""

    peft: Any
    layers: dict[str, StackedLora]
    """By the name that PEFT's layer has."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Each of shape (copies, …)."""
        return [value for layer in self.layers.values() for value in (layer.down, layer.up)]

    def save(self, copy: int, folder: Path) -> None:
        """One of the adapters, as PEFT keeps it."""
        weights = {
            f"{name}.{part}.default.weight": value[copy].detach().clone()
            for name, layer in self.layers.items()
            for part, value in (("lora_A", layer.down), ("lora_B", layer.up))
        }
        self.peft.save_pretrained(
            folder,
            state_dict=weights,
            safe_serialization=True,
            save_embedding_layers=False,  # or the hub is asked for the base's vocabulary
        )


@contextmanager
def new_adapters(model: Any, architecture: Architecture, lora: Lora, seed: int, copies: int) -> Iterator[Stack]:
    """So many times the adapter that a training run with this seed begins with."""
    from peft import get_peft_model
    from transformers import set_seed

    set_seed(seed)
    with _stacked(get_peft_model(model, lora_config(architecture, lora)), copies) as stack:
        yield stack


@contextmanager
def kept_adapters(model: Any, folders: Sequence[Path]) -> Iterator[Stack]:
    """Adapters with equal settings, ready to answer.

    Raises:
        ValueError: one has not exactly the weights that its settings ask for on this base.
    """
    from safetensors.torch import load_file

    with _stacked(adapted(model, folders[0]), len(folders)) as stack, torch.no_grad():
        asked = {f"{name}.{part}.weight" for name in stack.layers for part in ("lora_A", "lora_B")}
        for copy, folder in enumerate(folders):
            check_weights(folder, asked)
            weights = load_file(folder / WEIGHTS)
            for name, layer in stack.layers.items():
                layer.down[copy] = weights[f"{name}.lora_A.weight"]
                layer.up[copy] = weights[f"{name}.lora_B.weight"]
        for layer in stack.layers.values():
            layer.merge()
        yield stack


@contextmanager
def _stacked(peft: Any, copies: int) -> Iterator[Stack]:
    """PEFT's layers, each doing for a while what a stacked one does, which begins with so many times its weights.

    Raises:
        ValueError: the adapter changes something else than linear layers.
    """
    from peft.tuners.lora import LoraLayer

    own: dict[str, Any] = {name: layer for name, layer in peft.named_modules() if isinstance(layer, LoraLayer)}
    layers = {name: _stacked_layer(name, layer, copies) for name, layer in own.items()}
    peft.requires_grad_(False)
    try:
        for name, layer in own.items():
            layer.forward = layers[name]
        yield Stack(peft, layers)
    finally:
        for layer in own.values():
            layer.__dict__.pop("forward", None)


def _stacked_layer(name: str, layer: Any, copies: int) -> StackedLora:
    weights = [part["default"].weight.detach() for part in (layer.lora_A, layer.lora_B) if "default" in part]
    if [value.dim() for value in weights] != [2, 2] or layer.lora_variant:
        raise ValueError(f"{name} is not a linear layer with plain LoRA, which is all that can be stacked")
    down, up = (value.expand(copies, -1, -1).clone() for value in weights)
    return StackedLora(layer.get_base_layer(), down, up, layer.scaling["default"])
