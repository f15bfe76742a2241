"""The answers of a base or an adapter to the held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from configs.schema import Recipe
from tasks.architectures.chat import SYSTEM
from tasks.architectures.load import BaseJob, BaseRef, base_at
from tasks.generation.greedy import generate
from tasks.methods.group_weights import GROUP
from tasks.methods.step import ADAPTER, RUNS
from tasks.runtime.fingerprint import fingerprint, frame_digest
from tasks.runtime.job import Desk, Result
from tasks.runtime.runner import Runner
from tasks.runtime.store import Artifact, Store

VERSION = 3
PROMPTS, PROMPTS_FILE, ANSWERS_FILE = "prompts", "prompts.parquet", "outputs.parquet"


@dataclass(frozen=True)
class Prompts:
    """The held-out prompts (prompt_id, prompt; see `for_groups`), and their digest, which every cell needs."""

    table: pd.DataFrame
    digest: str

    @classmethod
    def of(cls, table: pd.DataFrame) -> Prompts:
        return cls(table, frame_digest(table))

    def for_groups(self, naming: Mapping[str, str]) -> Prompts:
        """Each prompt once for every group, with its group and system turn; as they are where no group is named.

        naming: group → the system turn that tells it to the model.
        """
        each = [self.table.assign(**{GROUP: group, SYSTEM: text}) for group, text in naming.items()]
        return Prompts.of(pd.concat(each, ignore_index=True)) if each else self


class Answered(Result):
    """How the answers came out."""

    at_once: int
    """How many prompts went through the model at once, at the end."""


class Answer(BaseJob[Answered]):
    """Answer prompts greedily: `outputs.parquet` (prompt_id, text, tokens, finished, thought; group if it is named)."""

    stage: ClassVar[str] = "outputs"
    result: ClassVar[type[Result]] = Answered
    run_key: str | None
    """The training run whose adapter answers; None is the base alone, the control."""
    prompts: str
    """Digest of the prompts, which the store keeps."""
    recipe: Recipe

    @property
    def key(self) -> str:
        base, recipe = self.base, self.recipe
        limits = (recipe.max_new_tokens, recipe.max_length, recipe.generation_batch)
        return fingerprint([VERSION, base.key, base.architecture.reasoning, self.run_key, self.prompts, *limits])

    @property
    def title(self) -> str:
        return f"{self.base.architecture.name}: answer"

    def run(self, desk: Desk) -> Answered:
        base, reasoning = base_at(desk, self.base), self.base.architecture.reasoning
        adapter = desk.store.fetch(RUNS, self.run_key) / ADAPTER if self.run_key else None
        prompts = pd.read_parquet(desk.store.fetch(PROMPTS, self.prompts) / PROMPTS_FILE)
        answers, at_once = generate(base, adapter, prompts, self.recipe, reasoning, desk.progress)
        answers.to_parquet(desk.folder / ANSWERS_FILE, index=False)
        return Answered(at_once=at_once)


def answer_prompts(
    base: BaseRef, run_key: str | None, prompts: Prompts, recipe: Recipe, store: Store, runner: Runner
) -> Artifact[Answered]:
    """The answers of a training run's adapter, or of the base alone.

    Raises:
        JobFailed: generation raised, or its process died.
    """
    keep_prompts(prompts, store)
    return runner.run(Answer(base=base, run_key=run_key, prompts=prompts.digest, recipe=recipe))


def keep_prompts(prompts: Prompts, store: Store) -> None:
    """Put the prompts where jobs find them."""
    store.make(PROMPTS, prompts.digest, lambda folder: prompts.table.to_parquet(folder / PROMPTS_FILE, index=False))


def read_answers(answers: Artifact[Answered]) -> pd.DataFrame:
    """prompt_id, text, tokens, finished, thought; group where the model is told it."""
    return pd.read_parquet(answers.path / ANSWERS_FILE)
