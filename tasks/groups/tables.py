"""The tables of what groups get of each way to serve them, in each architecture."""

from __future__ import annotations

from tasks.effects.tables import EffectCovariances, ReplicateEffects
from tasks.runtime.tables import Table, column

SCORE = "score, 0–1"
WAY = "how the groups are served; control: the untouched architecture"
MEASURE = "worst group, gap, mean, population mean, or group: NAME"


class GroupScores(Table):
    """One row an answer to a held-out prompt, a group and a dimension: what the group's judge says of the answer that
    the group gets."""

    experiment: str = column("the experiment; control is the untouched architecture's")
    architecture: str = column("the model that answers")
    condition: str = column(WAY)
    seed: int = column("which of the study's seeds, from 0")
    replicate: int = column("which weights the raters have; 0: all the same, as in the study")
    group: str = column("who is served, and judges")
    prompt_id: str = column("the held-out prompt")
    dimension: str = column("what is judged")
    score: float = column("by the group's judge; missing where it gave none", SCORE, missing=True)


class Groups(Table):
    """One row a way to serve, an architecture, a group and a dimension: what the group gets, and what sharing costs it.

    Scores are turned so that more is better. Regret is what the group's own adapter gives it more, on the same prompts.
    """

    experiment: str = column("the experiment that the condition is of")
    condition: str = column(WAY)
    architecture: str = column("the model")
    group: str = column("who is served, and judges")
    dimension: str = column("what is judged")
    utility: float = column("mean over held-out prompts; more is better", SCORE)
    std_error: float = column("its standard error, clustered by prompt and by seed", SCORE, missing=True)
    ceiling: str = column("the condition that gives each group its own adapter")
    regret: float = column("utility of the ceiling less that of the condition", SCORE, missing=True)
    regret_std_error: float = column("its standard error, from differences by prompt", SCORE, missing=True)
    n_prompts: int = column("prompts that are scored with every seed")
    n_seeds: int = column("seeds")
    n_unscored: int = column("prompts left out, since an answer to them is not scored")


class ServiceEffects(Table):
    """One row a way to serve or a contrast of two, a measure of service, a dimension and an architecture."""

    experiment: str = column("the experiment that the ways are of")
    contrast: str = column("A - B, two ways to serve; or one way alone, whose level it is")
    measure: str = column(MEASURE)
    dimension: str = column("what is judged")
    architecture: str = column("the model")
    estimate: float = column("of A less of B, each corrected for the bias of a minimum and of a gap", SCORE)
    uncorrected: float = column("the same as it is in the sample", SCORE)
    std_error: float = column("its standard error, clustered by prompt and by seed", SCORE, missing=True)
    n_prompts: int = column("prompts that are scored on both sides for every group with every seed")
    n_seeds: int = column("seeds that both sides have")


class ServiceCovariances(EffectCovariances):
    """One row a measure's effect and two architectures, or one twice: what the errors of their effects share."""

    measure: str = column(MEASURE)


class ServiceReplicates(ReplicateEffects):
    """One row a measure's effect, an architecture and a rater replicate: the effect with the raters reweighted."""

    measure: str = column(MEASURE)


class Voices(Table):
    """One row a condition that weighs groups as it trains, an architecture, a step and a group."""

    experiment: str = column("the experiment that the condition is of")
    condition: str = column("how the groups are served")
    architecture: str = column("the model")
    step: int = column("optimiser steps so far")
    group: str = column("whose loss is weighed")
    q: float = column("its weight in the loss; over groups they sum to 1", "share")
