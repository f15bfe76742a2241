"""Made-up tables of ways to serve two groups or more; nothing in them was measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import CONTROL, Study
from tasks.groups.service import measure_groups, measure_service
from tasks.groups.tables import Voices
from tasks.judging.tables import JudgeGroups
from tasks.meta_analysis.service import pool_service
from tasks.runtime.tables import columns_of
from tests.tasks.groups.simulated_scores import simulated_scores
from tests.tasks.reporting.made_up import study

UTILITIES = {
    "own": (0.70, 0.64), "pooled": (0.68, 0.45), "equal": (0.65, 0.53), "population": (0.67, 0.48),
    "robust": (0.61, 0.60), "least-regret": (0.63, 0.56), "maxmin": (0.58, 0.55), "named": (0.66, 0.58),
    "merged": (0.64, 0.50), CONTROL: (0.50, 0.44),
}  # fmt: skip
"""Way to serve → what the first group gets of it, and the last; those between get what lies between."""


def serving(**changes: Any) -> Study:
    """The made-up study with an experiment of the ways to serve."""
    settings = study().model_dump()
    ways = [name for name in UTILITIES if name != CONTROL]
    conditions = {name: {"dimensions": ["toxicity"], "scale": "5-point"} for name in ways}
    contrasts: dict[str, Any] = {"robust - pooled": {}, "equal - pooled": {}, "named - pooled": {}}
    experiment = {"title": "Serving groups", "question": "Can one model serve all?", "conditions": conditions}
    return study(**{"experiments": {"serving": experiment | {"contrasts": contrasts}}, **changes} | {
        "strata": changes.get("strata", settings["strata"])})  # fmt: skip


def judge_row(group: str, dimension: str, used: bool = True, **changes: Any) -> dict[str, Any]:
    """A row of judge_groups.csv."""
    blank = {name: "" if column.text else math.nan for name, column in columns_of(JudgeGroups).items()}
    return blank | {
        "dimension": dimension, "group": group, "n": 120, "n_prompts": 40, "n_ratings": 480, "kind": "words",
        "gain": 0.01 * used, "gain_low": 0.006 * used - 0.001, "gain_high": 0.014 * used + 0.001, "used": used,
        "spearman_own": 0.6, "spearman_everybody": 0.4, "spearman_others": 0.2,
        "why_not": "" if used else "it does not predict the group's ratings better", **changes,
    }  # fmt: skip


def group_tables(
    settings: Study, experiment: str, groups: tuple[str, ...] = ("female", "male"), replicates: int = 3,
    utilities: dict[str, tuple[float, float]] | None = None, seed: int = 0,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """groups, service, judge_groups and voices on every evaluated dimension, of the ways that are conditions."""
    conditions = settings.experiments[experiment].conditions
    ways = {way: ends for way, ends in (utilities or UTILITIES).items() if way in conditions or way == CONTROL}
    true = {
        way: dict(zip(groups, np.linspace(first, last, len(groups)), strict=True))
        for way, (first, last) in ways.items()
    }
    tables = []
    for number, dimension in enumerate(settings.evaluation.dimensions):
        scores = simulated_scores(
            true, len(settings.architectures), 60, 0.12, replicates, seed + number, dimension, experiment, tau=0.01
        )
        lower = settings.dimensions[dimension].better == "lower"
        tables.append(scores.assign(score=1 - scores["score"]) if lower else scores)
    scores = pd.concat(tables)
    contrasts = {experiment: list(settings.experiments[experiment].contrasts)}
    shares = {name: 1 / len(groups) for name in groups}
    service = measure_service(scores, settings.dimensions, contrasts, 5, shares, draws=100)
    judges = [judge_row(name, dimension) for dimension in settings.evaluation.dimensions for name in groups]
    return {
        "groups": measure_groups(scores, settings.dimensions, 5), "service": pool_service(*service),
        "judge_groups": JudgeGroups.checked(judges), "voices": _voices(experiment, groups),
    }  # fmt: skip


def _voices(experiment: str, groups: tuple[str, ...]) -> pd.DataFrame:
    """Weights that move from equal ones towards the last group."""
    rows = []
    for condition, speed in (("robust", 0.02), ("least-regret", 0.008)):
        for model in range(3):
            for step in range(0, 101, 10):
                raw = np.exp(speed * step * (1 + 0.2 * model) * np.linspace(0, 1, len(groups)))
                rows += [
                    (experiment, condition, f"m{model}", step, g, q)
                    for g, q in zip(groups, raw / raw.sum(), strict=True)
                ]
    return Voices.checked(rows)
