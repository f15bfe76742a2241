"""A fingerprint follows the content and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import Lora
from tasks.runtime.fingerprint import file_digest, fingerprint, frame_digest, stable_share


def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter() -> None:
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": (2, 3), "a": 1})


def test_settings_are_known_by_their_values() -> None:
    assert fingerprint(Lora(rank=8)) == fingerprint({"rank": 8, "alpha": 16})
    assert fingerprint(Lora(rank=8)) != fingerprint(Lora(rank=9))


def test_different_values_have_different_fingerprints() -> None:
    values: list[Any] = [0, 1, "1", True, None, "", "None", [], [1], [[1]], {}, {"1": 1}, 0.5, "ä", "a"]
    assert len({fingerprint(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    "value", [Path("x"), {1, 2}, b"x", np.int64(1), object(), {1: "a"}, [len]], ids=lambda value: type(value).__name__
)
def test_what_has_no_stable_identity_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="fingerprint"):
        fingerprint(value)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        fingerprint([float("nan")])


def test_another_process_gives_the_same_values() -> None:
    """Python salts its own `hash` per process; nothing here may depend on it."""
    what = "print(fingerprint({'b': [1], 'a': 'x'}), stable_share('split', 0, 'q1'))"
    code = f"from tasks.runtime.fingerprint import *; {what}"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert there == [fingerprint({"a": "x", "b": [1]}), str(stable_share("split", 0, "q1"))]


def test_a_files_digest_depends_on_its_contents_and_not_on_its_path(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("same")
    b.write_text("same")
    assert file_digest(a) == file_digest(b)
    b.write_text("other")
    assert file_digest(a) != file_digest(b)


def test_a_tables_digest_depends_on_columns_rows_and_order_but_not_on_the_index() -> None:
    table = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    assert frame_digest(table) == frame_digest(table.set_axis([7, 8]))
    changed = [table.iloc[::-1], table.rename(columns={"x": "z"}), table.assign(x=[1, 3]), table[["y", "x"]]]
    assert len({frame_digest(item) for item in [table, *changed]}) == 5


def test_stable_shares_are_spread_evenly_over_zero_to_one() -> None:
    shares = np.array([stable_share("seed", number) for number in range(2000)])
    assert shares.min() >= 0
    assert shares.max() < 1
    # 200 expected in each tenth, standard deviation √(2000 · 0.1 · 0.9) = 13.4; 60 is more than four of them
    assert np.abs(np.histogram(shares, bins=10, range=(0, 1))[0] - 200).max() < 60
    assert stable_share("a", "bc") != stable_share("ab", "c")
