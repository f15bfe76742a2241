"""Which texts of an export are one because they look the same: blanks and invisible characters are all that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import pandas as pd

from configs.codebook import Codebook, tidy
from tasks.ratings.reading.source import Source

MERGED = "that differ from another by blanks or invisible characters alone, and count as it"


def merged_texts(codebook: Codebook, sources: Mapping[str, Source]) -> dict[str, int]:
    """What is merged → how many texts became another; a text counts once, however many cells hold it."""
    ratings, people, responses = codebook.ratings, codebook.participants, codebook.responses
    labels = [ratings.rating] if ratings.rating else [*ratings.dimensions.values()]
    answers = [attribute.column for attribute in people.attributes.values() if not attribute.many]
    columns: dict[str, list[list[tuple[str, str]]]] = {
        "participants' ids": [[("ratings", ratings.participant), ("participants", people.participant)]],
        "responses' ids": [[("ratings", ratings.rated), ("responses", responses.response)]],
        "labels": [[("ratings", column)] for column in labels],
        "answers of participants": [[("participants", column)] for column in answers],
    }
    counts = {
        f"{what} {MERGED}": sum(_merged([sources[table].frame[column] for table, column in own]) for own in groups)
        for what, groups in columns.items()
    }
    return {what: n for what, n in counts.items() if n}


def _merged(columns: Sequence[pd.Series]) -> int:
    """Different texts in the columns together, less those that look different."""
    texts = set(chain.from_iterable(column.unique() for column in columns))
    return len(texts) - len({tidy(text) for text in texts})
