"""The cells of a study: experiment × architecture × condition × seed (or rater replicate), and each architecture's
control."""

from __future__ import annotations

from dataclasses import dataclass, replace

from configs.schema import CONTROL, Study

TOGETHER = 8
"""So many replicates of a cell are trained in one go; more of them later leave those as they are."""


@dataclass(frozen=True)
class Cell:
    """One thing to train and evaluate. The control is a cell of its own, shared by all experiments."""

    experiment: str
    architecture: str
    condition: str
    seed: int = 0
    """Which of the study's seeds: 0 is the first."""
    replicate: int = 0
    """Which weights the raters have; 0: all the same."""

    @property
    def name(self) -> str:
        """As a person looks for it in the Prefect UI."""
        if self.condition == CONTROL:
            return f"{self.architecture} · control"
        which = f" · seed {self.seed}" if self.seed else f" · replicate {self.replicate}" if self.replicate else ""
        return f"{self.architecture} · {self.experiment} · {self.condition}{which}"


@dataclass(frozen=True)
class Replicates:
    """The rater replicates of one trained cell, which are made together."""

    of: Cell
    numbers: tuple[int, ...]

    @property
    def name(self) -> str:
        """As a person looks for it in the Prefect UI."""
        return f"{self.of.name} · replicates {self.numbers[0]} to {self.numbers[-1]}"

    @property
    def architecture(self) -> str:
        return self.of.architecture

    @property
    def cells(self) -> list[Cell]:
        return [replace(self.of, replicate=number) for number in self.numbers]


def replicates(study: Study) -> list[Replicates]:
    """All rater replicates, those of a cell in groups of `TOGETHER`; they have the first of the study's seeds."""
    groups = []
    for cell in cells(study):
        numbers = study.replicates_of(cell.experiment) if cell.condition != CONTROL and not cell.seed else range(0)
        groups += [
            Replicates(cell, tuple(numbers[start : start + TOGETHER])) for start in range(0, len(numbers), TOGETHER)
        ]
    return groups


def cells(study: Study) -> list[Cell]:
    """All cells, an architecture's together so that a slot seldom changes its base, its control first."""
    grid = []
    for architecture in study.architectures:
        grid.append(Cell(CONTROL, architecture.name, CONTROL))
        for experiment, settings in study.experiments.items():
            grid += [
                Cell(experiment, architecture.name, condition, seed)
                for condition in settings.conditions
                for seed in range(study.seeds)
            ]
    return grid if study.experiments else []
