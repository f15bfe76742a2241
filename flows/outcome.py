"""What a run of a study comes to, and how long its stages take."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect.runtime import flow_run

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
    """The study's name, from its name or its file's."""
    return Path(flow_run.parameters["study"]).stem


class Clock:
    """Seconds by stage, told as they pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        log.info("%s …", name)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        log.info("%s: done in %.1f s", name, self.seconds[name])
