"""Several runs in one pass: each is the run that its method trains alone, whatever the others are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from configs.schema import Recipe
from tasks.methods import METHODS, response_log_probs, stacked_lora, together, token_rows
from tasks.methods.lora import lent
from tasks.methods.memory import OutOfMemory
from tasks.methods.run import NotFinite, Run, Trained
from tasks.methods.stacked_lora import new_adapters
from tasks.runtime.progress import Report
from tests.models import RECIPE, a_run, some_pairs, some_rated, some_rewards

SIX_STEPS = RECIPE.model_copy(
    update={name: block.model_copy(update={"epochs": 3}) for name, block in RECIPE.blocks.items()}
)
ROUNDING = 5e-4
"""Of a matrix's norm, after six steps. Mostly 1e-6; where a gradient is near zero, AdamW divides by as little: 1e-4."""


def tables(method: str, n: int, rows: int = 16) -> dict[int, pd.DataFrame]:
    """The rows under n sets of weights (mean 1) and targets; the first are those of the rows themselves."""
    plain, rng = {"dpo": some_pairs, "kto": some_rated}[method](rows), np.random.default_rng(1)
    found = {1: plain}
    for number in range(2, n + 1):
        weight = rng.exponential(size=rows)
        found[number] = plain.assign(weight=weight / weight.mean(), target=rng.uniform(size=rows))
    return found


def some_runs(folder: Path, numbers: Mapping[int, Any], steps: int | None = None) -> dict[int, Run]:
    """With a reference in common."""
    return {
        number: Run(0, folder / str(number) / "adapter", folder / "checkpoints", folder / "reference.txt", steps)
        for number in numbers
    }


def train(
    model: Any, own: dict[int, pd.DataFrame], folder: Path, method: str = "dpo", recipe: Recipe = SIX_STEPS,
    steps: int | None = None, progress: Any = lambda _: None,
) -> dict[int, Trained]:  # fmt: skip
    architecture, base = model
    runs = some_runs(folder, own, steps)
    return together.train_together(base, architecture, METHODS[method], own, runs, recipe, progress)


def adapter(folder: Path, number: int) -> dict[str, torch.Tensor]:
    return load_file(folder / str(number) / "adapter" / "adapter_model.safetensors")


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of a matrix, in norms of it."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).norm() / one[name].norm()) for name in one)


def assert_same_curves(together_: Trained, alone: Trained) -> None:
    """All but the accuracy, which counts signs of leads that are zero up to rounding in the first step."""
    assert [entry.keys() for entry in together_.curve] == [entry.keys() for entry in alone.curve]
    for entry, expected in zip(together_.curve, alone.curve, strict=True):
        names = entry.keys() - {"accuracy"}
        assert {name: entry[name] for name in names} == pytest.approx(
            {name: expected[name] for name in names}, rel=1e-5, abs=1e-5
        )


def test_each_run_is_the_one_that_is_trained_alone_in_every_family(any_base: Any, tmp_path: Path) -> None:
    own = tables("dpo", 2)
    found = train(any_base, own, tmp_path / "together")
    for number, table in own.items():
        alone = a_run(tmp_path / "alone" / str(number))
        expected = METHODS["dpo"].train(any_base[1], any_base[0], table, SIX_STEPS, alone, lambda _: None)
        assert (
            apart(adapter(tmp_path / "together", number), load_file(alone.adapter / "adapter_model.safetensors"))
            < ROUNDING
        )
        assert_same_curves(found[number], expected)
        assert (found[number].steps, found[number].truncated) == (expected.steps, expected.truncated)
        files = [
            folder / "adapter_config.json"
            for folder in (tmp_path / "together" / str(number) / "adapter", alone.adapter)
        ]
        assert files[0].read_text() == files[1].read_text()
    assert apart(adapter(tmp_path / "together", 1), adapter(tmp_path / "together", 2)) > 20 * ROUNDING


def test_the_base_comes_back_unchanged(any_base: Any, tmp_path: Path) -> None:
    _, base = any_base
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    train(any_base, tables("dpo", 2), tmp_path)
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert not any("forward" in module.__dict__ for module in base.model.modules() if module is not base.model)


@pytest.mark.parametrize("batch", [8, 6])
def test_so_are_runs_of_kto(batch: int, llama: Any, tmp_path: Path) -> None:
    kto = SIX_STEPS.kto.model_copy(update={"batch_size": batch})  # in sixes, the last step of an epoch is short
    recipe, own = SIX_STEPS.model_copy(update={"kto": kto}), tables("kto", 3)
    found = train(llama, own, tmp_path / "together", "kto", recipe)
    for number, table in own.items():
        alone = a_run(tmp_path / str(number))
        expected = METHODS["kto"].train(llama[1], llama[0], table, recipe, alone, lambda _: None)
        assert (
            apart(adapter(tmp_path / "together", number), load_file(alone.adapter / "adapter_model.safetensors"))
            < ROUNDING
        )
        assert_same_curves(found[number], expected)


def test_who_else_is_trained_and_how_many_steps_are_asked_for(llama: Any, tmp_path: Path) -> None:
    own = tables("dpo", 3)
    train(llama, own, tmp_path / "all", steps=5)
    found = train(llama, {3: own[3]}, tmp_path / "one", steps=5)
    assert found[3].steps == 5
    assert apart(adapter(tmp_path / "all", 3), adapter(tmp_path / "one", 3)) < ROUNDING


def test_a_method_without_a_loss_of_a_row_is_refused(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GRPO can't train several runs together"):
        train(llama, {1: some_rewards()}, tmp_path, "grpo")


# ---- memory


def memory_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """So many rows of all runs go through the model at once; the numbers of runs and of rows that were tried."""
    plain, tried = response_log_probs.response_log_probs, []

    def tight(model: Any, prompts: Any, responses: Any, copies: int, pad: int) -> Any:
        tried.append((copies, len(prompts)))
        if copies * len(prompts) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return plain(model, prompts, responses, copies, pad)

    monkeypatch.setattr(token_rows, "response_log_probs", tight)
    return tried


def test_rows_that_do_not_fit_at_once_go_in_parts(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tables("dpo", 2)
    train(llama, own, tmp_path / "whole")
    tried = memory_for(4, monkeypatch)
    found = train(llama, own, tmp_path / "parts")
    assert tried[:6] == [(2, 8), (2, 4), (2, 2), (2, 2), (2, 2), (2, 2)]
    assert found[1].at_once == 2
    assert apart(adapter(tmp_path / "parts", 2), adapter(tmp_path / "whole", 2)) < ROUNDING


def test_runs_that_do_not_fit_together_go_in_groups(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tables("dpo", 3)
    train(llama, own, tmp_path / "whole")
    tried = memory_for(2, monkeypatch)
    train(llama, own, tmp_path / "groups")
    assert tried[:4] == [(3, 8), (3, 4), (3, 2), (3, 1)]  # then one run at a time, of half of three
    assert {copies for copies, _ in tried[4:]} == {1}
    for number in own:
        assert apart(adapter(tmp_path / "groups", number), adapter(tmp_path / "whole", number)) < ROUNDING


def test_a_row_that_does_not_fit_alone_is_an_error(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_for(0, monkeypatch)
    with pytest.raises(OutOfMemory, match="not even one row at once fits into memory"):
        train(llama, tables("dpo", 2), tmp_path)


# ---- a kill, and training that breaks down


class Stopped(Exception):
    """Stands for a kill: nothing of the runs remains but what is on disk."""


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_stopped_runs_go_on_to_the_same_bits(
    method: str, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = together.training_arguments
    monkeypatch.setattr(together, "training_arguments", lambda *a: {**plain(*a), "logging_steps": 2})
    recipe, own = SIX_STEPS.model_copy(update={"checkpoint_seconds": 0.0}), tables(method, 2)

    def stop(report: Report) -> None:
        if (report.done, report.unit) == (4, "steps"):
            raise Stopped  # before its checkpoint

    expected = train(llama, own, tmp_path / "whole", method, recipe)
    with pytest.raises(Stopped):
        train(llama, own, tmp_path / "broken", method, recipe, progress=stop)
    again = train(llama, own, tmp_path / "broken", method, recipe)
    for number in own:
        assert (again[number].resumed_from, again[number].curve) == (2, expected[number].curve)
        assert apart(adapter(tmp_path / "broken", number), adapter(tmp_path / "whole", number)) == 0


@pytest.mark.parametrize("damage", [
    lambda file: file.unlink(), lambda file: os.truncate(file, file.stat().st_size - 1),
    lambda file: file.rename(file.with_suffix(".pt")),
], ids=["lost", "cut", "of an earlier version"])  # fmt: skip
def test_what_is_left_of_a_checkpoint_is_not_gone_on_from(
    damage: Any, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = together.training_arguments
    monkeypatch.setattr(together, "training_arguments", lambda *a: {**plain(*a), "logging_steps": 2})
    recipe, own = SIX_STEPS.model_copy(update={"checkpoint_seconds": 0.0}), tables("dpo", 2)
    expected = train(llama, own, tmp_path, recipe=recipe)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert kept.name == "together-1-2.safetensors"
    damage(kept)
    again = train(llama, own, tmp_path, recipe=recipe)
    assert [again[number].resumed_from for number in own] == [0, 0]
    assert [again[number].curve for number in own] == [expected[number].curve for number in own]


def test_a_run_that_breaks_down_is_named(llama: Any, tmp_path: Path) -> None:
    own = tables("dpo", 2)
    own[2] = own[2].assign(weight=float("inf"))
    with pytest.raises(NotFinite, match="run 2: the loss is not finite by step 5"):
        train(llama, own, tmp_path)


# ---- the ways through the model


@pytest.mark.parametrize("dense", [0, 16])
def test_narrow_layers_and_wide_ones_give_the_same(
    dense: int, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tables("dpo", 2)
    train(llama, own, tmp_path / "default")
    monkeypatch.setattr(stacked_lora, "DENSE", dense)
    train(llama, own, tmp_path / "other")
    assert apart(adapter(tmp_path / "other", 2), adapter(tmp_path / "default", 2)) < ROUNDING


def gradients(model: Any, prompts: Any, responses: Any) -> tuple[Any, list[Any]]:
    """log π under two adapters that are not what they begin as, and the gradient of a sum of them."""
    architecture, base = model
    with new_adapters(base.model, architecture, RECIPE.lora, 0, 2) as stack:
        torch.manual_seed(0)
        with torch.no_grad():
            for value in stack.parameters:
                value += 0.05 * torch.randn_like(value)
        log_probs = response_log_probs.response_log_probs(
            base.model, prompts, responses, 2, base.tokenizer.pad_token_id
        )
        (log_probs * torch.linspace(-1, 1, log_probs.numel()).view(log_probs.shape)).sum().backward()
        return log_probs.detach(), [value.grad for value in stack.parameters]


def test_responses_that_share_their_prompt_have_the_log_probabilities_that_they_have_alone(
    any_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, base = any_base
    model = base.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.double()
    prompts, responses = (
        [[7, 8, 9], [10, 11, 12, 13, 14], [15, 16]],
        [[[20], [21, 22]], [[23, 24, 25], [26, 27]], [[28, 29], [30]]],
    )
    assert response_log_probs._shares_prompts(model, prompts, responses)
    with lent(model):
        shared, steps = gradients((architecture, base), prompts, responses)
    monkeypatch.setattr(response_log_probs, "_shares_prompts", lambda *_: False)
    with lent(model):
        alone, others = gradients((architecture, base), prompts, responses)
    model.float().load_state_dict(before)
    assert shared.shape == (2, 3, 2)
    torch.testing.assert_close(shared, alone, rtol=1e-5, atol=1e-6)  # norms work in float32
    for one, other in zip(steps, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_prompts_are_not_shared_where_a_layer_sees_only_a_window(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = llama[1].model, ([[7, 8, 9]], [[[20, 21], [22]]])
    assert response_log_probs._shares_prompts(model, *rows)
    assert not response_log_probs._shares_prompts(model, [[7, 8, 9]], [[[20, 21]]])  # one response
    monkeypatch.setattr(model.config, "sliding_window", 4, raising=False)
    assert not response_log_probs._shares_prompts(model, *rows)
