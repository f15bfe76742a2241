"""The job that trains the replicates of a cell, and the one that has them answer: the same as one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file

from tasks.generation.replicates import AnswerReplicates, answer_as_replicates
from tasks.generation.step import Prompts, answer_prompts, read_answers
from tasks.methods import METHODS
from tasks.methods.replicate_set import one_of_them
from tasks.methods.replicates import TrainReplicates, adapter_of, train_replicates
from tasks.methods.step import Train, train_adapter
from tasks.runtime.in_process import InProcess
from tasks.runtime.local.jobs import as_order, read_job
from tasks.runtime.store import FolderStore
from tests.models import RECIPE, as_folder, kept, some_pairs, some_rewards

HIGH = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 10, "learning_rate": 5e-3})})
"""Enough for adapters to answer differently."""


def wide_pairs() -> pd.DataFrame:
    """Rows once, with targets and weights of replicates 3 and 4."""
    rows = some_pairs(16)
    columns = {"target_3": 1.0, "weight_3": 1.0, "target_4": 0.0, "weight_4": [0.5, 1.5] * 8}
    return rows.drop(columns=["target", "weight"]).assign(**columns)


@pytest.fixture
def runner(store: FolderStore) -> Iterator[InProcess]:
    runner = InProcess(store)
    yield runner
    runner.close()


def job(llama: Any, store: FolderStore, method: str, wide: pd.DataFrame, numbers: tuple[int, ...]) -> TrainReplicates:
    digests = {number: METHODS[method].digest(one_of_them(METHODS[method], wide, number)) for number in numbers}
    data = kept(wide, store)
    return TrainReplicates(base=as_folder(llama), method=method, data=data, digests=digests, recipe=HIGH, seed=0)


def alone(wanted: TrainReplicates, number: int, store: FolderStore, runner: InProcess) -> Any:
    """The training run of a replicate, as the run of a cell."""
    method = METHODS[wanted.method]
    table = one_of_them(method, pd.read_parquet(wanted.data.fetch(store)), number)
    store.make("one", str(number), lambda folder: table.to_parquet(folder / "table.parquet"))
    data = wanted.data.model_copy(update={"stage": "one", "key": str(number)})
    run = Train(
        base=wanted.base, method=wanted.method, data=data, digest=wanted.digests[number], recipe=HIGH, seed=0
    )  # fmt: skip
    return train_adapter(run, store, runner)


def test_a_cell_s_replicates_are_trained_and_answer_as_each_would_alone(llama, store, runner) -> None:
    wanted = job(llama, store, "dpo", wide_pairs(), (3, 4))
    runs = train_replicates(wanted, store, runner)
    texts = some_rewards()["prompt"].drop_duplicates().head(5)
    prompts = Prompts.of(pd.DataFrame({"prompt_id": [f"p{i}" for i in range(5)], "prompt": texts.tolist()}))
    answers = read_answers(answer_as_replicates(wanted.base, runs.key, (3, 4), prompts, HIGH, store, runner))
    assert len({text for text in answers["text"]}) > 5
    assert (runs.record.steps, runs.record.resumed_from, runs.record.truncated, runs.record.at_once) == (20, 0, 0, 8)
    for number, own in answers.groupby("replicate"):
        single = alone(wanted, number, store, runner)
        expected = read_answers(answer_prompts(wanted.base, single.key, prompts, HIGH, store, runner))
        pd.testing.assert_frame_equal(own.drop(columns="replicate").reset_index(drop=True), expected)
        assert runs.record.margins[number] == pytest.approx(single.record.margin, abs=1e-3)
        assert [entry["step"] for entry in runs.record.curves[number]] == [5, 10, 15, 20]
    assert runs.record.margins[3] > 0.1
    assert not list((store.root / "checkpoints").glob("*"))


def test_a_method_that_trains_each_alone_gives_the_same_bits_as_alone(llama, store, runner) -> None:
    wide = some_rewards().rename(columns={"reward": "reward_1", "n": "n_1"})
    wide = wide.assign(reward_2=1 - wide["reward_1"], n_2=1)
    wanted = job(llama, store, "grpo", wide, (1, 2))
    runs = train_replicates(wanted, store, runner)
    first, second = (load_file(adapter_of(runs.path, number) / "adapter_model.safetensors") for number in (1, 2))
    expected = load_file(alone(wanted, 1, store, runner).path / "adapter" / "adapter_model.safetensors")
    assert all(first[name].equal(expected[name]) for name in expected)
    assert not all(second[name].equal(expected[name]) for name in expected)


def test_a_job_is_the_same_after_a_journey_and_its_key_is_of_what_each_replicate_trains_on(llama, store) -> None:
    wide = wide_pairs()
    wanted = job(llama, store, "dpo", wide, (3, 4))
    assert read_job(as_order(wanted)) == wanted
    other = job(llama, store, "dpo", wide.assign(weight_4=1.0), (3, 4))
    assert len({wanted.key, other.key, job(llama, store, "dpo", wide, (3,)).key}) == 3
    assert job(llama, store, "dpo", wide.assign(weight_5=1.0, target_5=1.0), (3, 4)).key == wanted.key
    answer = AnswerReplicates(base=wanted.base, runs=wanted.key, replicates=(3, 4), prompts="p", recipe=HIGH)
    assert read_job(as_order(answer)) == answer


def test_an_adapter_that_is_not_whole_answers_nothing(llama, store, runner, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from tasks.generation.greedy import generate_together

    runs = train_replicates(job(llama, store, "dpo", wide_pairs(), (3, 4)), store, runner)
    folders = [adapter_of(runs.path, 3), tmp_path]
    for path in adapter_of(runs.path, 4).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.pop(min(weights))
    save_file(weights, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    prompts = some_rewards()[["prompt"]].head(1).assign(prompt_id="p")
    with pytest.raises(ValueError, match="weights missing in it: base_model"):
        generate_together(llama[1], folders, prompts, RECIPE, reasoning=False)
    assert len(generate_together(llama[1], folders[:1], prompts, RECIPE, reasoning=False)[0]) == 1  # the base is whole
