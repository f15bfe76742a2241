"""All judges: which settings make which judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from configs.schema import BaseJudgeSettings, EmbeddedJudgeSettings, LlmJudgeSettings
from tasks.judging.embedded import EmbeddedJudge
from tasks.judging.judge import Judge, Material
from tasks.judging.llm.judge import LlmJudge

JUDGES: dict[type[BaseJudgeSettings], Callable[[Any, Material], Judge]] = {
    EmbeddedJudgeSettings: EmbeddedJudge.of,
    LlmJudgeSettings: LlmJudge.of,
}


def make_judge(settings: BaseJudgeSettings, material: Material) -> Judge:
    """The judge that the settings describe."""
    return JUDGES[type(settings)](settings, material)
