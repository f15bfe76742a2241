"""The rater replicates of one training run, trained together: the same rows and seed, other targets and weights.

In one pass where the method has a loss of a row and the base is on one GPU or none; else one after another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from configs.schema import Recipe, Robust
from tasks.architectures.load import BaseJob, base_at
from tasks.methods import METHODS
from tasks.methods.own_adapters import merge, own_losses
from tasks.methods.replicate_set import one_of_them
from tasks.methods.run import STEPS, Curve, Run, Trained, margin_at_end
from tasks.methods.step import ADAPTER, CHECKPOINTS, Train
from tasks.methods.together import train_together
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.job import Desk, Result
from tasks.runtime.progress import Progress, as_part
from tasks.runtime.runner import Runner
from tasks.runtime.store import Artifact, Store, StoredFile

VERSION = 2


class ReplicateRuns(Result):
    """What the training of each replicate was, by its number, beside its adapter in the folder `NUMBER/adapter`."""

    margins: dict[int, float]
    """Of the method, at the end of each training."""
    curves: dict[int, Curve]
    steps: int
    resumed_from: int
    """The step that the last of them went on from after a kill; 0 where none was."""
    truncated: int
    at_once: int
    """Rows that went through the model at once for each replicate, at the end."""
    loop_seconds: float
    """Of the optimiser's steps alone, of all replicates."""


class TrainReplicates(BaseJob[ReplicateRuns]):
    """Train an adapter for each replicate."""

    stage: ClassVar[str] = "replicate-runs"
    result: ClassVar[type[Result]] = ReplicateRuns
    method: str
    data: StoredFile
    """The rows that train, as `replicate_set.side_by_side` has them."""
    digests: Mapping[int, str]
    """Replicate → the identity of what training reads of it."""
    recipe: Recipe
    seed: int
    steps: int | None = None
    robust: Robust | None = None
    own: Mapping[str, str] = {}
    """Group → the key of the replicates of its own adapter; as of `Train`."""

    @property
    def of_one(self) -> Train:
        """The training run of the first replicate alone, whose settings all share."""
        number = min(self.digests)
        return Train(
            base=self.base, method=self.method, data=self.data, digest=self.digests[number], recipe=self.recipe,
            seed=self.seed, steps=self.steps, robust=self.robust,
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        return self.of_one.settings

    @property
    def key(self) -> str:
        digests = {str(number): digest for number, digest in self.digests.items()}
        own = [dict(self.own)] if self.own else []
        return fingerprint([VERSION, self.base.key, digests, self.method, self.settings, *own])

    @property
    def title(self) -> str:
        return f"{self.base.architecture.name}: train {len(self.digests)} replicates"

    def run(self, desk: Desk) -> ReplicateRuns:
        """Go on from a checkpoint of a job that was killed, if there is one."""
        method = METHODS[self.method]
        if self.own and not self.robust:
            for number in self.digests:
                merge(self._own_adapters(number, desk), adapter_of(desk.folder, number))
            nothing = dict.fromkeys(self.digests, math.nan)
            return ReplicateRuns(
                margins=nothing, curves={number: [] for number in nothing}, steps=0, resumed_from=0, truncated=0,
                at_once=0, loop_seconds=0.0,
            )  # fmt: skip
        base = base_at(desk, self.base)
        wide = pd.read_parquet(self.data.fetch(desk.store))
        tables = {number: one_of_them(method, wide, number) for number in self.digests}
        checkpoints, kept = desk.store.workspace(CHECKPOINTS, self.key), self.of_one.reference(desk)
        folder, reference = checkpoints.open(), kept.open()
        alone = Run(
            self.seed, desk.folder, folder, reference, self.steps, revision=self.base.revision, robust=self.robust,
            checkpointed=checkpoints.save,
        )  # fmt: skip
        runs = {
            number: replace(alone, adapter=adapter_of(desk.folder, number), checkpoints=folder / str(number))
            for number in self.digests
        }
        for number, table in tables.items() if self.own else ():
            own = self._own_adapters(number, desk)
            losses = own_losses(base, method, table, own, self.recipe, reference, desk.progress)
            runs[number] = replace(runs[number], own_losses=losses)
        if method.row_loss(self.recipe) and self.base.architecture.gpus == 1:
            architecture, recipe = self.base.architecture, self.recipe
            trained = train_together(base, architecture, method, tables, runs, recipe, desk.progress)
        else:
            del base
            trained = {}
            for index, number in enumerate(self.digests):
                of_it = as_part(desk.progress, STEPS, index, len(self.digests))
                trained[number] = self._alone(tables[number], runs[number], desk, of_it)
        kept.save()
        of_all = list(trained.values())
        return ReplicateRuns(
            margins={number: margin_at_end(own.curve, method.margin) for number, own in trained.items()},
            curves={number: own.curve for number, own in trained.items()},
            steps=of_all[0].steps,
            resumed_from=max(own.resumed_from for own in of_all),
            truncated=of_all[0].truncated,
            at_once=min(own.at_once for own in of_all),
            loop_seconds=sum(own.loop_seconds for own in of_all),
        )

    def _own_adapters(self, number: int, desk: Desk) -> dict[str, Path]:
        return {group: adapter_of(desk.store.fetch(self.stage, key), number) for group, key in self.own.items()}

    def _alone(self, table: pd.DataFrame, run: Run, desk: Desk, progress: Progress) -> Trained:
        method, base = METHODS[self.method], base_at(desk, self.base)
        trained = method.train(base, self.base.architecture, table, self.recipe, run, progress)
        if method.leaves_base_changed():
            del base
            desk.warm.drop()
        return trained


def train_replicates(job: TrainReplicates, store: Store, runner: Runner) -> Artifact[ReplicateRuns]:
    """The replicates' runs, found or made now. Raises `JobFailed` where training raised, or its process died."""
    run = runner.run(job)
    if run.fresh:
        store.workspace(CHECKPOINTS, job.key).remove()
    return run


def adapter_of(runs: Path, number: int) -> Path:
    """The folder of a replicate's adapter."""
    return runs / str(number) / ADAPTER
