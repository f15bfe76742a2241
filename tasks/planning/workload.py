"""What the training runs and answers of one contrast take on GPUs, by what `tasks.architectures.cost` counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from configs.schema import CONTROL, Study
from tasks.architectures.cost import Texts, answering_hours
from tasks.effects.identity import EffectKey
from tasks.methods import METHODS
from tasks.methods.training_rows import training_rows, why_not
from tasks.methods.training_set import steps_beyond_epochs
from tasks.planning.design import Design
from tasks.preferences.condition import ConditionData


@dataclass(frozen=True)
class Workload:
    """Of one contrast, for a mean architecture of the study. Tiny models count nothing.

    sides: conditions of the contrast that are trained. training: GPU-hours to train each of them once. answering:
    GPU-hours to answer one prompt. answers: how often a side that is trained answers a prompt, in the mean: once, or
    once for each group that is named to the model.
    """

    sides: int
    training: float
    answering: float
    answers: float = 1.0

    def runs(self, design: Design) -> int:
        """Training runs: every side on every architecture, with every seed and in every replicate."""
        return self.sides * design.architectures * (design.seeds + design.replicates)

    def hours(self, design: Design) -> float:
        """GPU-hours of these runs and their answers, and of the control's answers where it is a side."""
        runs, untouched = self.runs(design), (2 - self.sides) * design.architectures
        training = runs / self.sides * self.training
        return training + (runs * self.answers + untouched) * design.prompts * self.answering


def workload_of(study: Study, effect: EffectKey, data: Mapping[str, ConditionData], texts: Texts) -> Workload:
    """The workload with as many training steps as the study's own ratings give.

    data: condition → what its ratings come to, of the effect's experiment.
    """
    experiment, recipe = study.experiments[effect.experiment], study.recipe
    sizes = {}
    for name, own in data.items():
        method = METHODS[experiment.conditions[name].method]
        sizes[name] = 0 if why_not(method, own) else method.size(training_rows(method, own, recipe, study.seed)[0])
    trained = [name for name in effect.contrast.sides if name != CONTROL]
    real = [architecture.parameters for architecture in study.architectures if not architecture.tiny]
    training = 0.0
    for name in trained:
        method = METHODS[experiment.conditions[name].method]
        steps = steps_beyond_epochs(experiment, sizes, name, recipe) or method.steps(sizes[name], recipe)
        training += sum(method.gpu_hours(size, steps, texts, recipe) for size in real)
    answering = sum(answering_hours(size, 1, recipe) for size in real)
    every = max(len(study.architectures), 1)
    answers = sum(len(data[name].names) or 1 for name in trained) / len(trained)
    return Workload(len(trained), training / every, answering / every, answers)
