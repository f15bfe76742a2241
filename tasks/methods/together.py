"""Training runs that differ in targets and weights alone, in one pass over their rows.

Same base, rows, order of rows, seed and settings: so each batch is collated once, goes through the base with the
adapters stacked (`stacked_lora.py`), and one optimiser moves them all. No number of one run enters another: each has
its own loss, its own gradient and its own clipping, as if it were trained alone with TRL's trainer, up to the rounding
of sums in another order.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Architecture, Recipe, Robust
from tasks.architectures.load import Base
from tasks.methods.group_weights import GroupedRows, GroupWeights
from tasks.methods.lora import lent, name_base
from tasks.methods.memory import halving, rows_that_fit
from tasks.methods.method import Method
from tasks.methods.row_loss import RowLoss
from tasks.methods.row_order import LengthGrouped
from tasks.methods.run import STEPS, Curve, NotFinite, Run, Trained, training_arguments
from tasks.methods.saved_state import load_state, save_state
from tasks.methods.token_rows import TokenRows, rows_of
from tasks.runtime.files import Damaged
from tasks.runtime.progress import Progress, Report, as_part

if TYPE_CHECKING:
    import pandas as pd

    from tasks.methods.stacked_lora import Stack

log = logging.getLogger(__name__)


def train_together(
    base: Base, architecture: Architecture, method: Method, tables: Mapping[int, pd.DataFrame],
    runs: Mapping[int, Run], recipe: Recipe, progress: Progress,
) -> dict[int, Trained]:  # fmt: skip
    """Train an adapter for each table and save it where its run says; all tables have the same rows in the same order.

    As many runs at once as memory takes. The first run's reference and checkpoints are those of all.

    Raises:
        ValueError: the method has no loss of a row.
        OutOfMemory: not even one row of one run fits.
        NotFinite: the loss or the weights of one of them became infinite or no number.
    """
    loss = method.row_loss(recipe)
    if loss is None:
        raise ValueError(f"{method.title} can't train several runs together")
    numbers, first = list(tables), next(iter(runs.values()))
    rows = rows_of(loss, tables[numbers[0]], base, recipe, first.reference, progress)
    steps = first.steps or method.steps(len(rows.prompts), recipe)

    def attempt(size: int) -> dict[int, Trained]:
        trained: dict[int, Trained] = {}
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            group = {number: (tables[number], runs[number]) for number in some}
            of_them = as_part(progress, STEPS, start // size, math.ceil(len(numbers) / size))
            trained |= _train(base, architecture, loss, rows, group, recipe, steps, of_them)
        return trained

    return halving(attempt, len(numbers))[0]


def _train(
    base: Base, architecture: Architecture, loss: RowLoss, rows: TokenRows, group: dict[int, tuple[pd.DataFrame, Run]],
    recipe: Recipe, steps: int, progress: Progress,
) -> dict[int, Trained]:  # fmt: skip
    """One group of runs, from its checkpoint if there is one."""
    from tasks.methods.stacked_lora import new_adapters

    tables, runs = [table for table, _ in group.values()], [run for _, run in group.values()]
    arguments = training_arguments(base, loss.learning_rate, 1.0, runs[0])
    file = runs[0].checkpoints / f"together-{'-'.join(map(str, group))}.safetensors"
    with lent(base.model) as model, new_adapters(model, architecture, recipe.lora, runs[0].seed, len(group)) as stack:
        losses = [run.own_losses for run in runs]
        training = _Training(base, stack, loss, rows, tables, arguments, steps, runs[0].robust, losses)
        resumed = training.restore(file)
        started = time.monotonic()
        at_once = training.to_the_end(list(group), file, runs[0], recipe.checkpoint_seconds, progress)
        seconds = time.monotonic() - started
        name_base(stack.peft, architecture, runs[0].revision)
        for copy, run in enumerate(runs):
            stack.save(copy, run.adapter)
    return {
        number: Trained(curve, steps, resumed, rows.truncated, at_once, seconds / len(group))
        for number, curve in zip(group, training.curves, strict=True)
    }


class _Training:
    """A group of runs under way."""

    def __init__(
        self, base: Base, stack: Stack, loss: RowLoss, rows: TokenRows, tables: Sequence[pd.DataFrame],
        arguments: dict[str, Any], steps: int, robust: Robust | None = None,
        own_losses: Sequence[Mapping[str, float]] = (),
    ) -> None:  # fmt: skip
        import torch
        from transformers import get_scheduler

        def column(name: str) -> Any:
            values = torch.tensor([table[name].tolist() for table in tables], dtype=torch.float32)
            return values.to(base.model.device)

        self.base, self.model, self.stack, self.loss, self.rows = base, base.model, stack, loss, rows
        self.target, self.weight, self.arguments, self.steps = column("target"), column("weight"), arguments, steps
        self.optimiser = torch.optim.AdamW(
            stack.parameters, arguments["learning_rate"], weight_decay=arguments["weight_decay"], fused=True
        )
        self.schedule = get_scheduler(arguments["lr_scheduler_type"], self.optimiser, 0, steps)
        groups = GroupedRows.of(tables[0]) if robust else None
        self.group_weights = None
        if robust and groups:
            self.group_weights = GroupWeights(robust, groups, own_losses, self.model.device)
        self.group = torch.tensor(groups.of_row, device=self.model.device) if groups else None
        self.step = 0
        self.curves: list[Curve] = [[] for _ in tables]
        if arguments["gradient_checkpointing"]:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model.train()

    def to_the_end(
        self, numbers: Sequence[int], file: Path, run: Run, checkpoint_seconds: float, progress: Progress
    ) -> int:
        """Take the steps that are left; how many rows went through the model at once, at the end."""
        batch, lengths = self.loss.batch_size, self.rows.lengths
        per_epoch, every = math.ceil(len(lengths) / batch), self.arguments["logging_steps"]
        tokens = len(self.curves) * len(self.rows.responses[0]) * max(lengths)
        at_once = rows_that_fit(self.model, batch, tokens, logits=True)
        last, measured = time.monotonic(), list[dict[str, Any]]()
        self._tell(progress)
        for rows in islice(_order(lengths, batch, self.arguments["seed"]), self.step, self.steps):
            rate = self.schedule.get_last_lr()[0]
            metrics, at_once = halving(partial(self._step, rows, progress), at_once, of=batch)
            measured.append(metrics)
            self.step += 1
            self._tell(progress)
            if self.step % every:
                continue
            self._log(measured, rate, self.step / per_epoch, numbers)
            measured = []
            if self.step < self.steps and time.monotonic() - last >= checkpoint_seconds:
                self._save(file)
                run.checkpointed()
                last = time.monotonic()
        for copy, number in enumerate(numbers):
            if not all(bool(value[copy].isfinite().all()) for value in self.stack.parameters):
                raise NotFinite(f"run {number}: the adapter's weights are not finite after step {self.step}")
        return at_once

    def _tell(self, progress: Progress, part: float = 0.0) -> None:
        """`part`: share that is done of the step that is under way."""
        loss = f" (loss {self.curves[0][-1]['loss']:.3f})" if self.curves[0] else ""
        progress(Report(f"train{loss}", self.step + part, self.steps, STEPS))

    def _step(self, rows: Sequence[int], progress: Progress, at_once: int) -> dict[str, Any]:
        """One step of the optimiser on these rows, so many at once; what it measured, each of shape (copies)."""
        import torch

        self.optimiser.zero_grad()
        parts = [list(rows[start : start + at_once]) for start in range(0, len(rows), at_once)]
        target, weight, z = self.target[:, list(rows)], self.weight[:, list(rows)], None
        if self.rows.others:
            with torch.no_grad():
                ratio = torch.cat([self._ratio(part, others=True) for part in parts], 1)[..., 0]
            z = ((weight * ratio).sum(1) / weight.sum(1)).clamp(min=0)
        ratios, losses = [], []
        for part in parts:
            ratio = self._ratio(part)
            own = self.loss.losses(ratio, self.target[:, part], self.weight[:, part], z)
            if self.group_weights and self.group is not None:
                own = self.group_weights.weighed(own, self.weight[:, part], self.group[part])
            own = own / len(rows)
            own.sum().backward()
            ratios.append(ratio.detach())
            losses.append(own.detach().sum(1))
            self._tell(progress, len(losses) / len(parts) if len(losses) < len(parts) else 0.0)
        norm = self._clip()
        self.optimiser.step()
        self.schedule.step()
        metrics = self.loss.metrics(torch.cat(ratios, 1), target, weight, z)
        if self.group_weights:
            metrics |= self.group_weights.q
            self.group_weights.step()
        return {"loss": torch.stack(losses).sum(0), "grad_norm": norm, **metrics}

    def _ratio(self, rows: Sequence[int], others: bool = False) -> Any:
        """As of `TokenRows`, in the precision of the training."""
        import torch

        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.arguments["bf16"]):
            return self.rows.ratio(self.base, rows, len(self.curves), others)

    def _clip(self) -> Any:
        """Scale each run's gradient to at most the norm that is allowed; the norms before, (copies)."""
        import torch

        gradients = [value.grad for value in self.stack.parameters if value.grad is not None]
        norm = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        scale = (self.arguments["max_grad_norm"] / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale.view(-1, 1, 1))
        return norm

    def _log(self, measured: Sequence[dict[str, Any]], rate: float, epoch: float, numbers: Sequence[int]) -> None:
        """Add an entry to each curve: means over the steps since the last, and the last step's norm."""
        import torch

        means = {name: torch.stack([item[name] for item in measured]).nanmean(0) for name in measured[0]}
        means["grad_norm"] = measured[-1]["grad_norm"]
        for copy, (number, curve) in enumerate(zip(numbers, self.curves, strict=True)):
            own = {name: float(values[copy]) for name, values in means.items()}
            if not math.isfinite(sum(float(item["loss"][copy]) for item in measured)):
                raise NotFinite(f"run {number}: the loss is not finite by step {self.step}")
            known = {name: value for name, value in own.items() if not math.isnan(value)}
            curve.append({**known, "learning_rate": rate, "epoch": epoch, "step": float(self.step)})

    def _save(self, file: Path) -> None:
        """Keep all that goes on from here, in place of what was kept before."""
        state = {
            "step": self.step,
            "curves": self.curves,
            "weights": [value.detach() for value in self.stack.parameters],
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "groups": self.group_weights.state() if self.group_weights else {},
        }
        save_state(file, state)

    def restore(self, file: Path) -> int:
        """Go on from what was kept, if there is anything whole; the step after which it was."""
        import torch

        try:
            state = load_state(file)
        except FileNotFoundError:
            return 0
        except Damaged as error:
            log.warning("%s; the training starts anew", error)
            return 0
        with torch.no_grad():
            for value, kept in zip(self.stack.parameters, state["weights"], strict=True):
                value.copy_(kept)
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.group_weights:
            self.group_weights.restore(state["groups"])
        self.step, self.curves = state["step"], state["curves"]
        return self.step


def _order(lengths: Sequence[int], batch: int, seed: int) -> Iterator[list[int]]:
    """The rows of each step, without end: as TRL's trainer takes them from the same sampler."""
    sampler = LengthGrouped(lengths, batch, seed)
    for epoch in count():
        sampler.set_epoch(epoch)
        rows = list(sampler)
        yield from (rows[start : start + batch] for start in range(0, len(rows), batch))
