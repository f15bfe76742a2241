"""The answers of the rater replicates of one training run."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.load import BaseJob, BaseRef, base_at
from tasks.generation.greedy import generate_together
from tasks.generation.step import ANSWERS_FILE, PROMPTS, PROMPTS_FILE, Answered, Prompts, keep_prompts
from tasks.methods.replicates import TrainReplicates, adapter_of
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.job import Desk, Result
from tasks.runtime.runner import Runner
from tasks.runtime.store import Artifact, Store

VERSION = 1


class AnswerReplicates(BaseJob[Answered]):
    """Answer prompts greedily: `outputs.parquet`, as of `Answer` with the column replicate."""

    stage: ClassVar[str] = "replicate-outputs"
    result: ClassVar[type[Result]] = Answered
    runs: str
    """Key of the replicates' training runs."""
    replicates: tuple[int, ...]
    prompts: str
    """Digest of the prompts, which the store keeps."""
    recipe: Recipe

    @property
    def key(self) -> str:
        base, recipe = self.base, self.recipe
        limits = (recipe.max_new_tokens, recipe.max_length, recipe.generation_batch)
        identity = (self.runs, list(self.replicates), self.prompts)
        return fingerprint([VERSION, base.key, base.architecture.reasoning, *identity, *limits])

    @property
    def title(self) -> str:
        return f"{self.base.architecture.name}: answer {len(self.replicates)} replicates"

    def run(self, desk: Desk) -> Answered:
        base, reasoning = base_at(desk, self.base), self.base.architecture.reasoning
        runs = desk.store.fetch(TrainReplicates.stage, self.runs)
        prompts = pd.read_parquet(desk.store.fetch(PROMPTS, self.prompts) / PROMPTS_FILE)
        adapters = [adapter_of(runs, number) for number in self.replicates]
        answers, at_once = generate_together(base, adapters, prompts, self.recipe, reasoning, desk.progress)
        numbered = [own.assign(replicate=number) for number, own in zip(self.replicates, answers, strict=True)]
        pd.concat(numbered, ignore_index=True).to_parquet(desk.folder / ANSWERS_FILE, index=False)
        return Answered(at_once=at_once)


def answer_as_replicates(
    base: BaseRef,
    runs: str,
    replicates: tuple[int, ...],
    prompts: Prompts,
    recipe: Recipe,
    store: Store,
    runner: Runner,
) -> Artifact[Answered]:
    """The answers of every replicate's adapter. Raises `JobFailed` as any job."""
    keep_prompts(prompts, store)
    return runner.run(
        AnswerReplicates(base=base, runs=runs, replicates=replicates, prompts=prompts.digest, recipe=recipe)
    )
