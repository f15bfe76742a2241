"""Equal numbers of ratings for the demographic groups that are compared."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from configs.schema import CONTROL, Experiment
from tasks.runtime.fingerprint import stable_hash


def compared_groups(experiment: Experiment) -> list[set[str]]:
    """Conditions of some raters only that contrasts tie together, directly or through others."""
    groups: list[set[str]] = []
    for contrast in experiment.contrasts:
        sides = [side for side in contrast.sides if side != CONTROL]
        tied = {side for side in sides if experiment.conditions[side].some_raters}
        if not tied:
            continue
        for group in [group for group in groups if group & tied]:
            groups.remove(group)
            tied |= group
        groups.append(tied)
    return groups


def equal_numbers(
    ratings: Mapping[str, pd.DataFrame], seed: int, together: str = "response_id"
) -> dict[str, pd.DataFrame]:
    """Every group's ratings cut to the size of the smallest.

    The ratings kept are those with the lowest hash of participant and response: new ratings replace few of the old.
    `together`: the column to draw by instead of the response, so that ratings that belong together are kept together.
    """
    size, kept = min(map(len, ratings.values())), dict(ratings)
    for name, table in ratings.items():
        if len(table) > size:
            draw = stable_hash(table[["participant_id", together]], seed)
            kept[name] = table.loc[draw.nsmallest(size).index].sort_index()
    return kept
