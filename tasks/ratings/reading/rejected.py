"""Rows that can't be used: the table that tells them, fit for a spreadsheet and free of participants' ids.

Columns
    file, row (the line where it begins), column (empty where the whole row is at fault), value (at most 80 characters,
    control characters made visible), reason (one of a few), detail (what is allowed, or where its like stands).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from tasks.runtime.spreadsheet import as_csv

COLUMNS = ["file", "row", "column", "value", "reason", "detail"]
LONGEST = 80
WITHHELD = "(withheld: it may be somebody's id)"
WINDOW = 512
"""How much of a value is looked at for ids: more than is shown, so that none is shown in part."""
SHORTEST_ID, LONGER_ID = 3, 6
"""Ids of three characters and more are looked for as words, of six and more within words too. A shorter one tells
nobody, and on a scale of numbers a wrong label may well be one."""
PLATFORM_ID = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{24}|A(?=[A-Z]*[0-9])[0-9A-Z]{12,14})(?![0-9A-Za-z])")
"""A Prolific id, or a worker's of Mechanical Turk. One letter A and twelve more without a digit would be a word."""


class Ids:
    """Participants' ids as the export has them, to be kept out of whatever is written."""

    def __init__(self, ids: Iterable[str]) -> None:
        folded = (text.strip().casefold() for text in ids)
        self._ids = {text for text in folded if len(text) >= SHORTEST_ID}
        self._lengths = sorted({len(text) for text in self._ids})

    def shown(self, value: str) -> str:
        """A value as it may be written: shortened and with control characters made visible, or withheld."""
        text = value[:WINDOW].casefold()
        within = bool(PLATFORM_ID.search(value[:WINDOW])) or any(
            text[at : at + size] in self._ids and (size >= LONGER_ID or _is_word(text, at, at + size))
            for size in self._lengths
            for at in range(len(text) - size + 1)
        )
        return WITHHELD if within else visible(value)


def _is_word(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit goes on before or after the place."""
    return not (text[max(start - 1, 0) : start].isalnum() or text[end : end + 1].isalnum())


def visible(text: str) -> str:
    """At most 80 characters, with `…` where there were more; control and format characters as escapes."""
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    escaped = "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in hidden else letter
        for letter in text[: LONGEST + 1]
    )
    return escaped if len(escaped) <= LONGEST and len(text) <= LONGEST else f"{escaped[: LONGEST - 1]}…"


def entries(
    rows: Sequence[int] | pd.Index,
    reason: str,
    column: str = "",
    value: Iterable[str] | None = None,
    detail: Iterable[str] | str = "",
) -> pd.DataFrame:
    """Entries with one reason, one a row; `value` is left empty where it could tell who somebody is."""
    texts, details = ("" if value is None else list(value)), (detail if isinstance(detail, str) else list(detail))
    frame = pd.DataFrame({"row": pd.Series(list(rows), dtype="int64")})
    return frame.assign(column=column, value=texts, reason=reason, detail=details)


def in_order(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Entries of one table, by row; of several about one cell the first counts."""
    stacked = pd.concat([entries([], ""), *parts], ignore_index=True)
    return stacked.drop_duplicates(["row", "column"]).sort_values("row", kind="stable", ignore_index=True)


def write_rejected(rejected: pd.DataFrame, path: Path) -> None:
    """Write the entries as CSV for people."""
    path.write_text(as_csv(rejected[COLUMNS]), encoding="utf-8")
