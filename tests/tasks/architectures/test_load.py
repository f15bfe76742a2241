"""Bases: what can't be loaded is said in one line, before anything starts where it can be."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch

from configs.errors import InputError
from configs.load import load_study
from tasks.architectures.load import check_access, computes_in_bfloat16, load_base
from tasks.architectures.step import known_base
from tasks.generation.greedy import generate
from tests.models import RECIPE, a_run, architecture, some_pairs, some_rewards, train_dpo


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.mark.usefixtures("no_token")
def test_gated_models_without_a_token_are_all_named_beforehand():
    with pytest.raises(InputError, match=r"gated on the hub: llama-3\.2-1b \(meta-llama.*\), gemma-2-2b .*HF_TOKEN"):
        check_access(load_study("paper").architectures)


@pytest.mark.usefixtures("no_token")
def test_a_local_copy_of_a_gated_model_needs_no_token():
    gated = load_study("paper").architectures[0]
    check_access([gated.model_copy(update={"hub": None, "path": "models/llama"})])
    check_access(load_study("demo").architectures)


def test_with_a_token_gated_models_pass(monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    check_access(load_study("paper").architectures)


def test_a_folder_that_holds_no_model_is_named(tmp_path):
    with pytest.raises(InputError, match="tiny-llama: can't load"):
        load_base(architecture("llama"), str(tmp_path), None)


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_only_a_real_model_is_in_bf16_and_only_where_the_machine_has_instructions_for_it(
    llama, store, monkeypatch, fast, dtype
):
    settings, base = llama
    monkeypatch.setattr("tasks.architectures.load.computes_in_bfloat16", lambda: fast)
    folder = base.model.name_or_path
    assert load_base(settings, folder, None).model.dtype == torch.float32
    real = settings.model_copy(update={"tiny": None, "path": folder})
    assert load_base(real, folder, None).model.dtype == dtype
    keys = {name: known(real.model_copy(update={"dtype": name}), store) for name in ("auto", "float32", "bfloat16")}
    name = str(dtype).removeprefix("torch.")
    assert keys["auto"] == keys[name]  # what a machine chose and what a person wrote are the same base
    assert keys["auto"].architecture.dtype == name
    assert keys["float32"].key != keys["bfloat16"].key


def known(settings, store):
    return known_base(load_study("demo"), settings, pd.DataFrame(), store)


def test_the_machine_s_instructions_are_those_that_the_system_names():
    flags = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not flags.exists() or platform.machine() != "x86_64":
        pytest.skip("no list of a processor's instructions to hold it against")
    assert computes_in_bfloat16() == bool({"avx512_bf16", "amx_bf16"} & set(flags.read_text().split()))


def test_4_bit_without_bitsandbytes_says_what_to_install(llama, monkeypatch):
    settings, base = llama
    monkeypatch.setattr("tasks.architectures.load.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"dtype 4-bit needs bitsandbytes: pip install 'pluralign\[4bit\]'"):
        load_base(settings.model_copy(update={"dtype": "4-bit"}), base.model.name_or_path, None)


@pytest.mark.skipif(not find_spec("bitsandbytes"), reason="bitsandbytes is not installed")
def test_a_base_in_4_bits_trains_and_answers(llama, tmp_path):
    settings, base = llama
    small = settings.model_copy(update={"dtype": "4-bit"})
    loaded = load_base(small, base.model.name_or_path, None)
    linear = loaded.model.model.layers[0].mlp.up_proj.weight
    assert linear.dtype == torch.uint8  # two weights a byte
    assert linear.numel() == base.model.model.layers[0].mlp.up_proj.weight.numel() / 2
    trained = train_dpo(loaded, small, some_pairs(8), RECIPE, a_run(tmp_path), lambda _: None)
    prompts = some_rewards()[["prompt"]].drop_duplicates().head(3).assign(prompt_id=["a", "b", "c"])
    answers, _ = generate(loaded, tmp_path / "adapter", prompts, RECIPE, reasoning=False)
    assert (trained.steps, len(answers)) == (1, 3)


def test_a_hub_model_is_loaded_from_the_folder_of_its_commit(llama, monkeypatch):
    settings, base = llama
    asked = []

    def download(source: str, revision: str, allow_patterns: list[str], tqdm_class) -> str:
        asked.append((source, revision, allow_patterns))
        return base.model.name_or_path

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    hub = settings.model_copy(update={"tiny": None, "hub": "someone/model"})
    loaded = load_base(hub, "someone/model", "c0ffee")
    assert [(source, revision) for source, revision, _ in asked] == [("someone/model", "c0ffee")]
    assert not any(pattern.endswith((".py", ".bin", ".pt")) for pattern in asked[0][2])
    assert loaded.model.name_or_path == base.model.name_or_path  # what loads it again by its path gets this commit


def test_what_a_large_model_cannot_do_is_told_beforehand():
    paper = load_study("paper")
    with pytest.raises(InputError, match="weights in 4 bits can't be sharded"):
        load_study("paper", {"architectures": [paper.architectures[0].model_dump() | {"gpus": 2, "dtype": "4-bit"}]})
    with pytest.raises(InputError, match=r"recipe\.dpo\.batch_size is 32, which its 3 gpus can't share evenly"):
        load_study("paper", {"architectures": [paper.architectures[0].model_dump() | {"gpus": 3}]})
