"""All judges: which settings make which judge."""

from __future__ import annotations

from typing import Any

from configs.schema import BaseJudgeSettings, EmbeddedJudgeSettings, LlmJudgeSettings
from tasks.judging.embedded import EmbeddedJudge
from tasks.judging.judge import Judge, Material
from tasks.judging.llm.judge import LlmJudge

JUDGES: dict[type[BaseJudgeSettings], type[EmbeddedJudge] | type[LlmJudge]] = {
    EmbeddedJudgeSettings: EmbeddedJudge,
    LlmJudgeSettings: LlmJudge,
}


def make_judge(settings: BaseJudgeSettings, material: Material) -> Judge:
    """The judge that the settings describe."""
    kind: Any = JUDGES[type(settings)]
    return kind.of(settings, material)


def check_judge(settings: BaseJudgeSettings) -> None:
    """Whether what the judge needs is on this machine, before anything runs.

    Raises:
        InputError: an optional package is not installed, or a folder does not hold what it should.
    """
    kind: Any = JUDGES[type(settings)]
    kind.check(settings)
