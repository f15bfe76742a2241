"""What is planted in a simulated study: where its groups must come out different, in which direction, and where not.

`Simulation.slopes` lets groups differ in their slope on what a text shows, that is in how sharply they tell responses
apart. A rater with slope s prefers the response that shows more of a dimension with log-odds that grow with s, and
training on such preferences tilts a model's answers: π(y) ∝ π_ref(y) · exp(λ o s z(y)), where z is what an answer y
shows of the dimension trained on, and o is +1 where more of it is better, −1 where less is. The mean score of a
dimension e then changes, to first order in λ, by λ o s cov(z, z_e). So training on group A instead of group B, whose
mean slopes differ by Δ, moves the score by

    sign(o · Δ · ρ),    strength |Δ · ρ|,    ρ = correlation of z and z_e; 1 where e is what is trained on.

Where a low score is better (o = −1), the sharper group gives the lower score: more of what is good, as a difference of
scores a negative one. A dimension that is judged but not trained on is carried along, since texts that show much of
one show little or much of another: its sign is that of the correlation. Of several dimensions trained at once, each
counts the same, as in training.

Means are over the population that participants are drawn from, not over those who were drawn: what differs between the
latter by chance is an error of the study and not its truth. Groups that differ in level alone (`PUBLISHED_EFFECTS`)
prefer the same responses; that a shift also changes a little how many labels tie is neglected, and they count as null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from configs.schema import Condition, Contrast, Experiment, Simulation, Stratum, Study
from tasks.simulation.language import DIMENSIONS
from tasks.simulation.population import Declarations, declarable, declarations, halves
from tasks.simulation.simulate import MODEL, shown

NOTHING = 0.05
"""A strength below this counts as none: groups by one attribute differ a little in how others are spread over them."""


@dataclass(frozen=True)
class Planted:
    """What the settings of a simulated study say about an effect before anything is trained."""

    experiment: str
    contrast: Contrast
    dimension: str
    sign: int
    """Of the difference of scores, first less second: +1, −1, or 0 for a null."""
    strength: float
    """Difference of the groups' mean slopes, in log-odds a standard deviation of what texts show, times ρ; ≥ 0."""


def planted(study: Study) -> list[Planted]:
    """Every contrast of groups of simulated raters with every evaluated dimension, in the order of the settings.

    Of these a simulation knows the truth. It doesn't of a contrast with the control, or of scales, aggregations,
    methods or dimensions: how far they move a model is the outcome of training and set nowhere. So the two conditions
    must be the same but for their strata. Nothing where the ratings are real, and nothing about dimensions or groups
    by other names than the simulation's.
    """
    simulation = study.ratings.simulate
    if simulation is None:
        return []
    correlation = _correlations(simulation, study.seed)
    effects = []
    for name, experiment in study.experiments.items():
        for contrast, sides in experiment.compared_strata.items():
            first, second = (study.strata[side] for side in sides)
            condition = _same_but_for_strata(experiment, contrast)
            if condition is None or not _is_simulated(first) or not _is_simulated(second):
                continue
            for dimension in study.evaluation.dimensions:
                if not {dimension, *condition.dimensions} <= set(DIMENSIONS):
                    continue
                change = 0.0
                for trained in condition.dimensions:
                    difference = mean_slope(simulation, first, trained) - mean_slope(simulation, second, trained)
                    towards = 1 if study.dimensions[trained].better == "higher" else -1
                    change += towards * difference * correlation[trained, dimension] / len(condition.dimensions)
                sign = 0 if abs(change) < NOTHING else int(math.copysign(1, change))
                effects.append(Planted(name, contrast, dimension, sign, abs(change) if sign else 0.0))
    return effects


def mean_slope(simulation: Simulation, stratum: Stratum, dimension: str) -> float:
    """The mean slope on a dimension of those who declare a value of `stratum`, in the population that is drawn from.

    Within each half of the population, attributes are independent of each other. So is a factor of one attribute of
    the factors of the others, and the mean of their product the product of their means.
    """
    slopes = simulation.slopes.get(dimension, {})
    members, total = 0.0, 0.0
    for population, size in halves(simulation.participants):
        declared = declarations(population)
        inside = {values: p for values, p in declared.pop(stratum.attribute).items() if values & set(stratum.values)}
        others = math.prod(_mean_factor(sets, slopes.get(name, {})) for name, sets in declared.items())
        members += size * sum(inside.values())
        total += size * others * _mean_factor(inside, slopes.get(stratum.attribute, {}))
    return MODEL.slopes[dimension] * total / members


def _mean_factor(sets: Declarations, factors: Mapping[str, float]) -> float:
    """Σ p · Π factor over sets of declared values."""
    return sum(p * math.prod(factors.get(value, 1.0) for value in values) for values, p in sets.items())


def _is_simulated(stratum: Stratum) -> bool:
    """Whether the simulation knows the attribute and draws its values."""
    return set(stratum.values) <= set(declarable().get(stratum.attribute, ()))


def _same_but_for_strata(experiment: Experiment, contrast: Contrast) -> Condition | None:
    """What both conditions of a contrast have in common; None where they differ in more than their strata."""
    first, second = (experiment.conditions[side].model_copy(update={"stratum": None}) for side in contrast.sides)
    return first if first == second else None


def _correlations(simulation: Simulation, seed: int) -> dict[tuple[str, str], float]:
    """Correlation of what the responses show of any two dimensions, within prompts: only there are they compared."""
    z = shown(simulation, seed)
    apart = z - z.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        correlation = np.nan_to_num(np.corrcoef(apart.reshape(-1, len(DIMENSIONS)), rowvar=False))
    np.fill_diagonal(correlation, 1.0)
    names = list(enumerate(DIMENSIONS))
    return {(one, other): float(correlation[i, j]) for i, one in names for j, other in names}
