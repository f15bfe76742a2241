"""`pluralign design` as a user types it: from ratings alone, from a run's outputs, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.cli import main

SMALL = {
    "extends": "demo",
    "name": "small",
    "ratings": {
        "simulate": {"participants": 150, "prompts": 60},
        "codebooks": ["survey-app-en", "survey-app-de"],
    },
    "architectures": ["tiny-llama", "tiny-gptneox"],
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a small study's settings, in an empty working directory with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


def test_from_ratings_alone_every_other_number_is_named_as_assumed(study, capsys):
    numbers = ["--raters", "50,100", "--ratings-each", "5,10", "--architectures", "3,7", "--effect", "0.02,0.05"]
    assert main(["design", study, *numbers, "--price-per-rating", "1.5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("small: female − male on toxicity; raters: raters of each of two groups\n")
    assert "assumed: 1 times the ratings' own (simulated ratings)" in text
    assert text.count("assumed") >= 4
    assert "measured" not in text.partition("What these numbers rest on:")[2].partition("An error")[0]
    table = pd.read_csv("outputs/small-design/design.csv")
    assert len(table) == 2 * 2 * 2 * 2
    assert table["cost"].tolist() == pytest.approx((2 * table["raters"] * table["ratings_each"] * 1.5).tolist())
    assert table["gpu_hours"].max() == 0
    same = table[(table["architectures"] == 7) & (table["effect"] == 0.05) & (table["ratings_each"] == 5)]
    assert same.sort_values("raters")["std_error"].is_monotonic_decreasing
    assert Path("outputs/small-design/figures/design.svg").exists()
    assert text.endswith("outputs/small-design/design.csv, outputs/small-design/figures/design.svg\n")


def test_a_study_whose_ratings_are_not_there_yet_is_designed_on_simulated_raters(study, capsys):
    assert main(["design", "paper", "--raters", "200", "--architectures", "7", "--price-per-gpu-hour", "2"]) == 0
    text = capsys.readouterr().out
    assert "simulated ratings, assumed: there are no others" in text
    assert "GPU-hours assume an H100" in text
    table = pd.read_csv("outputs/paper-design/design.csv")
    assert table["effect"].tolist() == [0.035]
    assert table["training_runs"].tolist() == [2 * 7 * 9]
    assert table["cost"].tolist() == pytest.approx((2 * table["gpu_hours"]).tolist())
    assert table["gpu_hours"].iloc[0] > 1


def test_other_ratings_cannot_be_simulated(study, capsys):
    assert main(["design", "spica", "--set", "ratings.folder=nowhere"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("pluralign: nowhere/ratings.csv: no such file; ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--contrast", "old - young"], "--contrast old - young: unknown; allowed: female - male, "),
        (["--from", "nowhere"], "nowhere/study.json: no such file; run the study first"),
        (["--assume", "tau=1"], "--assume: unknown key 'tau'; allowed: raters, transfer, prompts, prompts_shared, "),
        (["--assume", "raters=-1"], "--assume: raters: Input should be greater than 0, got -1"),
        (["--architectures", "1"], "--architectures: 1; at least 2"),
        (["--raters", ",".join(map(str, range(2, 1100)))], "1,098 designs; at most 1,000: give fewer numbers"),
    ],
)
def test_what_is_wrong_is_one_line(study, arguments, line, capsys):
    assert main(["design", study, *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith(f"pluralign: {line}")
    assert sum(one.startswith("pluralign:") for one in error) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--raters", "100,0"], "expected a whole number above 0, got '0'"),
        (["--effect", "big"], "expected a number above 0, got 'big'"),
        (["--effect", "2"], "expected sizes on the 0-1 score, got '2'"),
        (["--power", "1"], "expected a share between 0 and 1, got '1'"),
        (["--price-per-rating", "inf"], "expected a number above 0, got 'inf'"),
    ],
)
def test_numbers_are_checked_before_anything_is_read(arguments, line, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["design", "demo", *arguments])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(line)


def test_a_folder_that_no_run_wrote_is_told(study, capsys):
    Path("run").mkdir()
    Path("run/study.json").write_text(json.dumps({"settings": {}}))
    assert main(["design", study, "--from", "run"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "pluralign: run/study.json: not what a run wrote; run the study again"
    )
