"""GPU-hours by hand."""

from __future__ import annotations

import pytest

from configs.schema import Recipe
from tasks.architectures.cost import Texts, answering_hours
from tasks.methods import METHODS

RECIPE = Recipe(
    max_length=100, max_new_tokens=50, dpo={"batch_size": 10}, grpo={"prompts_per_step": 2, "group_size": 4}
)


def test_a_dpo_run_by_hand():
    # 5 steps x 10 pairs x 2 sequences x (40 + 160) / 4 tokens x 6 x 1e9 operations, at 0.4 x 989e12 a second
    hours = METHODS["dpo"].gpu_hours(1e9, 5, Texts(40, 160), RECIPE)
    assert hours == pytest.approx(100 * 50 * 6e9 / (0.4 * 989e12) / 3600)


def test_texts_count_as_far_as_they_are_kept():
    long, limit = Texts(40, 4000), Texts(40, 360)  # 1,010 and 100 tokens
    assert METHODS["dpo"].gpu_hours(1e9, 5, long, RECIPE) == METHODS["dpo"].gpu_hours(1e9, 5, limit, RECIPE)


def test_a_grpo_run_by_hand():
    # 3 steps x 2 prompts x 4 samples = 24; 10 tokens read, 50 written each: 8 operations a parameter, then 2 to write
    hours = METHODS["grpo"].gpu_hours(1e9, 3, Texts(40, 160), RECIPE)
    trained, written = 8e9 * 24 * 60 / (0.4 * 989e12), 2e9 * 24 * 50 / (0.05 * 989e12)
    assert hours == pytest.approx((trained + written) / 3600)


def test_answers_by_hand():
    assert answering_hours(2e9, 100, RECIPE) == pytest.approx(2 * 2e9 * 100 * 50 / (0.05 * 989e12) / 3600)
