"""LoRA on a CPU for a base in bfloat16, in few passes over memory: y = W x + b + s · B A x.

PEFT casts each layer's input to float32 for its adapter, scales, adds and casts back, all of them passes that take as
long as a product of rank 8. Here the thin products are made in the base's precision and added where W x stands; the
adapter's weights, their gradients and the optimiser stay in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def multiply_in_place(model: Any) -> None:
    """Let the adapter's layers on a base in bfloat16 on a CPU compute so, as long as they stand there; others stay."""
    from peft.tuners.lora import LoraLayer

    for layer in list(model.modules()):
        base = layer.get_base_layer() if isinstance(layer, LoraLayer) else None
        if type(base) is nn.Linear and base.weight.dtype == torch.bfloat16 and base.weight.device.type == "cpu":
            layer.forward = _InPlace(layer, layer.forward)


class _InPlace:
    """The forward of one layer; PEFT's own wherever its adapter is not just a plain one."""

    def __init__(self, layer: Any, plain: Any) -> None:
        self.layer, self.plain = layer, plain

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        layer, names = self.layer, self.layer.active_adapters
        if args or kwargs or layer.disable_adapters or layer.merged or layer.lora_variant or len(names) != 1:
            return self.plain(x, *args, **kwargs)
        (name,), base = names, layer.get_base_layer()
        if layer.lora_bias[name] or not isinstance(layer.lora_dropout[name], nn.Identity):
            return self.plain(x)
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        return _Product.apply(x, base.weight, base.bias, down, up, layer.scaling[name])


class _Product(torch.autograd.Function):
    """y of x (…, features in), W (out, in), b (out) or none, A (rank, in), B (out, rank) and s; W and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        a, b = down.to(weight.dtype), (up * scale).to(weight.dtype)
        low = rows @ a.T
        y = nn.functional.linear(rows, weight, bias).addmm_(low, b.T)
        ctx.save_for_backward(rows, weight, low, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        rows, weight, low, a, b = ctx.saved_tensors
        dy = gradients[0].reshape(-1, gradients[0].shape[-1])
        d_low = dy @ b
        dx = (dy @ weight).addmm_(d_low, a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return dx, None, None, (d_low.T @ rows).float(), (dy.T @ low).float() * ctx.scale, None
