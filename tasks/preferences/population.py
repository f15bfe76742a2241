"""What a rater counts so that all raters together look like a population with known shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from configs.errors import InputError, one_of

ROUNDS, EXACT = 1000, 1e-9


def rake(participants: pd.DataFrame, population: Mapping[str, Mapping[str, float]]) -> pd.Series:
    """Participant → weight, mean 1, so that each attribute's weighted shares are the population's.

    Iterative proportional fitting (Deming & Stephan 1940): one attribute after another is scaled to its shares, until
    all hold. Who declares no value of an attribute, or several, is none of the population that its shares describe and
    has the weight 0.

    Args:
        participants: participant_id, and each attribute with a tuple of declared values.
        population: attribute → value → share, which sum to 1.

    Raises:
        InputError: an attribute or a value that nobody declares, or shares that no weights can reach.
    """
    declared = {}
    for attribute, shares in population.items():
        if attribute not in participants:
            raise one_of("population", attribute, [name for name in participants if name != "participant_id"])
        only = participants[attribute].map(lambda values: values[0] if len(values) == 1 else None)
        for value in shares:
            if value not in set(only.dropna()):
                raise one_of(f"population.{attribute}", value, sorted(set(only.dropna())))
        declared[attribute] = pd.Categorical(only, categories=list(shares)).codes
    weight = np.all([codes >= 0 for codes in declared.values()], axis=0).astype(float)
    wanted = {attribute: np.array(list(shares.values())) for attribute, shares in population.items()}
    for _ in range(ROUNDS):
        worst = 0.0
        for attribute, codes in declared.items():
            n = len(wanted[attribute])
            share = np.bincount(codes[codes >= 0], weights=weight[codes >= 0], minlength=n) / max(weight.sum(), 1e-300)
            worst = max(worst, float(np.abs(share - wanted[attribute]).max()))
            factor = np.divide(wanted[attribute], share, out=np.zeros(n), where=share > 0)
            weight = weight * np.where(codes >= 0, factor[codes], 0.0)
        if worst < EXACT:
            break
    else:
        raise InputError(
            f"population: no weights of the raters reach its shares of {' and '.join(population)} together"
        )
    return pd.Series(weight / weight.mean(), index=pd.Index(participants["participant_id"], name="participant_id"))


def shares_of(groups: Mapping[str, Collection[str]], weights: pd.Series | None = None) -> dict[str, float]:
    """Group → its share of the weight of its participants among all groups; without weights groups are alike.

    Who is in several groups counts in each.
    """
    sums = {
        name: 1.0 if weights is None else float(weights[weights.index.isin(list(people))].sum())
        for name, people in groups.items()
    }
    total = sum(sums.values())
    return {name: value / total if total else 0.0 for name, value in sums.items()}


def effective_number(weights: pd.Series) -> float:
    """(Σ w)² / Σ w²: so many raters of equal weight would tell as much (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())
