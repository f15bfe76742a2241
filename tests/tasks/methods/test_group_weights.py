"""Training that looks after groups: its weights by hand, and what must come out the same as without them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from configs.schema import Robust
from tasks.methods import METHODS, together
from tasks.methods.checkpoints import newest_checkpoint
from tasks.methods.group_weights import GROUP, GroupedRows, GroupWeights
from tasks.methods.run import Run, Trained
from tasks.runtime.progress import Report
from tests.models import RECIPE, a_run, some_pairs, some_rated

EPOCHS = {name: block.model_copy(update={"epochs": 4}) for name, block in RECIPE.blocks.items()}
EIGHT_STEPS = RECIPE.model_copy(update={**EPOCHS, "checkpoint_seconds": 0.0})


def grouped(method: str) -> pd.DataFrame:
    """12 rows of group a and 4 of b, who want the opposite of the same responses."""
    rows = {"dpo": some_pairs, "kto": some_rated}[method](16)
    target = [1.0, 0.0, 1.0, 0.0] * 3 + [0.0, 1.0, 0.0, 1.0]
    names = [*rows.columns.drop(["target", "weight"])]
    rows.loc[12:, names] = rows.loc[:3, names].to_numpy()
    return rows.assign(**{GROUP: ["a"] * 12 + ["b"] * 4}, target=target, weight=[16 / 24] * 12 + [16 / 8] * 4)


def trained(method: str, model: Any, folder: Path, robust: Robust | None, progress: Any = lambda _: None) -> Trained:
    architecture, base = model
    run = replace(a_run(folder), robust=robust)
    return METHODS[method].train(base, architecture, grouped(method), EIGHT_STEPS, run, progress)


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


# ---- the weights alone


def test_the_weights_follow_the_losses_by_hand() -> None:
    groups = GroupedRows.of(pd.DataFrame({GROUP: ["x", "y", "y", "x", "y"]}))
    assert (groups.names, groups.sizes, groups.of_row) == (("x", "y"), (2, 3), (0, 1, 1, 0, 1))
    weights = GroupWeights(Robust(rate=0.5, adjustment=0.2, memory=0.75), groups)
    group, weight = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 1.0, 3.0]])
    weighed = weights.weighed(weight * torch.tensor([[0.4, 1.0, 2.0]]), weight, group)
    assert weighed.tolist() == [pytest.approx([0.4, 1.0, 6.0])]  # as they are before the first step
    weights.step()
    # L: x .4, y (1 + 6) / 4 = 1.75; C / √n: .2 / √2, .2 / √3
    grown = [math.exp(0.5 * (0.4 + 0.2 / math.sqrt(2))), math.exp(0.5 * (1.75 + 0.2 / math.sqrt(3)))]
    assert weights.factors[0].tolist() == pytest.approx([2 * value / sum(grown) for value in grown])
    assert [float(value) for value in weights.q.values()] == pytest.approx([value / sum(grown) for value in grown])
    # the second step has no row of x, whose mean stays; y's moves a quarter of the way to 0.75
    weights.weighed(torch.tensor([[0.75]]), torch.tensor([[1.0]]), torch.tensor([1]))
    weights.step()
    grown[0] *= math.exp(0.5 * (0.4 + 0.2 / math.sqrt(2)))
    grown[1] *= math.exp(0.5 * (1.75 * 0.75 + 0.75 * 0.25 + 0.2 / math.sqrt(3)))
    assert weights.factors[0].tolist() == pytest.approx([2 * value / sum(grown) for value in grown])


def test_weights_that_never_grow_are_exactly_one() -> None:
    for count in range(1, 60):
        groups = GroupedRows(tuple(map(str, range(count))), (1,) * count, tuple(range(count)))
        weights = GroupWeights(Robust(rate=0), groups)
        for _ in range(3):
            weights.weighed(torch.rand(1, count), torch.rand(1, count), torch.arange(count))
            weights.step()
        assert weights.factors.tolist() == [[1.0] * count]


def test_weights_that_were_kept_go_on_as_if_nothing_had_happened() -> None:
    groups = GroupedRows(("x", "y"), (1, 1), (0, 1))
    one, other = (GroupWeights(Robust(rate=0.3), groups, [{}, {}]) for _ in range(2))

    def steps(weights: GroupWeights, numbers: range) -> None:
        for number in numbers:
            losses = torch.tensor([[0.1 * number, 0.5], [0.9, 0.3 * number]])
            weights.weighed(losses, torch.ones(2, 2), torch.tensor([0, 1]))
            weights.step()

    steps(one, range(3))
    other.restore(json.loads(json.dumps(one.state())))
    for weights in (one, other):
        steps(weights, range(3, 6))
    assert torch.equal(one.factors, other.factors)
    assert not torch.equal(one.factors[0], one.factors[1])


# ---- whole training runs


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_rate_of_zero_is_training_with_equal_voices_bit_for_bit(method: str, llama: Any, tmp_path: Path) -> None:
    trained(method, llama, tmp_path / "equal", None)
    trained(method, llama, tmp_path / "robust", Robust(rate=0))
    one, other = adapter(tmp_path / "equal"), adapter(tmp_path / "robust")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_the_group_that_is_served_worse_comes_to_count_more(method: str, llama: Any, tmp_path: Path) -> None:
    unequal = Robust(rate=1.0, memory=0.0)
    run = trained(method, llama, tmp_path / "robust", unequal)
    trained(method, llama, tmp_path / "equal", None)
    path = [entry["q.b"] for entry in run.curve]
    assert all(entry["q.a"] + entry["q.b"] == pytest.approx(1) for entry in run.curve)
    assert path[-1] != pytest.approx(0.5, abs=1e-3)
    one, other = adapter(tmp_path / "equal"), adapter(tmp_path / "robust")
    assert not all(torch.equal(one[name], other[name]) for name in one)


class Stopped(Exception):
    """Stands for a kill: nothing of the run remains but what is on disk."""


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_stopped_run_goes_on_to_the_same_weights_of_model_and_groups(
    method: str, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.methods import dpo, kto

    for module in (dpo, kto):
        plain = module.training_arguments
        monkeypatch.setattr(module, "training_arguments", lambda *a, plain=plain: {**plain(*a), "logging_steps": 1})

    def stop(report: Report) -> None:
        if (report.done, report.unit) == (5, "steps"):
            raise Stopped

    robust = Robust(rate=0.5)
    expected = trained(method, llama, tmp_path / "whole", robust)
    with pytest.raises(Stopped):
        trained(method, llama, tmp_path / "broken", robust, stop)
    kept = newest_checkpoint(tmp_path / "broken" / "checkpoints")
    assert kept is not None
    assert (kept / "group_weights.json").exists()
    again = trained(method, llama, tmp_path / "broken", robust)
    assert again.resumed_from == 4
    names = ("step", "loss", "q.a", "q.b")
    assert [[entry[name] for name in names] for entry in again.curve] == [
        [entry[name] for name in names] for entry in expected.curve
    ]
    one, other = adapter(tmp_path / "whole"), adapter(tmp_path / "broken")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_runs_that_are_trained_together_have_groups_of_their_own(method: str, llama: Any, tmp_path: Path) -> None:
    architecture, base = llama
    robust, plain = Robust(rate=0.5), grouped(method)
    own = {1: plain, 2: plain.assign(target=1 - plain["target"])}
    runs = {
        number: Run(0, tmp_path / str(number) / "adapter", tmp_path / "checkpoints", tmp_path / "ref", robust=robust)
        for number in own
    }
    found = together.train_together(base, architecture, METHODS[method], own, runs, EIGHT_STEPS, lambda _: None)
    alone = trained(method, llama, tmp_path / "alone", robust)
    for entry, expected in zip(found[1].curve, alone.curve, strict=True):
        names = ("loss", "q.a", "q.b")
        assert [entry[name] for name in names] == pytest.approx([expected[name] for name in names], rel=1e-4)
    assert found[1].curve[-1]["q.a"] != pytest.approx(found[2].curve[-1]["q.a"], abs=1e-5)
    one, other = adapter(tmp_path / "alone"), adapter(tmp_path / "1")
    assert max(float((one[name] - other[name]).norm() / one[name].norm()) for name in one) < 5e-4
