"""Declared values are released only in combinations that enough people share (k-anonymity, Sweeney 2002).

Who stands in a combination of all attributes' values that fewer than k people hold loses values, as few as possible, by
this rule: everybody is first tried with no value emptied, then with one, with two, and so on. Among the attributes that
may be emptied together, those come first by which most people find k who hold the same, and between equals the later
attributes of the list. Whoever has found k keeps the values that are left; nobody of these loses any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from configs.errors import InputError

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
    released, waiting = values.copy(), pd.Series(True, index=values.index)
    for count in range(len(attributes) + 1):
        ways = [list(way) for way in combinations(reversed(attributes), count)]
        gains = [int(_enough(released, values, waiting, way, k).sum()) for way in ways]
        for way, _ in sorted(zip(ways, gains, strict=True), key=lambda one: -one[1]):
            found = _enough(released, values, waiting, way, k)
            released.loc[found, way] = ""
            waiting &= ~found
    return released


def _enough(released: pd.DataFrame, values: pd.DataFrame, waiting: pd.Series, way: Sequence[str], k: int) -> pd.Series:
    """Who of those who wait would, with the values of `way` emptied, share the rest with k people: others who wait,
    emptied alike, and those whose released values are these."""
    if len(way) == values.shape[1]:
        return waiting
    tried = released.copy()
    tried[waiting] = values[waiting].assign(**dict.fromkeys(way, ""))
    sizes = tried.groupby(list(tried.columns), sort=False)[tried.columns[0]].transform("size")
    return waiting & (sizes >= k)


def suppressed(declared: pd.DataFrame, released: pd.DataFrame) -> dict[str, int]:
    """Attribute → how many people declare a value of it that is not released."""
    return {name: int(((declared[name] != "") & (released[name] == "")).sum()) for name in declared.columns}
