"""Optimiser steps: of a recipe's epochs, and the same for all conditions."""

from __future__ import annotations

import pytest

from configs.schema import Experiment, Recipe
from tasks.methods import METHODS
from tasks.methods.training_set import steps_beyond_epochs
from tests.models import RECIPE, a_run, some_pairs, some_rewards, train_dpo, train_grpo

PLAIN = Recipe(dpo={"batch_size": 32, "epochs": 2}, grpo={"prompts": 64, "prompts_per_step": 4, "epochs": 1})


def experiment(budget: str) -> Experiment:
    dpo = {"dimensions": ["toxicity"], "scale": "5-point"}
    conditions = {"all": dpo, "few": dpo, "none": dpo, "grpo": dpo | {"method": "grpo"}}
    return Experiment(title="T", question="Q", budget=budget, conditions=conditions, contrasts={"all - control": {}})


SIZES = {"all": 330, "few": 20, "none": 0, "grpo": 400}


@pytest.mark.parametrize(("method", "size", "steps"), [
    ("dpo", 320, 20), ("dpo", 321, 22), ("dpo", 1, 2), ("grpo", 400, 16), ("grpo", 10, 2), ("grpo", 3, 1),
])  # fmt: skip
def test_epochs_in_steps(method, size, steps):
    # dpo: 2 x ceil(size / 32); grpo: floor(min(size, 64) / 4), since a group of prompts that is not full is left out
    assert METHODS[method].steps(size, PLAIN) == steps


def test_with_equal_steps_small_conditions_train_as_long_as_the_largest_of_their_method():
    steps = {name: steps_beyond_epochs(experiment("steps"), SIZES, name, PLAIN) for name in SIZES}
    assert steps == {"all": None, "few": 22, "none": None, "grpo": None}


def test_with_equal_epochs_nothing_is_beyond_them():
    assert {steps_beyond_epochs(experiment("epochs"), SIZES, name, PLAIN) for name in SIZES} == {None}


def test_trainers_take_the_steps_that_are_counted_here(llama, tmp_path):
    architecture, base = llama
    for n in (7, 8, 9):
        run = a_run(tmp_path / f"dpo{n}")
        trained = train_dpo(base, architecture, some_pairs(n), RECIPE, run, lambda _: None)
        assert trained.steps == METHODS["dpo"].steps(n, RECIPE)
    trained = train_grpo(base, architecture, some_rewards(), RECIPE, a_run(tmp_path / "grpo"), lambda _: None)
    assert trained.steps == METHODS["grpo"].steps(some_rewards()["prompt"].nunique(), RECIPE)


def test_a_run_takes_the_steps_that_it_is_given(llama, tmp_path):
    architecture, base = llama
    trained = train_dpo(base, architecture, some_pairs(8), RECIPE, a_run(tmp_path, steps=5), lambda _: None)
    assert trained.steps == 5
