"""One chat model behind an OpenAI-compatible endpoint, asked by many at once.

The `openai` client speaks to it. Its own retries are off, since they know nothing of the other calls: a refusal must
slow all of them down, and every try must fit into the cost ceiling.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from configs.schema import LlmJudgeSettings
from tasks.judging.llm.limits import Budget, CeilingReached, Outcome, RateLimits
from tasks.judging.llm.rubric import FILTERED, TOO_LONG

if TYPE_CHECKING:
    from openai import APIStatusError

log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a call is repeated: doubled each time, then cut at random by up to a half."""
LONGEST_PAUSE = 300.0
"""Seconds that an endpoint may ask to wait; one that asks for more has failed."""
TOKENS_BESIDE_TEXT = 100
"""What a request has beside its texts, at most."""
ABOUT_THE_TEXT = {"content_filter": FILTERED, "context_length_exceeded": TOO_LONG}
"""Error codes that say something about a text, and nothing about the endpoint."""
NO_ANSWER = "no answer"


class JudgeFailed(RuntimeError):
    """The endpoint gives no verdicts, or may not be asked for more; the next run asks for what is missing."""


@dataclass(frozen=True)
class EndpointReply:
    """A chat completion as it came, with its tokens; or none, and the reason why this text gets none."""

    completion: Mapping[str, Any] | None
    reason: str = ""
    input: int = 0
    output: int = 0


@dataclass(frozen=True)
class Heard:
    """What became of one call. Without a reply it may be repeated, unless it failed for good."""

    outcome: Outcome
    cost: float
    reply: EndpointReply | None = None
    reason: str = ""
    pause: float = 0.0
    final: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """Asks, within limits that all callers share; lives in one event loop."""

    def __init__(self, settings: LlmJudgeSettings, key: str) -> None:
        from openai import AsyncOpenAI, DefaultAioHttpClient

        self.settings = settings
        self.budget = Budget(settings.price, settings.max_cost)
        self.limits = RateLimits(settings.at_once, self.budget)
        http = DefaultAioHttpClient()
        self.api = AsyncOpenAI(api_key=key, base_url=settings.base_url, max_retries=0, http_client=http)
        self.calls = 0
        self._answered_at = self._failed_at = time.monotonic()
        self._failure = ""

    async def ask(self, request: Mapping[str, Any]) -> EndpointReply:
        """Send a request until it is answered, at most `retries` times again.

        A text that gets no answer while others do is left without one; where none does, the endpoint has failed.

        Raises:
            JudgeFailed: the endpoint refuses for good or is out, or the cost ceiling is reached.
        """
        begun, wait, most = time.monotonic(), FIRST_WAIT, most_tokens(request)
        for attempt in range(self.settings.retries + 1):
            self._stop_if_failed(begun)
            heard = await self._try(request, most, again=attempt > 0)
            if heard.reply:
                return heard.reply
            if heard.final:
                break
            if attempt < self.settings.retries and not heard.pause:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 (spreads calls, keeps no secret)
                wait = min(2 * wait, LONGEST_WAIT)
        if heard.outcome == "broken" and not heard.final and self._answered_at > begun:
            return EndpointReply(None, f"{NO_ANSWER}: {heard.reason}")
        raise self._fail(heard.reason if heard.final else f"{heard.reason}, {self.settings.retries + 1} times")

    async def close(self) -> None:
        await self.api.close()

    async def _try(self, request: Mapping[str, Any], most: tuple[int, int], again: bool) -> Heard:
        worst = self.budget.cost(*most)
        try:
            sent = await self.limits.enter(tokens_about(request), worst, again)
        except CeilingReached as error:
            return Heard("broken", 0.0, reason=str(error), final=True)
        self.calls += 1
        heard = Heard("broken", worst, reason="stopped")
        try:
            heard = await self._call(request, most, worst)
        finally:
            self.limits.leave(sent, heard.cost, heard.outcome, heard.headers, heard.pause)
        if heard.outcome == "answered":
            self._answered_at = time.monotonic()
        return heard

    async def _call(self, request: Mapping[str, Any], most: tuple[int, int], worst: float) -> Heard:
        """One call. Where nobody knows whether the endpoint did the work, it counts as paid at its worst."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self.settings.timeout):
                response = await self.api.post("/chat/completions", cast_to=httpx2.Response, body=dict(request))
            completion = json.loads(response.content)
        except openai.APIStatusError as error:
            return _refusal(error)
        except TimeoutError:
            return Heard("broken", worst, reason=f"silence for {self.settings.timeout:g} s")
        except openai.APIConnectionError as error:
            unsent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
            return Heard("broken", 0.0 if unsent else worst, reason="no connection" if unsent else "connection lost")
        except ValueError:
            return Heard("broken", worst, reason="an answer that is not JSON")
        if not isinstance(completion, dict):
            return Heard("broken", worst, reason="an answer that is no completion", headers=response.headers)
        usage = completion.get("usage") or {}
        read, written = usage.get("prompt_tokens", most[0]), usage.get("completion_tokens", most[1])
        reply = EndpointReply(completion, input=read, output=written)
        return Heard("answered", self.budget.cost(read, written), reply, headers=response.headers)

    def _stop_if_failed(self, begun: float) -> None:
        """Who began before the endpoint failed need not find out for himself; who begins later asks afresh."""
        if self._failure and self._failed_at >= begun and self._answered_at <= self._failed_at:
            raise JudgeFailed(self._failure)

    def _fail(self, reason: str) -> JudgeFailed:
        self._failure, self._failed_at = f"judge {self.settings.model}: {reason}", time.monotonic()
        self.limits.dismiss(JudgeFailed(self._failure))
        return JudgeFailed(self._failure)


def _refusal(error: APIStatusError) -> Heard:
    """An answer with an error status; none of them is paid for."""
    status, headers, code = error.status_code, error.response.headers, error.code
    if code in ABOUT_THE_TEXT:
        return Heard("answered", 0.0, EndpointReply(None, ABOUT_THE_TEXT[code]), headers=headers)
    message = error.body.get("message") if isinstance(error.body, dict) else None
    reason = f"HTTP {status}: {' '.join(str(message or error.response.reason_phrase).split())[:300]}"
    pause = retry_after(headers) or 0.0
    if pause > LONGEST_PAUSE:
        return Heard("refused", 0.0, reason=f"{reason} (asks to wait {pause:,.0f} s)", final=True, headers=headers)
    if status == 429 and code != "insufficient_quota":
        return Heard("refused", 0.0, reason=reason, pause=pause, headers=headers)
    again = status in (408, 409) or status >= 500
    return Heard("broken", 0.0, reason=reason, pause=pause, final=not again, headers=headers)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait, from `Retry-After-Ms` or `Retry-After` (seconds or a date)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


def most_tokens(request: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens that a call reads and writes at most: no tokenizer makes more tokens of a text than it has bytes."""
    texts = [*(message["content"] for message in request["messages"]), json.dumps(request["response_format"])]
    return sum(len(text.encode()) for text in texts) + TOKENS_BESIDE_TEXT, request["max_tokens"]


CHARACTERS_A_TOKEN = 4
"""Of English, about."""


def tokens_about(request: Mapping[str, Any]) -> int:
    """What a call takes of a limit on tokens, about; the endpoint's headers tell the rest."""
    return sum(len(message["content"]) for message in request["messages"]) // CHARACTERS_A_TOKEN + request["max_tokens"]
