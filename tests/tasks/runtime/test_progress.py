"""How far things have come: who works tells it, a board knows it, and none of it breaks a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tasks.runtime.in_process import InProcess
from tasks.runtime.job import Desk, Job, Result
from tasks.runtime.local.child import _answer, _send_warnings
from tasks.runtime.progress import (
    Board,
    Report,
    Work,
    as_part,
    careful,
    heard_by,
    left_in_words,
    listener,
    minutes,
    seldom,
    tell,
    told_of,
)
from tasks.runtime.store import MemoryStore
from tests.watch import Watch


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report("load the base"), "load the base"),
        (Report("train (loss .5)", 3.75, 20, "steps"), "train (loss .5), 3 of 20 steps"),
        (Report("", 3, 1400), "3 of 1,400"),
        (Report(""), ""),
    ],
)
def test_a_report_in_words_counts_what_is_whole(report: Report, words: str) -> None:
    assert str(report) == words


def test_a_report_is_the_same_after_a_journey_as_json() -> None:
    report = Report("train", 2.5, 20, "steps")
    assert Report(*json.loads(json.dumps(report))) == report


def test_what_a_thread_tells_is_heard_by_who_listens_to_it_and_by_nobody_else() -> None:
    heard: list[Report] = []
    tell(Report("before"))
    with heard_by(heard.append):
        tell(Report("within"))
        threading.Thread(target=tell, args=(Report("another thread's"),)).start()
        hear = listener()
    tell(Report("after"))
    thread = threading.Thread(target=hear, args=(Report("for it"),))
    thread.start()
    thread.join()
    assert [report.what for report in heard] == ["within", "for it"]


def test_a_listener_that_fails_breaks_nothing() -> None:
    def broken(report: Report) -> None:
        raise OSError("no space")

    with heard_by(broken):
        tell(Report("on it goes"))
    careful(broken)(Report("on it goes"))
    with Board().working("study", also=broken):
        tell(Report("on it goes"))


def test_a_worker_tells_seldom_but_always_when_a_phase_begins_or_ends(watch: Watch) -> None:
    heard: list[Report] = []
    progress = seldom(heard.append, seconds=1.0, clock=watch)
    for tenths in range(31):
        watch.now = tenths / 10
        progress(Report("train", tenths, 30, "steps"))
        if not tenths:
            progress(Report("train (loss 1)", 0, 30, "steps"))  # the same phase
    progress(Report("answer", 0, 5, "answers"))
    assert [report.done for report in heard] == [0, 10, 20, 30, 0]


def test_several_runs_one_after_another_count_as_one() -> None:
    heard: list[Report] = []
    for index in range(2):
        progress = as_part(heard.append, "steps", index, 2)
        progress(Report("references", 1, 8, "responses"))
        progress(Report("train", 3, 6, "steps"))
    assert [report[1:3] for report in heard] == [(1, 8), (3, 12), (1, 8), (9, 12)]


def test_items_are_told_of_as_they_are_done() -> None:
    heard: list[Report] = []
    assert list(told_of("ab", 2, 4, "read", "letters", heard.append)) == ["a", "b"]
    assert [report.done for report in heard] == [2, 3, 4]


def test_the_board_says_what_is_under_way_with_its_own_speed(watch: Watch) -> None:
    board = Board(watch)
    assert board.lines() == []
    with board.working("survey"):
        watch.now = 65.0
        assert board.lines() == ["survey (1:05 min so far)"]
        tell(Report("train", 0, 20, "steps"))
        watch.now = 75.0
        tell(Report("train", 5, 20, "steps"))
        # 10 s for a quarter: 30 s for the rest, of which 6 s have passed since that was told
        watch.now = 81.0
        assert board.lines() == ["survey: train, 5 of 20 steps (0:16 min so far, about 0:24 left)"]
        tell(Report("train", 0, 20, "steps"))  # out of memory: it begins again
        assert board.lines() == ["survey: train, 0 of 20 steps"]
    assert board.lines() == []


def test_what_waits_is_not_shown_and_only_so_many_are(watch: Watch) -> None:
    board = Board(watch)

    def cell(name: str) -> Iterator[None]:
        with board.working(name, shown=False):
            yield
            tell(Report("begin"))
            yield
            tell(Report(""))
            yield

    first, second, third = (cell(name) for name in "abc")
    for one in (first, second, third):
        next(one)
    assert board.lines() == []
    next(third)
    assert board.lines() == ["c: begin (0:00 min so far)"]
    next(third)
    assert board.lines() == []


def test_a_board_shows_the_first_and_counts_the_others(watch: Watch) -> None:
    board = Board(watch)
    with board.working("a"), board.working("b"), board.working("c"):
        assert board.lines(most=1) == ["a (0:00 min so far)", "and 2 more"]


def test_where_another_knows_what_is_left_the_share_is_of_time(watch: Watch) -> None:
    board, left = Board(watch), iter([None, None, 90.0, 90.0])
    with board.working("cells", left=lambda: next(left)):
        tell(Report("", 1, 14))
        watch.now = 30.0
        (work,) = board.works()
        assert board.lines() == ["cells: 1 of 14, time left unknown"]
        assert work.share(30.0) == pytest.approx(1 / 14)
        assert work.share(30.0) == 30 / (30 + 90)
        assert board.lines() == ["cells: 1 of 14, about 1:30 min left"]


def test_minutes() -> None:
    assert (minutes(125), minutes(4000), minutes(59.6)) == ("2:05", "66:40", "1:00")
    assert left_in_words(None) == "time left unknown"


def test_a_work_goes_by_what_is_new_after_it_went_on_from_a_checkpoint() -> None:
    work = Work("run", 0.0)
    work.hear(Report("train", 10, 20, "steps"), 0.0)
    assert work.seconds_left(5.0) is None
    work.hear(Report("train", 15, 20, "steps"), 20.0)
    assert work.seconds_left(20.0) == 20.0  # a quarter took 20 s, a quarter is left


# ---- through a runner


class Told(Job[Result]):
    """Tells a line, warns, and tells that it is half done."""

    stage: ClassVar[str] = "told"
    result: ClassVar[type[Result]] = Result

    @property
    def key(self) -> str:
        return "one"

    @property
    def title(self) -> str:
        return "tell"

    def run(self, desk: Desk) -> Result:
        desk.progress(Report("work", 1, 2, "halves"))
        return Result()


def test_a_runner_hands_on_what_a_job_tells_and_an_empty_report_when_it_is_done() -> None:
    heard: list[Report] = []
    with heard_by(heard.append):
        InProcess(MemoryStore()).run(Told())
    assert heard == [Report("begin"), Report("work", 1, 2, "halves"), Report("")]


def test_a_child_sends_reports_and_warnings_and_a_channel_that_is_gone_costs_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    for name in ("configs", "tasks"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    monkeypatch.setattr("tasks.runtime.local.child.read_job", lambda order: Told())
    order = {"folder": str(tmp_path)}
    with (tmp_path / "channel").open("w") as channel:
        _send_warnings(channel)
        logging.getLogger("tasks.methods.memory").warning("out of memory: going on with %d rows at once", 4)
        logging.getLogger("tasks.methods.memory").info("no warning")
        answer = _answer(order, MemoryStore(), None, channel)  # type: ignore[arg-type]
    lines = [json.loads(line) for line in (tmp_path / "channel").read_text().splitlines()]
    assert lines == [
        {"warning": "out of memory: going on with 4 rows at once"}, {"progress": ["work", 1, 2, "halves"]},
    ]  # fmt: skip
    assert _answer(order, MemoryStore(), None, channel) == answer  # type: ignore[arg-type]
    assert "result" in answer
