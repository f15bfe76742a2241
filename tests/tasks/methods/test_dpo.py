"""DPO on collapsed pairs: equal to the expanded rows, equal to stock TRL where both apply, and never unweighted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import trl
from datasets import Dataset

from tasks.architectures.chat import encode
from tasks.methods import dpo
from tasks.methods.collapsed import SUPPORTED
from tasks.methods.dpo import as_dataset, collapsed_collator, collapsed_trainer
from tasks.methods.lora import lent, lora_config
from tasks.methods.reference_log_probs import response_log_prob
from tasks.methods.run import training_arguments
from tests.models import RECIPE, a_run, some_pairs, train_dpo


def expanded(pairs: pd.DataFrame, copies: int = 4) -> pd.DataFrame:
    """Every pair as `copies` rows with hard targets: target · copies of them prefer a, the others b."""
    rows = []
    for row in pairs.itertuples():
        wins = round(row.target * copies)
        hard = {"prompt": row.prompt, "target": 1.0, "weight": 1.0}
        rows += [{**hard, "text_a": row.text_a, "text_b": row.text_b}] * wins
        rows += [{**hard, "text_a": row.text_b, "text_b": row.text_a}] * (copies - wins)
    return pd.DataFrame(rows)


def gradient(base: Any, architecture: Any, pairs: pd.DataFrame, folder: Path, at_once: int | None = None) -> Any:
    """Gradient of the adapter's weights over one step on all pairs, so many at once, flattened."""
    at_once = at_once or len(pairs)
    with lent(base.model) as model:
        trainer = make_trainer(collapsed_trainer(), base, architecture, pairs, model, folder)
        disturb(trainer.model)
        rows = [trainer.train_dataset[i] for i in range(len(pairs))]
        batches = iter([trainer.data_collator(rows[i : i + at_once]) for i in range(0, len(rows), at_once)])
        together, _ = trainer.get_batch_samples(batches, len(rows), torch.device("cpu"))
        for batch in together:
            (trainer.compute_loss(trainer.model, batch) / len(together)).backward()  # as the trainer accumulates
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.requires_grad])


def make_trainer(kind: type, base: Any, architecture: Any, pairs: pd.DataFrame, model: Any, folder: Path) -> Any:
    dialogues = [(row.prompt, text) for row in pairs.itertuples() for text in (row.text_a, row.text_b)]
    encoded = dict(zip(dialogues, encode(base.tokenizer, dialogues, RECIPE.max_length), strict=True))
    reference = {dialogue: response_log_prob(base, item) for dialogue, item in encoded.items()}
    arguments = trl.DPOConfig(
        **training_arguments(base, 1e-3, 1, a_run(folder)), beta=0.5, per_device_train_batch_size=len(pairs),
        max_length=None, remove_unused_columns=False,
    )  # fmt: skip
    return kind(
        model=model, args=arguments, processing_class=base.tokenizer,
        data_collator=collapsed_collator(base.tokenizer),
        train_dataset=as_dataset(pairs, encoded, reference), peft_config=lora_config(architecture, RECIPE.lora),
    )  # fmt: skip


def disturb(model: Any) -> None:
    """The same small noise on every adapter weight, so that the margin d is not zero."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.norm(a - b) / torch.linalg.norm(b))


def test_collapsed_pairs_have_exactly_the_gradient_of_their_expanded_rows(precise, tmp_path):
    architecture, base = precise
    pairs = some_pairs(12)
    collapsed = gradient(base, architecture, pairs, tmp_path)
    assert difference(collapsed, gradient(base, architecture, expanded(pairs), tmp_path)) < 1e-6


def test_weights_change_the_gradient_as_the_loss_says(precise, tmp_path):
    architecture, base = precise
    pairs = some_pairs(2)
    parts = [gradient(base, architecture, pairs.iloc[[i]], tmp_path) for i in range(2)]
    weighted = gradient(base, architecture, pairs.assign(weight=[1.5, 0.5]), tmp_path)
    assert difference(weighted, (1.5 * parts[0] + 0.5 * parts[1]) / 2) < 1e-6
    assert difference(weighted, (parts[0] + parts[1]) / 2) > 1e-2


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_step_is_the_same_in_however_many_parts_it_comes(precise, tmp_path, at_once):
    architecture, base = precise
    pairs = some_pairs(8).assign(weight=[0.5, 1.5] * 4)  # in threes, the last part is short
    parts = gradient(base, architecture, pairs, tmp_path, at_once)
    assert difference(parts, gradient(base, architecture, pairs, tmp_path)) < 1e-6


def test_a_target_of_one_half_pulls_to_neither_side(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(4).assign(target=0.5)
    swapped = pairs.rename(columns={"text_a": "text_b", "text_b": "text_a"})
    ahead, back = (gradient(base, architecture, table, tmp_path) for table in (pairs, swapped))
    torch.testing.assert_close(ahead, back, rtol=1e-3, atol=1e-5)


def test_weight_one_and_target_one_is_stock_trl(precise, tmp_path):
    architecture, base = precise
    pairs = some_pairs(8).assign(target=1.0)
    ours = gradient(base, architecture, pairs, tmp_path)
    rows = Dataset.from_list([
        {"prompt": [{"role": "user", "content": row.prompt}],
         "chosen": [{"role": "assistant", "content": row.text_a}],
         "rejected": [{"role": "assistant", "content": row.text_b}]}
        for row in pairs.itertuples()
    ])  # fmt: skip
    arguments = trl.DPOConfig(
        **training_arguments(base, 1e-3, 1, a_run(tmp_path)), beta=0.5, per_device_train_batch_size=8, max_length=None
    )
    with lent(base.model) as model:
        stock = trl.DPOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, train_dataset=rows,
            peft_config=lora_config(architecture, RECIPE.lora),
        )  # fmt: skip
        disturb(stock.model)
        batch = stock.data_collator([stock.train_dataset[i] for i in range(8)])
        stock.compute_loss(stock.model, batch).backward()
        theirs = torch.cat([p.grad.flatten() for p in stock.model.parameters() if p.requires_grad])
    assert difference(ours, theirs) < 1e-6


def test_an_unchecked_trl_refuses_to_train(monkeypatch):
    monkeypatch.setattr(trl, "__version__", "1.99.0")
    with pytest.raises(RuntimeError, match=r"trl 1\.99\.0: weighted DPO is checked against"):
        collapsed_trainer.__wrapped__()


def test_every_family_trains_and_gives_its_base_back_unchanged(any_base, tmp_path):
    architecture, base = any_base
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    trained = train_dpo(base, architecture, some_pairs(16), RECIPE, a_run(tmp_path / "one"), lambda _: None)
    assert trained.steps == 2
    assert trained.truncated == 0
    assert base.model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
    assert (tmp_path / "one" / "adapter" / "adapter_model.safetensors").stat().st_size > 0


def test_a_seed_gives_the_same_adapter_bit_for_bit(llama, tmp_path):
    architecture, base = llama
    for name in ("one", "two"):
        train_dpo(base, architecture, some_pairs(16), RECIPE, a_run(tmp_path / name, seed=3), lambda _: None)
    files = [(tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_training_moves_towards_what_is_preferred(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(16).assign(target=1.0)
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 10})})
    curve = train_dpo(base, architecture, pairs, recipe, a_run(tmp_path / "run"), lambda _: None).curve
    assert curve[-1]["loss"] < 0.6 < curve[0]["loss"] < 0.75  # from log 2 = 0.693 down
    assert curve[-1]["accuracy"] == 1.0


def test_the_module_names_the_trl_it_supports():
    assert trl.__version__.startswith(SUPPORTED)


def test_a_run_of_a_single_step_still_trains(llama, tmp_path):
    # A warm-up would start from a learning rate of zero, and conditions with few pairs have few steps.
    from safetensors.torch import load_file

    architecture, base = llama
    train_dpo(base, architecture, some_pairs(4).assign(target=1.0), RECIPE, a_run(tmp_path / "run"), lambda _: None)
    weights = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert any(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)


def test_gradient_checkpointing_leaves_nothing_behind_on_the_base(llama, tmp_path, monkeypatch):
    architecture, base = llama
    plain = dpo.training_arguments
    monkeypatch.setattr(dpo, "training_arguments", lambda *a: {**plain(*a), "gradient_checkpointing": True})
    use_cache = base.model.config.use_cache
    for _ in range(2):
        train_dpo(base, architecture, some_pairs(8), RECIPE, a_run(tmp_path / "run"), lambda _: None)
    assert not base.model.is_gradient_checkpointing
    assert base.model.config.use_cache == use_cache
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in base.model.modules()) == 0
