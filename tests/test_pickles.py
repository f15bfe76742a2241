"""The search for pickles finds each kind of them, and nothing in what is none."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from tests.pickles import pickled, pickles_below

STATE = {"step": 3, "weights": [1.5, "text"]}


def written(write: Callable[[Any], Any]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    def write(stream: Any) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, content)

    return written(write)


@pytest.mark.parametrize("content", [
    *(pickle.dumps(STATE, protocol) for protocol in range(6)),
    pickle.dumps(None),
    written(lambda stream: torch.save({"a": torch.ones(3)}, stream)),
    written(lambda stream: torch.save({"a": torch.ones(3)}, stream, _use_new_zipfile_serialization=False)),
    written(lambda stream: joblib.dump({"a": np.arange(100.0)}, stream)),
    written(lambda stream: np.save(stream, np.array([STATE], dtype=object))),
    written(lambda stream: np.savez(stream, a=np.array([STATE], dtype=object))),
    written(pd.DataFrame({"a": [1]}).to_pickle),
    zipped("inner/data", pickle.dumps(STATE)), zipped("data.pkl", b""),
    zipped("a.zip", zipped("b", pickle.dumps(STATE))),
])  # fmt: skip
def test_a_pickle_is_found(content: bytes) -> None:
    assert pickled(content)


@pytest.mark.parametrize("content", [
    b"", b"a line\n", b"-1.25\n", json.dumps(STATE).encode(), b"\x80", b"\x80\x02", b"1\n2\n", "é".encode(),
    *(save({"a" * length: torch.ones(length)}) for length in range(400, 800, 8)),  # some have 0x0280 bytes of header
    written(lambda stream: np.save(stream, np.ones(3))), written(lambda stream: np.savez(stream, a=np.ones(3))),
    written(lambda stream: pd.DataFrame({"a": ["x"]}).to_parquet(stream)), zipped("a.txt", b"text"),
])  # fmt: skip
def test_what_is_no_pickle_is_not(content: bytes) -> None:
    assert not pickled(content)


def test_the_files_of_a_folder_are_looked_at_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / ".hidden.json").write_bytes(pickle.dumps(STATE))
    (tmp_path / "plain.pt").write_text("text\n")
    assert pickles_below(tmp_path) == ["inner/.hidden.json: a pickle"]
