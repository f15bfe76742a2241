"""When the next call may go out: buckets told by headers, a pace learned from refusals, a window, a budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from configs.schema import Price
from tasks.judging.llm.limits import Bucket, Budget, CeilingReached, Pace, RateLimits, Sent, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("1s", 1.0), ("120ms", 0.12), ("1m30.5s", 90.5), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1d2h", 93_600.0),
     ("8.64s", 8.64), ("0.5", 0.5), ("0s", 0.0), ("", None), (None, None), ("soon", None)],
)  # fmt: skip
def test_durations_of_headers_are_read(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


# ---- buckets


def test_a_bucket_without_headers_is_bottomless() -> None:
    bucket = Bucket()
    bucket.take(1e9, now=0)
    assert bucket.wait(1e9, now=0) == 0


def test_a_bucket_fills_as_its_headers_say() -> None:
    """600 a minute, ten at once: after a first call nine are left, and the tenth of a second fills it again."""
    bucket = Bucket()
    bucket.take(1, now=0)
    bucket.learn(limit=10, remaining=9, reset=0.1, sent=0, taken=1, now=0.05)
    for _ in range(7):  # nine and a half are there, and two stay in reserve
        assert bucket.wait(1, now=0.05) == 0
        bucket.take(1, now=0.05)
    assert bucket.wait(1, now=0.05) == pytest.approx(0.05)  # of three calls, half a one is lacking
    assert bucket.wait(1, now=0.1) == pytest.approx(0)


def test_what_was_sent_after_the_call_that_a_header_speaks_of_is_taken_off() -> None:
    bucket = Bucket()
    for _ in range(5):
        bucket.take(1, now=0)
    bucket.learn(limit=10, remaining=9, reset=100, sent=0, taken=1, now=0)  # of the first of the five
    assert bucket.level == 5
    assert bucket.wait(3, now=0) == 0
    assert bucket.wait(3.1, now=0) > 0


def test_a_call_larger_than_the_bucket_waits_until_it_is_full() -> None:
    bucket = Bucket()
    bucket.take(0, now=0)
    bucket.learn(limit=100, remaining=50, reset=10, sent=0, taken=0, now=0)
    assert bucket.wait(1000, now=0) == pytest.approx(10)


# ---- pace


def interval(pace: Pace, now: float) -> float:
    """Seconds between two calls."""
    pace.take(now)
    return pace.wait(now)


def test_one_refusal_is_chance_and_two_of_ten_are_a_sign() -> None:
    pace = Pace()
    for second in range(10):
        pace.answered(second)
    pace.refused(9.0)
    assert pace.wait(9.0) == 0
    pace.refused(9.0)
    assert interval(pace, 9.0) == pytest.approx(0.9)  # ten answers in nine seconds


def test_few_refusals_of_many_calls_are_chance() -> None:
    pace = Pace()
    for call in range(1000):
        pace.answered(call / 100)
    for _ in range(19):
        pace.refused(9.99)
    assert pace.wait(9.99) == 0
    pace.refused(9.99)
    pace.refused(9.99)
    assert 1 / interval(pace, 9.99) == pytest.approx(100, rel=0.01)


def test_a_pace_recovers_when_nothing_is_refused() -> None:
    pace = Pace()
    pace.refused(0.0)
    pace.refused(0.0)
    assert 1 / interval(pace, 100.0) == pytest.approx(51)


def test_a_limit_that_no_header_tells_is_found_and_kept() -> None:
    """In made-up time: 600 calls a minute, ten at once, 50 ms a call, and a second's pause after each refusal."""
    pace, level, filled, paused, now, answered, refused = Pace(), 10.0, 0.0, 0.0, 0.0, 0, 0
    while answered < 3000:
        now = max(now + 0.05, paused, now + pace.wait(now))  # one call at a time
        pace.take(now)
        level, filled = min(10.0, level + 10 * (now - filled)), now
        if level >= 1:
            level, answered = level - 1, answered + 1
            pace.answered(now)
        else:
            paused, refused = now + 1.0, refused + 1
            pace.refused(now)
    assert answered / now > 0.95 * 10
    assert refused / (refused + answered) < 0.02


# ---- window, order, ceiling


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def limits(at_once: int = 64, ceiling: float | None = None) -> RateLimits:
    return RateLimits(at_once, Budget(Price(input=1, output=1), ceiling))


async def rounds(limited: RateLimits, n: int, broken: float = 0.0) -> list[int]:
    """The window after each of n rounds that fill it; `broken`: the share of calls without an answer."""
    windows = []
    for _ in range(n):
        size = limited.window
        sent: list[Sent] = [await limited.enter(1, 0.0) for _ in range(size)]
        for number, call in enumerate(sent):
            limited.leave(call, 0.0, "broken" if number < broken * size else "answered", {})
        windows.append(limited.window)
    return windows


def test_the_window_doubles_until_the_limit_and_halves_where_a_quarter_fails() -> None:
    async def work() -> None:
        limited = limits()
        assert await rounds(limited, 4) == [16, 32, 64, 64]
        assert await rounds(limited, 2, broken=0.1) == [64, 64]
        assert await rounds(limited, 3, broken=0.5) == [32, 16, 8]
        assert await rounds(limited, 3) == [10, 12, 15]
        assert (await rounds(limited, 6, broken=1.0))[-1] == 1

    run(work())


def test_who_asks_again_goes_before_who_asks_for_the_first_time() -> None:
    async def work() -> None:
        limited, order = limits(at_once=1), []
        first = await limited.enter(1, 0.0)

        async def ask(name: str, again: bool) -> None:
            sent = await limited.enter(1, 0.0, again)
            order.append(name)
            limited.leave(sent, 0.0, "answered", {})

        asked = [asyncio.create_task(ask(*who)) for who in (("a", False), ("b", False), ("c", True))]
        await asyncio.sleep(0)
        limited.leave(first, 0.0, "answered", {})
        await asyncio.gather(*asked)
        assert order == ["c", "a", "b"]

    run(work())


def test_all_wait_where_the_endpoint_asks_one_to_wait() -> None:
    async def work() -> None:
        limited = limits()
        sent = await limited.enter(1, 0.0)
        limited.leave(sent, 0.0, "refused", {}, pause=0.2)
        started = time.monotonic()
        await limited.enter(1, 0.0)
        assert 0.2 <= time.monotonic() - started < 1.0

    run(work())


def test_a_call_waits_while_those_in_flight_may_turn_out_cheaper_and_fails_where_none_can() -> None:
    async def work() -> None:
        limited = limits(ceiling=10.0)
        first = await limited.enter(1, 6.0)
        waiting = asyncio.create_task(limited.enter(1, 6.0))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        limited.leave(first, 3.0, "answered", {})
        second = await waiting
        limited.leave(second, 6.0, "answered", {})
        assert limited.budget.spent == 9.0
        with pytest.raises(CeilingReached, match=r"the cost ceiling of \$10 \(\$9.0000 spent\)"):
            await limited.enter(1, 1.5)

    run(work())


def test_a_limit_on_tokens_holds_calls_back_too() -> None:
    async def work() -> None:
        limited = limits()
        sent = await limited.enter(500, 0.0)
        told = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "500",
                "x-ratelimit-reset-tokens": "2s"}  # fmt: skip
        limited.leave(sent, 0.0, "answered", told)
        started = time.monotonic()
        await limited.enter(350, 0.0)  # 500 are there, 250 come in a second, 200 stay in reserve
        assert 0.15 < time.monotonic() - started < 1.0

    run(work())


def test_with_no_call_in_flight_nothing_is_set_aside_to_the_last_digit() -> None:
    budget = Budget(Price(input=1, output=1), 1.0)
    for worst in (0.1, 0.2):
        budget.set_aside(worst)
    for worst in (0.1, 0.2):  # 0.1 + 0.2 - 0.1 - 0.2 is 2.8e-17: a rest for which callers would wait for ever
        budget.settle(worst, 0.3)
    assert budget.reserved == 0
    with pytest.raises(CeilingReached):
        budget.fits(0.5)
