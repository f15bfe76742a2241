"""What DPO and GRPO share of a training run: where it keeps what, TRL's settings, its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Recipe
from tasks.architectures.load import Base
from tasks.methods.checkpoints import checkpoint_callback, newest_checkpoint

Curve = list[dict[str, float]]
"""Logged training metrics, one entry a logging step."""


@dataclass(frozen=True)
class Run:
    """One training run. `steps`: instead of the recipe's epochs; folders need not exist."""

    seed: int
    adapter: Path
    checkpoints: Path
    reference: Path
    """The file of the base's reference log-probabilities."""
    steps: int | None = None
    processes: int = 1
    """That share the run, this one among them."""


@dataclass(frozen=True)
class Trained:
    """What a training run hands on beside the adapter that it saved."""

    curve: Curve
    steps: int
    resumed_from: int
    """The step of the checkpoint that it went on from; 0 where it started afresh."""
    truncated: int = 0
    """Sequences that were cut to the recipe's max_length."""
    at_once: int = 0
    """Rows that went through the model at once, at the end."""
    loop_seconds: float = 0.0
    """Of the optimiser's steps alone."""


class NotFinite(RuntimeError):
    """Training broke down; what its adapter would answer means nothing."""


def training_arguments(base: Base, learning_rate: float, epochs: float, run: Run) -> dict[str, Any]:
    """TRL's settings: quiet, checkpoints by our own callback, checkpointed gradients where there is a GPU.

    A base that is not in float32 trains in bf16 there; one that is stays in the precision of its reference.
    """
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(run.checkpoints), "learning_rate": learning_rate, "seed": run.seed,
        "num_train_epochs": epochs, "max_steps": run.steps or -1,
        "lr_scheduler_type": "cosine", "weight_decay": 0.0, "max_grad_norm": 1.0,
        "bf16": gpu and base.model.dtype != torch.float32,
        "use_cpu": not gpu, "gradient_checkpointing": gpu, "dataloader_pin_memory": gpu,
        "report_to": [], "save_strategy": "no", "save_total_limit": 2, "disable_tqdm": True, "logging_steps": 5,
        "logging_nan_inf_filter": False,
    }  # fmt: skip


def callbacks(recipe: Recipe, run: Run, progress: Callable[[str], None]) -> list[Any]:
    """Tell the step and the loss, stop where the loss is not finite, save checkpoints."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise NotFinite(f"the loss is {loss} by step {state.global_step}")
            progress(f"step {state.global_step} of {state.max_steps}, loss {loss:.3f}")

    return [Watch(), *([checkpoint_callback(recipe.checkpoint_seconds)] if run.processes == 1 else [])]


def trained_from_checkpoint(trainer: Any, run: Run) -> Trained:
    """Train to the end, from the newest whole checkpoint if there is one; save the adapter alone, as safetensors.

    Several processes together start afresh: a checkpoint of sharded weights is not one of these.
    """
    checkpoint = newest_checkpoint(run.checkpoints) if run.processes == 1 else None
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - started
    accelerator = trainer.accelerator
    weights = accelerator.get_state_dict(trainer.model)  # all processes bring their parts
    if not all(bool(value.isfinite().all()) for name, value in weights.items() if "lora_" in name):
        raise NotFinite(f"the adapter's weights are not finite after step {trainer.state.global_step}")
    accelerator.unwrap_model(trainer.model).save_pretrained(
        run.adapter, state_dict=weights, is_main_process=accelerator.is_main_process, safe_serialization=True
    )
    resumed = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    return Trained(curve_of(trainer), trainer.state.global_step, resumed, loop_seconds=seconds)


def curve_of(trainer: Any) -> Curve:
    """The trainer's log without its closing summary, numbers only."""
    return [
        {key: float(value) for key, value in entry.items() if isinstance(value, (int, float))}
        for entry in trainer.state.log_history
        if "train_runtime" not in entry
    ]


def margin_at_end(curve: Curve, name: str) -> float:
    """Mean of a metric over the last quarter of what was logged; NaN where it never was."""
    values = [entry[name] for entry in curve if name in entry]
    last = values[-max(len(values) // 4, 1) :]
    return sum(last) / len(last) if last else math.nan
