"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Health(Table):
    """"""

    experiment: str = column("")
    architecture: str = column("")
    condition: str = column("")
    seed: float = column("")
    n_outputs: float = column("")
    finished: float = column("")
    well_formed: float = column("")
    empty: float = column("")
    repetitive: float = column("")
    mean_words: float = column("")
    steps: float = column("")
    margin: float = column("")
    resumed_from: float = column("")
    marked: str = column("")

    class Config:
        name = "health"
