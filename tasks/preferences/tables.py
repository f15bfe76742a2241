"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Drops(Table):
    """"""

    condition: str = column("")
    step: str = column("")
    reason: str = column("")
    dropped: float = column("")
    kept: float = column("")

    class Config:
        name = "drops"
