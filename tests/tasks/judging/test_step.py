"""The judge of a study, made ready: its key, its sample, what its proof depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from configs.schema import LlmJudgeSettings, Study
from flows import secret_keys
from tasks.judging.evidence import compared_strata, gather_evidence, sample_of
from tasks.judging.llm.judge import endpoint_key
from tasks.judging.step import ProvenJudge, prepare_judge, study_judge
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import FolderStore
from tests.endpoint import Endpoint

LLM = {"kind": "llm", "model": "m"}


@pytest.fixture
def simulated(paper: Study, simulated: Data) -> StudyData:
    """As the paper's study splits and groups them."""
    return StudyData.of(paper, simulated)


def study(paper: Study, **judge: Any) -> Study:
    return Study(**paper.model_dump() | {"judge": {"kind": "embedded", **judge}})


def prepared(paper: Study, data: StudyData, folder: Path, **judge: Any) -> ProvenJudge:
    made = prepare_judge.fn(study(paper, **judge), data, FolderStore(folder), lambda name: None)
    made.close()
    return made


def proof_calls(settings: Study, data: StudyData, folder: Path) -> int:
    judge, evidence = study_judge(settings, data, FolderStore(folder))
    return judge.missing(list(zip(evidence.sample["prompt"], evidence.sample["response"], strict=True)))


# ---- the key


def test_the_key_comes_from_the_environment_then_from_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept:
        def get(self) -> str:
            return "of Prefect"

    monkeypatch.setattr(secret_keys, "PREFECT_API_URL", type("Url", (), {"value": staticmethod(lambda: "http://x")}))
    monkeypatch.setattr(secret_keys.Secret, "load", lambda name: Kept() if name == "openai-api-key" else None)
    monkeypatch.setenv("OPENAI_API_KEY", "of the environment")
    assert endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret) == "of the environment"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret) == "of Prefect"


def test_without_a_key_only_an_address_of_ones_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(secret_keys, "PREFECT_API_URL", type("Url", (), {"value": staticmethod(lambda: None)}))
    with pytest.raises(InputError, match="judge m: needs a key in OPENAI_API_KEY, or in Prefect's Secret block openai"):
        endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret)
    assert endpoint_key(LlmJudgeSettings(**LLM, base_url="http://localhost:8000/v1"), secret_keys.find_secret) == "none"


# ---- the proof


def test_a_sample_is_as_large_as_asked_and_keeps_its_responses_when_others_come(
    paper: Study, simulated: StudyData
) -> None:
    small, larger = (study(paper, proof={"sample": size}) for size in (20, 40))
    rated = gather_evidence(small, simulated).rated
    few, more = (set(sample_of(settings, rated)["response_id"]) for settings in (small, larger))
    assert (len(few), len(more)) == (20, 40)
    assert few < more
    without = rated[~rated["response_id"].isin(list(more - few)[:5])]
    assert set(sample_of(small, without)["response_id"]) == few
    assert len(sample_of(study(paper), rated)) == len(rated)


def test_a_chat_model_is_asked_for_its_sample_once(paper: Study, simulated: StudyData, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        judge = {**LLM, "base_url": endpoint.url, "proof": {"sample": 30, "draws": 20}}
        settings = study(paper, **judge)
        assert proof_calls(settings, simulated, tmp_path) == 30
        first = prepared(paper, simulated, tmp_path, **judge)
        assert len(endpoint.requests) == 30
        assert first.tables["judge_agreement"].query("stratum == 'all'")["n"].tolist() == [30, 30]
        assert proof_calls(settings, simulated, tmp_path) == 0
        again = prepared(paper, simulated, tmp_path, **{**judge, "proof": {"sample": 40, "draws": 20}})
        assert len(endpoint.requests) == 40
    assert (
        again.judge.identity
        == first.judge.identity
        == study_judge(settings, simulated, FolderStore(tmp_path))[0].identity
    )


def test_settings_of_the_proof_and_of_the_calls_are_no_part_of_a_score_and_the_rubric_is(
    paper: Study, simulated: StudyData, tmp_path: Path
) -> None:
    def identity(**changes: Any) -> str:
        return study_judge(study(paper, **{**LLM, **changes}), simulated, FolderStore(tmp_path))[0].identity

    assert identity(proof={"draws": 7}) == identity(at_once=2) == identity(base_url="http://x") == identity()
    assert len({identity(), identity(model="n"), identity(language="de"), identity(temperature=1.0)}) == 4


def test_a_judge_below_the_floor_says_why_it_stops_and_one_that_is_marked_does_not_stop(
    paper: Study, simulated: StudyData, tmp_path: Path
) -> None:
    floor = {"floor": {"agreement": 0.99}}
    assert prepared(paper, simulated, tmp_path).stops == ""
    assert "the embedded judge is below the floor" in prepared(paper, simulated, tmp_path, proof=floor).stops
    assert prepared(paper, simulated, tmp_path, proof={**floor, "below": "mark"}).stops == ""


def test_only_strata_that_the_study_compares_and_shows_are_compared(paper: Study, simulated: StudyData) -> None:
    settings = study(paper)
    evidence = gather_evidence(settings, simulated)
    assert evidence.pairs == [("female", "male"), ("liberal", "conservative"), ("white", "black")]
    shown = {name: table for name, table in evidence.ratings.items() if name != "black"}
    assert compared_strata(settings, shown) == [("female", "male"), ("liberal", "conservative")]


def test_a_german_rubric_without_a_german_definition_is_refused(paper: Study) -> None:
    settings = paper.model_dump() | {"judge": {**LLM, "language": "de"}}
    settings["dimensions"]["toxicity"]["german"] = ""
    with pytest.raises(ValueError, match=r"dimensions\.toxicity\.german: missing, and judge\.language is de"):
        Study(**settings)


@pytest.mark.parametrize(
    ("judge", "fault"),
    [({"max_cost": 1.0}, "max_cost: needs price"), ({"proof": {"floor": {"kappa": 0.5}}}, "weighted_kappa"),
     ({"proof": {"floor": {"agreement": 1.5}}}, "less than 1"), ({"parallel": 3}, "unknown key 'parallel'; allowed: ")],
)  # fmt: skip
def test_what_a_judge_can_not_be_is_refused(judge: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        LlmJudgeSettings(**LLM, **judge)
