"""A user's ratings through a codebook that was written for them: all of them, or of very many a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from configs.codebook import Codebook, ExportColumn, ExportTable, tidy
from tasks.ratings.reading.load import Data, load_ratings
from tasks.starting.tables import EncodedRows, Opened

MOST_ROWS = 50_000
"""Rows that are read whole; of more, all ratings of some of the responses."""


def read_data(codebook: Codebook, opened: Opened) -> tuple[Data, str]:
    """The ratings, every row of which is usable, and what to say where they are only a part.

    Raises:
        InputError: as `load_ratings`.
    """
    return load_ratings(list(codebook.ratings.dimensions), [codebook], opened.folder), ""
