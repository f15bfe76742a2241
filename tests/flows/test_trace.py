"""From a number to what it rests on, and from a participant to what rests on them; of made-up effects."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from configs.load import load_study
from configs.schema import Study
from flows.cli import main
from tasks.lineage.trace import by_stratum, used_ratings
from tasks.preferences.condition import experiment_data
from tasks.ratings.reading.load import Data
from tasks.ratings.step import TABLES
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import FolderStore
from tests.conftest import make_data
from tests.tasks.reporting.made_up import made_up

EFFECT = "scale:5-point:control:toxicity"


@pytest.fixture
def finished(tmp_path: Path, simulated: Data, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The demo's settings on 240 simulated participants, with made-up effects, in outputs/demo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))

    def build(folder: Path) -> dict:
        for name in TABLES:
            getattr(simulated, name).to_parquet(folder / f"{name}.parquet", index=False)
        return {"categories": 5, "dropped": {}}

    FolderStore(tmp_path / "home" / "store").make("ratings", "abc", build)
    study = load_study("demo", {"architectures": ["tiny-llama", "tiny-falcon"]})
    folder = tmp_path / "outputs" / "demo" / "tables"
    folder.mkdir(parents=True)
    for name, table in made_up(study).items():
        table.to_csv(folder / f"{name}.csv", index=False)
    facts = {"settings": study.model_dump(mode="json"), "created": "2025-01-01", "ratings_digest": "abc"}
    (folder.parent / "study.json").write_text(json.dumps(facts))
    return study


def used_ratings_of(study: Study, ratings: Data, experiment: str, names: list[str]) -> dict[str, pd.DataFrame]:
    """Condition → the ratings behind its training data."""
    settings = study.experiments[experiment]
    made = experiment_data(study, StudyData.of(study, ratings), settings)
    return {name: used_ratings(study, settings.conditions[name], made[name]) for name in names}


def traced(what: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["trace", "demo", what]) == 0
    return capsys.readouterr().out.splitlines()


def test_an_effect_leads_to_its_runs_adapters_judge_and_ratings(
    finished: Study, simulated: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = traced(EFFECT, capsys)
    cells = pd.read_csv("outputs/demo/tables/cells.csv").set_index(["architecture", "experiment", "condition"])
    run = cells.loc[("tiny-llama", "scale", "5-point"), "training_run"]
    assert lines[0] == EFFECT
    assert lines[1].startswith("pooled over 2 architectures: ")
    assert f"  tiny-llama, seed 0: run {run}, adapter " in "\n".join(lines)
    assert "  tiny-falcon, seed 0: untouched" in lines
    used = used_ratings_of(finished, simulated, "scale", ["5-point"])["5-point"]
    assert f"all {used['participant_id'].nunique()} {len(used)}" in " ".join(" ".join(lines).split())
    assert any(line.startswith("judge: embedded, fitted on the ratings of held-out prompts (") for line in lines)
    assert "ratings: digest abc, run of 2025-01-01" in lines


def test_one_architectures_effect_names_its_own_runs_only(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(traced(f"{EFFECT}:tiny-falcon", capsys))
    assert "tiny-falcon" in text
    assert "tiny-llama" not in text
    assert "pooled over" not in text


def test_a_participant_leads_to_the_runs_and_effects_that_rest_on_them(
    finished: Study, simulated: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    used = used_ratings_of(finished, simulated, "scale", ["5-point"])["5-point"]
    someone = used["participant_id"].iloc[0]
    lines = traced(someone, capsys)
    own = int((used["participant_id"] == someone).sum())
    assert ["scale", "5-point", str(own), str(len(used)), "2"] in [line.split() for line in lines]
    assert f"  {EFFECT}" in lines


def test_somebody_outside_a_stratum_touches_nothing_of_it(
    finished: Study, simulated: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    used = used_ratings_of(finished, simulated, "demographics", ["female", "male"])
    men_only = set(used["male"]["participant_id"]) - set(used["female"]["participant_id"])
    rows = [line.split()[:2] for line in traced(min(men_only), capsys)]
    assert ["demographics", "male"] in rows
    assert ["demographics", "female"] not in rows


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("nobody", "'nobody': neither an effect (EXPERIMENT:FIRST:SECOND:DIMENSION, with :ARCHITECTURE for one"),
        ("nope:5-point:control:toxicity", "nope:5-point:control:toxicity: experiments: unknown 'nope'; allowed: "),
        ("scale:control:binary:toxicity", "scale:control:binary:toxicity: contrasts: unknown 'control - binary'; "),
        ("scale:5-point:control:helpfulness", "scale:5-point:control:helpfulness: dimensions: unknown 'helpfulness'; "),
        (f"{EFFECT}:gpt", f"{EFFECT}:gpt: architectures: unknown 'gpt'; allowed: tiny-llama, tiny-falcon"),
    ],
)
def test_what_is_not_there_is_one_line(
    finished: Study, what: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "demo", what]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pluralign: {line}")
    assert error.count("\n") == 1


def test_a_study_that_has_not_run_or_lost_its_ratings_says_so(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "paper", EFFECT]) == 2
    assert "outputs/paper/study.json: no such file; run the study first" in capsys.readouterr().err
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "elsewhere"))
    assert main(["trace", "demo", EFFECT]) == 2
    assert "elsewhere: no ratings abc; PLURALIGN_HOME says where" in capsys.readouterr().err


def test_settings_of_another_version_are_one_line(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("outputs/demo/study.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"settings": facts["settings"] | {"gone": 1}}))
    assert main(["trace", "demo", EFFECT]) == 2
    assert capsys.readouterr().err == (
        "pluralign: outputs/demo/study.json: settings of another version of pluralign; run the study again\n"
    )


@pytest.mark.parametrize("content", ["", '{"ratings_digest": "ab', "[]", "{}"])
def test_damaged_facts_of_a_run_are_one_line(content: str, finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs/demo/study.json").write_text(content)
    assert main(["trace", "demo", EFFECT]) == 2
    error = "pluralign: outputs/demo/study.json: not what a run wrote; run the study again\n"
    assert capsys.readouterr().err == error


# ---- whose ratings a condition is made of


def settings(aggregation: str) -> Study:
    experiment = {
        "title": "e", "question": "e?", "contrasts": {"c - control": {}},
        "conditions": {"c": {"dimensions": ["toxicity"], "scale": "5-point", "aggregation": aggregation}},
    }  # fmt: skip
    return load_study("demo", {"experiments": {"e": experiment}, "placebo": 0, "raters": {}, "evaluation.share": 1e-9})


ROWS = [("p1", "q1", "a", 1), ("p2", "q1", "a", 1), ("p3", "q1", "a", 5), ("p1", "q1", "b", 4), ("p4", "q2", "c", 2)]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("all", {("p1", "a"), ("p2", "a"), ("p3", "a"), ("p1", "b")}),  # c has no other response to be paired with
        ("majority", {("p1", "a"), ("p2", "a"), ("p1", "b")}),  # p3 was outvoted
        ("first", {("p1", "a"), ("p1", "b")}),
        ("consensus", set()),  # a: disagreement; b and c: one rater each
    ],
)
def test_ratings_count_whose_label_trains(aggregation: str, expected: set[tuple[str, str]]) -> None:
    used = used_ratings_of(settings(aggregation), make_data(ROWS), "e", ["c"])["c"]
    assert set(zip(used["participant_id"], used["response_id"], strict=True)) == expected


def test_counts_by_stratum_leave_out_small_groups() -> None:
    genders = {f"p{n}": (("she/her/hers",) if n < 12 else ("he/him/his",)) for n in range(14)}
    rows = [(person, "q1", response, 1 + (response == "b")) for person in genders for response in "ab"]
    attributes = {name: {} for name in ("political-spectrum", "ethnicity", "age")} | {"gender": genders}
    data = make_data(rows, attributes=attributes)
    study = settings("all")
    counts = by_stratum(StudyData.of(study, data), used_ratings_of(study, data, "e", ["c"])["c"])
    assert counts.to_dict("list") == {"stratum": ["all", "female"], "participants": [14, 12], "ratings": [28, 24]}
