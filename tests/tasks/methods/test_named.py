"""One adapter that is told whose prompt it answers: its rows, and what it learns of groups that want the opposite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tasks.architectures.chat import SYSTEM
from tasks.generation.greedy import generate, generate_together
from tasks.generation.step import Prompts
from tasks.methods import METHODS
from tasks.methods.group_weights import GROUP
from tasks.methods.lora import adapted, lent
from tasks.methods.run import Run
from tasks.methods.together import train_together
from tasks.methods.token_rows import rows_of
from tasks.methods.training_rows import of_all_groups, rows_digest, system_turns
from tasks.preferences.condition import reweighted
from tests.models import RECIPE, a_run
from tests.tasks.methods.test_group_weights import grouped
from tests.tasks.methods.test_training_rows import made, study
from tests.tasks.methods.test_training_rows import rows_of as rows_of_study

NAMING = {"a": "The user belongs to this group: early birds.", "b": "The user belongs to this group: night owls."}
LONG = {name: block.model_copy(update={"epochs": 30, "learning_rate": 5e-3}) for name, block in RECIPE.blocks.items()}
LONG_RECIPE = RECIPE.model_copy(update=LONG)


def named(method: str, naming: dict[str, str]) -> pd.DataFrame:
    """The opposite wishes of `grouped`, each row with the system turn that names its group."""
    table = grouped(method)
    return table.assign(**{SYSTEM: table[GROUP].map(naming)})


def train(llama: Any, method: str, table: pd.DataFrame, run: Run, recipe: Any = RECIPE) -> dict[str, torch.Tensor]:
    METHODS[method].train(llama[1], llama[0], table, recipe, run, lambda _: None)
    return load_file(run.adapter / "adapter_model.safetensors")


# ---- the rows


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_named_row_is_that_of_equal_voices_with_the_groups_title(method: str) -> None:
    strata = {"strata.x": {"attribute": "group", "values": ["x"], "title": "The {curious} %s"}}
    table = rows_of_study(study("named", method=method, **strata))
    assert table.groupby(GROUP)[SYSTEM].unique().map(list).to_dict() == {
        "x": ["The user belongs to this group: The {curious} %s."],  # a title is put in as it is
        "y": ["The user belongs to this group: y."],  # a stratum without a title is called by its name
    }
    pd.testing.assert_frame_equal(table.drop(columns=SYSTEM), rows_of_study(study("equal", method=method)))
    pd.testing.assert_frame_equal(
        of_all_groups(METHODS[method], table), of_all_groups(METHODS[method], table.drop(columns=SYSTEM))
    )


def test_the_sentence_and_who_is_named_are_parts_of_the_run() -> None:
    dpo, table = METHODS["dpo"], rows_of_study(study("named"))
    other = rows_of_study(study("named", **{"recipe.name_sentence": "For {group}, who are {group}"}))
    assert set(other[SYSTEM]) == {"For x, who are x", "For y, who are y"}
    swapped = table.assign(**{SYSTEM: table[SYSTEM].iloc[::-1].to_numpy()})
    digests = [rows_digest(dpo, rows, robust=False) for rows in (table, other, swapped, table.drop(columns=SYSTEM))]
    assert len(set(digests)) == 4


def test_the_rater_replicates_of_named_groups_are_named_too() -> None:
    settings = study("named")
    texts = pd.DataFrame([{"response_id": name, "prompt": "p", "response": name} for name in "abcd"])
    weights = pd.Series({"x1": 3.0, "x2": 1.0, "x3": 1.0, "y1": 0.1, "z1": 9.0})
    own = reweighted(settings.experiments["e"].conditions["all"], made(settings), texts, weights)
    assert list(system_turns(own, settings.recipe)) == ["x", "y"]


# ---- what is learnt


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_groups_whose_names_say_nothing_are_equal_voices_bit_for_bit(method: str, llama: Any, tmp_path: Path) -> None:
    equal = train(llama, method, grouped(method), a_run(tmp_path / "equal"))
    silent = train(llama, method, named(method, {"a": "", "b": ""}), a_run(tmp_path / "silent"))
    told = train(llama, method, named(method, NAMING), a_run(tmp_path / "told"))
    assert all(torch.equal(equal[name], silent[name]) for name in equal)
    assert not all(torch.equal(equal[name], told[name]) for name in equal)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_by_its_name_each_of_two_opposite_groups_gets_what_it_wants(method: str, llama: Any, tmp_path: Path) -> None:
    _, base = llama
    table, run = named(method, NAMING), a_run(tmp_path)
    table = table.drop(range(4, 12)).assign(weight=1.0).reset_index(drop=True)  # what both want, the opposite
    train(llama, method, table, run, LONG_RECIPE)
    prompts = Prompts.of(table[["prompt"]].drop_duplicates().reset_index(names="prompt_id"))
    answers = generate(base, run.adapter, prompts.for_groups(NAMING).table, RECIPE, reasoning=False)[0]
    assert list(answers[["prompt_id", GROUP]].itertuples(index=False, name=None)) == [
        (prompt, group) for group in "ab" for prompt in prompts.table["prompt_id"]
    ]
    by_group = answers.pivot(index="prompt_id", columns=GROUP, values="text")
    assert (by_group["a"] != by_group["b"]).any()
    loss = METHODS[method].row_loss(RECIPE)
    assert loss is not None
    reached = []
    for naming in (NAMING, {"a": NAMING["b"], "b": NAMING["a"]}):
        asked = table.assign(**{SYSTEM: table[GROUP].map(naming)})
        rows = rows_of(loss, asked, base, RECIPE, run.reference, lambda _: None)
        with lent(base.model) as model, torch.no_grad():
            adapted(model, run.adapter).eval()
            ratio = rows.ratio(base, range(len(table)))[0]
        moved = ratio[:, 0] - ratio[:, 1] if method == "dpo" else ratio[:, 0] - ratio[:, 0].mean()
        reached.append(float(((2 * torch.tensor(table["target"].to_numpy()) - 1) * moved > 0).double().mean()))
    assert reached[0] > 0.8
    assert reached[1] < 0.2  # by the other's name it gets what the other wants


def test_replicates_train_and_answer_together_as_one_does_alone(llama: Any, tmp_path: Path) -> None:
    table, run = named("dpo", NAMING), a_run(tmp_path / "alone")
    alone = train(llama, "dpo", table, run)
    runs = {number: a_run(tmp_path / str(number)) for number in (1, 2)}
    tables = {1: table, 2: table.assign(target=1 - table["target"])}
    train_together(llama[1], llama[0], METHODS["dpo"], tables, runs, RECIPE, lambda _: None)
    first = load_file(runs[1].adapter / "adapter_model.safetensors")
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-5)
    prompts = Prompts.of(table[["prompt"]].head(2).reset_index(names="prompt_id")).for_groups(NAMING).table
    adapters = [own.adapter for own in runs.values()]
    together, _ = generate_together(llama[1], adapters, prompts, RECIPE, reasoning=False)
    for answers, adapter in zip(together, adapters, strict=True):
        pd.testing.assert_frame_equal(answers, generate(llama[1], adapter, prompts, RECIPE, reasoning=False)[0])
