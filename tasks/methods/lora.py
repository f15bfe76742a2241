"""Low-rank adapters (Hu et al. 2022) on a base that stays loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.schema import Architecture, Lora
from tasks.architectures.faults import named

WEIGHTS = "adapter_model.safetensors"


def lora_config(architecture: Architecture, lora: Lora) -> Any:
    """PEFT's configuration; no dropout, which would break the equality of collapsed and expanded rows."""
    from peft import LoraConfig

    modules = architecture.target_modules
    targets = modules if isinstance(modules, str) else list(modules)
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=targets
    )


def name_base(adapter: Any, architecture: Architecture, revision: str | None) -> None:
    """Let an adapter that is about to be saved name its base as others can find it: never by a folder of this machine.

    By the hub's id and the commit; a base that is not on the hub by the architecture's name.
    """
    for config in adapter.peft_config.values():
        config.base_model_name_or_path, config.revision = architecture.hub or architecture.name, revision


def adapted(model: Any, folder: Path) -> Any:
    """A base with an adapter on it.

    Raises:
        ValueError: the adapter's weights are not all of those that its settings ask for on this base, or are more.
    """
    from peft import PeftModel, get_peft_model_state_dict

    loaded = PeftModel.from_pretrained(model, folder)
    check_weights(folder, set(get_peft_model_state_dict(loaded, save_embedding_layers=False)))
    return loaded


def check_weights(folder: Path, asked: set[str]) -> None:
    """Raises `ValueError` if an adapter's file has not exactly the weights that are asked for."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "pt") as file:
        kept = set(file.keys())
    faults = named({"weights missing in it": asked - kept, "weights that the base has no place for": kept - asked})
    if faults:
        raise ValueError(f"can't use the adapter in {folder}: {faults}")


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
