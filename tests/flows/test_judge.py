"""A whole study with a chat model as its judge, over real HTTP: proof, floor, ceiling, and nothing asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from flows.cli import FAILED
from flows.outcome import Outcome
from tasks.judging.llm.client import most_tokens
from tests.endpoint import OK, Endpoint
from tests.flows.conftest import Place, log_of, new_place, read, run
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
ONE_BASE = {"architectures": ["tiny-gemma3"]}


def by_words(text: str, dimension: str) -> int:
    """A judge that goes by the number of words, and agrees with nobody."""
    return 1 + (len(text.split()) + len(dimension)) % 5


@pytest.fixture(scope="module")
def judged(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Endpoint]:
    """A study below its floor that goes on, with a judge that refuses some answers."""
    place = new_place(tmp_path_factory.mktemp("judged")).has(databases)
    refuses = lambda number, text: "refusal" if len(text) % 3 == 0 else OK  # noqa: E731
    with Endpoint(fault=refuses, grade=by_words) as endpoint:
        state = run(place, judge=settings(endpoint, proof={"floor": {"agreement": 0.9}, "below": "mark"}), **ONE_BASE)
        assert state.is_completed(), state.message
    return place, endpoint


def settings(endpoint: Endpoint, **changes: object) -> dict[str, object]:
    return {"kind": "llm", "model": "m", "base_url": endpoint.url, "price": {"input": 0.15, "output": 0.6}, **changes}


def test_the_study_is_judged_by_the_model_and_says_that_it_is_below_its_floor(judged: tuple[Place, Endpoint]) -> None:
    place, endpoint = judged
    scores = read(place, "scores")
    assert set(scores["score"].dropna()) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    html = (place.tables.parent / "report.html").read_text()
    assert "The judge is below the floor that the study sets for it (toxicity: agreement" in html
    facts = json.loads((place.tables.parent / "study.json").read_text())
    assert facts["judge"]["calls"] == len(endpoint.requests)
    assert facts["judge"]["dollars"] == pytest.approx(len(endpoint.requests) * (300 * 0.15 + 12 * 0.6) / 1e6, abs=1e-5)


def test_unscored_answers_are_counted_with_their_reason(judged: tuple[Place, Endpoint]) -> None:
    place, _ = judged
    scores, unscored = read(place, "scores"), read(place, "unscored")
    missing = scores[scores["score"].isna()].drop_duplicates(["condition", "prompt_id"])
    assert set(unscored["reason"]) <= {"refused", "empty answer"}
    assert unscored["n"].sum() == len(missing) > 0


def test_a_second_run_asks_nothing_even_where_the_scores_are_gone(judged: tuple[Place, Endpoint]) -> None:
    """The verdicts are kept apart from what a study makes of them."""
    place, endpoint = judged
    before = read(place, "pooled")
    for scores in (place.folder / "home" / "store" / "scores").glob("*/record.json"):
        scores.unlink()
    for scores in (place.folder / "home" / "store" / "scores").glob("*"):
        if scores.is_dir():
            scores.rename(scores.with_name(f"{scores.name}.gone"))
    proof = {"floor": {"agreement": 0.9}, "below": "mark"}
    state = run(place, judge=settings(endpoint, proof=proof, base_url="http://127.0.0.1:9/v1"), **ONE_BASE)
    assert state.is_completed(), state.message
    pd.testing.assert_frame_equal(read(place, "pooled"), before)
    assert json.loads((place.tables.parent / "study.json").read_text())["judge"]["calls"] == 0


def test_below_its_floor_the_study_stops_before_anything_is_trained_and_shows_the_proof(
    judged: tuple[Place, Endpoint],
) -> None:
    place, endpoint = judged
    proof = {"floor": {"agreement": 0.9}}
    state = run(place, judge=settings(endpoint, proof=proof), **ONE_BASE)
    assert (state.type.value, state.name) == ("FAILED", "Judge below its floor")
    assert "m is below the floor that the study sets for its judge (toxicity: agreement" in state.message
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome)
    assert (outcome.cells, bool(outcome.stopped)) == (0, True)
    html = (place.folder / outcome.report).read_text()
    assert "so nothing was trained or judged" in html
    assert 'id="judge"' in html
    stopped = str(state.state_details.flow_run_id)
    until(lambda: (30, outcome.stopped) in log_of(stopped), "a warning in the run's log in Prefect")


def test_the_ceiling_fails_the_cells_that_meet_it_and_the_next_run_asks_only_for_the_rest(
    judged: tuple[Place, Endpoint], tmp_path: Path
) -> None:
    place = Place(judged[0].folder)  # the same training runs, another judge
    requests = {json.dumps(request["messages"][1]): request for request in judged[1].requests}.values()
    cost, worst = (300 * 0.15 + 12 * 0.6) / 1e6, sum(most_tokens(request)[0] for request in requests) / len(requests)
    most = (len(requests) - 1.5) * cost + (worst * 0.15 + 200 * 0.6) / 1e6  # one call less than it takes
    with Endpoint(grade=by_words) as endpoint:
        poor = settings(endpoint, model="n", max_cost=most, at_once=2)  # what is in flight counts at its worst
        state = run(place, judge=poor, **ONE_BASE)
        assert state.name == "Finished in part"
        asked = len(endpoint.requests)
        assert asked * (300 * 0.15 + 12 * 0.6) / 1e6 <= most
        errors = read(place, "cells").query("status == 'failed'")["error"]
        assert errors.str.contains(r"judge n: the next call might pass the cost ceiling of").all()
        assert run(place, judge=settings(endpoint, model="n"), **ONE_BASE).is_completed()
        texts = [json.dumps(request["messages"][1]) for request in endpoint.requests]
    assert len(texts) > asked
    assert len(set(texts)) == len(texts)


def test_the_command_says_why_it_stopped(judged: tuple[Place, Endpoint]) -> None:
    place, endpoint = judged
    chosen = json.dumps(settings(endpoint, proof={"floor": {"agreement": 0.9}}))
    process = place.start("run", place.study, "--set", f"judge={chosen}", "--set", "architectures=[tiny-gemma3]")
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == FAILED, said
    assert "pluralign: m is below the floor that the study sets for its judge" in said
