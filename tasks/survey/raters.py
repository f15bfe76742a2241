"""The survey's tables of raters: each by a pseudonym, and how the indices are spread over all and over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pandas as pd
from pandera.typing import DataFrame
from scipy.special import betainc

from configs.schema import Study
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.study_data import StudyData
from tasks.simulation.simulate import careless_participants
from tasks.survey.intervals import Z95
from tasks.survey.rater_indices import EVERY, PERSON_FIT
from tasks.survey.tables import RaterFits, RaterIndices

BEYOND = 0.05
"""A p below this is called beyond what is expected: one of twenty raters has it by chance."""
INDICES = {"outfit": False, "lz": True, "long_string": False, "irv": False, "even_odd": True}
"""Index → whether a low value is the doubtful end, as far as its area under the curve goes."""


def rater_names(study: Study, key: bytes | None) -> Callable[[str], str]:
    """Participant's id → the name that stands in the table.

    In a collection ids are keyed pseudonyms already. Elsewhere they are `CODEBOOK:ID`, and get the pseudonym that a
    landing with the same key would give them (`tasks/ratings/landing/pseudonym.py`): without the key nobody can tell
    who it is, not even by trying ids.
    """
    if study.ratings.collection or key is None:
        return lambda participant: participant
    named = cache(lambda codebook: pseudonyms(key, codebook))

    def name(participant: str) -> str:
        codebook, _, own = participant.partition(":")
        return named(codebook)(own)

    return name


def careless_raters(study: Study, data: StudyData) -> frozenset[str] | None:
    """Who answers at random, as the data call them; None where that is not simulated."""
    simulation = study.ratings.simulate
    if simulation is None or not simulation.careless:
        return None
    careless = careless_participants(simulation, study.seed)
    return frozenset(name for name in data.participants["participant_id"] if name.partition(":")[2] in careless)


def raters_table(
    indices: pd.DataFrame, name: Callable[[str], str], checks: pd.Series, careless: frozenset[str] | None, few: int
) -> DataFrame[RaterIndices]:
    """The indices by pseudonym, sorted by it; nothing on a dimension that fewer than `few` raters rated.

    checks: participant → rows that an attention check cost, of those whose questionnaire has checks.
    """
    people = indices.groupby("dimension")["participant_id"].transform("nunique")
    shown = indices[people >= few]
    own = shown["participant_id"]
    at_random = np.nan if careless is None else own.isin(careless).astype(float)
    place = {dimension: place for place, dimension in enumerate(indices["dimension"].unique())}
    failed = own.map(checks).where(shown["dimension"] == EVERY).astype("Int64")
    table = shown.assign(rater=own.map(name), failed_checks=failed, at_random=at_random)
    table = table.assign(place=table["dimension"].map(place))
    table = table.sort_values(["rater", "place"], kind="stable")
    return RaterIndices.checked(table.drop(columns=["participant_id", "place"]))


def rater_fits(
    indices: pd.DataFrame, reasons: Mapping[str, str], groups: Mapping[str, set[str]],
    careless: frozenset[str] | None, few: int,
) -> DataFrame[RaterFits]:  # fmt: skip
    """How each index is spread over all raters and over each of `groups`.

    An index that fewer than `few` of a group have is not shown. Where no rater of a dimension has a person fit, a row
    for everybody says why.
    """
    rows = []
    for dimension, table in indices.groupby("dimension", sort=False):
        for index, low in INDICES.items():
            for group, members in {EVERY: None, **groups}.items():
                own = table if members is None else table[table["participant_id"].isin(members)]
                known = own.dropna(subset=[index])
                row = {"index": index, "dimension": dimension, "stratum": group, "n_raters": len(known), "notes": ""}
                if len(known) >= few:
                    rows.append(
                        row | _spread(known[index]) | _beyond(known, index) | _found(known, index, low, careless)
                    )
                elif members is None and index in PERSON_FIT and dimension in reasons:
                    rows.append(row | {"n_raters": 0, "notes": reasons[dimension]})
    return RaterFits.checked(pd.DataFrame(rows, columns=list(RaterFits.to_schema().columns)))


def _spread(values: pd.Series) -> dict[str, float]:
    return dict(zip(("low", "median", "high"), np.quantile(values.to_numpy(float), [0.05, 0.5, 0.95]), strict=True))


def _beyond(known: pd.DataFrame, index: str) -> dict[str, float]:
    """How many raters have a p below `BEYOND`, with Wilson's interval of the share and the exact binomial test."""
    if index not in PERSON_FIT:
        return {}
    count, n = int((known[PERSON_FIT[index]] < BEYOND).sum()), len(known)
    low, high = wilson(count, n)
    return {"n_beyond": count, "share_beyond": count / n, "ci_low": low, "ci_high": high,
            "p_beyond": at_least(count, n, BEYOND)}  # fmt: skip


def at_least(count: int, n: int, share: float) -> float:
    """P(X ≥ count) of X ~ Binomial(n, share), the one-sided exact test: I_share(count, n − count + 1).

    scipy's `binomtest` has the same, bit for bit, but importing `scipy.stats` takes longer than most of a survey.
    """
    return float(betainc(count, n - count + 1, share)) if count else 1.0


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (1927): (2np + z² ± z √(4npq + z²)) / 2(n + z²); as `binomtest` has it, too."""
    p, z = count / n, Z95
    scale = 2 * (n + z**2)
    centre, reach = (2 * n * p + z**2) / scale, z / scale * np.sqrt(4 * n * p * (1 - p) + z**2)
    return float(centre - reach) if count else 0.0, float(centre + reach) if count < n else 1.0


def _found(known: pd.DataFrame, index: str, low: bool, careless: frozenset[str] | None) -> dict[str, float]:
    if careless is None:
        return {}
    values = known[PERSON_FIT.get(index, index)].to_numpy(float)
    doubtful = -values if low or index in PERSON_FIT else values
    return {"auc": area_under_curve(doubtful, known["participant_id"].isin(careless).to_numpy())}


def area_under_curve(values: np.ndarray, true: np.ndarray) -> float:
    """The chance that one of `true` has a higher value than one of the others, ties counting half; NaN without both."""
    n, others = int(true.sum()), int((~true).sum())
    if not n or not others:
        return float("nan")
    from scipy.stats import rankdata

    return float((rankdata(values)[true].sum() - n * (n + 1) / 2) / (n * others))
