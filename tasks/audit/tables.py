"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class AuditRows(Table):
    """"""

    experiment: str = column("")
    condition: str = column("")
    stratum: str = column("")
    n_participants: float = column("")
    n_ratings: float = column("")
    share_of_participants: float = column("")
    share_of_ratings: float = column("")
    share_of_preferences: float = column("")
    retained: float = column("")
    majority_loses: float = column("")
    majority_unheard: float = column("")
    n_majorities: float = column("")
    chance_loses: float = column("")
    chance_sd: float = column("")

    class Config:
        name = "audit"
