"""The cells of a study: experiment × architecture × condition × seed, and the control of each architecture."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import CONTROL, Study


@dataclass(frozen=True)
class Cell:
    """One thing to train and evaluate. The control is a cell of its own, shared by all experiments."""

    experiment: str
    architecture: str
    condition: str
    seed: int = 0
    """Which of the study's seeds: 0 is the first."""

    @property
    def name(self) -> str:
        """As a person looks for it in the Prefect UI."""
        if self.condition == CONTROL:
            return f"{self.architecture} · control"
        seed = f" · seed {self.seed}" if self.seed else ""
        return f"{self.architecture} · {self.experiment} · {self.condition}{seed}"


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
