"""What a judge is: it scores answers on each dimension, and is held against human raters before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from configs.schema import Dimension
from tasks.judging.group_fits import GroupFit, fit_line
from tasks.runtime.store import Store

VERDICTS = "verdicts"
"""What a judge's progress counts."""
EMPTY = "empty answer"
"""Why an answer without a word is unscored, whoever judges."""


class JudgeFailed(RuntimeError):
    """A judge gives no verdicts, or may not be asked for more; the next run asks for what is missing."""


class JudgeScores(NamedTuple):
    """Scores of texts in [0, 1], 0 the questionnaire's lowest category: shape (texts, dimensions), NaN where unscored;
    and for each text why it is unscored, "" where it is not.

    `final`: whether asking again would give the same. Where a text is unscored for a reason that may pass, the scores
    serve this run only.
    """

    values: np.ndarray
    reasons: list[str]
    final: bool = True


class Tried(NamedTuple):
    """A judge that might have been: which it is, its scores of rated responses as `Judge.score_rated` has them, in how
    many parts of the proof it was the one chosen, of how many, and whether the judge is this one."""

    name: str
    scores: JudgeScores
    chosen: int
    parts: int
    used: bool


class Judge(Protocol):
    """A judge of one study, made ready; safe to use from several threads.

    A judge is written as a subclass, and inherits what holds for one that runs on this machine at no cost.
    """

    @property
    def identity(self) -> str:
        """What a score depends on beside the prompt and the answer: equal identities give equal scores."""
        ...

    def score(self, prompts: Sequence[str], answers: Sequence[str]) -> JudgeScores:
        """The score of each answer to the prompt beside it."""
        ...

    def score_rated(self, sample: pd.DataFrame) -> JudgeScores:
        """Scores of rated responses (columns prompt, response, response_id) for the judge's proof: a judge that
        learned from their ratings must give the scores that it gives without them."""
        return self.score(sample["prompt"].tolist(), sample["response"].tolist())

    @classmethod
    def check(cls, settings: Any) -> None:
        """Whether what it needs is on this machine, as far as that can be seen at once; raises `InputError`."""
        return

    def settle(self) -> None:
        """Fetch what `identity` depends on from elsewhere, such as a hub model's commit; raises `InputError`."""
        return

    def tried(self, sample: pd.DataFrame) -> list[Tried]:
        """What the judge was chosen from, for its proof on rated responses; nothing where it had no choice."""
        return []

    @property
    def group_fit(self) -> GroupFit:
        """How a group's judge is made of this one's scores: by default the line of the group's mean on them."""
        return fit_line

    def missing(self, pairs: Sequence[tuple[str, str]]) -> int:
        """How many paid calls the scores of these prompts and answers would take."""
        return 0

    def dollars_each(self, tokens: int) -> float | None:
        """What a call costs at most, of a prompt and an answer of so many tokens together; None without a price."""
        return 0.0

    @property
    def account(self) -> dict[str, float]:
        """`calls` and `dollars` of this run, where the judge is paid."""
        return {}

    def close(self) -> None:
        """End connections and threads. The judge can be used again, and its account goes on."""
        return


@dataclass(frozen=True)
class Material:
    """What a judge is made of, beside its settings.

    dimensions: what it scores, in the order of the scores' columns. categories: K of the questionnaire, whose answers
    are 1 … K. rated: the rated responses to held-out prompts (`evidence.Evidence`). verdicts, vectors: the files in
    which paid verdicts and sentence embeddings are kept. secret: gives the key that is kept under a name, or None.
    store: knows the commits of hub models.
    """

    dimensions: Mapping[str, Dimension]
    categories: int
    rated: pd.DataFrame
    verdicts: Path
    vectors: Path
    secret: Callable[[str], str | None]
    store: Store
