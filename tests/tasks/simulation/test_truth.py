"""What is planted in a simulated study, by hand and against a large sample of its population."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Simulation, Stratum, Study
from tasks.simulation.population import ENGLISH, GERMAN, declarations, draw_participants
from tasks.simulation.simulate import MODEL
from tasks.simulation.truth import mean_slope, planted

WOMEN = Stratum(attribute="gender", values=("she/her/hers",))
MEN = Stratum(attribute="gender", values=("he/him/his",))
WHITE = Stratum(attribute="ethnicity", values=("White",))
SHARP_WOMEN = {"toxicity": {"gender": {"she/her/hers": 2.0, "he/him/his": 0.5}}}
EVERYWHERE = {
    "toxicity": {
        "gender": {"she/her/hers": 2.0},
        "political-spectrum": {"liberal": 0.5, "conservative": -1.0},
        "ethnicity": {"White": 1.5, "Black or African American": 0.0},
        "country": {"Germany": 3.0},
    }
}
ORDER = ("toxicity", "emotional-awareness")


def study(slopes: dict[str, Any], **overrides: Any) -> Study:
    """The demo's experiments on 60 simulated participants."""
    return load_study("demo", {"ratings.simulate": {"participants": 60, "prompts": 40, "slopes": slopes}, **overrides})


def signs(settings: Study) -> dict[str, tuple[int, ...]]:
    """Contrast → its planted signs on toxicity and on emotional awareness."""
    effects = {(effect.contrast, effect.dimension): effect.sign for effect in planted(settings)}
    return {str(contrast): tuple(effects[contrast, name] for name in ORDER) for contrast, _ in effects}


# ---- mean slopes


def test_the_mean_slope_of_a_group_is_that_of_all_times_its_factor() -> None:
    simulation = Simulation(slopes=SHARP_WOMEN)
    assert MODEL.slopes["toxicity"] == 1.5
    assert mean_slope(simulation, WOMEN, "toxicity") == pytest.approx(3.0)
    assert mean_slope(simulation, MEN, "toxicity") == pytest.approx(0.75)
    assert mean_slope(simulation, WOMEN, "emotional-awareness") == pytest.approx(1.5)
    # Of who declares White, 0.49 · 0.985 are women, 0.47 · 0.985 men: 1.5 · (1 + 0.985 · (0.49 · 1 − 0.47 · 0.5))
    assert mean_slope(simulation, WHITE, "toxicity") == pytest.approx(1.5 * (1 + 0.985 * (0.49 - 0.235)))


def test_who_declares_two_values_has_both_factors() -> None:
    # By hand, of the English: White alone are .48 · .95 + .05 · .48² = .46752; with another, of share s, are
    # 2 · .05 · .48 · s: .01728 with Black (s = .36) and .00768 with the others (s = .16). White has factor 2, Black 3.
    sets = declarations(ENGLISH)["ethnicity"]
    declared = {values: p / 0.985 for values, p in sets.items() if "White" in values}
    assert declared[frozenset({"White"})] == pytest.approx(0.46752)
    assert declared[frozenset({"White", "Black or African American"})] == pytest.approx(0.01728)
    assert sum(declared.values()) == pytest.approx(0.46752 + 0.01728 + 0.00768)
    # A single participant is English: the first of two halves takes who is left over.
    slopes = {"toxicity": {"ethnicity": {"White": 2.0, "Black or African American": 3.0}}}
    alone = Simulation(participants=1, responses_each=4, prompts=1, responses_per_prompt=2, slopes=slopes)
    mean = (2 * 0.46752 + 6 * 0.01728 + 2 * 0.00768) / (0.46752 + 0.01728 + 0.00768)
    assert mean_slope(alone, WHITE, "toxicity") == pytest.approx(1.5 * mean)


@pytest.mark.parametrize("population", [ENGLISH, GERMAN], ids=["English", "German"])
def test_what_participants_declare_has_probabilities_that_sum_to_one(population: Any) -> None:
    for attribute, sets in declarations(population).items():
        assert sum(sets.values()) == pytest.approx(1), attribute
        assert min(sets.values()) >= 0


def values_of(declared: Any) -> list[str]:
    return declared if isinstance(declared, list) else [declared]


@pytest.fixture(scope="module")
def large_sample() -> tuple[pd.DataFrame, np.ndarray]:
    """40,000 people of the population, and the factor of each one's slope under EVERYWHERE."""
    people = draw_participants(40_000, np.random.default_rng(0))
    factors = np.ones(len(people))
    for attribute in ("gender", "political-spectrum", "ethnicity", "country", "age"):
        for row, declared in enumerate(people[attribute]):
            for value in values_of(declared):
                factors[row] *= EVERYWHERE["toxicity"].get(attribute, {}).get(value, 1.0)
    return people, factors


@pytest.mark.parametrize(
    "stratum",
    [
        *(WOMEN, MEN, WHITE, Stratum(attribute="ethnicity", values=("Black or African American", "Asian"))),
        Stratum(attribute="political-spectrum", values=("conservative",)),
        Stratum(attribute="country", values=("Germany",)),
        Stratum(attribute="age", values=("18-30",)),
    ],
    ids=lambda stratum: "/".join(stratum.values),
)
def test_the_mean_slope_is_that_of_a_large_sample_of_the_population(
    stratum: Stratum, large_sample: tuple[pd.DataFrame, np.ndarray]
) -> None:
    """Every attribute has factors here, and the halves of the population differ in all of them but gender and age."""
    people, factors = large_sample
    inside = [not set(values_of(declared)).isdisjoint(stratum.values) for declared in people[stratum.attribute]]
    own = 1.5 * factors[inside]
    error = own.std() / np.sqrt(len(own))
    simulation = Simulation(participants=len(people), slopes=EVERYWHERE)
    assert mean_slope(simulation, stratum, "toxicity") == pytest.approx(own.mean(), abs=4 * error)


# ---- signs and strengths


def test_the_sharper_group_gives_less_of_what_is_bad() -> None:
    effects = {(effect.contrast, effect.dimension): effect for effect in planted(study(SHARP_WOMEN))}
    toxicity = effects["female - male", "toxicity"]
    assert (toxicity.experiment, toxicity.sign) == ("demographics", -1)
    assert toxicity.strength == pytest.approx(2.25)  # 1.5 · (2 − 0.5)
    # Toxic texts show little emotional awareness: it is carried along, upwards, and less strongly.
    carried = effects["female - male", "emotional-awareness"]
    assert carried.sign == 1
    assert 0 < carried.strength < toxicity.strength


def test_the_sharper_group_gives_more_of_what_is_good_and_its_place_turns_the_sign() -> None:
    sharp = {"emotional-awareness": {"political-spectrum": {"liberal": 2.0}, "ethnicity": {"White": 0.5}}}
    assert signs(study(sharp)) == {
        "female - male": (0, 0),
        "liberal - conservative": (-1, 1),
        "white - black": (1, -1),
    }


def test_where_no_slope_differs_every_contrast_of_groups_is_a_null() -> None:
    for slopes in (
        {},
        {"helpfulness": {"gender": {"she/her/hers": 2.0}}},
        {"toxicity": {"gender": {"ve/ver/vis": 1.0}}},
    ):
        assert {pair for pair in signs(study(slopes)).values()} == {(0, 0)}
        assert {effect.strength for effect in planted(study(slopes))} == {0.0}


def test_a_negative_factor_plants_the_opposite() -> None:
    slopes = {"toxicity": {"gender": {"she/her/hers": -1.0}}}
    assert signs(study(slopes))["female - male"] == (1, -1)


def test_several_dimensions_trained_at_once_count_the_same() -> None:
    both = {f"experiments.demographics.conditions.{name}.dimensions": list(ORDER) for name in ("female", "male")}
    one, two = study(SHARP_WOMEN), study(SHARP_WOMEN, **both)
    strength = [[effect.strength for effect in planted(settings)[:2]] for settings in (one, two)]
    assert strength[1] == pytest.approx([half / 2 for half in strength[0]])  # no slope differs on the other dimension


# ---- what has a known truth


def test_only_contrasts_of_groups_have_a_known_truth() -> None:
    effects = planted(study(SHARP_WOMEN))
    assert {effect.experiment for effect in effects} == {"demographics"}
    assert len(effects) == 3 * 2  # contrasts of groups, evaluated dimensions


@pytest.mark.parametrize(
    "overrides",
    [
        {"experiments.demographics.conditions.male.scale": "binary"},
        {"experiments.demographics.conditions.male.aggregation": "majority"},
        {"experiments.demographics.conditions.male.dimensions": ["emotional-awareness"]},
        {"strata.male": {"attribute": "shoe-size", "values": ["45"]}},
        {"strata.male": {"attribute": "gender", "values": ["he/him/his", "another"]}},
    ],
)
def test_groups_that_differ_in_more_or_are_not_simulated_have_none(overrides: dict[str, Any]) -> None:
    assert "female - male" not in signs(study(SHARP_WOMEN, **overrides))


def test_real_ratings_have_none() -> None:
    assert planted(load_study("paper")) == []
