"""Answers to prompts, with and without an adapter, in however much memory there is."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tasks.generation import greedy
from tasks.generation.greedy import generate, generate_together
from tasks.methods.memory import OutOfMemory
from tests.models import RECIPE, a_run, some_pairs, some_rewards, train_dpo


def prompts(n: int = 5) -> pd.DataFrame:
    texts = some_rewards()["prompt"].drop_duplicates().head(n)
    return pd.DataFrame({"prompt_id": [f"p{i}" for i in range(n)], "prompt": texts.tolist()})


def memory_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Answers take so many prompts at once; the sizes that were tried."""
    plain, tried = greedy._answer, []

    def answer(model, tokenizer, encoded, limit, token):
        tried.append(len(encoded))
        if len(encoded) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(model, tokenizer, encoded, limit, token)

    monkeypatch.setattr(greedy, "_answer", answer)
    return tried


def test_prompts_that_do_not_fit_at_once_are_answered_in_parts(llama, monkeypatch):
    _, base = llama
    recipe = RECIPE.model_copy(update={"generation_batch": 4})
    whole, at_once = generate(base, None, prompts(), recipe, reasoning=False)
    assert at_once == 4
    tried = memory_for(1, monkeypatch)
    parts, at_once = generate(base, None, prompts(), recipe, reasoning=False)
    assert tried == [4, 2, 1, 1, 1, 1, 1]
    assert at_once == 1
    pd.testing.assert_frame_equal(parts, whole)


def test_a_prompt_that_does_not_fit_alone_is_an_error(llama, monkeypatch):
    memory_for(0, monkeypatch)
    with pytest.raises(OutOfMemory, match="not even one row at once fits"):
        generate(llama[1], None, prompts(), RECIPE, reasoning=False)


def test_all_adapters_are_answered_by_one_base_which_stays_as_it_was(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(16).assign(target=1.0)
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 20, "learning_rate": 5e-3})})
    train_dpo(base, architecture, pairs, recipe, a_run(tmp_path), lambda _: None)
    before, adapted, after = (
        generate(base, path, prompts(), RECIPE, reasoning=False)[0]["text"].tolist()
        for path in (None, tmp_path / "adapter", None)
    )
    assert before == after
    assert before != adapted


@pytest.fixture(scope="module")
def adapters(llama, tmp_path_factory):
    architecture, base = llama
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 10, "learning_rate": 5e-3})})
    runs = [a_run(tmp_path_factory.mktemp("run")) for _ in range(3)]
    for run, target in zip(runs, (0.0, 0.5, 1.0), strict=True):
        train_dpo(base, architecture, some_pairs(16).assign(target=target), recipe, run, lambda _: None)
    return [run.adapter for run in runs]


def test_adapters_answer_together_as_each_answers_alone(llama, adapters):
    together, at_once = generate_together(llama[1], adapters, prompts(), RECIPE, reasoning=False)
    assert at_once == RECIPE.generation_batch
    for answers, adapter in zip(together, adapters, strict=True):
        pd.testing.assert_frame_equal(answers, generate(llama[1], adapter, prompts(), RECIPE, reasoning=False)[0])
    assert len({tuple(answers["text"]) for answers in together}) == 3


def test_adapters_that_do_not_fit_together_answer_in_groups(llama, adapters, monkeypatch):
    whole, _ = generate_together(llama[1], adapters, prompts(2), RECIPE, reasoning=False)
    tried = memory_for(2, monkeypatch)
    recipe = RECIPE.model_copy(update={"generation_batch": 2})
    parts, at_once = generate_together(llama[1], adapters, prompts(2), recipe, reasoning=False)
    assert tried == [6, 3, 2, 2, 2]  # three adapters for two prompts, for one, then one adapter at a time
    assert at_once == 2
    for one, other in zip(parts, whole, strict=True):
        pd.testing.assert_frame_equal(one, other)
