"""Verdicts and effects of Inspect's logs, by hand, and as `pluralign meta` reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from tasks.exporting.log_verdicts import FAILED, INVALIDATED, NOT_SCORED, write_log_verdicts
from tasks.meta_analysis.pool_file import pool_file
from tasks.runtime.spreadsheet import read_csv
from tests.tasks.exporting.test_inspect_log import written


def sample(id: int | str, value: Any, epoch: int = 1, **more: Any) -> dict[str, Any]:
    scores = {} if value is None else {"graded": {"value": value}}
    return {"id": id, "epoch": epoch, "input": f"question {id}", "scores": scores} | more


def log(folder: Path, name: str, samples: list[dict[str, Any]], task: str = "kindness", model: str = "") -> Path:
    return written(folder, samples, f"{name}.json", eval={"task": task, "model": model or name})


def verdicts(folder: Path) -> pd.DataFrame:
    return read_csv(folder / "verdicts.csv", dtype={"sample": str}).fillna({"unscored": "", "metadata": ""})


def test_every_score_is_a_row_and_what_has_none_says_why(tmp_path: Path) -> None:
    samples = [
        sample(1, "C", metadata={"topic": "=1+1"}),
        sample("b", math.nan),
        sample("c", None, error={"message": "boom"}),
        sample("d", None),
        sample("e", "C", invalidation={"author": "me"}),
    ]
    lines = write_log_verdicts([log(tmp_path, "one", samples)], tmp_path / "out")
    table = verdicts(tmp_path / "out")
    assert table["sample"].tolist() == ["1", "b", "c", "d", "e"]
    assert table["value"].tolist()[0] == 1
    assert table["value"].isna().tolist() == [False, True, True, True, True]
    assert table["unscored"].tolist() == ["", "unscored", FAILED, NOT_SCORED, INVALIDATED]
    assert table["metadata"].tolist() == ['{"topic": "=1+1"}', "", "", "", ""]
    assert lines[0] == "5 scores of 5 samples in 1 logs, 4 of them unscored"
    assert not (tmp_path / "out" / "effects.csv").exists()


def test_an_effect_is_the_mean_paired_difference_by_hand(tmp_path: Path) -> None:
    # two less one: 1, .5, 0 and -.5 over four samples; mean .25, sd sqrt((.75² + .25² + .25² + .75²) / 3) = .6455
    one = [
        sample("a", "I"),
        sample("b", "P"),
        sample("c", "C"),
        sample("d", "C"),
        sample("e", math.nan),
        sample("f", "C"),
    ]
    two = [sample("a", "C"), sample("b", "C"), sample("c", "C"), sample("d", "P"), sample("e", "C"), sample("g", "C")]
    write_log_verdicts([log(tmp_path, "one", one), log(tmp_path, "two", two)], tmp_path / "out")
    [row] = read_csv(tmp_path / "out" / "effects.csv").to_dict("records")
    assert row["estimate"] == pytest.approx(0.25)
    assert row["std_error"] == pytest.approx(np.sqrt(1.25 / 3) / 2)
    counts = {"k": 4, "n_unscored": 1, "n_others": 2}  # e is not scored by one, f and g are of one log alone
    assert {name: row[name] for name in counts} == counts
    assert [row[name] for name in ("task", "scorer", "label", "reference")] == ["kindness", "graded", "two", "one"]


def test_a_sample_counts_once_with_the_mean_of_its_scored_epochs(tmp_path: Path) -> None:
    one = [sample("a", 0), sample("b", 0)]
    two = [sample("a", 1), sample("a", 0, 2), sample("b", 1), sample("b", math.nan, 2)]
    write_log_verdicts([log(tmp_path, "one", one), log(tmp_path, "two", two)], tmp_path / "out")
    [row] = read_csv(tmp_path / "out" / "effects.csv").to_dict("records")
    assert row["estimate"] == pytest.approx((0.5 + 1) / 2)
    assert row["k"] == 2


def test_the_first_log_of_a_task_is_the_reference_and_meta_pools_what_is_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    logs = [
        log(tmp_path, f"{task}-{model}", [sample(n, rng.normal()) for n in range(10)], task, model)
        for task in ("kindness", "tact")
        for model in ("base", "two", "three")
    ]
    lines = write_log_verdicts(logs, tmp_path / "out")
    path = tmp_path / "out" / "effects.csv"
    effects = read_csv(path)
    assert effects[["task", "label"]].to_numpy().tolist() == [
        ["kindness", "two"], ["kindness", "three"], ["tact", "two"], ["tact", "three"]
    ]  # fmt: skip
    assert set(effects["reference"]) == {"base"}
    assert lines[-1] == f"effects: pluralign meta {path} --by task scorer --shares reference"
    pooled = pool_file(path, ["task", "scorer"], "dl").pooled
    assert pooled["k"].tolist() == [2, 2]
    by_hand = effects[effects["task"] == "tact"]
    weights = 1 / by_hand["std_error"] ** 2  # τ² is 0 or above, so the pool lies between both
    assert by_hand["estimate"].min() <= pooled["estimate"].iloc[1] <= by_hand["estimate"].max()
    fixed = pool_file(path, ["task", "scorer"], "fixed").pooled
    assert fixed["estimate"].iloc[1] == pytest.approx(np.average(by_hand["estimate"], weights=weights))


def test_two_logs_of_one_model_are_told_apart(tmp_path: Path) -> None:
    samples = [sample("a", 0), sample("b", 1)]
    logs = [log(tmp_path, name, samples, model="same") for name in ("before", "after")]
    write_log_verdicts(logs, tmp_path / "out")
    [row] = read_csv(tmp_path / "out" / "effects.csv").to_dict("records")
    assert (row["label"], row["reference"]) == ("same (after.json)", "same (before.json)")
    # all differences are 0: the error is that of one score moved by the step of 1, over two samples
    assert (row["estimate"], row["std_error"]) == (0, 0.5)


def test_a_sample_of_the_same_id_with_another_input_is_another_sample(tmp_path: Path) -> None:
    one = [sample(1, 0), sample(2, 1), sample(3, 1)]
    two = [sample(1, 1), sample(2, 1), sample(3, 1) | {"input": "something else"}]
    write_log_verdicts([log(tmp_path, "one", one), log(tmp_path, "two", two)], tmp_path / "out")
    [row] = read_csv(tmp_path / "out" / "effects.csv").to_dict("records")
    assert (row["k"], row["n_others"]) == (2, 1)


@pytest.mark.parametrize(
    ("two", "why"),
    [
        ([sample("a", 1), sample("z", 1)], "1 samples are scored in both"),
        ([sample("y", 1), sample("z", 1)], "0 samples are scored in both"),
        ([sample("a", 0), sample("b", 0)], "all scores are the same"),
    ],
)
def test_an_effect_that_cannot_be_had_is_told(two: list[dict[str, Any]], why: str, tmp_path: Path) -> None:
    logs = [log(tmp_path, "one", [sample("a", 0), sample("b", 0)]), log(tmp_path, "two", two)]
    lines = write_log_verdicts(logs, tmp_path / "out")
    assert f"no effect of kindness, graded: two - one: {why}" in lines
    assert not (tmp_path / "out" / "effects.csv").exists()
    assert len(verdicts(tmp_path / "out")) == 4


def test_a_log_given_twice_or_without_scores_is_refused(tmp_path: Path) -> None:
    path = log(tmp_path, "one", [sample("a", 0)])
    with pytest.raises(InputError, match=r"one\.json: given twice"):
        write_log_verdicts([path, path], tmp_path / "out")
    with pytest.raises(InputError, match=r"two\.json: no scores in it"):
        write_log_verdicts([log(tmp_path, "two", [sample("a", None)])], tmp_path / "out")


def test_an_evaluation_that_did_not_end_well_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, [sample("a", 1)], eval={"task": "t", "model": "m"}, status="cancelled")
    assert write_log_verdicts([path], tmp_path / "out")[0] == (
        "log.json: ended as 'cancelled', so samples may be missing"
    )


def test_the_dictionary_has_the_columns_of_what_is_written(tmp_path: Path) -> None:
    logs = [log(tmp_path, name, [sample("a", 0), sample("b", value)]) for name, value in (("one", 0), ("two", 1))]
    write_log_verdicts(logs, tmp_path / "out")
    dictionary = read_csv(tmp_path / "out" / "dictionary.csv")
    for name in ("verdicts.csv", "effects.csv"):
        columns = pd.read_csv(tmp_path / "out" / name).columns.tolist()
        assert dictionary.loc[dictionary["file"] == name, "column"].tolist() == columns
