"""An adapter as it is handed on: whole, and naming nothing of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from configs.schema import Condition
from tasks.architectures.load import BaseRef
from tasks.generation.greedy import generate
from tasks.methods.card import model_card
from tasks.methods.lora import WEIGHTS
from tests.models import RECIPE, a_run, some_pairs, some_rewards, train_dpo

CONDITION = Condition(dimensions=("toxicity",), scale="5-point")
HOSTILE = 'A "b": c\n---\n# [x](http://a.b) <img src=x> $y$ @me ~~z~~ &lt; www.a.b'


@pytest.fixture(scope="module")
def adapter(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    architecture, base = llama
    folder = tmp_path_factory.mktemp("run")
    train_dpo(base, architecture, some_pairs(8), RECIPE, a_run(folder), lambda _: None)
    return folder / "adapter"


def test_an_adapter_names_its_base_by_the_architecture_and_no_folder(adapter: Path, llama: Any) -> None:
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("tiny-llama", None)
    assert llama[1].model.name_or_path not in (adapter / "adapter_config.json").read_text()


def test_an_adapter_of_a_hub_model_names_it_and_its_commit(llama: Any, tmp_path: Path) -> None:
    architecture, base = llama
    hub = architecture.model_copy(update={"tiny": None, "hub": "someone/model"})
    run = a_run(tmp_path)
    train_dpo(base, hub, some_pairs(8), RECIPE, type(run)(**vars(run) | {"revision": "c0ffee"}), lambda _: None)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("someone/model", "c0ffee")


@pytest.mark.parametrize(("damage", "fault"), [
    (lambda weights: weights.pop(min(weights)), "weights missing in it: base_model"),
    (lambda weights: weights.update({min(weights).replace("layers.0", "layers.7"): weights[min(weights)].clone()}),
     r"weights that the base has no place for: base_model.*layers\.7"),
], ids=["missing", "unexpected"])  # fmt: skip
def test_an_adapter_that_does_not_fit_its_base_answers_nothing(damage, fault, adapter, llama, tmp_path) -> None:
    for path in adapter.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(adapter / WEIGHTS)
    damage(weights)
    save_file(weights, tmp_path / WEIGHTS, metadata={"format": "pt"})
    prompts = some_rewards()[["prompt"]].head(1).assign(prompt_id="p")
    with pytest.raises(ValueError, match=fault):
        generate(llama[1], tmp_path, prompts, RECIPE, reasoning=False)
    assert len(generate(llama[1], adapter, prompts, RECIPE, reasoning=False)[0]) == 1  # the base came back whole


# ---- the card


def card(llama: Any, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    """The header of the card and the lines below it."""
    base = BaseRef(architecture=llama[0].model_copy(update=changes), key="k", revision=None)
    text = model_card(base, CONDITION, ["scale/5-point"], {"study": HOSTILE, "seed": 0}, "simulated raters")
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body.splitlines()


def test_titles_are_text_in_a_card_and_neither_markup_nor_settings(llama: Any) -> None:
    header, lines = card(llama, title=HOSTILE)
    assert header == {"library_name": "peft", "tags": ["pluralign"], "base_model": "tiny-llama"}
    title = r'A "b"\: c --- \# \[x\](http\://a.b) \<img src=x\> \$y\$ \@me \~\~z\~\~ \&lt; www\.a.b'
    assert lines[0] == f"# LoRA adapter of {title}: scale/5-point"
    assert f"- study: {title}" in lines


def test_a_folder_of_this_machine_is_not_in_a_card(llama: Any) -> None:
    header, lines = card(llama, tiny=None, path="/home/somebody/model")
    assert header["base_model"] == "tiny-llama"
    assert not any("somebody" in line for line in lines)
