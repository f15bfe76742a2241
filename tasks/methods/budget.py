"""How many optimiser steps a condition trains."""

from __future__ import annotations

from collections.abc import Mapping

from configs.schema import Experiment, Recipe
from tasks.methods import METHODS


def steps_beyond_epochs(experiment: Experiment, sizes: Mapping[str, int], condition: str, recipe: Recipe) -> int | None:
    """Steps of a condition whose experiment gives all conditions the same; None where those are its epochs' anyway.

    sizes: condition → rows or prompts. All conditions of a method take as many steps as the largest of them.
    """
    if experiment.budget == "epochs" or not sizes[condition]:
        return None
    name = experiment.conditions[condition].method
    alike = [other for other, settings in experiment.conditions.items() if settings.method == name]
    steps = {other: METHODS[name].steps(sizes[other], recipe) for other in alike if sizes[other]}
    most = max(steps.values())
    return most if most > steps[condition] else None
