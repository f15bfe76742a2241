"""What `pluralign meta` writes: the tables of a pooled file, and its forest plots."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from tasks.meta_analysis.pool_file import PooledFile
from tasks.ratings.reading.rejected import visible
from tasks.reporting.house.forest import draw_forests
from tasks.runtime.files import write_atomically
from tasks.runtime.spreadsheet import as_csv

log = logging.getLogger(__name__)

MOST_FIGURES = 200
"""Forest plots, where nobody says otherwise."""
MOST_NAMES = 20
"""So many groups without a plot are named in a line; a file names all."""


def write_pooled(result: PooledFile, by: list[str], method: str, folder: Path, most: int = MOST_FIGURES) -> None:
    """`pooled.csv`, `leave_one_out.csv` and `figures/forest-….svg` and `.png`; `not_drawn.csv` where figures are more
    than `most`.

    Raises:
        InputError: the place is no folder.
    """
    if any(place.is_file() for place in (folder, *folder.parents)):
        raise InputError(f"--output {folder}: not a place for a folder")
    write_atomically(folder / "pooled.csv", as_csv(result.pooled))
    write_atomically(folder / "leave_one_out.csv", as_csv(result.left_out))
    not_drawn = draw_forests(result.effects, result.pooled, by, method, folder / "figures", most)
    (folder / "not_drawn.csv").unlink(missing_ok=True)
    if len(not_drawn):
        write_atomically(folder / "not_drawn.csv", as_csv(not_drawn[[*by, "k"]]))
        log.info(
            "forest plots of %d of %d groups (--figures %d); left out: %s",
            *(len(result.pooled) - len(not_drawn), len(result.pooled), most, _named(not_drawn, by)),
        )


def _named(groups: pd.DataFrame, by: list[str]) -> str:
    keys = groups[by].head(MOST_NAMES).itertuples(index=False, name=None)
    names = "; ".join(visible(" / ".join(map(str, key))) for key in keys) if by else "all effects"
    more = len(groups) - MOST_NAMES
    return f"{names}{f' and {more} more, all of them in not_drawn.csv' if more > 0 else ''}"
