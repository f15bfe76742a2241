"""Who answers a simulated survey: marginal shares of what participants declare, our choice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

NOT_DECLARED = "not declared"
NOT_DECLARED_SHARE = 0.015
SECOND_ETHNICITY_SHARE = 0.05
SECOND_COUNTRY_SHARE = 0.01

Declarations = dict[frozenset[str], float]
"""Every set of values that a participant may declare of an attribute → its probability; nobody is asked twice, so they
sum to one, and the empty set is who declares none."""


@dataclass(frozen=True)
class Population:
    """Who answers in one language: marginal shares in the study's terms (our choice), and free texts of the export."""

    codebook: str
    prefix: str
    country: str
    political_spectrum: Mapping[str, float]
    ethnicity: Mapping[str, float]
    ancestry: Mapping[str, tuple[str, ...]]
    """Ethnicity → ancestries."""
    party: Mapping[str, tuple[str, ...]]
    """Political spectrum → parties."""
    yes_no: tuple[str, str]


GENDER = {
    "she/her/hers": 0.49,
    "he/him/his": 0.47,
    "they/them/theirs": 0.03,
    "ze/hir/hirs": 0.004,
    "xe/xem/xyrs": 0.003,
    "ey/em/eirs": 0.001,
    "ve/ver/vis": 0.001,
    "per/pers/perself": 0.001,
}
AGE = {"18-30": 0.36, "31-40": 0.28, "41-50": 0.17, "51-60": 0.12, "over 60": 0.07}

ENGLISH = Population(
    codebook="survey-app-en",
    prefix="sim-en",
    country="United States of America",
    political_spectrum={"liberal": 0.45, "centre": 0.30, "conservative": 0.25},
    ethnicity={
        "White": 0.48,
        "Black or African American": 0.36,
        "Hispanic or Latino": 0.07,
        "Asian": 0.06,
        "American Indian or Alaska Native": 0.01,
        "Middle Eastern or North African": 0.01,
        "Native Hawaiian or Pacific Islander": 0.01,
    },
    ancestry={
        "White": ("German", "Irish", "English", "Italian", "Polish"),
        "Black or African American": ("African American", "Nigerian", "Jamaican"),
        "Hispanic or Latino": ("Mexican", "Puerto Rican", "Cuban"),
        "Asian": ("Chinese", "Indian", "Filipino"),
        "American Indian or Alaska Native": ("Cherokee", "Navajo"),
        "Middle Eastern or North African": ("Lebanese", "Egyptian"),
        "Native Hawaiian or Pacific Islander": ("Hawaiian", "Samoan"),
    },
    party={
        "liberal": ("Democratic Party", "Green Party"),
        "centre": ("Independent", "Democratic Party", "Republican Party"),
        "conservative": ("Republican Party", "Libertarian Party"),
    },
    yes_no=("yes", "no"),
)

GERMAN = Population(
    codebook="survey-app-de",
    prefix="sim-de",
    country="Germany",
    political_spectrum={"liberal": 0.46, "centre": 0.34, "conservative": 0.20},
    ethnicity={
        "White": 0.84,
        "Black or African American": 0.06,
        "Middle Eastern or North African": 0.05,
        "Asian": 0.04,
        "Hispanic or Latino": 0.01,
    },
    ancestry={
        "White": ("Deutsch", "Polnisch", "Italienisch", "Russisch"),
        "Black or African American": ("Ghanaisch", "Nigerianisch"),
        "Middle Eastern or North African": ("Türkisch", "Syrisch", "Marokkanisch"),
        "Asian": ("Vietnamesisch", "Chinesisch"),
        "Hispanic or Latino": ("Spanisch", "Brasilianisch"),
    },
    party={
        "liberal": ("Bündnis 90/Die Grünen", "SPD", "Die Linke"),
        "centre": ("SPD", "CDU/CSU", "FDP"),
        "conservative": ("CDU/CSU", "FDP"),
    },
    yes_no=("Ja", "Nein"),
)


def draw_participants(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """`n` participants in the study's terms, the first half (rounded up) English; lists where several may be named."""
    return pd.concat([_half(population, size, rng) for population, size in halves(n)], ignore_index=True)


def halves(n: int) -> tuple[tuple[Population, int], tuple[Population, int]]:
    """Each population, and how many of `n` participants are of it."""
    return (ENGLISH, n - n // 2), (GERMAN, n // 2)


def ids_of(population: Population, n: int) -> list[str]:
    """The ids of its first `n` participants, `sim-en-0001`, …"""
    return [f"{population.prefix}-{number:04d}" for number in range(1, n + 1)]


def declarations(population: Population) -> dict[str, Declarations]:
    """Attribute → what a participant of `population` declares of it.

    These are the attributes that `draw_participants` draws independently of each other within a population: all but
    ancestry and party, which follow from others.
    """
    countries = {ENGLISH.country: 0.5, GERMAN.country: 0.5}
    return {
        "gender": _declarations(GENDER),
        "age": _declarations(AGE),
        "country": _declarations({population.country: 1.0}, countries, SECOND_COUNTRY_SHARE, hidden=0.0),
        "ethnicity": _declarations(population.ethnicity, population.ethnicity, SECOND_ETHNICITY_SHARE),
        "political-spectrum": _declarations(population.political_spectrum),
    }


def declarable() -> dict[str, list[str]]:
    """Attribute → the values that a participant of either population may declare of it."""
    values: dict[str, dict[str, None]] = {}
    for population in (ENGLISH, GERMAN):
        for attribute, sets in declarations(population).items():
            values.setdefault(attribute, {}).update(dict.fromkeys(value for several in sets for value in several))
    return {attribute: list(own) for attribute, own in values.items()}


def _declarations(
    first: Mapping[str, float],
    second: Mapping[str, float] | None = None,
    share: float = 0.0,
    hidden: float = NOT_DECLARED_SHARE,
) -> Declarations:
    """`first`, for a `share` of participants together with a `second`, and `hidden` by a share of all."""
    sets: Declarations = defaultdict(float, {frozenset(): hidden})
    for value, probability in first.items():
        sets[frozenset({value})] += (1 - hidden) * (1 - share) * probability
        for other, its_probability in (second or {}).items():
            sets[frozenset({value, other})] += (1 - hidden) * share * probability * its_probability
    return dict(sets)


def _half(population: Population, n: int, rng: np.random.Generator) -> pd.DataFrame:
    ethnicity = _with_second(_draw(population.ethnicity, n, rng), population.ethnicity, SECOND_ETHNICITY_SHARE, rng)
    spectrum = _draw(population.political_spectrum, n, rng)
    countries = {ENGLISH.country: 0.5, GERMAN.country: 0.5}
    country = _with_second(np.full(n, population.country, dtype=object), countries, SECOND_COUNTRY_SHARE, rng)
    return pd.DataFrame(
        {
            "participant": ids_of(population, n),
            "gender": _hidden(_draw(GENDER, n, rng), rng),
            "age": _hidden(_draw(AGE, n, rng), rng),
            "country": country,
            "ancestry": _hidden([[rng.choice(population.ancestry[e]) for e in several] for several in ethnicity], rng),
            "ethnicity": _hidden(ethnicity, rng),
            "party": _hidden([rng.choice(population.party[term]) for term in spectrum], rng),
            "political-spectrum": _hidden(spectrum, rng),
        }
    )


def _draw(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(np.array(list(shares), dtype=object), size=n, p=list(shares.values()))


def _with_second(
    first: np.ndarray, shares: Mapping[str, float], share: float, rng: np.random.Generator
) -> list[list[str]]:
    """A list of one each, and for about `share` of them of two; a second that equals the first is not repeated."""
    second = np.where(rng.random(len(first)) < share, _draw(shares, len(first), rng), first)
    return [list(dict.fromkeys(both)) for both in zip(first, second, strict=True)]


def _hidden(values: Sequence[object] | np.ndarray, rng: np.random.Generator) -> list[object]:
    """The values with a small share of them not declared."""
    hidden = rng.random(len(values)) < NOT_DECLARED_SHARE
    return [NOT_DECLARED if hide else value for value, hide in zip(values, hidden, strict=True)]
