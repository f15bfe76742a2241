"""How many of each participant's rows an export's attention checks cost: reading drops them and keeps no such count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from configs.codebook import Codebook, normal
from tasks.ratings.reading.source import read_strictly
from tasks.ratings.reading.table_result import renamed


def failed_checks(codebooks: Iterable[Codebook], folder: Path) -> pd.Series:
    """Participant, by the name that `load_ratings` gives them → rows with a check that they failed, 0 for none.

    Nobody of a questionnaire that has no checks.
    """
    counts = [pd.Series(dtype="int64")]
    for codebook in codebooks:
        table = codebook.ratings
        if not table.attention:
            continue
        frame = read_strictly(folder / table.file, [table.participant, *table.attention], table).frame
        passed = [frame[column].map(normal) == normal(answer) for column, answer in table.attention.items()]
        names = renamed(frame[table.participant], lambda text, book=codebook.name: f"{book}:{text}")  # type: ignore[misc]
        counts.append((~pd.concat(passed, axis=1).all(axis=1)).groupby(names).sum())
    return pd.concat(counts).astype("int64")
