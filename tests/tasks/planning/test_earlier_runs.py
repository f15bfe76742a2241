"""What earlier runs leave behind for the next."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from tasks.planning.earlier_runs import EarlierResult, History, Made, seconds_each, why
from tasks.runtime.store import FolderStore

MADE = Made("base", "data", {"dpo.epochs": 1.0, "seed": 0}, "dpo", 100, 20.0, 50, 5.0)


def folder_of(store: Path) -> Path:
    """Where a store keeps the study's history."""
    folder = store / "documents" / "history" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pooled(**estimates: float) -> pd.DataFrame:
    """Effects with an interval of 0.1 to both sides, k = 7."""
    rows = [("scale", name, "toxicity", value, value - 0.1, value + 0.1, 7) for name, value in estimates.items()]
    columns = ["experiment", "contrast", "dimension", "estimate", "ci_low", "ci_high", "k"]
    return pd.DataFrame(rows, columns=columns)


def test_cells_are_remembered_and_replaced(tmp_path: Path) -> None:
    history = History(FolderStore(tmp_path), "study")
    assert history.cells() == {}
    history.remember({"a": MADE, "b": MADE})
    history.remember({"b": replace(MADE, n_pairs=7)})
    assert History(FolderStore(tmp_path), "study").cells() == {"a": MADE, "b": replace(MADE, n_pairs=7)}


def test_a_result_is_compared_with_the_last_that_rests_on_something_else(tmp_path: Path) -> None:
    history = History(FolderStore(tmp_path), "study")
    first, again = EarlierResult("one", "mon", "r1", pooled(a=0.1)), EarlierResult("one", "tue", "r1", pooled(a=0.1))
    second = EarlierResult("two", "wed", "r2", pooled(a=0.2))
    assert history.conclude(first) is None
    assert history.conclude(again) is None  # the same ratings and settings: in its place
    for _ in range(2):  # a second run on the same ratings still says what moved since the others
        earlier = history.conclude(second)
        assert earlier is not None
        assert (earlier.identity, earlier.created) == ("one", "tue")
        pd.testing.assert_frame_equal(earlier.pooled, pooled(a=0.1))
    assert [result.identity for result in history.results()] == ["one", "two"]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (None, "it has never finished"),
        (replace(MADE, base="other"), "its base changed"),
        (replace(MADE, data="other"), "its training data changed"),
        (replace(MADE, data="other", n_pairs=90), "its training data changed: 90 → 100 pairs"),
        (replace(MADE, settings={"dpo.epochs": 2.0, "seed": 0}), "settings changed: dpo.epochs 2.0 → 1.0"),
        (MADE, "what it made is gone from the store"),
    ],
)
def test_a_reason_names_what_changed(made: Made | None, reason: str) -> None:
    assert why(made, "base", "data", {"dpo.epochs": 1.0, "seed": 0}, 100) == reason


def test_seconds_are_those_of_the_architecture_or_of_all() -> None:
    cells = {"a": MADE, "b": replace(MADE, train_seconds=60.0), "c": replace(MADE, method="grpo", n_pairs=10)}
    where = {"a": "llama", "b": "falcon", "c": "llama"}
    # dpo: 20 s and 60 s for 100 pairs each; grpo: 20 s for 10; answers: 5 s for 50 prompts, everywhere
    assert seconds_each(cells, where, "dpo") == pytest.approx({"llama": 0.2, "falcon": 0.6, "": 0.4})
    assert seconds_each(cells, where, "grpo") == pytest.approx({"llama": 2.0, "": 2.0})
    assert seconds_each(cells, where, None) == pytest.approx({"llama": 0.1, "falcon": 0.1, "": 0.1})
    assert seconds_each({}, where, "dpo") == {}


def test_cells_that_an_earlier_version_remembered_are_read_by_the_name_that_a_key_has_now(tmp_path: Path) -> None:
    made = asdict(MADE)
    made["optimiser"] = made.pop("method")
    (folder_of(tmp_path) / "cells.json").write_text(json.dumps({"a": made}))
    assert History(FolderStore(tmp_path), "study").cells() == {"a": MADE}


def test_a_damaged_history_is_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history = History(FolderStore(tmp_path), "study")
    history.remember({"a": MADE})
    cells = folder_of(tmp_path) / "cells.json"
    cells.write_bytes(cells.read_bytes()[:50])
    assert history.cells() == {}
    history.remember({"b": MADE})
    assert history.cells() == {"b": MADE}
    assert "cells.json: not the JSON that was written; kept as cells.json.damaged" in caplog.text


def test_a_damaged_result_is_left_out_and_its_number_is_not_given_again(tmp_path: Path) -> None:
    history = History(FolderStore(tmp_path), "study")
    for name in ("one", "two", "three"):
        history.conclude(EarlierResult(name, "mon", "r", pooled(a=0.1)))
    middle = folder_of(tmp_path) / "results" / "000001.json"
    middle.write_bytes(middle.read_bytes().replace(b"0.1,", b"0.7,"))
    earlier = history.conclude(EarlierResult("four", "tue", "r", pooled(a=0.2)))
    assert earlier is not None
    assert earlier.identity == "three"
    assert [result.identity for result in history.results()] == ["one", "three", "four"]
