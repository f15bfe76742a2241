"""Land new rows in the tables that there are: what is new is added, what differs is corrected, nothing is forgotten.

Tables
    ratings: codebook, participant_id (a pseudonym), response_id, order, one column a dimension (Int64).
    participants: codebook, participant_id, language, one column an attribute: tuples of terms.
    responses: codebook, response_id, prompt_id, prompt, response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.ratings.reading.load import interleaved

KEYS = {
    "ratings": ["codebook", "participant_id", "response_id"],
    "participants": ["codebook", "participant_id"],
    "responses": ["codebook", "response_id"],
}
"""Table → the columns that say which row is which."""
FIXED = {
    "ratings": [*KEYS["ratings"], "order"],
    "participants": [*KEYS["participants"], "language"],
    "responses": [*KEYS["responses"], "prompt_id", "prompt", "response"],
}
"""Table → the columns that it always has; the others are dimensions or attributes."""


@dataclass(frozen=True)
class Tables:
    ratings: pd.DataFrame
    participants: pd.DataFrame
    responses: pd.DataFrame


@dataclass(frozen=True)
class Changes:
    """Ratings (single answers), or rows of the other tables, that are new, and that replace another value."""

    added: int = 0
    superseded: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(self.added + other.added, self.superseded + other.superseded)


def no_tables() -> Tables:
    """What a collection holds before the first landing."""
    return Tables(**{name: pd.DataFrame(columns=columns) for name, columns in FIXED.items()})


def merge(old: Tables, new: Tables) -> tuple[Tables, dict[str, Changes]]:
    """The tables with the new rows, and what changed in each; new ratings wait for their `order` (<NA>)."""
    ratings, of_ratings = _merge_ratings(old.ratings, new.ratings)
    participants, of_participants = _merge_rows(old.participants, new.participants, KEYS["participants"])
    responses, of_responses = _merge_rows(old.responses, new.responses, KEYS["responses"])
    changes = {"ratings": of_ratings, "participants": of_participants, "responses": of_responses}
    return Tables(ratings, participants, responses), changes


def ordered(tables: Tables, sizes: Sequence[int]) -> Tables:
    """New ratings get their `order` after the others', those of several exports (of `sizes` rows) interleaved."""
    order = tables.ratings["order"].astype("Int64")
    new = order.isna().to_numpy()
    after = 0 if new.all() else int(order.max()) + 1
    if new.any():
        order[new] = after + interleaved(sizes)
    return Tables(tables.ratings.assign(order=order.astype("int64")), tables.participants, tables.responses)


def canonical(tables: Tables) -> Tables:
    """The same content in one form: rows by their key, columns by name after those that are always there."""

    def one(name: str) -> pd.DataFrame:
        frame = getattr(tables, name)
        columns = [*FIXED[name], *sorted(frame.columns.difference(FIXED[name]))]
        return frame.sort_values(KEYS[name], ignore_index=True)[columns]

    return Tables(one("ratings"), one("participants"), one("responses"))


def _merge_ratings(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, Changes]:
    """Answer by answer: one that was not there is added, another value for one that was supersedes it."""
    dimensions = [name for name in dict.fromkeys([*old.columns, *new.columns]) if name not in FIXED["ratings"]]
    old, new = (frame.reindex(columns=[*FIXED["ratings"], *dimensions]) for frame in (old, new))
    place = _places(old, new, KEYS["ratings"])
    known, changes = place >= 0, Changes()
    merged = pd.concat([old, new[~known]], ignore_index=True) if len(old) else new.copy()
    for name in dimensions:
        before, now = old[name].astype("Int64").iloc[place[known]], new[name].astype("Int64")[known]
        given, was = now.notna().to_numpy(), before.notna().to_numpy()
        differs = given & was & (now.to_numpy(int, na_value=0) != before.to_numpy(int, na_value=0))
        changes += Changes(int(new[name][~known].notna().sum() + (given & ~was).sum()), int(differs.sum()))
        values = merged[name].astype("Int64")
        values.iloc[place[known][given]] = now[given].to_numpy()
        merged[name] = values
    return merged, changes


def _merge_rows(old: pd.DataFrame, new: pd.DataFrame, key: Sequence[str]) -> tuple[pd.DataFrame, Changes]:
    """Row by row: one that differs from the one with its key replaces it; what can't be read (None) changes nothing."""
    columns = list(dict.fromkeys([*old.columns, *new.columns]))
    old, new = (_with_columns(frame, columns) for frame in (old, new))
    place = _places(old, new, key)
    known = place >= 0
    for name in new.columns[new.isna().any()]:
        before = [old[name].iloc[at] if at >= 0 else () for at in place]
        new[name] = [was if now is None else now for was, now in zip(before, new[name], strict=True)]
    differs = np.zeros(len(new), dtype=bool)
    for name in columns:
        both = zip(old[name].iloc[place[known]], new[name][known], strict=True)
        differs[known] |= np.array([before != now for before, now in both], dtype=bool)
    stays = np.ones(len(old), dtype=bool)
    stays[place[differs]] = False
    parts = [frame for frame in (old[stays], new[~known | differs]) if len(frame)]
    merged = pd.concat(parts, ignore_index=True) if parts else new
    return merged, Changes(int((~known).sum()), int(differs.sum()))


def _with_columns(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The frame with attributes that it lacks as declared by nobody."""
    missing = [name for name in columns if name not in frame]
    return frame.assign(**{name: [()] * len(frame) for name in missing})[list(columns)]


def _places(old: pd.DataFrame, new: pd.DataFrame, key: Sequence[str]) -> np.ndarray:
    """Where in `old` each row of `new` stands, -1 where it doesn't."""
    if not len(old) or not len(new):
        return np.full(len(new), -1)
    return pd.MultiIndex.from_frame(old[list(key)]).get_indexer(pd.MultiIndex.from_frame(new[list(key)]))
