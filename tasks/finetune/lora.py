"""Low-rank adapters (Hu et al. 2022) on a base that stays loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from configs.schema import Architecture, Lora

Curve = list[dict[str, float]]
"""Logged training metrics, one entry a logging step."""


@dataclass(frozen=True)
class Trained:
    """What a training run hands on beside the adapter that it saved."""

    curve: Curve
    steps: int
    truncated: int
    """Sequences that were cut to the recipe's max_length."""


def lora_config(architecture: Architecture, lora: Lora) -> Any:
    """PEFT's configuration; no dropout, which would break the equality of collapsed and expanded rows."""
    from peft import LoraConfig

    modules = architecture.target_modules
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=modules if isinstance(modules, str) else list(modules),
    )  # fmt: skip


@contextmanager
def lent(model: Any) -> Iterator[Any]:
    """Lend a base to a trainer, and take it back as it was: no adapter, hooks, patched forward, checkpointing."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    hooks = {module: (dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in model.modules()}
    use_cache = model.config.use_cache
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
        model.__dict__.pop("peft_config", None)
        model.gradient_checkpointing_disable()
        model.config.use_cache = use_cache
        model.requires_grad_(False)
        model.eval()


def training_arguments(learning_rate: float, epochs: float, seed: int, folder: str) -> dict[str, Any]:
    """What DPO and GRPO share of TRL's settings: quiet, no checkpoints, bf16 where there is a GPU for it."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": folder, "learning_rate": learning_rate, "num_train_epochs": epochs, "seed": seed,
        "lr_scheduler_type": "cosine", "weight_decay": 0.0, "max_grad_norm": 1.0,
        "bf16": gpu, "use_cpu": not gpu, "gradient_checkpointing": gpu, "dataloader_pin_memory": gpu,
        "report_to": [], "save_strategy": "no", "disable_tqdm": True, "logging_steps": 5,
    }  # fmt: skip


def progress_callback(progress: Callable[[str], None]) -> Any:
    """A trainer's callback that tells the step and the loss."""
    from transformers import TrainerCallback

    class Tell(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            loss = f", loss {float(logs['loss']):.3f}" if logs and "loss" in logs else ""
            progress(f"step {state.global_step} of {state.max_steps}{loss}")

    return Tell()


def save_adapter(trainer: Any, folder: Any) -> None:
    """The adapter alone, as PEFT's safetensors."""
    trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder, safe_serialization=True)


def curve_of(trainer: Any) -> Curve:
    """The trainer's log without its closing summary, numbers only."""
    return [
        {key: float(value) for key, value in entry.items() if isinstance(value, (int, float))}
        for entry in trainer.state.log_history
        if "train_runtime" not in entry
    ]
