"""When the next call may go out: as many at once as the endpoint takes, as fast as it allows, within the cost ceiling.

Nothing here knows HTTP: `RateLimits.leave` is given each answer's headers. One event loop uses it, so nothing needs a
lock.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from configs.schema import Price

FIRST_WINDOW = 8
"""Calls at once before the endpoint has shown what it takes."""
OVERLOADED = 0.25
"""Share of a window's calls that go without an answer, from which on fewer are sent at once."""
REMEMBERED = 10.0
"""Seconds over which answers and refusals are counted."""
REFUSED = 0.02
"""Share of refusals from which on calls are slowed down."""
GROWTH, SLOWEST = 0.00005, 1.0
"""After refusals the rate is what was answered, at least one a second; t seconds later it is again more by
1 + growth * t³: long about what was answered, then soon much more, in case the refusals were passing ones."""
Outcome = Literal["answered", "refused", "broken"]
"""Of a call: answered in any way, refused for coming too soon, or without an answer."""
RESERVE, RESERVED_CALLS = 0.2, 5
"""Part of a bucket that is left in it, at most so many calls' worth; it costs a run no more than that once."""
LONGEST_PAUSE = 300.0
"""Seconds that an endpoint may make its callers wait; one that wants more has failed, and the next run goes on."""
UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class CeilingReached(RuntimeError):
    """The next call might cost more than is left."""


class UsedUp(RuntimeError):
    """The endpoint allows no further call for so long that it is not waited for."""


@dataclass
class Budget:
    """What may be spent in US dollars, with the worst case of every call in flight set aside."""

    price: Price | None
    ceiling: float | None
    spent: float = 0.0
    reserved: float = 0.0
    in_flight: int = 0

    def cost(self, read: int, written: int) -> float:
        """Of a call, by its tokens; 0 where no price is known."""
        return (read * self.price.input + written * self.price.output) / 1e6 if self.price else 0.0

    def fits(self, worst: float) -> bool:
        """Whether a call may go out now.

        Raises:
            CeilingReached: it does not fit, and no call is in flight that may turn out cheaper than its worst case.
        """
        if self.ceiling is None or self.spent + self.reserved + worst <= self.ceiling:
            return True
        if not self.in_flight:
            spent = f"${self.spent:.4f} spent"
            raise CeilingReached(f"the next call might pass the cost ceiling of ${self.ceiling:g} ({spent})")
        return False

    def set_aside(self, worst: float) -> None:
        """The worst case of a call that goes out."""
        self.reserved += worst
        self.in_flight += 1

    def settle(self, worst: float, cost: float) -> None:
        """A call that had its worst case set aside has cost this. With none in flight nothing is set aside, to the
        last digit."""
        self.in_flight -= 1
        self.reserved = self.reserved - worst if self.in_flight else 0.0
        self.spent += cost


@dataclass
class Bucket:
    """What the endpoint still allows of one thing (requests or tokens), as its rate-limit headers tell.

    The bucket holds `limit` and fills evenly: after t seconds min(limit, level + rate * t). A header speaks of the
    moment when its call arrived, so what was taken since is subtracted. Without headers it is bottomless.
    """

    limit: float = math.inf
    rate: float = math.inf
    level: float = math.inf
    at: float = 0.0
    taken: float = 0.0
    _longest: float = 0.0

    def wait(self, need: float, now: float, reserved: bool = True) -> float:
        """Seconds until `need` is there, and some more: what arrives late, or is another's, is not known here."""
        reserve = min(RESERVE * self.limit, RESERVED_CALLS * need) if reserved else 0.0
        lacking = min(need + reserve, self.limit) - self._now(now)
        return 0.0 if lacking <= 0 else lacking / self.rate if self.rate > 0 else math.inf

    def take(self, need: float, now: float) -> None:
        self.level, self.at, self.taken = self._now(now) - need, now, self.taken + need

    def learn(self, limit: float, remaining: float, reset: float, sent: float, taken: float, now: float) -> None:
        """From the headers of a call sent at `sent`, when `taken` had been taken with it: rate = used / time to full.

        The longest such time so far gives the most exact rate; another limit starts anew.
        """
        if limit != self.limit:
            self._longest = 0.0
        if reset > 0 and remaining < limit and reset >= self._longest:
            self.rate, self._longest = (limit - remaining) / reset, reset
        self.limit = limit
        filled = min(limit, remaining + (self.rate * (now - sent) if math.isfinite(self.rate) else 0.0))
        self.level, self.at = filled - (self.taken - taken), now

    def _now(self, now: float) -> float:
        if not math.isfinite(self.rate):
            return self.level
        return min(self.limit, self.level + self.rate * (now - self.at))


@dataclass
class Pace:
    """A rate learned from refusals, for endpoints whose headers don't tell theirs."""

    _answered: deque[float] = field(default_factory=deque)
    _refused: deque[float] = field(default_factory=deque)
    _rate: float = math.inf
    _cut_at: float = -math.inf
    _next: float = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next call may go out."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        rate = self._rate * (1 + GROWTH * (now - self._cut_at) ** 3) if math.isfinite(self._rate) else math.inf
        self._next = max(self._next, now) + 1 / rate

    def answered(self, now: float) -> None:
        self._answered.append(now)
        _forget(self._answered, now)

    def refused(self, now: float) -> None:
        """Slow down where refusals are more than chance, once a second at most."""
        self._refused.append(now)
        _forget(self._refused, now)
        few = len(self._refused) < 2 or len(self._refused) < REFUSED * (len(self._answered) + len(self._refused))
        if few or now - self._cut_at < 1.0:
            return
        measured = len(self._answered) / max(1.0, now - self._answered[0]) if self._answered else SLOWEST
        self._rate, self._cut_at = max(measured, SLOWEST), now
        self._refused.clear()


def _forget(times: deque[float], now: float) -> None:
    while times and times[0] < now - REMEMBERED:
        times.popleft()


@dataclass(frozen=True)
class Sent:
    """A call in flight: when it went out, and what had been taken by then."""

    at: float
    worst: float
    requests: float
    tokens: float


class RateLimits:
    """Shared by all who call one endpoint."""

    def __init__(self, at_once: int, budget: Budget) -> None:
        self.budget = budget
        self.window, self.in_flight = min(FIRST_WINDOW, at_once), 0
        self._at_once, self._shrunk = at_once, False
        self._finished = self._failed = 0
        self._requests, self._tokens, self._pace = Bucket(), Bucket(), Pace()
        self._paused_until = 0.0
        self._waiting: list[tuple[bool, int, int, float, asyncio.Future[Sent]]] = []
        self._number = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int, worst: float, again: bool = False) -> Sent:
        """Wait for the turn of a call that may use so many tokens and dollars. First come, first served, but who asks
        `again` goes before, so that a dead endpoint is noticed by few.

        Raises:
            CeilingReached: it would pass the cost ceiling.
            UsedUp: a limit of the endpoint holds it back for longer than is waited for, such as a daily one.
        """
        turn: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not again, next(self._number), tokens, worst, turn))
        self._admit()
        return await turn

    def leave(self, sent: Sent, cost: float, outcome: Outcome, headers: Mapping[str, str], pause: float = 0.0) -> None:
        """A call has ended and has cost so much; `pause`: the seconds that the endpoint asks all to wait."""
        now = time.monotonic()
        self.in_flight -= 1
        self.budget.settle(sent.worst, cost)
        has_headers = self._learn(sent, headers, now)
        self._paused_until = max(self._paused_until, now + pause)
        if outcome == "answered":
            self._pace.answered(now)
        elif outcome == "refused" and not has_headers:
            self._pace.refused(now)
        self._adapt(outcome != "answered")
        self._admit()

    def dismiss(self, error: Exception) -> None:
        """Send away all who wait."""
        for *_, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

    def _admit(self) -> None:
        """Let in whose turn it is; where only time is lacking, come back then."""
        while self._waiting:
            _, _, tokens, worst, turn = self._waiting[0]
            try:
                wait = 0.0 if turn.cancelled() else self._wait(tokens, worst)
            except (CeilingReached, UsedUp) as error:
                turn.set_exception(error)
                wait = 0.0
            if wait > 0:
                if self._alarm:
                    self._alarm.cancel()
                if math.isfinite(wait):
                    self._alarm = asyncio.get_running_loop().call_later(wait, self._admit)
                return
            heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(self._take(tokens, worst))

    def _take(self, tokens: int, worst: float) -> Sent:
        now = time.monotonic()
        self._requests.take(1, now)
        self._tokens.take(tokens, now)
        self._pace.take(now)
        self.in_flight += 1
        self.budget.set_aside(worst)
        return Sent(now, worst, self._requests.taken, self._tokens.taken)

    def _wait(self, tokens: int, worst: float) -> float:
        if self.in_flight >= self.window or not self.budget.fits(worst):
            return math.inf  # until a call ends
        now = time.monotonic()
        limits = _allowed_in(self._requests, 1, now, "calls"), _allowed_in(self._tokens, tokens, now, "tokens")
        return max(self._paused_until - now, self._pace.wait(now), *limits)

    def _adapt(self, overloaded: bool) -> None:
        """After each window of calls: half as many where a quarter failed, else twice as many, or a quarter more once
        there was an overload."""
        self._finished, self._failed = self._finished + 1, self._failed + overloaded
        if self._finished < self.window:
            return
        if self._failed > OVERLOADED * self._finished:
            self.window, self._shrunk = max(1, self.window // 2), True
        else:
            more = max(1, self.window // 4) if self._shrunk else self.window
            self.window = min(self._at_once, self.window + more)
        self._finished = self._failed = 0

    def _learn(self, sent: Sent, headers: Mapping[str, str], now: float) -> bool:
        """Whether the headers give the limit of requests."""
        has_headers = False
        for what, bucket, taken in (("requests", self._requests, sent.requests), ("tokens", self._tokens, sent.tokens)):
            limit, remaining = (_number(headers.get(f"x-ratelimit-{kind}-{what}")) for kind in ("limit", "remaining"))
            reset = seconds(headers.get(f"x-ratelimit-reset-{what}"))
            if limit and remaining is not None and reset is not None:
                bucket.learn(limit, remaining, reset, sent.at, taken, now)
                has_headers = has_headers or what == "requests"
        return has_headers


def _allowed_in(bucket: Bucket, need: float, now: float, what: str) -> float:
    """Seconds until a bucket has enough; what is long to wait for is waited for without a reserve.

    Raises:
        UsedUp: that takes longer than is waited for.
    """
    wait = bucket.wait(need, now)
    if wait > LONGEST_PAUSE:
        wait = bucket.wait(need, now, reserved=False)
    if LONGEST_PAUSE < wait < math.inf:
        limit = f"the endpoint's limit of {bucket.limit:,.0f} {what}"
        raise UsedUp(f"{limit} is used up, and the next one is allowed in {wait / 60:,.0f} minutes")
    return wait


def seconds(text: str | None) -> float | None:
    """`1m30.5s`, `120ms` or plain `0.5` in seconds; None for anything else."""
    if not text:
        return None
    if (plain := _number(text)) is not None:
        return plain
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)", text)
    return sum(float(value) * UNITS[unit] for value, unit in parts) if parts else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
