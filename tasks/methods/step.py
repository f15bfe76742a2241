"""One training run: an adapter on a base, from one condition's data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from configs.schema import Recipe, Robust
from tasks.architectures.load import BaseJob, base_at
from tasks.methods import METHODS
from tasks.methods.own_adapters import merge, own_losses
from tasks.methods.run import Run, margin_at_end
from tasks.runtime.files import write_atomically
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.job import Desk, Result
from tasks.runtime.runner import Runner
from tasks.runtime.store import Artifact, Store, StoredFile, Workspace

VERSION, REFERENCE_VERSION = 6, 1
RUNS, ADAPTER, CHECKPOINTS, REFERENCE = "training-runs", "adapter", "checkpoints", "reference"


class TrainingRun(Result):
    """What a training run was, beside its adapter in the folder `adapter` with its card: see `Trained`."""

    curve: list[dict[str, float]]
    steps: int
    resumed_from: int
    truncated: int
    at_once: int
    loop_seconds: float
    margin: float
    """Of the method, at the end of training; NaN where nothing was trained."""

    @classmethod
    def of_nothing(cls) -> TrainingRun:
        """Of an adapter that was made of others."""
        return cls(curve=[], steps=0, resumed_from=0, truncated=0, at_once=0, loop_seconds=0.0, margin=math.nan)


class Train(BaseJob[TrainingRun]):
    """Train an adapter. Cells whose jobs have equal keys share the run."""

    stage: ClassVar[str] = RUNS
    result: ClassVar[type[Result]] = TrainingRun
    method: str
    data: StoredFile
    """The rows that train."""
    digest: str
    """Of what training reads of them."""
    recipe: Recipe
    seed: int
    steps: int | None = None
    """Instead of the recipe's epochs."""
    robust: Robust | None = None
    """Where the run looks after the group that it serves worst."""
    own: Mapping[str, str] = {}
    """Group → the key of the training run of its own adapter, where the run starts from them: it looks after the group
    with most regret, or is their mean."""
    card: str = ""
    """The adapter's model card, which tells who shares the run and is no part of its identity."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the run depends on beside base and data, flat, as a person reads it."""
        recipe, architecture = self.recipe, self.base.architecture
        return {
            "max_length": recipe.max_length,
            **{f"lora.{key}": value for key, value in recipe.lora.model_dump(mode="json").items()},
            **METHODS[self.method].identity(recipe, architecture),
            **({"steps": self.steps} if self.steps else {}),
            **({f"robust.{key}": value for key, value in self.robust.model_dump().items()} if self.robust else {}),
            "target_modules": architecture.target_modules,
            "seed": self.seed,
        }

    @property
    def key(self) -> str:
        own = [dict(self.own)] if self.own else []
        return fingerprint([VERSION, self.base.key, self.digest, self.method, self.settings, *own])

    @property
    def title(self) -> str:
        return f"{self.base.architecture.name}: train"

    @property
    def processes(self) -> int:
        return self.gpus

    def before_sharding(self, desk: Desk) -> None:
        base, table = base_at(desk, self.base), pd.read_parquet(self.data.fetch(desk.store))
        METHODS[self.method].before_sharding(base, table, self.recipe, self.reference(desk).open(), desk.progress)

    def run(self, desk: Desk) -> TrainingRun:
        """Go on from the newest checkpoint of a run that was killed, if there is one."""
        method, adapter = METHODS[self.method], desk.folder / ADAPTER
        checkpoints, kept = desk.store.workspace(CHECKPOINTS, self.key), self.reference(desk)
        reference, revision = kept.open(), self.base.revision
        run = Run(self.seed, adapter, checkpoints.open(), reference, self.steps, desk.processes, revision, self.robust)
        run = replace(run, checkpointed=checkpoints.save)
        own = {group: desk.store.fetch(RUNS, key) / ADAPTER for group, key in self.own.items()}
        if own and not self.robust:
            merge(own, adapter)
            write_atomically(adapter / "README.md", self.card)
            return TrainingRun.of_nothing()
        base, table = base_at(desk, self.base), pd.read_parquet(self.data.fetch(desk.store))
        if own:
            losses = own_losses(base, method, table, own, self.recipe, reference, desk.progress)
            run = replace(run, own_losses=losses)
        trained = method.train(base, self.base.architecture, table, self.recipe, run, desk.progress)
        if method.leaves_base_changed():
            del base
            desk.warm.drop()
        if desk.rank == 0:
            kept.save()
            write_atomically(adapter / "README.md", self.card)
        return TrainingRun(**vars(trained), margin=margin_at_end(trained.curve, method.margin))

    def reference(self, desk: Desk) -> Workspace:
        """The file of the base's reference log-probabilities, which all its runs share."""
        return desk.store.workspace(REFERENCE, f"{self.base.key}-{REFERENCE_VERSION}.txt")


def train_adapter(job: Train, store: Store, runner: Runner) -> Artifact[TrainingRun]:
    """The training run, found or made now.

    Checkpoints are kept beside the run until it is whole, so that a killed one goes on from its last.

    Raises:
        JobFailed: training raised, or its process died.
    """
    run = runner.run(job)
    if run.fresh:
        store.workspace(CHECKPOINTS, job.key).remove()
    return run
