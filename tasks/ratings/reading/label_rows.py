"""Rows under a header that name the columns again: Qualtrics puts the questions' texts and its own ids there.

    rater,q
    Rater,How toxic is it?
    "{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"

They are nobody's answer; nor is the row of "Response" that SurveyMonkey puts there. Where exports were put one below
the other, they stand further down as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

LABEL_ROW = "label rows under the header (nobody's answers)"
IMPORT_ID = r"\s*\{\s*['\"“”]?ImportId['\"“”]?\s*:"
RESPONSE, OPEN_ENDED = "Response", "Open-Ended Response"
"""What SurveyMonkey writes under the questions."""
FIRST_ROWS = 4
"""A row of import ids among the first so many of a file stands under the header, with label rows alone above it."""


def label_rows(frame: pd.DataFrame, unread: Iterable[int] = ()) -> set[int]:
    """The label rows of a table, by its index.

    unread: rows of the file that are not in the table; those above a first row of import ids are label rows too.
    """
    imports, again = _with_import_ids(frame), _like(frame, frame.columns)
    said = set(frame.iloc[0].str.strip()) if len(frame) else set()
    again[:1] |= "" in said and RESPONSE in said and said <= {"", RESPONSE, OPEN_ENDED}
    top = np.flatnonzero(imports[:FIRST_ROWS])
    above = int(frame.index[top[-1]]) if len(top) else -1
    for number in range(len(frame.index[frame.index <= above])):
        again |= _like(frame, frame.iloc[number])
    return {*frame.index[imports | again].tolist(), *(row for row in unread if row <= above)}


def _with_import_ids(frame: pd.DataFrame) -> np.ndarray:
    """Which rows hold an import id in any cell."""
    rows = np.zeros(len(frame), dtype=bool)
    for _, column in frame.items():
        likely = np.flatnonzero(column.str.contains("ImportId", case=False, regex=False))
        texts = column.iloc[likely].tolist()
        rows[likely] |= np.array([bool(re.match(IMPORT_ID, text, re.IGNORECASE)) for text in texts], dtype=bool)
    return rows


def _like(frame: pd.DataFrame, texts: Iterable[str]) -> np.ndarray:
    """Which rows hold these texts, blanks around them or not."""
    rows = np.ones(len(frame), dtype=bool)
    for (_, column), text in zip(frame.items(), texts, strict=True):
        at = np.flatnonzero(rows)
        if not len(at):
            break
        rows[at] = column.iloc[at].str.strip() == text.strip()
    return rows
