"""Adapters of groups of their own: their losses, their mean, and the run that looks after the greatest regret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from configs.schema import Robust
from tasks.methods import METHODS
from tasks.methods.group_weights import GROUP
from tasks.methods.lora import adapted, lent
from tasks.methods.own_adapters import merge, own_losses
from tasks.methods.run import Trained
from tests.models import RECIPE, a_run, some_rewards
from tests.tasks.methods.test_group_weights import EIGHT_STEPS, grouped


@pytest.fixture(scope="module")
def own_of(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Method → each group's adapter, trained on its rows of `grouped`. Not to be changed."""
    found: dict[str, dict[str, Path]] = {"dpo": {}, "kto": {}}
    for method, own in found.items():
        table = grouped(method)
        for group in ("a", "b"):
            rows = table[table[GROUP] == group].drop(columns=GROUP).reset_index(drop=True)
            run = a_run(tmp_path_factory.mktemp(f"own-{method}-{group}"))
            METHODS[method].train(llama[1], llama[0], rows, EIGHT_STEPS, run, lambda _: None)
            own[group] = run.adapter
    return found


@pytest.fixture
def own(own_of: dict[str, dict[str, Path]], request: pytest.FixtureRequest) -> dict[str, Path]:
    """Each group's adapter with the method that the test is of."""
    method = request.node.callspec.params.get("method", "dpo") if hasattr(request.node, "callspec") else "dpo"
    return own_of[method]


def losses(llama: Any, own: dict[str, Path], folder: Path, method: str) -> dict[str, float]:
    reference = folder / "reference.txt"
    return own_losses(llama[1], METHODS[method], grouped(method), own, RECIPE, reference, lambda _: None)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_an_own_adapter_has_a_smaller_loss_than_the_others(
    method: str, llama: Any, own: dict[str, Path], tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in llama[1].model.state_dict().items()}
    mine = losses(llama, own, tmp_path, method)
    changed = losses(llama, {"a": own["b"], "b": own["a"]}, tmp_path, method)
    assert all(mine[group] < changed[group] for group in "ab")
    after = llama[1].model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_loss_is_that_of_the_formula(llama: Any, own: dict[str, Path], tmp_path: Path) -> None:
    from tasks.architectures.chat import encode
    from tasks.methods.reference_log_probs import response_log_prob

    base, table = llama[1], grouped("dpo")
    rows, expected = table[table[GROUP] == "b"], 0.0
    for row in rows.itertuples():
        pair = encode(base.tokenizer, [(row.prompt, row.text_a), (row.prompt, row.text_b)], RECIPE.max_length)
        reference = [response_log_prob(base, item) for item in pair]
        with lent(base.model) as model:
            adapted(model, own["b"])
            policy = [response_log_prob(base, item) for item in pair]
        d = 0.5 * ((policy[0] - reference[0]) - (policy[1] - reference[1]))
        loss = -torch.nn.functional.logsigmoid(torch.tensor(d)) + (1 - row.target) * d
        expected += row.weight * float(loss) / rows["weight"].sum()
    assert losses(llama, own, tmp_path, "dpo")["b"] == pytest.approx(expected, rel=1e-5)


def test_the_merged_adapter_is_the_mean_of_the_updates(llama: Any, own: dict[str, Path], tmp_path: Path) -> None:
    merge(own, tmp_path / "merged")

    def updates(folder: Path) -> dict[str, torch.Tensor]:
        with lent(llama[1].model) as model:
            adapted(model, folder)
            return {
                name: module.get_delta_weight("default").detach().clone()
                for name, module in model.named_modules()
                if hasattr(module, "get_delta_weight")
            }

    one, other, mean = (updates(folder) for folder in (own["a"], own["b"], tmp_path / "merged"))
    assert len(mean) > 3
    for name, value in mean.items():
        torch.testing.assert_close(value, (one[name] + other[name]) / 2, rtol=1e-5, atol=1e-8)


def test_adapters_of_other_ranks_have_no_mean(llama: Any, own: dict[str, Path], tmp_path: Path) -> None:
    recipe = EIGHT_STEPS.model_copy(update={"lora": EIGHT_STEPS.lora.model_copy(update={"rank": 4})})
    run = a_run(tmp_path / "other")
    METHODS["dpo"].train(llama[1], llama[0], grouped("dpo"), recipe, run, lambda _: None)
    with pytest.raises(ValueError, match="adapters of a, b differ in rank, scale or modules"):
        merge({"a": own["a"], "b": run.adapter}, tmp_path / "merged")


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_the_group_with_most_regret_comes_to_count_more(
    method: str, llama: Any, own: dict[str, Path], tmp_path: Path
) -> None:
    found = losses(llama, own, tmp_path, method)

    def trained(name: str, own_losses: dict[str, float]) -> Trained:
        run = replace(a_run(tmp_path / name), robust=Robust(rate=1.0, memory=0.0), own_losses=own_losses)
        return METHODS[method].train(llama[1], llama[0], grouped(method), EIGHT_STEPS, run, lambda _: None)

    robust, regret = trained("robust", {}), trained("regret", found)
    # the first step's losses are alike, so that q moves apart by what the own adapters' losses differ by
    ratio = [run.curve[0]["q.a"] / run.curve[0]["q.b"] for run in (robust, regret)]
    assert ratio[0] != pytest.approx(ratio[1], rel=1e-4)
    assert (ratio[1] > ratio[0]) == (found["a"] < found["b"])
    weights = [load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("robust", "regret")]
    assert not all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_method_without_a_loss_of_rows_has_no_own_losses(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GRPO has no loss of a row"):
        own_losses(llama[1], METHODS["grpo"], some_rewards(), {}, RECIPE, tmp_path / "reference", lambda _: None)
