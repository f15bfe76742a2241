"""Preference data for others: n(a ≻ b) rows by hand, and stock TRL trains on them what our trainer trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import trl
import yaml
from datasets import load_dataset

from configs.schema import Condition, Study
from tasks.exporting.preferences import MEANINGS
from tasks.methods import METHODS
from tasks.methods.dpo import collapsed_trainer
from tasks.methods.expanded import Expanded
from tasks.methods.lora import lent, lora_config
from tasks.methods.run import training_arguments
from tasks.methods.training_rows import expanded_rows, training_rows
from tasks.methods.training_set import training_sets
from tasks.preferences.condition import condition_data
from tasks.preferences.experiment import keep_preferences
from tasks.runtime.store import FolderStore
from tests.conftest import make_data
from tests.models import RECIPE, a_run
from tests.tasks.exporting.conftest import EA, TOXICITY, Exported
from tests.tasks.methods.test_dpo import difference, disturb, gradient, make_trainer

# toxicity, less is better. a 1 2, b 2: of the label pairs 1 < 2 prefers a, 2 = 2 nothing. c 5 against a and b.
ROWS = [("p1", "q", "a", 1), ("p2", "q", "a", 2), ("p3", "q", "b", 2), ("p4", "q", "c", 1), ("p5", "q", "c", 5)]


def made(study: Study, rows: list[tuple[str, str, str, int | None]] = ROWS, **settings: Any) -> Expanded:
    """The expanded rows of a condition on `rows`."""
    condition = Condition(**{"dimensions": (TOXICITY,), "scale": "5-point", **settings})
    data = make_data(rows)
    if EA in condition.dimensions:  # only p1 and p3 answer it: 5 for a, 1 for b, more is better
        data.ratings[EA] = pd.array([5, None, 1, None, None], dtype="Int64")
    own = condition_data(study, data.responses, condition, data.ratings)
    method = METHODS[condition.method]
    return expanded_rows(method, training_rows(method, own, study.recipe, 0)[0], own, condition.within)


def counted(expanded: Expanded, *columns: str) -> dict[tuple[Any, ...], int]:
    texts = expanded.rows[list(columns)].replace(regex="text of ", value="")
    return {tuple(row): int(n) for row, n in zip(texts.to_numpy().tolist(), expanded.copies, strict=True)}


# ---- the rows, by hand


def test_a_row_stands_for_each_preference_between_two_labels(paper: Study) -> None:
    # a-b: 1 of 2 pairs of labels. a-c: 1<5, 2<5 for a; 2>1 for c. b-c: 2<5 for b, 2>1 for c.
    expanded = made(paper)
    wanted = {("a", "b"): 1, ("a", "c"): 2, ("c", "a"): 1, ("b", "c"): 1, ("c", "b"): 1}
    assert counted(expanded, "chosen", "rejected") == wanted
    assert expanded.rows["weight"].tolist() == pytest.approx([1.0] * 5)
    assert list(expanded.rows) == ["prompt", "chosen", "rejected", "weight"]


def test_of_two_dimensions_rows_weigh_so_that_each_dimension_counts_alike(paper: Study) -> None:
    # toxicity: the six above, 1/6 each; emotional awareness: one, a over b, weighs 1. Over both: 7 rows. Two of them
    # prefer a to b, and together weigh 1/6 + 1; the five others 1/6 each; all sum to 2, so the mean is 2/7.
    expanded = made(paper, dimensions=(TOXICITY, EA))
    assert counted(expanded, "chosen", "rejected")["a", "b"] == 2
    weights = expanded.rows.set_index(["chosen", "rejected"])["weight"]
    assert weights["text of a", "text of b"] == pytest.approx((7 / 6) / 2 / (2 / 7))
    assert weights["text of c", "text of a"] == pytest.approx(1 / 6 / (2 / 7))
    assert np.average(expanded.rows["weight"], weights=expanded.copies) == pytest.approx(1)


def test_preferences_within_a_participant_are_theirs_alone(paper: Study) -> None:
    rows = [("p1", "q", "a", 1), ("p1", "q", "b", 2), ("p2", "q", "a", 3), ("p3", "q", "b", 1)]
    assert counted(made(paper, rows, within="participant"), "chosen", "rejected") == {("a", "b"): 1}


def test_a_label_is_a_row_for_kto_unless_it_is_in_the_middle(paper: Study) -> None:
    # toxicity 1 2 (a), 2 (b) and 1 (c) are desirable, 5 (c) is not, 3 (a) says neither
    expanded = made(paper, [*ROWS, ("p6", "q", "a", 3)], method="kto")
    wanted = {("a", True): 2, ("b", True): 1, ("c", True): 1, ("c", False): 1}
    assert counted(expanded, "completion", "label") == wanted
    assert expanded.rows["weight"].tolist() == pytest.approx([1.0] * 4)


def test_grpo_gets_each_prompt_once(paper: Study) -> None:
    expanded = made(paper, method="grpo")
    assert expanded.rows.to_dict("list") == {"prompt": ["prompt"], "weight": [1.0]}
    assert expanded.copies.tolist() == [1]


def test_what_is_aggregated_counts_once(paper: Study) -> None:
    # the first label of a is 1, of b 2, of c 1: a over b, c over b
    wanted = {("a", "b"): 1, ("c", "b"): 1}
    assert counted(made(paper, aggregation="first"), "chosen", "rejected") == wanted


# ---- the folders


def loaded(exported: Exported, condition: str, kind: str, cache: Path) -> Any:
    """By the card, as anybody loads it."""
    folder = str(exported.folder / "preferences")
    return load_dataset(folder, f"ways.{condition}.{kind}", split="train", cache_dir=str(cache))


def test_stock_trl_reads_the_expanded_folder_and_its_step_is_that_of_the_collapsed_rows(exported, precise, tmp_path):
    architecture, base = precise
    pairs = pd.read_parquet(exported.folder / "preferences" / "ways" / "all" / "collapsed" / "train.parquet")
    assert pairs["target"].between(0.01, 0.99).any()
    assert pairs["weight"].max() > 1.5
    folder = exported.folder / "preferences" / "ways" / "all" / "expanded"
    rows = load_dataset("parquet", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == pairs["n"].sum() > 2 * len(pairs)
    arguments = trl.DPOConfig(
        **training_arguments(base, 1e-3, 1, a_run(tmp_path)), beta=0.5, per_device_train_batch_size=len(rows),
        max_length=None,
    )  # fmt: skip
    with lent(base.model) as model:
        stock = trl.DPOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, train_dataset=rows,
            peft_config=lora_config(architecture, RECIPE.lora),
        )  # fmt: skip
        disturb(stock.model)
        batch = stock.data_collator([stock.train_dataset[i] for i in range(len(rows))])
        loss = stock.compute_loss(stock.model, batch)
        loss.backward()
        theirs = torch.cat([p.grad.flatten() for p in stock.model.parameters() if p.requires_grad])
    with lent(base.model) as model:
        ours = make_trainer(collapsed_trainer(), base, architecture, pairs, model, tmp_path)
        disturb(ours.model)
        batch = ours.data_collator([ours.train_dataset[i] for i in range(len(pairs))])
        assert ours.compute_loss(ours.model, batch).item() == pytest.approx(loss.item(), rel=1e-5)
    # positions and padding are in single precision in either, over ten times the rows of the tests of DPO
    assert difference(gradient(base, architecture, pairs, tmp_path), theirs) < 1e-5
    assert difference(gradient(base, architecture, pairs.assign(weight=1.0), tmp_path), theirs) > 1e-2


def test_stock_trl_trains_on_the_expanded_labels(exported, llama, tmp_path):
    architecture, base = llama
    rows = loaded(exported, "kto", "expanded", tmp_path / "cache")
    table = pd.read_parquet(exported.folder / "preferences" / "ways" / "kto" / "collapsed" / "train.parquet")
    assert len(rows) == table["n"].sum()
    assert sum(rows["label"]) == round((table["n"] * table["target"]).sum())
    arguments = trl.KTOConfig(
        **training_arguments(base, 1e-3, 1, a_run(tmp_path, steps=1)), beta=0.5, per_device_train_batch_size=16,
        max_length=None,
    )  # fmt: skip
    with lent(base.model) as model:
        trainer = trl.KTOTrainer(
            model=model, args=arguments, processing_class=base.tokenizer, train_dataset=rows,
            peft_config=lora_config(architecture, RECIPE.lora),
        )  # fmt: skip
        assert np.isfinite(trainer.train().training_loss)


def test_the_collapsed_folder_is_what_our_trainer_reads(exported: Exported, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    preferences = keep_preferences(exported.study, "ways", exported.data, exported.ratings, store)
    for condition, own in training_sets(exported.study, "ways", preferences, store).items():
        path = exported.folder / "preferences" / "ways" / condition / "collapsed" / "train.parquet"
        if path.exists():
            pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(own.table.fetch(store)))


def test_only_training_prompts_are_in_it_and_the_card_says_how_many_are_not(exported: Exported, tmp_path: Path) -> None:
    responses, data = exported.data.responses, exported.data
    held_out = set(data.evaluation(responses)["prompt"])
    assert held_out
    for path in (exported.folder / "preferences").rglob("expanded/train.parquet"):
        prompts = {turns[-1]["content"] for turns in pq.read_table(path)["prompt"].to_pylist()}
        assert prompts <= set(data.training(responses)["prompt"])
        assert not prompts & held_out
    card = (exported.folder / "preferences" / "README.md").read_text()
    assert f"{len(data.held_out_prompts)} prompts are held out" in card


def test_every_configuration_of_the_card_loads(exported: Exported, tmp_path: Path) -> None:
    card = (exported.folder / "preferences" / "README.md").read_text()
    configurations = yaml.safe_load(card.split("---")[1])["configs"]
    assert {own["config_name"].split(".")[1] for own in configurations} == {
        "all", "both", "kto", "grpo", "female", "male", "named"
    }  # fmt: skip
    for own in configurations:
        _, condition, kind = own["config_name"].split(".")
        assert len(loaded(exported, condition, kind, tmp_path)) > 0


def test_every_column_has_a_meaning(exported: Exported) -> None:
    for kind, meanings in MEANINGS.items():
        written = set[str]()
        for path in (exported.folder / "preferences").rglob(f"{kind}/train.parquet"):
            written |= set(pq.read_schema(path).names)
        assert written == set(meanings)


def test_a_named_group_is_told_in_the_system_turn(exported: Exported, tmp_path: Path) -> None:
    rows = loaded(exported, "named", "expanded", tmp_path)
    systems = {turns[0]["content"] for turns in rows["prompt"]}
    assert systems == {f"The user belongs to this group: {title}." for title in ("women", "men")}
    assert {tuple(turn["role"] for turn in turns) for turns in rows["prompt"]} == {("system", "user")}
    named = pd.DataFrame({"system": [turns[0]["content"] for turns in rows["prompt"]], "weight": rows["weight"]})
    by_group = named.groupby("system")["weight"].sum()
    assert by_group.iloc[0] == pytest.approx(by_group.iloc[1])  # each voice counts alike


def test_conditions_of_few_raters_and_without_training_are_left_out_and_told(exported: Exported) -> None:
    folder = exported.folder / "preferences" / "ways"
    assert not (folder / "rare").exists()
    assert not (folder / "merged").exists()
    told = [line for line in exported.lines if "left out: " in line]
    assert told == [
        "preferences: ways / merged left out: its adapter is merged of others, and trains on nothing",
        "preferences: ways / rare left out: fewer than 10 raters",
    ]
