"""What a run of a study comes to, and how long its stages take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.runtime.progress import Board

log = logging.getLogger(__name__)
IN_PART = "Finished in part"
"""The state of a study of which some cells failed."""


@dataclass(frozen=True)
class Outcome:
    """What a run of a study came to."""

    folder: Path
    report: Path
    cells: int
    failed: int
    trained: int
    stopped: str = ""
    """Why nothing was trained, where the judge stopped the study."""


def run_name() -> str:
    """The name of a flow run's study, from its name or its file's."""
    from prefect.runtime import flow_run

    return Path(flow_run.parameters["study"]).stem


class Clock:
    """Seconds by stage, logged as they pass; what is done in a stage is told of it on the board."""

    def __init__(self, board: Board) -> None:
        self.seconds: dict[str, float] = {}
        self._board = board

    @contextmanager
    def stage(self, name: str, left: Callable[[], float | None] | None = None) -> Iterator[None]:
        """`left`: gives the seconds that are left of it, where something knows them."""
        log.info("%s …", name)
        started = time.monotonic()
        with self._board.working(name, left=left):
            yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        log.info("%s: done in %.1f s", name, self.seconds[name])
