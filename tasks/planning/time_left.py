"""How long the cells of a run will still take: by what the plan expects, held against what this run has shown.

A part that is under way goes on at its own speed. One that waits takes what the plan expects of it, scaled by how the
like of it has turned out in this run; where the plan expects nothing, what the like of it took a pair or a prompt.
Where nothing of the kind has run, nobody knows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.runtime.progress import Progress, Report, Work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A job of a cell, or the judging of its answers, that has to be done."""

    unit: str
    """What its reports count, by which they are known."""
    kind: str
    """What is expected to go at one speed, beside the architecture: a method, answers, verdicts."""
    architecture: str
    size: float
    """Pairs, prompts or answers."""
    parameters: float
    """Of the architecture: another one's speed is taken to be in proportion."""
    seconds: float | None = None
    """What the plan expects."""
    key: str = ""
    """Cells with equal keys share it: the first that comes to it does it for all."""
    on_slot: bool = True
    """Whether it takes a slot; what does not is done one after another."""


@dataclass
class _Seen:
    """What has been heard of a part."""

    entered: float
    """When the cell began with it, by the clock; waiting for its turn is not in it."""
    beside: float = 0.0
    """Seconds from then on that went into what counts in other units, which other cells may not need."""
    began: float = 0.0
    """When the first report that counts in its own unit came."""
    first: float = 0.0
    """Share that was done then."""
    share: float = 0.0
    heard: float = 0.0

    @property
    def measured(self) -> tuple[float, float]:
        """Seconds, and the share of the part that they went into; (0, 0) before there is something to go by."""
        if self.share >= 1.0 and not self.first:
            return self.heard - self.entered - self.beside, 1.0
        return (self.heard - self.began, self.share - self.first) if self.share > self.first else (0.0, 0.0)


@dataclass
class _Speed:
    """What parts of a kind have taken: sums over all that is known of them."""

    seconds: float = 0.0
    size: float = 0.0
    work: float = 0.0
    """Size times parameters."""
    planned: float = 0.0
    """Seconds that the plan expected, of those for which it expected any."""
    seconds_planned: float = 0.0
    """That these took."""

    def add(self, part: Part, seconds: float, share: float) -> None:
        self.seconds += seconds
        self.size += share * part.size
        self.work += share * part.size * part.parameters
        if part.seconds:
            self.planned += share * part.seconds
            self.seconds_planned += seconds


Speeds = dict[tuple[str, str | None], _Speed]
"""Kind and architecture → what was measured."""


@dataclass
class _Course:
    """How a cell, or a base, has come along."""

    work: Work
    seen: dict[str, _Seen] = field(default_factory=dict)
    entered: float = 0.0
    """When its last part ended, or its last wait."""
    beside: float = 0.0
    over: bool = False


class TimeLeft:
    """Hears what each cell reports, and tells what is left of all."""

    def __init__(self, slots: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._slots, self._clock = slots, clock
        self._parts: Mapping[str, Sequence[Part]] | None = None
        self._courses: dict[str, _Course] = {}
        self._changing = threading.Lock()

    def expect(self, parts: Mapping[str, Sequence[Part]]) -> None:
        """Cell → what has to be made of it, in the order in which it is; before this, nothing is known."""
        with self._changing:
            self._parts = {
                name: [part if part.key else replace(part, key=f"{name}/{part.unit}") for part in own]
                for name, own in parts.items()
            }

    def listener(self, name: str) -> Progress:
        """What hears the reports of a cell, or of a base."""

        def hear(report: Report) -> None:
            with self._changing:
                self._hear(name, report, self._clock())

        return hear

    def over(self, name: str) -> None:
        """Nothing is left of that cell, whatever became of it."""
        with self._changing:
            self._course(name, self._clock()).over = True

    def seconds(self) -> float | None:
        """Until all is done, None if unknown: what is left, shared by the slots, and at least the longest cell."""
        with self._changing:
            try:
                return None if self._parts is None else self._seconds(self._parts, self._clock())
            except Exception as error:  # a guess is not worth a run
                log.debug("the time left stays unknown: %s", error)
                return None

    # ---- what is heard

    def _course(self, name: str, now: float) -> _Course:
        if name not in self._courses:
            self._courses[name] = _Course(Work(name, now, shown=False))
        return self._courses[name]

    def _hear(self, name: str, report: Report, now: float) -> None:
        course = self._course(name, now)
        before, last = course.work.report, course.work.heard
        if not course.work.shown:  # it had waited until now
            course.entered, course.beside = now, 0.0
        course.work.hear(report, now)
        if before.total and before.phase == report.phase:
            course.beside += now - last
        if report.share is None:
            return
        seen = course.seen.get(report.unit)
        if seen is None or report.share < seen.share:
            seen = course.seen[report.unit] = _Seen(course.entered, course.beside, now, report.share)
        seen.share, seen.heard = report.share, now
        if report.share == 1.0 and self._is_part(name, report.unit):
            course.entered, course.beside = now, 0.0

    def _is_part(self, name: str, unit: str) -> bool:
        """Also before the plan is known: then what counts is not told from what goes beside it."""
        return self._parts is None or any(part.unit == unit for part in self._parts.get(name, ()))

    # ---- what is left

    def _seconds(self, parts: Mapping[str, Sequence[Part]], now: float) -> float | None:
        speeds, ended, begun = self._speeds(), self._ended(parts), self._begun(parts)
        on_slots, one_by_one, longest, counted = 0.0, 0.0, 0.0, set[str]()
        for name in {**parts, **self._courses}:
            cell = self._left_of_phase(name, now)
            on_slots += cell
            for part in parts.get(name, ()):
                if part.key in ended or self._is_over(name):
                    continue
                left = _left(part, begun.get(part.key), speeds, now)
                if left is None:
                    return None
                cell += left
                if part.key not in counted:
                    counted.add(part.key)
                    on_slots += left if part.on_slot else 0.0
                    one_by_one += 0.0 if part.on_slot else left
            longest = max(longest, cell)
        return max(on_slots / max(self._slots(), 1), one_by_one, longest)

    def _is_over(self, name: str) -> bool:
        return name in self._courses and self._courses[name].over

    def _ended(self, parts: Mapping[str, Sequence[Part]]) -> set[str]:
        """Keys of parts that are done: something was heard of a later one of the cell, or the cell is over."""
        ended = set()
        for name, course in self._courses.items():
            own = parts.get(name, ())
            last = max((index for index, part in enumerate(own) if part.unit in course.seen), default=-1)
            for index, part in enumerate(own):
                whole = part.unit in course.seen and course.seen[part.unit].share == 1.0
                if course.over or index < last or whole:
                    ended.add(part.key)
        return ended

    def _begun(self, parts: Mapping[str, Sequence[Part]]) -> dict[str, _Seen]:
        """Key → what has been heard of the part, by whichever cell does it."""
        return {
            part.key: course.seen[part.unit]
            for name, course in self._courses.items()
            for part in parts.get(name, ())
            if part.unit in course.seen
        }

    def _left_of_phase(self, name: str, now: float) -> float:
        """Of what goes beside the parts, such as reference log-probabilities or a base, as far as its speed tells."""
        course = self._courses.get(name)
        if course is None or course.over or self._is_part(name, course.work.report.unit):
            return 0.0
        return course.work.seconds_left(now) or 0.0

    def _speeds(self) -> Speeds:
        """What each kind has taken so far, on each architecture and (None) on any."""
        speeds: Speeds = defaultdict(_Speed)
        for name, course in self._courses.items():
            for part in (self._parts or {}).get(name, ()):
                seconds, share = course.seen[part.unit].measured if part.unit in course.seen else (0.0, 0.0)
                if share:
                    for architecture in (part.architecture, None):
                        speeds[part.kind, architecture].add(part, seconds, share)
        return dict(speeds)


def _left(part: Part, seen: _Seen | None, speeds: Speeds, now: float) -> float | None:
    """Seconds, None if unknown."""
    seconds, share = seen.measured if seen else (0.0, 0.0)
    if seen and share:
        return max(seconds / share * (1 - seen.share) - (now - seen.heard), 0.0)
    own, alike = speeds.get((part.kind, part.architecture)), speeds.get((part.kind, None))
    if part.seconds is not None:
        planned = own if own and own.planned else alike
        return part.seconds * (planned.seconds_planned / planned.planned if planned and planned.planned else 1.0)
    if own:
        return part.size * own.seconds / own.size
    return part.size * part.parameters * alike.seconds / alike.work if alike else None
