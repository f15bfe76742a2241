"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Scores(Table):
    """"""

    experiment: str = column("")
    architecture: str = column("")
    condition: str = column("")
    seed: float = column("")
    training_run: str = column("")
    prompt_id: str = column("")
    dimension: str = column("")
    score: float = column("")

    class Config:
        name = "scores"


class Effects(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    architecture: str = column("")
    estimate: float = column("")
    std_error: float = column("")
    n_prompts: float = column("")
    n_seeds: float = column("")
    n_unscored: float = column("")
    n_malformed: float = column("")
    marked: str = column("")
    corrected: float = column("")
    corrected_std_error: float = column("")

    class Config:
        name = "effects"
