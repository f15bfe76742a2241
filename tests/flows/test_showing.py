"""What a person sees of a run while it goes on: on standard error, and in Prefect's pages."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
from typing import Any

import pytest
from prefect import flow, task
from prefect.context import get_run_context

from flows import LOGGERS, screen, showing
from flows.screen import ScreenHandler, bars, every, on_screen
from flows.showing import ShownProgress
from tasks.runtime.progress import Board, Report, tell
from tests.flows.conftest import artifact_of, log_of
from tests.watch import Watch, until


class Screen(io.StringIO):
    """Standard error as it is put in its place, with the handler of the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal
        monkeypatch.setattr(sys, "stderr", self)
        monkeypatch.setattr(logging.getLogger("flows"), "handlers", [ScreenHandler()])
        monkeypatch.setattr(logging.getLogger("flows"), "level", logging.INFO)

    def isatty(self) -> bool:
        return self._terminal


def slow_job(board: Board, seconds: float) -> None:
    with board.working("tiny-llama · scale · binary"):
        for done in range(10):
            tell(Report("train", done, 10, "steps"))
            time.sleep(seconds / 10)


def test_a_slow_job_gives_a_line_every_few_seconds_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screen, "SECONDS_BETWEEN_LINES", 0.2)
    board, seen, began = Board(), Screen(monkeypatch, terminal=False), time.monotonic()
    with on_screen(board), board.working("tiny-llama · scale · binary"):
        tell(Report("train", 3, 10, "steps"))
        until(lambda: len(seen.getvalue().splitlines()) >= 4, "four lines")
    lines = seen.getvalue().splitlines()
    assert 4 <= len(lines) <= (time.monotonic() - began) / 0.2  # at .2, .4, .6 and .8 s, and not more often
    assert all(
        re.fullmatch(r"\d\d:\d\d:\d\d tiny-llama · scale · binary: train, \d of 10 steps", line) for line in lines
    )
    time.sleep(0.3)
    assert len(seen.getvalue().splitlines()) == len(lines)  # nothing is said once it is over


def test_by_default_a_line_comes_every_ten_seconds() -> None:
    assert (screen.SECONDS_BETWEEN_LINES, showing.SECONDS_BETWEEN_UPDATES) == (10.0, 10.0)


def test_where_there_is_a_terminal_bars_move_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    board, seen = Board(), Screen(monkeypatch, terminal=True)
    with on_screen(board):
        slow_job(board, 1.1)
        logging.getLogger("flows").info("a line")
    text = seen.getvalue()
    assert re.search(r"━+.* tiny-llama · scale · binary: train, [1-9] of 10 steps", text)
    assert re.search(r"\d\d:\d\d:\d\d a line", text)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back


def drawn(board: Board, height: int) -> list[str]:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=80)
    with console.capture() as capture:
        console.print(bars(board, height))
    return capture.get().splitlines()


def test_bars_fit_the_terminal() -> None:
    board = Board()
    with board.working("cells"), board.working("x" * 200), board.working("[red]c"), board.working("d"):
        tell(Report("train", 5, 10, "steps"))
        lines = drawn(board, height=7)
        assert [len(line) <= 80 for line in lines] == [True] * 4
        assert lines[1].endswith("…")
        assert "[red]c" in lines[2]
        assert "━" in lines[3]
        assert drawn(board, height=5)[-1].split() == ["and", "2", "more"]


def test_what_shows_may_fail_and_is_done_again() -> None:
    calls: list[int] = []

    def action() -> None:
        calls.append(1)
        raise OSError("no terminal any more")

    with every(0.05, action):
        until(lambda: len(calls) >= 3, "the third call")


# ---- in Prefect


log = logging.getLogger("tasks.somewhere")


@task
def warn() -> None:
    log.warning("in a task of a run below")


@flow
def below() -> None:
    warn()
    log.info("in a run below")


RUNS: list[str] = []
ARTIFACTS: list[tuple[float, str]] = []


@flow
def shown(board: Any) -> None:
    run = str(get_run_context().flow_run.id)  # type: ignore[union-attr]
    RUNS.append(run)
    with showing.showing(board.value, "My study"):
        log.info("in the run")
        logging.getLogger("configs.renamed").warning("an old name")
        log.debug("for who changes the code")
        below()
        thread = threading.Thread(target=log.warning, args=("in a thread of its own",))
        thread.start()
        thread.join()
        with board.value.working("cells", left=lambda: 30.0):
            tell(Report("", 1, 4))
            cells = lambda: (shown := artifact_of(run, "my-study-progress")) and "cells" in shown.description and shown  # noqa: E731
            moved = until(cells, "the artifact's update")
            ARTIFACTS.append((float(moved.data), moved.description))
    log.info("after it")


class ByReference:
    """As `flows.stages` has it."""

    __slots__ = ("value",)

    def __init__(self, value: Board) -> None:
        self.value = value


@pytest.fixture
def a_workers_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's handler and no other, as where a worker runs a flow."""
    from prefect.logging.handlers import APILogHandler

    for name in LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [APILogHandler()])


def test_a_runs_log_has_the_products_lines_and_its_artifact_moves(
    prefect: None, a_workers_loggers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "SECONDS_BETWEEN_UPDATES", 0.1)
    shown(ByReference(Board()))
    (run,) = RUNS
    expected = [
        (20, "in the run"), (30, "an old name"), (30, "in a task of a run below"), (20, "in a run below"),
        (30, "in a thread of its own"), (20, "after it"),
    ]  # fmt: skip
    until(lambda: len(log_of(run)) >= len(expected), "the lines in the run's log")
    lines = log_of(run)
    assert sorted(lines) == sorted(expected)
    ((percent, description),) = ARTIFACTS
    assert percent < 100 * 15 / (15 + 30)  # of its time, of which thirty seconds are left
    assert description == "- cells: 1 of 4, about 0:30 min left"
    ended = artifact_of(run, "my-study-progress")
    assert (ended.key, ended.type, float(ended.data), ended.description) == (
        "my-study-progress",
        "progress",
        100,
        "done",
    )


def test_a_run_that_fails_keeps_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, str]] = []
    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", lambda *_, **__: "an id")
    monkeypatch.setattr(showing, "_update", lambda known, percent, text: told.append((percent, text)) or True)
    monkeypatch.setattr(showing, "SECONDS_BETWEEN_UPDATES", 0.05)
    board = Board(Watch())

    def work() -> None:
        with showing.showing(board, "small"), board.working("survey"):
            until(lambda: told, "an update")
            raise ValueError("no ratings")

    with pytest.raises(ValueError, match="no ratings"):
        work()
    lines = [(0.0, r"- survey \(0:00 min so far\)"), (0.0, "it ended before it was done")]
    assert told == lines  # it is told again only when it has changed


def test_the_artifact_shows_text_as_it_is_and_a_server_that_is_lost_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def lost(known: str, percent: float, text: str) -> None:
        told.append(text)
        raise ConnectionError("nobody there")

    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", lambda *_, **__: "an id")
    monkeypatch.setattr(showing, "_update", lost)
    board = Board(Watch())
    progress = ShownProgress(board, "small")
    with board.working("<b>*cell*</b>"):
        progress.update()
    progress.end(whole=True)
    assert told == [r"- \<b\>\*cell\*\</b\> \(0:00 min so far\)", "done"]
    assert caplog.messages == ["Prefect shows nothing of this (nobody there)"]
