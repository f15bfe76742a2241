"""What a run goes on from comes back as it was, to the last bit, and what is not that file is told."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tasks.methods.checkpoints import _random_state, _restore_random
from tasks.methods.saved_state import load_state, save_state
from tasks.runtime.files import Damaged


def journey(state: Any, folder: Path) -> Any:
    save_state(folder / "state.safetensors", state)
    return load_state(folder / "state.safetensors")


def assert_equal(one: Any, other: Any) -> None:
    """In kinds, keys and their order, and bits."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.contiguous().view(-1).view(torch.uint8).equal(other.contiguous().view(-1).view(torch.uint8))
    elif isinstance(one, dict):
        assert_equal(list(one), list(other))
        for key, value in one.items():
            assert_equal(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for value, expected in zip(one, other, strict=True):
            assert_equal(value, expected)
    else:
        assert repr(one) == repr(other)  # -0.0 and NaN too


def test_nested_parts_come_back_with_their_kinds(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    state = {
        "texts": ["ü", "", 'a "b"'], "none": None, "flags": (True, False), "nested": [[], (), {}, ({"": -1},)],
        "numbers": [0, 2**80, 0.1 + 0.2, 5e-324, -0.0, math.inf, math.nan],
        12: {"12": 1, 0: "zero", "dict": {"tuple": 3}},
        "tensors": {
            0: torch.tensor(7.0), "a.b": shared, "a": {"b": shared.view(2, 3).T}, "empty": torch.zeros(0, 3),
            "bf16": torch.tensor([1.5, math.nan], dtype=torch.bfloat16), "whole": torch.tensor([[2**62]]),
            "bytes": torch.tensor([255], dtype=torch.uint8), "double": torch.tensor(1 / 3, dtype=torch.float64),
            1: shared, "1": -shared,
        },
    }  # fmt: skip
    assert_equal(journey(state, tmp_path), state)
    assert_equal(journey([None], tmp_path), [None])  # in place of what was kept before
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_the_file_says_where_each_tensor_was(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimiser.step()
    assert_equal(journey({"optimiser": optimiser.state_dict()}, tmp_path), {"optimiser": optimiser.state_dict()})
    with safe_open(tmp_path / "state.safetensors", "pt") as opened:
        names = {f"optimiser.state.0.{name}" for name in ("step", "exp_avg", "exp_avg_sq")}
        assert set(opened.keys()) == names
        assert json.loads(opened.metadata()["state"])["dict"][0][0] == "optimiser"


def test_generators_go_on_as_if_nothing_had_been_drawn(tmp_path: Path) -> None:
    import random

    def drawn() -> list[Any]:
        return [random.random(), random.gauss(), np.random.standard_normal(), np.random.rand(), torch.rand(2).tolist()]

    drawn()  # an odd number of normals, so that one of a pair is kept
    before = _random_state()
    expected = drawn()
    _restore_random(journey(before, tmp_path))
    assert drawn() == expected


@pytest.mark.parametrize("state", [{"a": object()}, [np.float32(1)], {(1, 2): 3}, {"f": print}, b"bytes", {1.5: 0}])
def test_what_could_not_come_back_as_it_was_is_not_kept(state: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"is of a kind that is not kept|has keys that are neither"):
        save_state(tmp_path / "state.safetensors", state)
    assert not list(tmp_path.iterdir())


def described(text: str) -> Any:
    return lambda file: save_file({"a": torch.ones(1)}, file, {"state": text})


@pytest.mark.parametrize("damage", [
    lambda file: os.truncate(file, file.stat().st_size - 1),
    lambda file: os.truncate(file, 20),
    lambda file: os.truncate(file, 0),
    lambda file: torch.save({"a": torch.ones(1)}, file),
    lambda file: save_file({"a": torch.ones(1)}, file),
    described('{"dict": [['), described('{"tensor": "b"}'), described('{"pickle": "a"}'), described('{"dict": 1}'),
    described("{}"), described('{"dict": [[[], 1]]}'), described("[" * 100_000),
], ids=[
    "a byte less", "hardly a header", "empty", "a pickle", "no description", "half a description", "no such tensor",
    "another kind", "no pairs", "no kind", "a list for a key", "too deep",
])  # fmt: skip
def test_what_is_not_what_was_kept_is_told(damage: Any, tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    save_state(file, {"a": torch.ones(100)})
    damage(file)
    with pytest.raises(Damaged, match=r"state\.safetensors is not the state that was kept"):
        load_state(file)


def test_no_file_is_another_thing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_state(tmp_path / "state.safetensors")
