"""What reading one table of an export comes to, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from configs.codebook import tidy
from tasks.ratings.reading.label_rows import LABEL_ROW
from tasks.ratings.reading.rejected import entries, in_order
from tasks.ratings.reading.shape import FROM_ONE_FILE, NOT_WANTED, Places
from tasks.ratings.reading.source import Source, by_text

Rename = Callable[[str], str]
"""The id that a participant goes by, from the one in the export."""


@dataclass(frozen=True)
class TableResult:
    """The rows of a table that can be used, and what became of the others.

    table: what can be used. rejected: entries as `rejected.py` has them, without the file; `row` is its number, and
    `places` say where that stands. dropped: `row` and `reason` of what is lost without a fault. rows: how many there
    were (`read`), and of them `kept` (whole or in part), `repeated` (nothing new), `rejected` and `dropped`: each row
    is one of the four.
    """

    table: pd.DataFrame
    rejected: pd.DataFrame
    dropped: pd.DataFrame
    rows: dict[str, int]
    places: Places = FROM_ONE_FILE


def table_result(
    source: Source,
    table: pd.DataFrame,
    kept: Iterable[int],
    rejected: Sequence[pd.DataFrame],
    dropped: Sequence[pd.DataFrame] = (),
    repeated: Iterable[int] = (),
) -> TableResult:
    """The result, each row counted once: one of `kept` stays so, whatever is rejected or dropped of it."""
    unread = entries([one.row for one in source.unread], "", detail=[one.detail for one in source.unread])
    faults = in_order([unread.assign(reason=[one.reason for one in source.unread]), *rejected])
    before = [
        lost([one.row for one in source.labels], LABEL_ROW),
        lost([one.row for one in source.left_out], NOT_WANTED),
    ]
    losses = pd.concat([lost([], ""), *before, *dropped], ignore_index=True)
    is_kept = set(kept)
    is_rejected = set(faults["row"]) - is_kept
    is_dropped = set(losses["row"]) - is_kept - is_rejected
    rows = {
        "read": len(source.frame) + len(source.unread) + len(source.labels) + len(source.left_out),
        "kept": len(is_kept),
        "repeated": len(set(repeated) - is_rejected),
        "rejected": len(is_rejected),
        "dropped": len(is_dropped),
    }
    return TableResult(table, faults, losses, rows, source.places)


def lost(rows: Iterable[int], reason: str) -> pd.DataFrame:
    """Rows that are dropped for a reason, each once."""
    return pd.DataFrame({"row": pd.Series(list(dict.fromkeys(rows)), dtype="int64")}).assign(reason=reason)


def renamed(ids: pd.Series, rename: Rename) -> pd.Series:
    """The ids that participants go by, one a row."""
    return pd.Series(by_text(ids, lambda text: rename(tidy(text))), index=ids.index, dtype="str")


def tidied(texts: pd.Series) -> pd.Series:
    """Each text as people see it."""
    return pd.Series(by_text(texts, tidy), index=texts.index, dtype="str")


def first_like(values: pd.Series | np.ndarray) -> np.ndarray:
    """For each value the place of the first one that is the same."""
    codes, _ = pd.factorize(values)
    _, first = np.unique(codes, return_index=True)
    return first[codes]


def names_of_first(places: Places, rows: pd.Index, first: np.ndarray, chosen: np.ndarray) -> list[str]:
    """`the first is row N` for each chosen row."""
    return [f"the first is {places.named(row)}" for row in rows[first[chosen]]]
