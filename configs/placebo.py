"""Placebo contrasts: between two random halves of the raters whom a contrast of the study compares, so that nothing is
there to find. How many of them come out clear is the study's own rate of false findings."""

from __future__ import annotations

from itertools import cycle
from typing import Any

PLACEBO = "placebo"
"""The experiment's name."""


def with_placebos(study: dict[str, Any]) -> dict[str, Any]:
    """A study's raw settings with an experiment of `placebo` contrasts, where they ask for some and have it not yet.

    Each takes after a contrast between two strata, in turn: its raters are those of both strata, its settings those of
    the first side. What is not as it should be is left to the checks of the settings.

    Raises:
        ValueError: no contrast is between two strata.
    """
    count, experiments = study.get("placebo"), study.get("experiments")
    if not isinstance(count, int) or count < 1 or not isinstance(experiments, dict) or PLACEBO in experiments:
        return study
    models = [found for experiment in experiments.values() for found in _between_strata(experiment)]
    if not models:
        raise ValueError("placebo: no experiment has a contrast between two strata, whose raters could be halved")
    conditions, contrasts = {}, {}
    for number, (condition, strata, settings) in zip(range(1, count + 1), cycle(models), strict=False):
        names = [f"half-{number}{letter}" for letter in "ab"]
        for name, second in zip(names, (False, True), strict=True):
            half = {"of": strata, "number": number, "second": second}
            conditions[name] = {key: condition[key] for key in condition if key != "stratum"} | {"half": half}
        contrasts[" - ".join(names)] = {"focus": settings.get("focus", [])}
    question = "What comes out where nothing is to be found: between random halves of the raters?"
    experiment = {"title": "Placebo", "question": question, "conditions": conditions, "contrasts": contrasts}
    return study | {"experiments": experiments | {PLACEBO: experiment}}


def _between_strata(experiment: Any) -> list[tuple[dict[str, Any], list[str], dict[str, Any]]]:
    """Of each contrast between two strata: the first side's condition, both strata, the contrast's settings."""
    if not isinstance(experiment, dict) or not isinstance(experiment.get("contrasts"), dict):
        return []
    conditions = experiment.get("conditions")
    if not isinstance(conditions, dict):
        return []
    found = []
    for contrast, settings in experiment["contrasts"].items():
        sides = [side for side in map(conditions.get, str(contrast).split(" - ")) if isinstance(side, dict)]
        strata = [stratum for side in sides if isinstance(stratum := side.get("stratum"), str) and stratum]
        if len(sides) == len(strata) == len(set(strata)) == 2:
            found.append((sides[0], strata, settings if isinstance(settings, dict) else {}))
    return found
