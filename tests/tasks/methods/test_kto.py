"""KTO on collapsed ratings: by hand, equal to the expanded rows, equal to stock TRL where both apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import trl
from datasets import Dataset

from configs.schema import Condition, Study
from tasks.methods import METHODS, kto
from tasks.methods.kto import as_dataset, collapsed_collator, collapsed_trainer
from tasks.methods.lora import lent, lora_config
from tasks.methods.reference_log_probs import encoded_with_reference
from tasks.methods.run import margin_at_end, training_arguments
from tasks.preferences.condition import condition_data
from tests.conftest import make_data
from tests.models import RECIPE, a_run, some_rated, train_kto
from tests.tasks.methods.test_dpo import difference, disturb

KTO = METHODS["kto"]


def expanded(rows: pd.DataFrame, copies: int = 4) -> pd.DataFrame:
    """Every row as `copies` rows with hard targets: target · copies of them desirable."""
    parts = [
        {"prompt": row.prompt, "response": row.response, "target": float(n < round(row.target * copies)), "weight": 1.0}
        for row in rows.itertuples()
        for n in range(copies)
    ]
    return pd.DataFrame(parts)


def gradient(
    llama: Any, rows: pd.DataFrame, folder: Path, at_once: int | None = None, z: float | None = None, **settings: float
) -> Any:
    """Gradient of the adapter's weights over one step on all rows, so many at once, flattened; z may be given."""
    architecture, base = llama
    at_once = at_once or len(rows)
    with lent(base.model) as model:
        trainer = make_trainer(collapsed_trainer(), base, architecture, rows, model, folder, **settings)
        diverge(trainer, len(rows)) if z is None else disturb(trainer.model)
        items = [trainer.train_dataset[i] for i in range(len(rows))]
        batches = iter([trainer.data_collator(items[i : i + at_once]) for i in range(0, len(items), at_once)])
        together, _ = trainer.get_batch_samples(batches, len(items), torch.device("cpu"))
        trainer.z = trainer.z if z is None else z
        for batch in together:
            (trainer.compute_loss(trainer.model, batch) / len(together)).backward()  # as the trainer accumulates
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.requires_grad])


def make_trainer(
    kind: type, base: Any, architecture: Any, rows: pd.DataFrame, model: Any, folder: Path, **settings: float
) -> Any:
    folder.mkdir(exist_ok=True)
    dialogues = [*kto.matched(rows), *kto.mismatched(rows)]
    path = folder / f"reference-{base.model.dtype}.txt"
    encoded, reference = encoded_with_reference(base, dialogues, RECIPE.max_length, path, lambda _: None)
    arguments = trl.KTOConfig(
        **training_arguments(base, 1e-3, 1, a_run(folder)), beta=0.5, per_device_train_batch_size=len(rows),
        max_length=None, remove_unused_columns=False, loss_type="apo_zero_unpaired", **settings,
    )  # fmt: skip
    return kind(
        model=model, args=arguments, processing_class=base.tokenizer,
        data_collator=collapsed_collator(base.tokenizer),
        train_dataset=as_dataset(rows, encoded, reference), peft_config=lora_config(architecture, RECIPE.lora),
    )  # fmt: skip


def diverge(trainer: Any, rows: int) -> None:
    """A long step towards the responses y', so that the divergence is above 0 (else it would be cut)."""
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(rows)])
    labels = batch["KL_input_ids"].masked_fill(batch["KL_completion_mask"] == 0, -100)
    outputs = trainer.model(input_ids=batch["KL_input_ids"], labels=labels, fused_lm_head=True, use_cache=False)
    outputs.log_probs.sum(1).mean().backward()
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.01 * parameter.grad
            parameter.grad = None


# ---- the loss


def test_collapsed_rows_have_exactly_the_gradient_of_their_expanded_rows_under_the_same_divergence(precise, tmp_path):
    rows = some_rated(12)
    collapsed = gradient(precise, rows, tmp_path, z=0.3, desirable_weight=1.5)
    assert difference(collapsed, gradient(precise, expanded(rows), tmp_path, z=0.3, desirable_weight=1.5)) < 1e-6
    assert difference(collapsed, gradient(precise, rows, tmp_path, z=3.0, desirable_weight=1.5)) > 1e-2


def test_weights_change_the_gradient_as_the_loss_says(precise, tmp_path):
    rows = some_rated(2)
    parts = [gradient(precise, rows.iloc[[i]], tmp_path, z=0.3) for i in range(2)]
    weighted = gradient(precise, rows.assign(weight=[1.5, 0.5]), tmp_path, z=0.3)
    assert difference(weighted, (1.5 * parts[0] + 0.5 * parts[1]) / 2) < 1e-6
    assert difference(weighted, (parts[0] + parts[1]) / 2) > 1e-2


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_step_is_the_same_in_however_many_parts_it_comes(precise, tmp_path, at_once):
    rows = some_rated(8).assign(weight=[0.5, 1.5] * 4)  # in threes, the last part is short
    assert difference(gradient(precise, rows, tmp_path, at_once), gradient(precise, rows, tmp_path)) < 1e-5


def test_weight_one_and_a_hard_target_is_stock_trl(precise, tmp_path, monkeypatch):
    architecture, base = precise
    rows = some_rated(8).assign(target=[1.0, 0.0] * 4)

    def as_trl(table: pd.DataFrame) -> list[tuple[str, str]]:
        """TRL pairs a prompt with the response before its own."""
        responses = table["response"].tolist()
        return list(zip(table["prompt"], responses[-1:] + responses[:-1], strict=True))

    monkeypatch.setattr(kto, "mismatched", as_trl)
    weights = {"desirable_weight": 1.2, "undesirable_weight": 0.8}
    ours = gradient(precise, rows, tmp_path, **weights)
    stock_rows = Dataset.from_list([
        {"prompt": [{"role": "user", "content": row.prompt}], "label": bool(row.target),
         "completion": [{"role": "assistant", "content": row.response}]}
        for row in rows.itertuples()
    ])  # fmt: skip
    arguments = trl.KTOConfig(
        **training_arguments(base, 1e-3, 1, a_run(tmp_path)), beta=0.5, per_device_train_batch_size=8, max_length=None,
        **weights,
    )  # fmt: skip
    with lent(base.model) as model:
        trainer = trl.KTOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, train_dataset=stock_rows,
            peft_config=lora_config(architecture, RECIPE.lora),
        )  # fmt: skip
        diverge(trainer, 8)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
        trainer.compute_loss(trainer.model, batch).backward()
        assert trainer._metrics["train"]["kl"][-1] > 0.01
        theirs = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.requires_grad])
    assert difference(ours, theirs) < 1e-6


def test_a_row_is_set_against_the_response_to_another_prompt():
    rows = some_rated(12)
    for (prompt, away), (own, response) in zip(kto.mismatched(rows), kto.matched(rows), strict=True):
        assert prompt == own
        assert away in set(rows["response"])
        assert away != response


# ---- the rows


def rated(paper: Study, rows: list[tuple[str, str, str, int | None]], **settings: Any) -> tuple[pd.DataFrame, list]:
    condition = Condition(**{"dimensions": ("toxicity",), "scale": "5-point", "method": "kto", **settings})
    data = make_data(rows)
    made = condition_data(paper, data.responses, condition, data.ratings)
    assert KTO.lacks(made) == ""
    return KTO.table(made, paper.recipe, 0)


def test_rows_are_a_responses_labels_above_and_below_the_middle_by_hand(paper: Study) -> None:
    # toxicity, less is better: a 1 2 5 is two of three desirable, b 3 4 none of one (3 says neither), c 1 one of one
    rows = [("p1", "q", "a", 1), ("p2", "q", "a", 2), ("p3", "q", "a", 5), ("p4", "q", "b", 3), ("p5", "q", "b", 4)]
    table, drops = rated(paper, [*rows, ("p6", "s", "c", 1)])
    assert table[["response_id", "n"]].to_numpy().tolist() == [["a", 3], ["b", 1], ["c", 1]]
    assert table["target"].tolist() == pytest.approx([2 / 3, 0, 1])
    assert table["weight"].tolist() == pytest.approx([9 / 5, 3 / 5, 3 / 5])
    reason = "toxicity: labels in the middle of the scale, neither desirable nor undesirable"
    assert drops == [("labels", reason, 1, 5)]


def test_a_prompt_with_one_rated_response_trains(paper: Study) -> None:
    table, _ = rated(paper, [("p1", "q", "a", 1), ("p2", "s", "b", 5)])
    assert table["response_id"].tolist() == ["a", "b"]
    assert table["target"].tolist() == [1, 0]


def test_dimensions_have_the_same_total_weight(paper: Study) -> None:
    data = make_data([("p1", "q", "a", 1), ("p2", "q", "a", 1), ("p3", "q", "b", 1), ("p4", "q", "b", 5)])
    data.ratings["helpfulness"] = data.ratings["toxicity"].where(data.ratings["participant_id"] == "p1")
    condition = Condition(dimensions=("toxicity", "helpfulness"), scale="5-point")
    made = condition_data(paper, data.responses, condition, data.ratings)
    table, _ = KTO.table(made, paper.recipe, 0)
    # toxicity: a 2 of 2, b 1 of 2, half of the weight each; helpfulness, more is better: a alone, 1 is undesirable
    # a: 1/2 + 1 of weight, 1/2 of it desirable; b: 1/2 of weight, half of it desirable
    assert table["weight"].tolist() == pytest.approx([1.5, 0.5])
    assert table["target"].tolist() == pytest.approx([1 / 3, 1 / 2])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (2, "no label that its aggregation keeps is above or below the middle of the scale"),
        (0, "there is no rating of a training prompt on toxicity"),
    ],
)
def test_a_condition_without_desirable_or_undesirable_labels_says_why(paper: Study, rows: int, reason: str) -> None:
    data = make_data([("p1", "q", "a", 3), ("p2", "q", "b", 3)])
    condition = Condition(dimensions=("toxicity",), scale="5-point", method="kto")
    assert KTO.lacks(condition_data(paper, data.responses, condition, data.ratings.head(rows))) == reason


# ---- the run


def test_training_tells_desirable_from_undesirable_responses_apart(llama, tmp_path):
    architecture, base = llama
    rows = some_rated(16).assign(target=[1.0, 0.0] * 8)
    recipe = RECIPE.model_copy(update={"kto": RECIPE.kto.model_copy(update={"epochs": 5, "learning_rate": 5e-3})})
    trained = train_kto(base, architecture, rows, recipe, a_run(tmp_path), lambda _: None)
    assert trained.steps == KTO.steps(16, recipe) == 10
    assert margin_at_end(trained.curve, KTO.margin) > 0.05
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
