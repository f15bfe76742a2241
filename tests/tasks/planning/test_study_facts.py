"""What a run counts, which the report's first sentences say."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.load import load_study
from tasks.planning.bench import Bench
from tasks.planning.study_facts import study_facts
from tasks.ratings.reading.load import RATED_NOTHING, load_ratings, narrowed
from tasks.ratings.reading.validate import WITHOUT_ROW
from tasks.ratings.study_data import StudyData
from tasks.reporting.report import write_report
from tasks.runtime.store import Artifact
from tests.tasks.ratings.by_hand import EN, person, rating, response, write_export


def test_only_who_rated_and_what_was_rated_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    export = tmp_path / "export"
    export.mkdir()
    # ann rated two responses, eve (of no row) one; bob and r9, the one response to q9, have no part in any rating.
    ratings = [rating("ann", "r1", "agree", "agree"), rating("ann", "r2", "agree"), rating("eve", "r1", "neutral")]
    texts = [response("r1"), response("r2", "another"), response("r9") | {"question_id": "q9", "prompt": "other"}]
    write_export(export, EN, [*ratings, rating("bob", "r9", "", "")], [person("ann"), person("bob")], texts)
    override = {"ratings": {"folder": str(export), "codebooks": ["survey-app-en"]}}
    dimensions = ["toxicity", "emotional-awareness"]
    study = load_study("paper", override)
    study = study.model_copy(
        update={
            "dimensions": {name: study.dimensions[name] for name in dimensions},
            "experiments": {},
            "architectures": (),
        }
    )
    data = StudyData.of(study, load_ratings(dimensions, [narrowed(EN, dimensions)], export))
    bench = Bench(study)
    facts = study_facts(bench, data, Artifact("ratings", "key", {}, bench.store), None, {})
    assert {name: facts.counts[name] for name in ("participants", "ratings", "responses", "prompts")} == {
        "participants": 2, "ratings": 4, "responses": 2, "prompts": 1,
    }  # fmt: skip
    assert facts.noted == {
        WITHOUT_ROW: 1, RATED_NOTHING: 1, "responses that nobody rated": 1, "participants who declare nothing": 1,
    }  # fmt: skip
    text = write_report(study, {}, facts, tmp_path / "report").with_suffix(".md").read_text()
    assert "2 participants gave 4 ratings of 2 responses to 1 prompt" in text
    assert "responses that nobody rated: 1" in text
