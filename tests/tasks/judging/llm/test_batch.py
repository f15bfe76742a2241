"""Verdicts by the Batch API: the real client against a small server, over restarts and with batches that go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.schema import LlmJudgeSettings
from tasks.judging.llm import batch as batch_module
from tasks.judging.llm.client import JudgeFailed
from tasks.judging.llm.judge import LlmJudge
from tasks.judging.llm.rubric import FILTERED, NOT_JSON, make_rubric
from tasks.judging.llm.verdicts import Verdicts, verdict_key
from tests.endpoint import Endpoint
from tests.tasks.judging.llm.test_judge import DIMENSIONS, PRICE, judged, reasoning_model, texts

Make = Callable[..., LlmJudge]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Judges in batch mode that share a store, and look often."""
    monkeypatch.setattr(batch_module, "SECONDS_BETWEEN_LOOKS", 0.02)
    made: list[LlmJudge] = []

    def judge(endpoint: Endpoint, **changes: object) -> LlmJudge:
        settings = LlmJudgeSettings(**{"kind": "llm", "model": "m", "base_url": endpoint.url, "batch": True, **changes})
        made.append(
            LlmJudge(settings, make_rubric(settings, DIMENSIONS, 5), Verdicts(tmp_path / "v.db"), lambda: "a key")
        )
        return made[-1]

    yield judge
    for one in made:
        one.close()


def sizes(endpoint: Endpoint) -> list[int]:
    """Lines of each batch."""
    return [len(endpoint.files[batch["input_file_id"]].splitlines()) for batch in endpoint.batches.values()]


def test_a_batch_gives_each_text_its_verdict_without_a_single_call(make: Make) -> None:
    with Endpoint(batch_status=lambda look: "in_progress" if look < 3 else "completed") as endpoint:
        verdicts = judged(make(endpoint), texts(30))
        expected = [tuple(endpoint.grade(text, name) for name in DIMENSIONS) for text in texts(30)]
        again = judged(make(endpoint), texts(30))
    assert [verdict.grades for verdict in verdicts] == expected
    assert again == verdicts
    assert (len(endpoint.batches), endpoint.requests) == (1, [])
    assert json.loads(endpoint.files["file-0"].splitlines()[0])["url"] == "/v1/chat/completions"


def test_a_batch_costs_what_its_lines_say(make: Make) -> None:
    with Endpoint() as endpoint:
        judge = make(endpoint, price=PRICE)
        judged(judge, texts(10))
    assert judge.account == {"calls": 10, "dollars": pytest.approx(4.2)}


def test_a_batch_that_might_pass_the_ceiling_is_not_submitted(make: Make) -> None:
    with Endpoint() as endpoint:
        with pytest.raises(JudgeFailed, match=r"might pass the cost ceiling of \$5 "):
            judged(make(endpoint, price=PRICE, max_cost=5.0), texts(10))
        assert endpoint.batches == {}


def test_lines_that_come_twice_or_from_elsewhere_or_broken_do_no_harm(make: Make) -> None:
    def lines(number: int, request: dict) -> list[str] | None:
        good = endpoint.line(request)
        other = json.loads(good) | {"custom_id": "ab" * 32}
        changed = good.replace('"finish_reason": "stop"', '"finish_reason": "length"')
        return [good, good, changed, json.dumps(other), "{", "[]", "{}"] if number % 3 == 0 else None

    with Endpoint(batch_line=lines) as endpoint:
        verdicts = judged(make(endpoint), texts(30))
    assert all(verdict.grades for verdict in verdicts)
    assert len(endpoint.batches) == 1


def test_what_an_expired_batch_did_not_come_to_is_submitted_again_and_only_that(make: Make) -> None:
    def lines(number: int, request: dict) -> list[str] | None:
        expired = {"custom_id": request["custom_id"], "response": None, "error": {"code": "batch_expired"}}
        return [json.dumps(expired)] if len(endpoint.batches) == 1 and number >= 12 else None

    status = {"batch-0": "expired", "batch-1": "completed"}
    with Endpoint(batch_line=lines) as endpoint:
        endpoint.batch_status = lambda look: status[f"batch-{len(endpoint.batches) - 1}"]
        verdicts = judged(make(endpoint), texts(30))
    assert all(verdict.grades for verdict in verdicts)
    assert sizes(endpoint) == [30, 18]


def test_batches_that_keep_expiring_fail_and_leave_nothing_unscored(make: Make) -> None:
    def lines(number: int, request: dict) -> list[str] | None:
        return [] if number >= 5 else None

    with Endpoint(batch_line=lines, batch_status=lambda look: "expired") as endpoint:
        judge = make(endpoint)
        with pytest.raises(JudgeFailed, match="20 of 30 verdicts are missing after 2 batches"):
            judged(judge, texts(30))
        assert judge.missing([("a prompt", text) for text in texts(30)]) == 20


def test_a_line_that_is_no_verdict_is_asked_for_once_more_and_then_unscored(make: Make) -> None:
    def lines(number: int, request: dict) -> list[str] | None:
        text = endpoint.text(request["body"])
        if text == "answer 2" and len(endpoint.batches) == 1:
            return [endpoint.line(request, "prose")]
        filtered = {"status_code": 400, "body": {"error": {"code": "content_filter"}}}
        special = {"answer 1": endpoint.line(request, "prose"),
                   "answer 3": json.dumps({"custom_id": request["custom_id"], "response": filtered})}  # fmt: skip
        return [special[text]] if text in special else None

    with Endpoint(batch_line=lines) as endpoint:
        verdicts = judged(make(endpoint), texts(5))
    assert [verdict.reason for verdict in verdicts] == ["", NOT_JSON, "", FILTERED, ""]
    assert sizes(endpoint) == [5, 2]  # then answers 1 and 2


def test_batches_that_the_endpoint_refuses_fail_with_its_words_and_may_be_tried_again(make: Make) -> None:
    with Endpoint(batch_status=lambda look: "failed") as endpoint:
        with pytest.raises(JudgeFailed, match="judge m: batch batch-0: failed; batch batch-1: failed; 3 of 3 verdicts"):
            judged(make(endpoint), texts(3))
        endpoint.batch_status = lambda look: "completed"
        assert all(verdict.grades for verdict in judged(make(endpoint), texts(3)))
    assert len(endpoint.batches) == 3


def test_a_batch_that_the_endpoint_no_longer_knows_is_asked_for_anew(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Endpoint() as endpoint:
        judge = make(endpoint)
        keys = [verdict_key(judge._settings, judge._rubric.version, "a prompt", text) for text in texts(8)]
        store = Verdicts(tmp_path / "v.db")
        store.plan_batch("of another project", keys)
        store.submit_batch("of another project", "batch-of-old")
        assert all(verdict.grades for verdict in judged(judge, texts(8)))
        assert store.open_batches() == []
        judged(make(endpoint), texts(8))
    assert "no longer knows batch batch-of-old; its 8 answers are asked for anew" in caplog.text
    assert sizes(endpoint) == [8]


def test_a_batch_whose_output_is_gone_is_asked_for_anew(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    class Gone(Endpoint):
        def other(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
            self.files.pop("output-batch-0", None) if path.startswith("/v1/files/") else None
            return super().other(method, path, body)

    with Gone() as endpoint:
        assert all(verdict.grades for verdict in judged(make(endpoint), texts(8)))
    assert "a file of batch batch-0 is gone" in caplog.text
    assert sizes(endpoint) == [8, 8]


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_what_a_batch_answered_before_it_ended_is_not_paid_for_again(make: Make, status: str) -> None:
    class Ended(Endpoint):
        def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
            ended = super()._look(batch)
            if batch["id"] == "batch-0":
                lines = self.files["output-batch-0"].splitlines()
                self.files["half"], self.files["errors"] = b"\n".join(lines[:5]), b"not JSON\n" + lines[5]
                ended = ended | {"status": status, "output_file_id": "half", "error_file_id": "errors"}
            return ended

    with Ended() as endpoint:
        assert all(verdict.grades for verdict in judged(make(endpoint), texts(8)))
    assert sizes(endpoint) == [8, 2]


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": None, "completion_tokens": None}])
def test_verdicts_of_a_batch_are_kept_whatever_is_said_of_their_tokens(make: Make, usage: object) -> None:
    def lines(number: int, request: dict[str, Any]) -> list[str]:
        line = json.loads(endpoint.line(request))
        line["response"]["body"]["usage"] = usage
        return [json.dumps(line)]

    with Endpoint(batch_line=lines) as endpoint:
        judge = make(endpoint, price=PRICE)
        assert all(verdict.grades for verdict in judged(judge, texts(4)))
        assert judge.account["unmetered"] == 4
        assert judge.account["dollars"] > 4 * 2.0  # 200 tokens written for $2, and the bytes read
        assert make(endpoint).missing([("a prompt", text) for text in texts(4)]) == 0
    assert len(endpoint.batches) == 1


@pytest.mark.parametrize("body", [None, "x", [], {"choices": None}, {"choices": [None]}, {"error": {"code": 502}}])
def test_lines_without_a_completion_fail_and_are_asked_for_by_the_next_run(make: Make, body: object) -> None:
    def lines(number: int, request: dict[str, Any]) -> list[str]:
        response = {"status_code": 200, "body": body}
        return [json.dumps({"custom_id": request["custom_id"], "response": response, "error": None})]

    with Endpoint(batch_line=lines) as endpoint:
        with pytest.raises(JudgeFailed, match="4 of 4 verdicts are missing after 2 batches"):
            judged(make(endpoint), texts(4))
        endpoint.batch_line = lambda number, request: None
        assert all(verdict.grades for verdict in judged(make(endpoint), texts(4)))


def test_the_form_that_a_model_wants_is_learned_from_the_lines_of_batches(make: Make) -> None:
    def lines(number: int, request: dict[str, Any]) -> list[str] | None:
        refused = reasoning_model(request["body"])
        response = refused and {"status_code": refused[0], "body": refused[1]}
        return response and [json.dumps({"custom_id": request["custom_id"], "response": response, "error": None})]

    with Endpoint(batch_line=lines) as endpoint:
        assert all(verdict.grades for verdict in judged(make(endpoint, tries=1), texts(4)))
    assert sizes(endpoint) == [4, 4, 4]


def test_a_refusal_of_the_batch_itself_does_not_show_the_key(make: Make) -> None:
    class Refuses(Endpoint):
        def other(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
            return 401, b'{"error": {"message": "Incorrect API key provided: sk-MARKED-1234"}}'

    with Refuses() as endpoint:
        judge = make(endpoint)
        judge._key = lambda: "sk-MARKED-1234"
        with pytest.raises(JudgeFailed, match=r"judge m: HTTP 401: Incorrect API key provided: \[key\]$"):
            judged(judge, texts(2))


def test_cells_that_share_texts_share_their_batch(make: Make) -> None:
    with Endpoint(batch_status=lambda look: "in_progress" if look < 10 else "completed") as endpoint:
        judge = make(endpoint)
        threads = [threading.Thread(target=judged, args=[judge, texts(10 + 5 * cell)]) for cell in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(sizes(endpoint)) == 20  # of 10 + 15 + 20 texts


RUN = """
import sys
from pathlib import Path
from configs.schema import LlmJudgeSettings
from tasks.judging.llm import batch
from tasks.judging.llm.judge import LlmJudge
from tasks.judging.llm.rubric import make_rubric
from tasks.judging.llm.verdicts import Verdicts
from tests.tasks.judging.llm.test_judge import DIMENSIONS, judged, texts

batch.SECONDS_BETWEEN_LOOKS = 0.02
if sys.argv[3] == "unnoted":  # the endpoint has the batch, the run dies before it can note its id
    Verdicts.submit_batch = lambda *_: sys.exit(1)
settings = LlmJudgeSettings(kind="llm", model="m", base_url=sys.argv[1], batch=True)
rubric = make_rubric(settings, DIMENSIONS, 5)
judged(LlmJudge(settings, rubric, Verdicts(Path(sys.argv[2])), lambda: "a key"), texts(30))
"""


@pytest.mark.parametrize("died", ["noted", "unnoted"])
def test_a_run_that_is_killed_while_its_batch_runs_is_followed_by_one_that_collects_it(
    make: Make, tmp_path: Path, died: str
) -> None:
    with Endpoint(batch_status=lambda look: "in_progress") as endpoint:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, endpoint.url, str(tmp_path / "v.db"), died], stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        while process.poll() is None and (not endpoint.batches if died == "unnoted" else endpoint.looks["batch-0"] < 3):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        endpoint.batch_status = lambda look: "completed"
        verdicts = judged(make(endpoint), [*texts(30), "another"])
    assert all(verdict.grades for verdict in verdicts)
    assert sizes(endpoint) == [30, 1]
