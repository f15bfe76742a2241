"""A base that isn't whole, or that would run code of its own, is refused with one line that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from configs.errors import InputError
from tasks.architectures.load import load_base
from tests.models import changed_folder

Edits = Callable[[dict[str, Any]], object]


def refusal(llama: Any, folder: Path) -> str:
    """Why a folder is refused: one line."""
    with pytest.raises(InputError) as caught:
        load_base(llama[0], str(folder), None)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"tiny-llama: can't load {folder}: ")


def with_weights(folder: Path, edit: Edits) -> Path:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


# ---- code of its own


OWN = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}


@pytest.mark.parametrize(("edits", "fault"), [
    ({"config": {"auto_map": OWN, "model_type": "own"}}, "config.json asks for code of its own (auto_map: AutoConfig "),
    ({"config": {"auto_map": OWN, "model_type": "t5"}}, "config.json asks for code of its own (auto_map: AutoConfig "),
    ({"tokenizer": {"auto_map": {"AutoTokenizer": ["own.T", None]}, "tokenizer_class": "Own"}},
     "tokenizer_config.json asks for code of its own (auto_map: AutoTokenizer ['own.T', None]"),
], ids=["model", "kind that writes no text", "tokenizer"])  # fmt: skip
def test_code_that_comes_with_a_base_is_never_run_nor_asked_about(edits, fault, llama, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    folder = changed_folder(llama, tmp_path / "model", **edits)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert refusal(llama, folder).startswith(fault)
    assert refusal(llama, folder).endswith(", which is never run")
    assert not (tmp_path / "ran").exists()


def test_a_base_that_transformers_knows_needs_no_code_of_its_own(llama, tmp_path) -> None:
    folder = changed_folder(llama, tmp_path / "model", config={"auto_map": OWN}, tokenizer={"auto_map": {}})
    for place in (folder, folder / "custom_generate"):
        place.mkdir(exist_ok=True)
        (place / ("own.py" if place == folder else "generate.py")).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert type(load_base(llama[0], str(folder), None).model).__name__ == "LlamaForCausalLM"
    assert not (tmp_path / "ran").exists()


# ---- weights


@pytest.mark.parametrize(("edits", "fault"), [
    ({"tie_word_embeddings": False}, "weights missing in its files: lm_head.weight"),
    ({"num_hidden_layers": 3}, "weights missing in its files: model.layers.2.input_layernorm.weight, "
     "model.layers.2.mlp.down_proj.weight, model.layers.2.mlp.gate_proj.weight and 6 more"),
    ({"num_hidden_layers": 1}, "weights in its files that config.json has no place for: "
     "model.layers.1.input_layernorm.weight, model.layers.1.mlp.down_proj.weight, "
     "model.layers.1.mlp.gate_proj.weight and 6 more"),
    ({"intermediate_size": 100}, "weights of another shape than config.json asks for: "
     "model.layers.0.mlp.down_proj.weight [64, 192] for [64, 100], "
     "model.layers.0.mlp.gate_proj.weight [192, 64] for [100, 64], "
     "model.layers.0.mlp.up_proj.weight [192, 64] for [100, 64] and 3 more"),
])  # fmt: skip
def test_weights_that_settings_and_files_disagree_on_are_named(edits, fault, llama, tmp_path) -> None:
    assert refusal(llama, changed_folder(llama, tmp_path / "model", config=edits)) == fault


def test_a_weight_that_is_missing_is_named(llama, tmp_path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    folder = with_weights(changed_folder(llama, tmp_path / "model"), lambda weights: weights.pop(name))
    assert refusal(llama, folder) == f"weights missing in its files: {name}"


@pytest.mark.parametrize("edit", [
    lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}),
    lambda weights: weights.update({"score.weight": torch.zeros(1, 64), "v_head.summary.weight": torch.zeros(1, 64)}),
    lambda weights: weights.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(8)}),
], ids=["the tied head too", "heads of other tasks", "what old files kept"])  # fmt: skip
def test_weights_that_a_base_does_without_are_no_fault(edit: Edits, llama, tmp_path) -> None:
    folder = with_weights(changed_folder(llama, tmp_path / "model"), edit)
    loaded = load_base(llama[0], str(folder), None).model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in llama[1].model.state_dict().items())


# ---- files


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def link_to_nothing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to(folder / "gone")


@pytest.mark.parametrize(("damage", "fault"), [
    (pickled, "its weights are pickled (pytorch_model.bin), which may run code; save them as safetensors"),
    (lambda folder: (folder / "model.safetensors").unlink(), "no weights here (*.safetensors)"),
    (cut, "model.safetensors is damaged: "),
    (pointer, "model.safetensors is damaged: "),
    (link_to_nothing, "tokenizer.json is a link to nothing"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer here (tokenizer.json or tokenizer.model)"),
    (lambda folder: (folder / "tokenizer.json").write_text("{nope"), "tokenizer.json is no JSON: Expecting property"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "its tokenizer can't be read: "),
    (lambda folder: (folder / "config.json").write_text("{nope"), "config.json is no JSON: Expecting property name"),
    (lambda folder: (folder / "config.json").write_text("[" * 10**5), "config.json is no JSON: "),
    (lambda folder: (folder / "config.json").write_bytes(b"\xff"), "config.json is no JSON: "),
    (lambda folder: (folder / "config.json").write_text("[1]"), "config.json is no JSON object"),
    (lambda folder: (folder / "config.json").write_text("{}"), "config.json: model_type is missing"),
    (lambda folder: (folder / "config.json").unlink(), "no model here (no config.json)"),
    (lambda folder: (folder / "adapter_config.json").write_text("{}"), "adapter_config.json: it is an adapter"),
])  # fmt: skip
def test_a_folder_that_lacks_something_is_told_by_file(damage, fault, llama, tmp_path) -> None:
    folder = changed_folder(llama, tmp_path / "model")
    damage(folder)
    assert refusal(llama, folder).startswith(fault)


def test_a_kind_that_transformers_does_not_know_or_that_writes_no_text_is_named(llama, tmp_path) -> None:
    for kind, fault in {"strange": "knows no model 'strange'", "t5": "'t5' is no causal language model"}.items():
        assert refusal(llama, changed_folder(llama, tmp_path / kind, config={"model_type": kind})).endswith(fault)


def test_all_faults_of_a_folder_are_told_at_once(llama, tmp_path) -> None:
    folder = changed_folder(llama, tmp_path / "model")
    pickled(folder)
    for name in ("config.json", "generation_config.json"):
        (folder / name).write_text("")
    assert [text.partition(" ")[0] for text in refusal(llama, folder).split("; ")][:2] == [
        "config.json", "generation_config.json",
    ]  # fmt: skip
    assert "pytorch_model.bin" in refusal(llama, folder)
