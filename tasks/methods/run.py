"""What all methods share of a training run: where it keeps what, TRL's settings, the training itself."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from configs.schema import Architecture, Recipe, Robust
from tasks.architectures.load import Base
from tasks.methods.checkpoints import (
    checkpoint_callback,
    do_nothing,
    newest_checkpoint,
    remove_halves,
    step_of,
    without_pickles,
)
from tasks.methods.group_weights import GroupWeights
from tasks.methods.lora import lent, lora_config, name_base
from tasks.methods.memory import halving, rows_that_fit
from tasks.runtime.files import write_atomically
from tasks.runtime.progress import Progress, Report

WEIGHTS, STEPS = "group_weights.json", "steps"
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
    revision: str | None = None
    """Of a base from the hub."""
    robust: Robust | None = None
    """Where the run looks after the group that it serves worst; its rows then have a group."""
    own_losses: Mapping[str, float] = field(default_factory=dict)
    """Group → the loss of its own adapter, where the run looks after the group with most regret."""
    checkpointed: Callable[[], None] = do_nothing
    """Called after each checkpoint, so that it is kept elsewhere too."""


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
        "output_dir": str(run.checkpoints),
        "learning_rate": learning_rate,
        "seed": run.seed,
        "num_train_epochs": epochs,
        "max_steps": run.steps or -1,
        "lr_scheduler_type": "cosine",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": gpu and base.model.dtype != torch.float32,
        "use_cpu": not gpu,
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        "report_to": [],
        "save_strategy": "no",
        "save_total_limit": 2,
        "disable_tqdm": True,
        "logging_steps": 5,
        "logging_nan_inf_filter": False,
    }


def callbacks(recipe: Recipe, run: Run, progress: Progress) -> list[Any]:
    """Tell the step and the last loss, stop where the loss is not finite, save checkpoints."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        part, loss = 0, ""

        def tell(self, args: Any, state: Any) -> None:
            """A step counts by the parts of it that are done, since one can take minutes."""
            done = state.global_step + self.part / max(args.gradient_accumulation_steps, 1)
            progress(Report(f"train{self.loss}", min(done, state.max_steps), state.max_steps, STEPS))

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.tell(args, state)

        def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.part += 1
            self.tell(args, state)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.part = 0
            self.tell(args, state)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise NotFinite(f"the loss is {loss} by step {state.global_step}")
            self.loss = f" (loss {loss:.3f})"
            self.tell(args, state)

    return [
        Watch(),
        *([checkpoint_callback(recipe.checkpoint_seconds, run.checkpointed)] if run.processes == 1 else []),
    ]


def groups_callback(groups: GroupWeights) -> Any:
    """Let the weights of groups follow each step, and keep them in checkpoints."""
    from accelerate.utils import reduce
    from transformers import TrainerCallback

    class Follow(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            groups.step(reduce if args.world_size > 1 else None)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                file = Path(args.output_dir) / f"checkpoint-{state.global_step}" / WEIGHTS
                write_atomically(file, json.dumps(groups.state()))

    return Follow()


def train_with(
    kind: type, inputs: dict, base: Base, architecture: Architecture, recipe: Recipe, run: Run, progress: Progress,
    groups: GroupWeights | None = None,
) -> Trained:  # fmt: skip
    """Train to the end, from the newest whole checkpoint if there is one; save the adapter alone, as safetensors.

    Several processes together start afresh: a checkpoint of sharded weights is not one of these.

    kind: a class of TRL's trainers. inputs: what it takes beside what all take, by TRL's names: its settings, the rows,
    how they are collated or rewarded. groups: their weights, which a checkpoint keeps.
    """
    from tasks.methods.lora_product import multiply_in_place

    with lent(base.model) as model:
        trainer = without_pickles(kind)(
            model=model,
            processing_class=base.tokenizer,
            peft_config=lora_config(architecture, recipe.lora),
            callbacks=[*([groups_callback(groups)] if groups else []), *callbacks(recipe, run, progress)],
            **inputs,
        )
        multiply_in_place(trainer.model)
        checkpoint = None
        if run.processes == 1:
            remove_halves(run.checkpoints)
            checkpoint = newest_checkpoint(run.checkpoints)
        if groups:
            trainer.group_weights = groups
            if checkpoint:
                groups.restore(json.loads((checkpoint / WEIGHTS).read_text()))
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = time.monotonic() - started
        accelerator = trainer.accelerator
        weights = accelerator.get_state_dict(trainer.model)  # all processes bring their parts
        if not all(bool(value.isfinite().all()) for name, value in weights.items() if "lora_" in name):
            raise NotFinite(f"the adapter's weights are not finite after step {trainer.state.global_step}")
        adapter = accelerator.unwrap_model(trainer.model)
        name_base(adapter, architecture, run.revision)
        adapter.save_pretrained(
            run.adapter,
            state_dict=weights,
            is_main_process=accelerator.is_main_process,
            safe_serialization=True,
            save_embedding_layers=False,  # or the hub is asked for the base's vocabulary
        )
    curve = [
        {key: float(value) for key, value in entry.items() if isinstance(value, (int, float))}
        for entry in trainer.state.log_history
        if "train_runtime" not in entry  # the closing summary
    ]
    return Trained(curve, trainer.state.global_step, step_of(checkpoint) if checkpoint else 0, loop_seconds=seconds)


def with_what_fits(attempt: Callable[[int], Trained], base: Base, batch: int, tokens: int, run: Run) -> Trained:
    """`attempt(n)` with as many rows of a step at once as memory takes; several processes try only once.

    batch, tokens: rows of a step over all processes, and tokens of a row at most.
    """
    share = batch // run.processes
    fits = rows_that_fit(base.model, share, tokens, run.processes)
    trained, at_once = halving(attempt, fits, of=share) if run.processes == 1 else (attempt(fits), fits)
    return replace(trained, at_once=at_once)


def margin_at_end(curve: Curve, name: str) -> float:
    """Mean of a metric over the last quarter of what was logged; NaN where it never was."""
    values = [entry[name] for entry in curve if name in entry]
    last = values[-max(len(values) // 4, 1) :]
    return sum(last) / len(last) if last else math.nan
