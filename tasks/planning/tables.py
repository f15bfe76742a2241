"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class CellRows(Table):
    """"""

    experiment: str = column("")
    architecture: str = column("")
    condition: str = column("")
    seed: float = column("")
    training_run: str = column("")
    status: str = column("")
    n_pairs: float = column("")
    weight: float = column("")
    seconds: float = column("")
    mlflow_run_id: str = column("")
    error: str = column("")

    class Config:
        name = "cells"
