"""The table of what the way from ratings to training data leaves out."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Drops(Table):
    """One row a reason for which something was left out between the ratings and a condition's training data."""

    condition: str = column("EXPERIMENT / CONDITION; all where every condition is concerned")
    step: str = column("the step that leaves it out")
    reason: str = column("why")
    dropped: int = column("how many ratings, labels, responses or pairs are left out")
    kept: int = column("how many of them go on")
