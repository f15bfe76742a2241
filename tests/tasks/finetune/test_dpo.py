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
from tasks.finetune import dpo
from tasks.finetune.dpo import as_dataset, collapsed_collator, collapsed_trainer, response_log_probs, train_dpo
from tasks.finetune.lora import lent, lora_config, training_arguments
from tests.models import RECIPE, some_pairs


def expanded(pairs: pd.DataFrame, copies: int = 4) -> pd.DataFrame:
    """Every pair as `copies` rows with hard targets: target · copies of them prefer a, the others b."""
    rows = []
    for row in pairs.itertuples():
        wins = round(row.target * copies)
        hard = {"prompt": row.prompt, "target": 1.0, "weight": 1.0}
        rows += [{**hard, "text_a": row.text_a, "text_b": row.text_b}] * wins
        rows += [{**hard, "text_a": row.text_b, "text_b": row.text_a}] * (copies - wins)
    return pd.DataFrame(rows)


def gradient(base: Any, architecture: Any, pairs: pd.DataFrame, folder: Path) -> torch.Tensor:
    """Full-batch gradient of the adapter's weights after a few steps' worth of noise on them, flattened."""
    with lent(base.model) as model:
        trainer = make_trainer(collapsed_trainer(), base, architecture, pairs, model, folder)
        disturb(trainer.model)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(pairs))])
        trainer.compute_loss(trainer.model, batch).backward()
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.requires_grad])


def make_trainer(kind: type, base: Any, architecture: Any, pairs: pd.DataFrame, model: Any, folder: Path) -> Any:
    dialogues = [(row.prompt, text) for row in pairs.itertuples() for text in (row.text_a, row.text_b)]
    encoded = dict(zip(dialogues, encode(base.tokenizer, dialogues, RECIPE.max_length), strict=True))
    reference = dict(zip(encoded, response_log_probs(base, list(encoded.values())), strict=True))
    arguments = trl.DPOConfig(
        **training_arguments(1e-3, 1, 0, str(folder)), beta=0.5, per_device_train_batch_size=len(pairs), max_length=None
    )
    return kind(
        model=model, args=arguments, processing_class=base.tokenizer,
        data_collator=collapsed_collator()(pad_token_id=base.tokenizer.pad_token_id),
        train_dataset=as_dataset(pairs, encoded, reference), peft_config=lora_config(architecture, RECIPE.lora),
    )  # fmt: skip


def disturb(model: Any) -> None:
    """The same small noise on every adapter weight, so that the margin d is not zero."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)


def test_collapsed_pairs_have_exactly_the_gradient_of_their_expanded_rows(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(12)
    collapsed = gradient(base, architecture, pairs, tmp_path)
    rows = gradient(base, architecture, expanded(pairs), tmp_path)
    assert torch.linalg.norm(collapsed - rows) / torch.linalg.norm(rows) < 1e-5  # float32 sums in another order


def test_weights_change_the_gradient_as_the_loss_says(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(2)
    parts = [gradient(base, architecture, pairs.iloc[[i]], tmp_path) for i in range(2)]
    weighted = gradient(base, architecture, pairs.assign(weight=[1.5, 0.5]), tmp_path)
    torch.testing.assert_close(weighted, (1.5 * parts[0] + 0.5 * parts[1]) / 2, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(weighted, (parts[0] + parts[1]) / 2, rtol=1e-2, atol=1e-5)


def test_a_target_of_one_half_pulls_to_neither_side(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(4).assign(target=0.5)
    swapped = pairs.rename(columns={"text_a": "text_b", "text_b": "text_a"})
    ahead, back = (gradient(base, architecture, table, tmp_path) for table in (pairs, swapped))
    torch.testing.assert_close(ahead, back, rtol=1e-3, atol=1e-5)


def test_weight_one_and_target_one_is_stock_trl(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(8).assign(target=1.0)
    ours = gradient(base, architecture, pairs, tmp_path)
    rows = Dataset.from_list([
        {"prompt": [{"role": "user", "content": row.prompt}],
         "chosen": [{"role": "assistant", "content": row.text_a}],
         "rejected": [{"role": "assistant", "content": row.text_b}]}
        for row in pairs.itertuples()
    ])  # fmt: skip
    arguments = trl.DPOConfig(
        **training_arguments(1e-3, 1, 0, str(tmp_path)), beta=0.5, per_device_train_batch_size=8, max_length=None
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
    assert torch.linalg.norm(ours - theirs) / torch.linalg.norm(theirs) < 1e-5


def test_an_unchecked_trl_refuses_to_train(monkeypatch):
    monkeypatch.setattr(trl, "__version__", "1.99.0")
    with pytest.raises(RuntimeError, match=r"trl 1\.99\.0: weighted DPO is checked against"):
        collapsed_trainer.__wrapped__()


def test_every_family_trains_and_gives_its_base_back_unchanged(any_base, tmp_path):
    architecture, base = any_base
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    trained = train_dpo(base, architecture, some_pairs(16), RECIPE, 0, tmp_path / "one", lambda _: None)
    assert trained.steps == 2
    assert trained.truncated == 0
    assert base.model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
    assert (tmp_path / "one" / "adapter_model.safetensors").stat().st_size > 0


def test_a_seed_gives_the_same_adapter_bit_for_bit(llama, tmp_path):
    architecture, base = llama
    for name in ("one", "two"):
        train_dpo(base, architecture, some_pairs(16), RECIPE, 3, tmp_path / name, lambda _: None)
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_training_moves_towards_what_is_preferred(llama, tmp_path):
    architecture, base = llama
    pairs = some_pairs(16).assign(target=1.0)
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 10})})
    curve = train_dpo(base, architecture, pairs, recipe, 0, tmp_path / "run", lambda _: None).curve
    assert curve[-1]["loss"] < 0.6 < curve[0]["loss"] < 0.75  # from log 2 = 0.693 down
    assert curve[-1]["accuracy"] == 1.0


def test_the_response_log_probability_is_the_sum_over_its_tokens(llama):
    _, base = llama
    encoded = encode(base.tokenizer, [("I am tired.", "You are not alone with how you feel.")], 96)
    ids = torch.tensor([encoded[0].prompt + encoded[0].response])
    logits = base.model(ids).logits[0].log_softmax(-1)
    start = len(encoded[0].prompt)
    by_hand = sum(logits[position - 1, ids[0, position]].item() for position in range(start, ids.shape[1]))
    assert response_log_probs(base, encoded) == pytest.approx([by_hand], rel=1e-5)


def test_the_module_names_the_trl_it_supports():
    assert trl.__version__.startswith(dpo.SUPPORTED)


def test_a_run_of_a_single_step_still_trains(llama, tmp_path):
    # A warm-up would start from a learning rate of zero, and conditions with few pairs have few steps.
    from safetensors.torch import load_file

    architecture, base = llama
    train_dpo(base, architecture, some_pairs(4).assign(target=1.0), RECIPE, 0, tmp_path / "run", lambda _: None)
    weights = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert any(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)


def test_gradient_checkpointing_leaves_nothing_behind_on_the_base(llama, tmp_path, monkeypatch):
    architecture, base = llama
    plain = dpo.training_arguments
    monkeypatch.setattr(dpo, "training_arguments", lambda *a: {**plain(*a), "gradient_checkpointing": True})
    use_cache = base.model.config.use_cache
    for _ in range(2):
        train_dpo(base, architecture, some_pairs(8), RECIPE, 0, tmp_path / "run", lambda _: None)
    assert not base.model.is_gradient_checkpointing
    assert base.model.config.use_cache == use_cache
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in base.model.modules()) == 0
