"""`pluralign export` and `pluralign inspect` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.cli import main
from tests.flows.test_design import SMALL

LOGS = Path(__file__).parents[1] / "tasks" / "exporting" / "logs"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a small study's settings, in an empty working directory with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


def test_a_study_is_exported_with_the_attributes_that_are_asked_for(study: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["export", study, "--only", "ratings", "--attributes", "age", "gender"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ratings: 3,750 ratings of ")
    assert lines[1].startswith("ratings: values emptied, so that 10 participants share whatever stands there: age of ")
    assert lines[-1] == "export: outputs/small-export"
    people = pd.read_parquet("outputs/small-export/ratings/participants.parquet")
    assert list(people) == ["participant", "age", "gender"]
    assert len(people) == 150


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--attributes", "income"], "--attributes: unknown 'income'; allowed: "),
        (["--only", "tables"], "outputs/small/study.json: no such file; run the study first"),
        (["--output", "home"], "home: there already, and no export; name another folder with --output"),
    ],
)
def test_what_is_wrong_is_one_line(study: str, arguments: list[str], line: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["export", study, *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith(f"pluralign: {line}")


def test_logs_become_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(LOGS / "one.eval")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "16 scores of 4 samples in 1 logs, 6 of them unscored",
        "  4: the sample ended with an error",
        "  1: unscored: 'grader_failed'",
        "  1: no value",
        "verdicts: outputs/inspect/verdicts.csv",
    ]
    assert len(pd.read_csv("outputs/inspect/verdicts.csv")) == 16
    assert main(["inspect", "nowhere.eval"]) == 2
    assert capsys.readouterr().err == "pluralign: nowhere.eval: No such file or directory\n"
