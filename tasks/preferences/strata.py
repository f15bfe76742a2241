"""Demographic groups: who belongs, and equal numbers of ratings for the groups that are compared."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from configs.schema import CONTROL, Experiment, Stratum, Study


def members(participants: pd.DataFrame, stratum: Stratum) -> set[str]:
    """Ids of those who declare one of the stratum's values, among others or alone."""
    values = set(stratum.values)
    belongs = [not values.isdisjoint(terms) for terms in participants[stratum.attribute]]
    return set(participants.loc[belongs, "participant_id"])


def strata_shown(study: Study, participants: pd.DataFrame) -> dict[str, set[str]]:
    """Members of each stratum that has enough of them to be shown (`survey.min_participants`)."""
    found = {name: members(participants, stratum) for name, stratum in study.strata.items()}
    return {name: ids for name, ids in found.items() if len(ids) >= study.survey.min_participants}


def compared_groups(experiment: Experiment) -> list[set[str]]:
    """Conditions with a stratum that contrasts tie together, directly or through others."""
    groups: list[set[str]] = []
    for contrast in experiment.contrasts:
        tied = {side for side in contrast.sides if side != CONTROL and experiment.conditions[side].stratum}
        if not tied:
            continue
        for group in [group for group in groups if group & tied]:
            groups.remove(group)
            tied |= group
        groups.append(tied)
    return groups


def equal_numbers(ratings: Mapping[str, pd.DataFrame], seed: int) -> dict[str, pd.DataFrame]:
    """Every group's ratings cut to the size of the smallest.

    The ratings kept are those with the lowest hash of (participant, response): new ratings replace few of the old.
    """
    size = min(len(table) for table in ratings.values())
    return {name: _lowest(table, size, seed) for name, table in ratings.items()}


def _lowest(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    if len(table) == size:
        return table
    draw = stable_hash(table[["participant_id", "response_id"]], seed)
    return table.loc[draw.nsmallest(size).index].sort_index()


def stable_hash(keys: pd.DataFrame, seed: int) -> pd.Series:
    """A 64-bit hash of each row's keys and the seed, the same on every machine."""
    salted = keys.astype(str).assign(seed=str(seed))
    return pd.util.hash_pandas_object(salted, index=False, hash_key="pluralign-strata")
