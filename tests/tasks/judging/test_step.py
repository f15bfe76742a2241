"""The judge of a study, made ready: its key, its sample, what its proof depends on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import LlmJudgeSettings, Study
from flows import secret_keys
from tasks.judging.evidence import compared_strata, gather_evidence, sample_of
from tasks.judging.judge import Judge, JudgeFailed, JudgeScores
from tasks.judging.llm.judge import endpoint_key
from tasks.judging.step import ProvenJudge, prepare_judge, score_outputs, study_judge
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
    made = prepare_judge(study(paper, **judge), data, FolderStore(folder), lambda name: None)
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

    monkeypatch.setattr(secret_keys, "address_of_server", lambda: "http://x")
    monkeypatch.setattr("prefect.blocks.system.Secret.load", lambda name: Kept() if name == "openai-api-key" else None)
    monkeypatch.setenv("OPENAI_API_KEY", "of the environment")
    assert endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret) == "of the environment"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret) == "of Prefect"


def test_without_a_key_only_an_address_of_ones_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(secret_keys, "address_of_server", lambda: None)
    with pytest.raises(InputError, match="judge m: needs a key in OPENAI_API_KEY, or in Prefect's Secret block openai"):
        endpoint_key(LlmJudgeSettings(**LLM), secret_keys.find_secret)
    assert endpoint_key(LlmJudgeSettings(**LLM, base_url="http://localhost:8000/v1"), secret_keys.find_secret) == "none"


def key_of(base_url: str | None, **keys: str) -> str:
    return endpoint_key(LlmJudgeSettings(**LLM, base_url=base_url), keys.get)


def test_a_host_gets_its_own_key_and_no_other() -> None:
    keys = {"OPENAI_API_KEY": "of OpenAI", "JUDGE_KEY_API_GROQ_COM": "of Groq\n", "JUDGE_KEY_LOCALHOST": "of mine"}
    assert key_of(None, **keys) == key_of("https://api.openai.com./v1", **keys) == "of OpenAI"
    assert key_of("https://API.groq.com/openai/v1", **keys) == "of Groq"
    assert key_of("http://localhost:8000/v1", **keys) == "of mine"
    others = ["https://api-groq.com/v1", "https://api.groq.com.example/v1", "https://api.openai.com.example/v1",
              "http://127.0.0.1:8000/v1", "http://gpu-box:8000/v1", "https://openai/v1"]  # fmt: skip
    assert {key_of(url, **keys) for url in others} == {"none"}


def test_a_key_does_not_travel_unencrypted_to_another_machine() -> None:
    with pytest.raises(InputError, match=r"JUDGE_KEY_GPU__BOX would travel unencrypted to gpu-box; use https://"):
        key_of("http://gpu-box:8000/v1", JUDGE_KEY_GPU__BOX="secret")
    with pytest.raises(ValueError, match=r"must be https:// for api\.openai\.com"):
        key_of("http://api.openai.com/v1")


def test_what_is_no_key_is_told_without_showing_it() -> None:
    with pytest.raises(
        InputError, match="judge m: the key in OPENAI_API_KEY holds a character that no key has"
    ) as told:
        key_of(None, OPENAI_API_KEY="mark\ned")
    assert "mark" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "fault"),
    [("http://someone:pa55@host/v1", "holds a user name or password"), ("https://pa55@host", "user name"),
     ("http:someone:pa55@host", "does not begin with"), ("someone:pa55@host/v1", "does not begin with"),
     ("https://host/v1?api_key=pa55", "holds a query"), ("https://host/#pa55", "fragment"),
     ("https://host\\@api.openai.com/pa55", "user name"), ("https://api.openai.com\\.host/pa55", "can't be read"),
     ("ftp://host/pa55", "does not begin"), ("https://:443/pa55", "has no host"), ("https:///pa55", "no host"),
     ("https://host:99999/pa55", "port can't be read"), ("https://host:pa55", "port"), ("https://h:0", "port 0"),
     ("https://host/ pa55", "blank"), ("https://ho\nst/pa55", "control"), ("https://[::1/pa55", "be read"),
     ("", "does not begin")],
)  # fmt: skip
def test_an_address_that_is_none_or_holds_a_secret_is_refused_without_showing_it(url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as direct:
        LlmJudgeSettings(**LLM, base_url=url)
    with pytest.raises(InputError, match=rf"^demo: judge\.base_url: .*{fault}") as loaded:
        load_study("demo", {"judge": {**LLM, "base_url": url}})
    assert "pa55" not in f"{direct.value}{loaded.value}"


# ---- scores that may be others tomorrow


class Passing(Judge):
    """Scores all but the last text, and that only when the endpoint is well."""

    def __init__(self) -> None:
        self.asked, self.well = 0, False

    @property
    def identity(self) -> str:
        return "passing"

    def score(self, prompts: Sequence[str], answers: Sequence[str]) -> JudgeScores:
        self.asked += 1
        values = np.full((len(answers), 1), 0.5)
        values[-1] = 0.5 if self.well else np.nan
        return JudgeScores(values, [""] * (len(answers) - 1) + ["" if self.well else "no answer"], self.well)


def test_scores_with_a_passing_failure_serve_one_run_and_are_asked_for_again(tmp_path: Path) -> None:
    store, judge = FolderStore(tmp_path), Passing()

    def write(folder: Path) -> dict[str, Any]:
        pd.DataFrame({"prompt_id": ["p", "q"], "text": ["a", "b"]}).to_parquet(folder / "outputs.parquet")
        return {}

    outputs = store.make("outputs", "o", write)
    proven = SimpleNamespace(judge=judge, dimensions=["toxicity"])
    prompts = pd.DataFrame({"prompt_id": ["p", "q"], "prompt": ["P", "Q"]})

    def scored() -> tuple[int, list[str]]:
        artifact = score_outputs(proven, outputs, prompts, store)  # type: ignore[arg-type]
        return artifact.record["unscored"], pd.read_parquet(artifact.path / "scores.parquet")["reason"].tolist()

    assert scored() == scored() == (1, ["", "no answer"])
    assert judge.asked == 2
    judge.well = True
    assert scored() == scored() == (0, ["", ""])
    assert judge.asked == 3


def test_a_proof_with_a_passing_failure_is_made_again(paper: Study, simulated: StudyData, tmp_path: Path) -> None:
    judge = {**LLM, "tries": 1, "proof": {"sample": 30, "draws": 20}}
    with Endpoint() as endpoint:
        endpoint.fault = lambda number, text: "prose" if number <= 3 else "ok"
        first = prepared(paper, simulated, tmp_path, base_url=endpoint.url, **judge)
        again = prepared(paper, simulated, tmp_path, base_url=endpoint.url, **judge)
        prepared(paper, simulated, tmp_path, base_url=endpoint.url, **judge)
    scored = [made.tables["judge_agreement"].query("stratum == 'all'")["n"].tolist() for made in (first, again)]
    assert scored == [[27, 27], [30, 30]]
    assert len(endpoint.requests) == 33


def test_a_judge_that_scores_nothing_is_not_used(paper: Study, simulated: StudyData, tmp_path: Path) -> None:
    judge = {**LLM, "tries": 1, "proof": {"sample": 5, "draws": 20}}
    told = pytest.raises(JudgeFailed, match=r"m scores none of the rated responses, .*\(not JSON: 5\)")
    with Endpoint(fault=lambda number, text: "prose") as endpoint, told:
        prepared(paper, simulated, tmp_path, base_url=endpoint.url, **judge)


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
     ({"proof": {"floor": {"agreement": 1.5}}}, "less than 1"), ({"parallel": 3}, "unknown key 'parallel'; a")],
)  # fmt: skip
def test_what_a_judge_can_not_be_is_refused(judge: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        LlmJudgeSettings(**LLM, **judge)
