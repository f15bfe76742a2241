"""What a study writes, held against what lies on the disk after small runs and against the shapes of open models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from configs.load import load_study
from configs.schema import Architecture, Lora
from tasks.architectures.sizes import shape_of
from tasks.planning.disk_use import CellFiles, amount, disk_use, files_of_all_cells

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def architecture(**settings: Any) -> Architecture:
    given = {"name": "a", "title": "A", "family": "f", "parameters": 1e9, "hub": "org/a", "target_modules": SEVEN}
    return Architecture.model_validate(given | settings)


@pytest.mark.parametrize(
    ("parameters", "weights_of_rank_16"),
    [(1.35e8, 4_884_480), (1.24e9, 11_272_192), (7.25e9, 41_943_040)],  # SmolLM2, Llama 3.2 1B, Mistral 7B
)
def test_an_adapter_of_an_unknown_model_is_taken_for_no_smaller_than_it_is(parameters, weights_of_rank_16):
    shape = shape_of(architecture(parameters=parameters), None)
    assert shape.assumed
    assert weights_of_rank_16 <= shape.adapter_weights(Lora(rank=16)) <= 2 * weights_of_rank_16


def test_a_model_at_hand_is_known_by_its_files(tmp_path: Path):
    import numpy as np

    (tmp_path / "config.json").write_text('{"hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 50}')
    shapes = {"embed_tokens": (50, 8), "layers.0.q_proj": (8, 8), "layers.1.q_proj": (8, 8), "layers.0.mlp.up": (32, 8)}
    save_file({f"{name}.weight": np.zeros(shape) for name, shape in shapes.items()}, tmp_path / "model.safetensors")
    own = {"hub": None, "path": str(tmp_path)}
    some = shape_of(architecture(**own, target_modules=["q_proj"]), tmp_path)
    assert (some.adapted, some.layers, some.vocabulary, some.assumed) == (32, 2, 50, False)
    assert shape_of(architecture(**own, target_modules="all-linear"), tmp_path).adapted == 32 + 40


def test_a_tiny_adapter_is_as_large_as_those_that_training_writes():
    study = load_study("demo")
    llama = next(item for item in study.architectures if item.name == "tiny-llama")
    assert 81_320 <= shape_of(llama, None).adapter_bytes(study.recipe.lora) <= 100_000  # with 2,500 bytes beside it


def test_what_is_there_is_not_written_again():
    study = load_study("demo", {"architectures": ["tiny-llama"], "raters.replicates": 0})
    adapter = shape_of(study.architectures[0], None).adapter_bytes(study.recipe.lora)
    cells = [
        CellFiles("tiny-llama", adapter=False),
        CellFiles("tiny-llama", adapter=True, adapter_there=True, answers_there=True),
        CellFiles("tiny-llama", adapter=True),
        CellFiles("tiny-llama", adapter=False, answers=False),  # shares another's
        CellFiles("tiny-llama", adapter=True, replicates=4),
    ]
    use = disk_use(study, cells, prompts=10, slots=2, local_mlflow=True, bases=["tiny-llama"])
    parts = {part.kind: part for part in use.parts}
    assert (parts["adapters"].size, parts["adapters"].there) == (6 * adapter, adapter)
    assert (parts["MLflow's copies"].size, parts["MLflow's copies"].there) == (2 * adapter, adapter)  # no replicates
    weights = shape_of(study.architectures[0], None).adapter_weights(study.recipe.lora)
    assert parts["checkpoints"].size == 3 * 3 * 4 * weights * (4 + 1)  # the replicates and one more
    assert parts["bases"].size == parts["bases"].there
    assert parts["downloads"].size == 0
    assert use.still_to_write("store") == sum(p.size - p.there for p in use.parts if p.place == "store")
    elsewhere = disk_use(study, cells, prompts=10, slots=2, local_mlflow=False)
    assert {part.kind: part.size for part in elsewhere.parts}["MLflow's copies"] == 0
    assert "of it is there already" in str(use)
    assert "there" not in str(disk_use(study, cells[:1], prompts=10, slots=2, local_mlflow=True))


def test_all_cells_of_a_study_count_and_named_groups_are_each_asked():
    study = load_study("groups")
    files = files_of_all_cells(study)
    assert sum(not cell.adapter for cell in files) == len(study.architectures)
    assert max(cell.asked for cell in files) == 3
    assert {cell.times for cell in files if cell.replicates} <= set(range(1, 9))


@pytest.mark.parametrize(("size", "text"), [(0, "0.0 kB"), (81_320, "81.3 kB"), (41.26e9, "41.3 GB"), (2e12, "2.0 TB")])
def test_an_amount_has_the_unit_that_it_fills(size, text):
    assert amount(size) == text
