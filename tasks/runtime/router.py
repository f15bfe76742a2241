"""Which waiting job a free place takes: what it has loaded decides, since loading a base can take longer than a job."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, Protocol, TypeVar

from tasks.runtime.runner import STOPPED, JobFailed

POLL_SECONDS = 1.0
"""A place may be another study's, which can't tell us when it gives it back."""


class Place(Protocol):
    """Where one job at a time is done."""

    base: str | None
    """Key of the base that it holds, or is loading."""

    def claim(self) -> bool:
        """Whether it may be used now."""


P = TypeVar("P", bound=Place)


@dataclass(eq=False)
class Waiting(Generic[P]):
    """A thread that waits for a place."""

    near: str | None
    place: P | None = None
    held: bool = False
    """Whether the place held the base already."""


@dataclass
class Seconds:
    """What jobs have taken, and what loading a base takes."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)

    first_came: float = math.inf
    """When the first job that works with a base came, by the monotonic clock."""

    @property
    def tell(self) -> bool:
        """Whether there is something to go by: a job has ended, or those that come with the first have had the time."""
        return bool(self.warm or self.cold) or time.monotonic() - self.first_came > POLL_SECONDS

    @property
    def job(self) -> float:
        """Of a job on a place that held its base; as long as a load while only the sum of both is known."""
        return median(self.warm) if self.warm else median(self.cold) / 2 if self.cold else 1.0

    @property
    def load(self) -> float:
        """Of loading a base."""
        return max(median(self.cold) - self.job, 0.0) if self.cold else self.job


def choose(
    own: str | None, stays: bool, waiting: Sequence[str | None], held: Counter[str], seconds: Seconds
) -> int | None:
    """Index of the waiting job that a free place takes, None where it had better wait.

    A job that needs no base goes first, since others wait for what it makes. Then the place's own base; then the base
    that no place holds, the one with the most jobs left first. Else it helps at another base if it pays: the places
    there, each half through a job on average, would take longer over what is left than one that loads the base first.

    own: base of the place. stays: another job of that base is about to come. waiting: the bases of the jobs, in the
    order in which they came. held: base → its places.
    """
    for near in (None, own):
        if near in waiting:
            return waiting.index(near)
    if stays:
        return None
    left = Counter(base for base in waiting if base is not None)
    unheld = [base for base in left if not held[base]]
    if unheld:
        return waiting.index(max(unheld, key=left.__getitem__))
    if not seconds.tell:
        return None
    longest = max(left, key=lambda base: left[base] / held[base], default=None)
    if longest is None:
        return None
    pays = (left[longest] / held[longest] + 0.5) * seconds.job > seconds.load + seconds.job
    return waiting.index(longest) if pays else None


class Router(Generic[P]):
    """Gives places to threads. All that have a job should wait here, so that there is something to choose from."""

    def __init__(self, places: Sequence[P]) -> None:
        self.places = list(places)
        self._free = list(places)
        self._waiting: list[Waiting[P]] = []
        self._near: dict[int, str] = {}
        self._occupied: set[int] = set()
        """Of the threads in `near`, those that wait or work; the others are between two jobs."""
        self._seconds = Seconds()
        self._closed = ""
        """Why no more places are given."""
        self._changed = threading.Condition()

    @contextmanager
    def near(self, base: str) -> Iterator[None]:
        """Within it this thread asks for several jobs of a base: see `Runner.near`."""
        me = threading.get_ident()
        with self._changed:
            self._near[me] = base
        try:
            yield
        finally:
            with self._changed:
                del self._near[me]
                self._assign()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """This thread is after a job: it is not between two, even while it waits for something else than a place."""
        me = threading.get_ident()
        with self._changed:
            self._occupied.add(me)
            self._assign()
        try:
            yield
        finally:
            with self._changed:
                self._occupied.discard(me)

    @contextmanager
    def lease(self, base: str | None) -> Iterator[P]:
        """A place for a job that works with `base`; waits for one.

        Raises:
            JobFailed: the router is closed.
        """
        mine = self._wait(base)
        assert mine.place is not None
        started = time.monotonic()
        try:
            yield mine.place
        finally:
            with self._changed:
                if base is not None:
                    (self._seconds.warm if mine.held else self._seconds.cold).append(time.monotonic() - started)
                self._occupied.discard(threading.get_ident())  # in one step with giving the place back
                if mine.place in self.places:
                    self._free.append(mine.place)
                self._assign()

    def add(self, place: P) -> None:
        """A place that has come."""
        with self._changed:
            self.places.append(place)
            self._free.append(place)
            self._assign()

    def remove(self, place: P, only_if_free: bool = False) -> bool:
        """A place that is gone, or is to go; whether it was here, and free if that is asked for."""
        with self._changed:
            if place not in self.places or (only_if_free and place not in self._free):
                return False
            self.places.remove(place)
            if place in self._free:
                self._free.remove(place)
            self._assign()
            return True

    def free(self) -> list[P]:
        """The places that nobody has now."""
        with self._changed:
            return list(self._free)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a place."""
        with self._changed:
            return len(self._waiting)

    def close(self, why: str = STOPPED) -> None:
        """Give no more places, and let go of who waits."""
        with self._changed:
            self._closed = self._closed or why
            self._changed.notify_all()

    def _wait(self, base: str | None) -> Waiting[P]:
        mine: Waiting[P] = Waiting(base)
        with self._changed:
            if base is not None:
                self._seconds.first_came = min(self._seconds.first_came, time.monotonic())
            self._waiting.append(mine)
            self._assign()
            while mine.place is None:
                if self._closed:
                    self._waiting.remove(mine)
                    raise JobFailed(self._closed)
                self._changed.wait(POLL_SECONDS)
                self._assign()
        return mine

    def _assign(self) -> None:
        """Let each free place choose, the longest idle one first."""
        between = {base for thread, base in self._near.items() if thread not in self._occupied}
        for place in () if self._closed else list(self._free):
            waiting = [item.near for item in self._waiting]
            held = Counter(other.base for other in self.places if other.base is not None)
            index = choose(place.base, place.base in between, waiting, held, self._seconds)
            if index is not None and place.claim():
                self._free.remove(place)
                chosen = self._waiting.pop(index)
                chosen.place, chosen.held = place, place.base == chosen.near
                place.base = chosen.near or place.base
                self._changed.notify_all()
