"""Placebo contrasts: an experiment that a study grows, with the raters of its own contrasts between strata."""

from __future__ import annotations

import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.placebo import PLACEBO
from configs.schema import Study


def test_placebos_take_after_the_contrasts_between_strata_in_turn() -> None:
    study = load_study("paper", {"placebo": 4})
    experiment = study.experiments[PLACEBO]
    assert list(experiment.contrasts) == [f"half-{number}a - half-{number}b" for number in range(1, 5)]
    halves = {name: condition.half for name, condition in experiment.conditions.items()}
    assert [half.of for half in halves.values() if not half.second] == [
        ("female", "male"), ("liberal", "conservative"), ("white", "black"), ("female", "male"),
    ]  # fmt: skip
    assert [half.number for half in halves.values()] == [1, 1, 2, 2, 3, 3, 4, 4]
    second = experiment.conditions["half-2b"]
    assert (second.stratum, second.dimensions, second.half.second) == (None, ("emotional-awareness",), True)
    assert experiment.contrasts["half-1a - half-1b"].focus == ("toxicity",)


def test_without_a_placebo_nothing_is_added_and_settings_that_have_them_are_read_again() -> None:
    assert PLACEBO not in load_study("paper").experiments
    study = load_study("paper", {"placebo": 2})
    again = Study.model_validate(study.model_dump(mode="json"))
    assert again == study


def test_a_study_without_two_strata_to_compare_says_so() -> None:
    with pytest.raises(InputError, match="placebo: no experiment has a contrast between two strata"):
        load_study(
            "paper",
            {"placebo": 1, "experiments": {"scale": load_study("paper").experiments["scale"].model_dump(mode="json")}},
        )


@pytest.mark.parametrize("count", [-1, 1.5, "x"])
def test_what_is_no_number_of_placebos_is_refused(count: object) -> None:
    with pytest.raises(InputError, match="placebo"):
        load_study("paper", {"placebo": count})


def test_a_half_names_strata_of_the_study_and_stands_in_place_of_one() -> None:
    half = {"half": {"of": ["female", "nobody"], "number": 1}}
    with pytest.raises(InputError, match=r"experiments.scale.conditions.binary.half.of: unknown 'nobody'"):
        load_study(
            "paper", {"experiments.scale.conditions.binary": {"dimensions": ["toxicity"], "scale": "binary"} | half}
        )
    with pytest.raises(InputError, match="a stratum or a half, not both"):
        load_study("paper", {"experiments.demographics.conditions.female.half": {"of": ["female"], "number": 1}})
