"""A run as a person follows it: on standard error, and in Prefect a progress artifact and the lines of its log."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from prefect import artifacts
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run

from flows import LOGGERS
from flows.artifacts import careful, escape, key
from flows.screen import every, on_screen
from tasks.runtime.progress import Board

SECONDS_BETWEEN_UPDATES = 10.0
MOST_LINES = 12
"""That the artifact shows."""


@contextmanager
def showing(board: Board, study: str) -> Iterator[None]:
    """Within it, the flow run that has begun shows how far it is and what the product says."""
    with _lines_in_log(str(flow_run.id)), on_screen(board):
        artifact = ShownProgress(board, study)
        try:
            with every(SECONDS_BETWEEN_UPDATES, artifact.update):
                yield
        except BaseException:
            artifact.end(whole=False)
            raise
        artifact.end(whole=True)


class ShownProgress:
    """A run's progress in Prefect: the share that is done, and in words what is under way."""

    def __init__(self, board: Board, study: str) -> None:
        self._board, self._last, self._lost = board, (0.0, ""), False
        self._id: UUID | None = careful(
            lambda: artifacts.create_progress_artifact(0.0, key=key(study, "progress"), description="begins")
        )

    def update(self) -> None:
        """Tell how far the run is, if that has changed."""
        now, timed = self._board.clock(), [work for work in self._board.works() if work.left]
        share = max((work.share(now) or 0.0 for work in timed), default=self._last[0] / 100)
        lines = "\n".join(f"- {escape(line)}" for line in self._board.lines(MOST_LINES))
        self._show(round(100 * share, 1), lines or "nothing is under way")

    def end(self, whole: bool) -> None:
        """Tell that nothing is left, or that no more of it is done."""
        self._show(*((100.0, "done") if whole else (self._last[0], "it ended before it was done")))

    def _show(self, percent: float, text: str) -> None:
        if self._id is None or (percent, text) == self._last:
            return
        known, self._last = self._id, (percent, text)
        if self._lost:
            with suppress(Exception):  # it was logged once
                _update(known, percent, text)
        else:
            self._lost = careful(lambda: _update(known, percent, text)) is None


def _update(artifact: UUID, percent: float, text: str) -> bool:
    with get_client(sync_client=True) as client:
        client.update_artifact(artifact, ArtifactUpdate(data=percent, description=text))
    return True


@contextmanager
def _lines_in_log(run: str) -> Iterator[None]:
    """Within it, what the product logs is in the log of that flow run, also what a run below it or a thread says."""
    handler = RunLog(run)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)


class RunLog(logging.Handler):
    """Sends to one flow run's log what Prefect itself puts into no log, or into that of a run below."""

    def __init__(self, run: str) -> None:
        super().__init__(logging.INFO)
        self._run, self._api = run, APILogHandler()

    def emit(self, record: logging.LogRecord) -> None:
        if _run_of_this_context() == self._run:
            return  # Prefect's own handler has it
        own = copy.copy(record)
        own.flow_run_id = self._run
        self._api.handle(own)


def _run_of_this_context() -> str:
    """Id of the flow run into whose log Prefect puts what is logged here; "" where it puts it into none."""
    if (task := TaskRunContext.get()) is not None:
        return str(task.task_run.flow_run_id)
    flow = FlowRunContext.get()
    return str(flow.flow_run.id) if flow and flow.flow_run else ""
