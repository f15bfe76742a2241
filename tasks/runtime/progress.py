"""How far things have come: who works tells it, who listens shows it. No result depends on it, and it breaks no run.

A job tells it by `desk.progress`, wherever it is done; its runner hands that on to `tell` in the thread that asked for
the job. What works in that thread itself uses `tell` at once. A `Board` listens, and knows all that is under way.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Clock = Callable[[], float]
"""Seconds since some moment."""
SECONDS_UNTIL_TIMED = 10.0
"""What counts how far it is, is shown without its time before that."""


class Report(NamedTuple):
    """How far a piece of work has come: "train", 3.5 of 20 steps. Without a total it is only said what is done; an
    empty one says that it waits."""

    what: str
    done: float = 0.0
    total: float = 0.0
    unit: str = ""

    @property
    def share(self) -> float | None:
        """Of the work, in [0, 1]; None where nobody can tell."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else None

    @property
    def phase(self) -> str:
        """What it counts: two reports of one phase differ in how much is done."""
        return self.unit or self.what

    def __str__(self) -> str:
        counts = f"{math.floor(self.done):,} of {self.total:,.0f} {self.unit}".rstrip() if self.total else ""
        return ", ".join(filter(None, [self.what, counts]))


Progress = Callable[[Report], None]
"""Hears how far something has come."""


def unheard(report: Report) -> None:
    """Nobody listens."""


_listener: ContextVar[Progress] = ContextVar("listener", default=unheard)


def tell(report: Report) -> None:
    """Tell whoever listens to this thread; a listener that fails costs nothing but a line at the level of debugging."""
    careful(_listener.get())(report)


def listener() -> Progress:
    """Who listens to this thread, for another thread that works for it."""
    return careful(_listener.get())


@contextmanager
def heard_by(progress: Progress) -> Iterator[None]:
    """Within it `progress` hears what this thread tells."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def careful(progress: Progress) -> Progress:
    """It, but what it raises is only logged."""

    def hear(report: Report) -> None:
        try:
            progress(report)
        except Exception as error:  # whatever a listener may meet: work goes on without being heard
            log.debug("progress was not heard: %s", error)

    return hear


def seldom(progress: Progress, seconds: float = 1.0, clock: Clock = time.monotonic) -> Progress:
    """It, but it hears only what begins a phase or ends it, and between these something every so many seconds."""
    last, phase = -seconds, ""

    def hear(report: Report) -> None:
        nonlocal last, phase
        if report.phase != phase or report.share == 1.0 or clock() - last >= seconds:
            last, phase = clock(), report.phase
            progress(report)

    return hear


def as_part(progress: Progress, unit: str, index: int, count: int) -> Progress:
    """It, for one of `count` equal pieces of work that follow each other: what they count in `unit` is counted on."""

    def hear(report: Report) -> None:
        if report.unit == unit:
            done, total = report.done + index * report.total, report.total * count
            report = report._replace(done=done, total=total)
        progress(report)

    return hear


def told_of(items: Iterable[Item], before: int, total: int, what: str, unit: str, progress: Progress) -> Iterator[Item]:
    """The items, one after another, with a report before the first and after each; `before` of `total` are done."""
    progress(Report(what, before, total, unit))
    for done, item in enumerate(items, start=before + 1):
        yield item
        progress(Report(what, done, total, unit))


@dataclass
class Work:
    """Something that is under way, and how far it has come."""

    title: str
    began: float
    """By the board's clock, as are all times here: when its present phase began."""
    report: Report = field(default_factory=lambda: Report(""))
    first_share: float = 0.0
    """Of its phase, when that began."""
    heard: float = 0.0
    """When it was last told of."""
    shown: bool = True
    left: Callable[[], float | None] | None = None
    """Seconds that are left of it, where another knows better than its own speed tells."""

    def hear(self, report: Report, now: float) -> None:
        back = (report.share or 0.0) < (self.report.share or 0.0)
        if report.phase != self.report.phase or back or not self.shown:
            self.began, self.first_share = now, report.share or 0.0
        self.report, self.heard, self.shown = report, now, bool(str(report))

    def seconds_left(self, now: float) -> float | None:
        """Of its present phase, at the speed so far; None where nothing tells."""
        if self.left:
            return self.left()
        share = self.report.share
        if share is None or share <= self.first_share:
            return None
        each = (self.heard - self.began) / (share - self.first_share)
        return max(each * (1 - share) - (now - self.heard), 0.0)

    def share(self, now: float) -> float | None:
        """That is done: of its time where another knows what is left, else of what it counts."""
        left = self.left() if self.left else None
        return self.report.share if left is None else (now - self.began) / max(now - self.began + left, 1e-9)

    def line(self, now: float) -> str:
        """What a person reads of it."""
        said, spent, left = str(self.report), now - self.began, self.seconds_left(now)
        text = f"{self.title}: {said}" if said else self.title
        if self.report.share == 1.0:  # what comes after it, such as to save it, tells nothing
            since = 0.0 if self.left else now - self.heard
            return f"{text} ({minutes(since)} min ago)" if since >= SECONDS_UNTIL_TIMED else text
        if self.left:
            return f"{text}, {left_in_words(left)}"
        if self.report.total and spent < SECONDS_UNTIL_TIMED:
            return text
        return f"{text} ({minutes(spent)} min so far{'' if left is None else f', about {minutes(left)} left'})"


class Board:
    """All that is under way in this process, in the order in which it began."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._works: list[Work] = []
        self._changing = threading.Lock()

    @contextmanager
    def working(
        self, title: str, also: Progress = unheard, left: Callable[[], float | None] | None = None, shown: bool = True
    ) -> Iterator[None]:
        """Within it, what this thread tells is told of `title`, and to `also`.

        left: gives the seconds that are left of it, None where unknown. shown: whether there is something to show
        before anything is told; what waits for its turn has nothing.
        """
        work = Work(title, self.clock(), shown=shown, left=left)
        also = careful(also)

        def hear(report: Report) -> None:
            with self._changing:
                work.hear(report, self.clock())
            also(report)

        with self._changing:
            self._works.append(work)
        try:
            with heard_by(hear):
                yield
        finally:
            with self._changing:
                self._works.remove(work)

    def works(self) -> list[Work]:
        """What has something to show."""
        with self._changing:
            return [work for work in self._works if work.shown]

    def lines(self, most: int = 4) -> list[str]:
        """A line for each, at most so many and how many there are beside them."""
        now, works = self.clock(), self.works()
        lines = [work.line(now) for work in works[:most]]
        return lines + ([f"and {len(works) - most} more"] if len(works) > most else [])


def left_in_words(seconds: float | None) -> str:
    """`125` → `about 2:05 min left`; None where nobody knows."""
    return "time left unknown" if seconds is None else f"about {minutes(seconds)} min left"


def minutes(seconds: float) -> str:
    """`125` → `2:05`; `4000` → `66:40`."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole}:{rest:02d}"
