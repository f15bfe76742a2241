"""Declared values are released only in combinations that enough people share (k-anonymity, Sweeney 2002).

Who stands in a combination of all attributes' values that fewer than k people hold loses values, as few as possible, by
this rule: everybody is first tried with no value emptied, then with one, with two, and so on. Among the attributes that
may be emptied together, those come first by which most people find k who hold the same, and between equals the later
attributes of the list. Whoever has found k keeps the values that are left; nobody of these loses any more.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pandas as pd

from configs.errors import InputError

Row = tuple[str, ...]
MOST_ATTRIBUTES = 12
"""Every set of attributes is tried, so that twice as many are tried with each one more."""


def without_small_cells(values: pd.DataFrame, k: int) -> pd.DataFrame:
    """The same table of texts with values emptied, so that whatever combination of values somebody keeps is kept by at
    least k people, and so is every part of it.

    values: a row a person, a column an attribute in the order in which they matter, "" where nothing is declared. An
        empty cell counts as a value of its own, so that it tells nothing either; only a row without any value may be
        the only one of its kind. k: at least 1.

    Raises:
        InputError: more than `MOST_ATTRIBUTES` attributes.
    """
    attributes = list(values.columns)
    if len(attributes) > MOST_ATTRIBUTES:
        raise InputError(f"{len(attributes)} attributes; at most {MOST_ATTRIBUTES}: choose some with --attributes")
    waiting = Counter(values.itertuples(index=False, name=None))
    released, kept = dict[Row, Row](), Counter[Row]()
    places = range(len(attributes))
    for count in range(len(attributes) + 1):
        ways = list(combinations(reversed(places), count))
        gains = {way: sum(waiting[row] for row in _enough(waiting, kept, way, k)) for way in ways}
        for way in sorted(ways, key=lambda way: -gains[way]):
            for row, emptied in _enough(waiting, kept, way, k).items():
                released[row] = emptied
                kept[emptied] += waiting.pop(row)
    rows = [released[row] for row in values.itertuples(index=False, name=None)]
    return pd.DataFrame(rows, index=values.index, columns=attributes, dtype="str")


def _enough(waiting: Counter[Row], kept: Counter[Row], way: tuple[int, ...], k: int) -> dict[Row, Row]:
    """Of the rows that wait, those whose rest k people share once the values at `way` are emptied, as they then are:
    people who wait, emptied alike, and those who keep just that. With every value emptied, all of them.

    waiting, kept: row → people.
    """
    emptied = {row: tuple("" if place in way else value for place, value in enumerate(row)) for row in waiting}
    sizes = Counter[Row]()
    for row, people in waiting.items():
        sizes[emptied[row]] += people
    return {row: rest for row, rest in emptied.items() if sizes[rest] + kept[rest] >= k or len(way) == len(row)}


def suppressed(declared: pd.DataFrame, released: pd.DataFrame) -> dict[str, int]:
    """Attribute → how many people declare a value of it that is not released."""
    return {name: int(((declared[name] != "") & (released[name] == "")).sum()) for name in declared.columns}
