"""What is under way, on standard error: bars that move where it is a terminal, a line every ten seconds where not."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, TextIO

from tasks.runtime.progress import Board

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0
BAR_WIDTH = 20
SECONDS_TO_END = 5.0
"""A server that is gone keeps no run from its end."""


class ScreenHandler(logging.StreamHandler):
    """Writes to what standard error is at the time: while bars move, a line goes above them."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr


@contextmanager
def on_screen(board: Board) -> Iterator[None]:
    """Within it, standard error shows what the board knows."""
    if sys.stderr.isatty() and os.environ.get("TERM") not in (None, "dumb", "unknown"):
        with _bars(board):
            yield
    else:
        with every(SECONDS_BETWEEN_LINES, lambda: log_lines(board)):
            yield


def log_lines(board: Board) -> None:
    """A line of all that is under way, if anything is; Prefect shows it in an artifact instead of a run's log."""
    if lines := board.lines():
        log.info("%s", "; ".join(lines), extra={"send_to_api": False})


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Within it, the action is done so often, in a thread with this one's context; one that fails ends nothing."""
    ended, context = threading.Event(), copy_context()

    def work() -> None:
        while not ended.wait(seconds):
            try:
                action()
            except Exception as error:  # the run goes on without being shown
                log.debug("progress was not shown: %s", error)

    thread = threading.Thread(target=context.run, args=(work,), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SECONDS_TO_END)


@contextmanager
def _bars(board: Board) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)

    def draw() -> Table | str:
        try:
            return bars(board, console.height)
        except Exception as error:  # the run goes on without being shown
            log.debug("progress was not shown: %s", error)
            return ""

    live = Live(console=console, get_renderable=draw, refresh_per_second=2, transient=True, redirect_stdout=False)
    with suppress(OSError):
        live.start()
    try:
        yield
    finally:
        with suppress(OSError):  # the terminal is gone
            live.stop()


def bars(board: Board, height: int) -> Table:
    """A row for each thing that is under way, with a bar where it is known how far it is; no more than fit."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table, now = Table.grid(padding=(0, 1)), board.clock()
    table.add_column(width=BAR_WIDTH)
    table.add_column(no_wrap=True, overflow="ellipsis")
    works = board.works()
    most = max(height - 3, 1)
    for work in works[:most]:
        share = work.share(now)
        bar = ProgressBar(total=1.0, completed=share, width=BAR_WIDTH) if share is not None else ""
        table.add_row(bar, Text(work.line(now)))
    if len(works) > most:
        table.add_row("", f"and {len(works) - most} more")
    return table


def show_cursor() -> None:
    """Of a terminal that this process leaves in the middle: bars hide it while they move."""
    if sys.stderr.isatty():
        print("\x1b[?25h", end="", file=sys.stderr, flush=True)
