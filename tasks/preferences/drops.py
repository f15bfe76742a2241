"""What the way from ratings to training data leaves out, of all conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pandera.typing import DataFrame

from tasks.preferences.condition import Drop
from tasks.preferences.tables import Drops
from tasks.ratings.reading.load import Data


def drops_table(data: Data, drops: Mapping[str, Iterable[Drop]]) -> DataFrame[Drops]:
    """`drops`: EXPERIMENT / CONDITION → what its training data left out; what reading left out concerns all."""
    rows = [("all", "reading", reason, rows, len(data.ratings)) for reason, rows in data.dropped.items()]
    return Drops.checked(rows + [(condition, *drop) for condition, own in drops.items() for drop in own])
