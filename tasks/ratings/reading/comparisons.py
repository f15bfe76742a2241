"""Comparisons as ratings: what is compared side by side is a prompt of its own, and each side is rated in it.

A comparison of the responses a and b by a participant, on a scale of K categories from "b is better" (1) to "a is
better" (K), says k of a and K + 1 - k of b. Where it names the side that is preferred, that one has the highest of two
categories and the others the lowest; with ties of three, a tie being the middle of all. Between labels of the same
participant that differ (`within: participant`) this gives the participant's preferences as they are, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from configs.codebook import RatingsTable
from tasks.ratings.reading.table_result import tidied

BETWEEN_IDS = "|"


class Compared(NamedTuple):
    """ratings: participant_id, response_id, one column a dimension. responses: response_id, prompt_id, prompt,
    response."""

    ratings: pd.DataFrame
    responses: pd.DataFrame


def side_by_side(
    table: RatingsTable, frame: pd.DataFrame, comparisons: pd.DataFrame, responses: pd.DataFrame
) -> Compared:
    """Ratings of comparisons, one row a comparison, as one row a side.

    Args:
        frame: the table's columns as text, from which the comparisons were read.
        comparisons: participant_id, response_id (the sides' ids together), one column a dimension: what
            `RatingsTable.codes` says of its label.
        responses: response_id, prompt_id, prompt, response.

    Returns:
        Both with ids of their own for each set of responses that is compared: `a|b` for the prompt, `a|b:a` and `a|b:b`
        for the responses. Of what a participant says twice about the same set, also the other way round, the first
        counts.
    """
    ids = pd.DataFrame({name: tidied(frame[column]) for name, column in table.sides.items()})
    ids.index = pd.Index(tidied(frame[table.rated]))
    ids = ids[~ids.index.duplicated()].loc[comparisons["response_id"]]
    together = pd.Series([BETWEEN_IDS.join(sorted(row)) for row in ids.itertuples(index=False)], dtype="str")
    parts, dimensions = [], list(table.dimensions)
    for place, name in enumerate(table.sides):
        part = comparisons.assign(response_id=together + ":" + ids[name].to_numpy(), at=np.arange(len(comparisons)))
        part[dimensions] = comparisons[dimensions].apply(lambda codes, place=place: _of_side(table, codes, place))
        parts.append(part.assign(side=ids[name].to_numpy(), prompt_id=together))
    stacked = pd.concat(parts).sort_values("at", kind="stable")
    stacked = stacked.drop_duplicates(["participant_id", "response_id"], ignore_index=True)
    texts = stacked[["response_id", "side", "prompt_id"]].drop_duplicates("response_id")
    of_side = responses.set_index("response_id")
    texts = texts.assign(**{name: texts["side"].map(of_side[name]) for name in ("prompt", "response")})
    return Compared(
        stacked[["participant_id", "response_id", *dimensions]],
        texts[["response_id", "prompt_id", "prompt", "response"]].reset_index(drop=True).astype("str"),
    )


def _of_side(table: RatingsTable, codes: pd.Series, place: int) -> pd.Series:
    """The categories that the side at `place` (from 0) has."""
    highest = table.categories
    if not table.names_sides:
        return codes if place == 0 else highest + 1 - codes
    tied, preferred = codes == len(table.sides) + 1, codes == place + 1
    categories = pd.Series(np.select([tied.fillna(False), preferred.fillna(False)], [2, highest], 1), index=codes.index)
    return categories.astype("Int64").where(codes.notna())


def sides_of(table: RatingsTable) -> Sequence[str]:
    """The columns with ids of responses: of the one that is rated, or of all that are compared."""
    return [table.response] if table.response else list(table.sides.values())
