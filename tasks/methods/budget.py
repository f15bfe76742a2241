"""How many optimiser steps a condition trains."""

from __future__ import annotations

import math
from collections.abc import Mapping

from configs.schema import Experiment, Recipe


def steps_of_epochs(optimiser: str, size: int, recipe: Recipe) -> int:
    """Steps that the recipe's epochs are for `size` pairs (dpo) or prompts (grpo); a last short batch is a step too."""
    if optimiser == "grpo":
        used = min(size, recipe.grpo.prompts)
        return math.ceil(recipe.grpo.epochs * max(used // recipe.grpo.prompts_per_step, 1))
    return math.ceil(recipe.dpo.epochs * math.ceil(size / recipe.dpo.batch_size))


def steps_beyond_epochs(experiment: Experiment, sizes: Mapping[str, int], condition: str, recipe: Recipe) -> int | None:
    """Steps of a condition whose experiment gives all conditions the same; None where those are its epochs' anyway.

    sizes: condition → pairs or prompts. All conditions of an optimiser take as many steps as the largest of them.
    """
    if experiment.budget == "epochs" or not sizes[condition]:
        return None
    optimiser = experiment.conditions[condition].optimiser
    alike = [name for name, other in experiment.conditions.items() if other.optimiser == optimiser]
    steps = {name: steps_of_epochs(optimiser, sizes[name], recipe) for name in alike if sizes[name]}
    most = max(steps.values())
    return most if most > steps[condition] else None
