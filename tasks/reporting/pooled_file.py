"""What `pluralign meta` writes: the tables of a pooled file, and its forest plots."""

from __future__ import annotations

import logging
from pathlib import Path

from configs.errors import InputError
from tasks.meta_analysis.pool_file import PooledFile
from tasks.reporting.house.forest import MOST_FORESTS, MOST_LINES, draw_forests
from tasks.runtime.files import write_atomically
from tasks.runtime.spreadsheet import as_csv

log = logging.getLogger(__name__)


def write_pooled(result: PooledFile, by: list[str], method: str, folder: Path) -> None:
    """`pooled.csv`, `leave_one_out.csv` and `figures/forest-….svg` and `.png`.

    Raises:
        InputError: the place is no folder.
    """
    if any(place.is_file() for place in (folder, *folder.parents)):
        raise InputError(f"--output {folder}: not a place for a folder")
    write_atomically(folder / "pooled.csv", as_csv(result.pooled))
    write_atomically(folder / "leave_one_out.csv", as_csv(result.left_out))
    drawn = draw_forests(result.effects, result.pooled, by, method, folder / "figures")
    if drawn < len(result.pooled):
        limits = f"the first {MOST_FORESTS} of at most {MOST_LINES} effects"
        log.info("forest plots of %d of %d groups: %s", drawn, len(result.pooled), limits)
