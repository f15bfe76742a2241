"""Low-rank adapters (Hu et al. 2022) on a base that stays loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from configs.schema import Architecture, Lora


def lora_config(architecture: Architecture, lora: Lora) -> Any:
    """PEFT's configuration; no dropout, which would break the equality of collapsed and expanded rows."""
    from peft import LoraConfig

    modules = architecture.target_modules
    targets = modules if isinstance(modules, str) else list(modules)
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=targets
    )


@contextmanager
def without_adapter(model: Any) -> Iterator[None]:
    """The base as it was, while an adapter is in training on it."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@contextmanager
def lent(model: Any) -> Iterator[Any]:
    """Lend a base to a trainer, and take it back as it was: no adapter, hooks, patched forward, checkpointing."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    hooks = {module: (dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in model.modules()}
    use_cache, forward = model.config.use_cache, model.__dict__.get("forward")
    try:
        yield model
    finally:
        for name, module in list(model.named_modules()):
            if isinstance(module, BaseTunerLayer):
                parent = model.get_submodule(name.rpartition(".")[0])
                setattr(parent, name.rpartition(".")[2], module.get_base_layer())
        for module, (after, before) in hooks.items():
            module._forward_hooks = OrderedDict(after)
            module._forward_pre_hooks = OrderedDict(before)
        model.__dict__.pop("forward", None)  # TRL wraps it once more with every trainer
        if forward is not None:
            model.forward = forward  # accelerate's, of a base over several GPUs
        model.__dict__.pop("peft_config", None)
        model.gradient_checkpointing_disable()
        model.config.use_cache = use_cache
        model.requires_grad_(False)
        model.eval()
