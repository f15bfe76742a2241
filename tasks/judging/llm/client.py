"""One chat model behind an OpenAI-compatible endpoint, asked by many at once.

The `openai` client speaks to it. Its own retries are off, since they know nothing of the other calls: a refusal must
slow all of them down, and every try must fit into the cost ceiling. It follows no redirect, so neither a text nor the
key goes anywhere but to the address that the study names.
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
from tasks.judging.judge import JudgeFailed
from tasks.judging.llm.limits import LONGEST_PAUSE, Budget, CeilingReached, Outcome, RateLimits, UsedUp
from tasks.judging.llm.replies import ErrorReply, Form, read_reply, tokens_of, without_secrets

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a call is repeated: doubled each time, then cut at random by up to a half."""
TOKENS_BESIDE_TEXT = 100
"""What a request has beside its texts, at most."""
NO_ANSWER, TEXT_REFUSED = "no answer", "refused by the endpoint"
NO_KEY = "none"
"""What is sent where there is no key."""
PROBE = json.dumps({"prompt": "Hello.", "answer": "Hello."})
"""A text that no endpoint refuses."""


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
    reworded: bool = False
    """The endpoint wants the request in another form, which is known now."""
    doubtful: bool = False
    """It refused the request, and does not say whether for its text or for its form."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """Asks, within limits that all callers share; lives in one event loop."""

    def __init__(self, settings: LlmJudgeSettings, key: str, form: Form | None = None) -> None:
        """`form`: what an earlier client of this endpoint learned."""
        self.settings = settings
        self.budget = Budget(settings.price, settings.max_cost)
        self.limits = RateLimits(settings.at_once, self.budget)
        self.form = form or Form.of(settings)
        self.api = _api(settings, key)
        self.calls = self.unmetered = 0
        """Calls made; those of them whose tokens the endpoint did not say, which count at their most."""
        self._key = key
        self._probing, self._takes_texts = asyncio.Lock(), False
        self._answered_at = self._failed_at = time.monotonic()
        self._failure = ""

    async def ask(self, request: Mapping[str, Any]) -> EndpointReply:
        """Send a request until it is answered, at most `retries` times again.

        A text that gets no answer while others do is left without one; where none does, the endpoint has failed.

        Raises:
            JudgeFailed: the endpoint refuses for good or is out, or the cost ceiling is reached.
        """
        begun = time.monotonic()
        heard = await self._repeat(request, begun)
        if heard.reply:
            return heard.reply
        reason = self.clean(heard.reason, request)
        if heard.doubtful and await self._takes_another(request, begun):
            log.warning("judge %s: a text is unscored: %s", self.settings.model, reason)
            return EndpointReply(None, f"{TEXT_REFUSED}: {reason.partition(':')[0]}")
        if heard.outcome == "broken" and not heard.final and self._answered_at > begun:
            return EndpointReply(None, f"{NO_ANSWER}: {reason}")
        raise self._fail(reason if heard.final else f"{reason}, {self.settings.retries + 1} times")

    async def _repeat(self, request: Mapping[str, Any], begun: float) -> Heard:
        """The last of the calls that a request takes. A call that teaches the form does not count as one."""
        wait, attempt = FIRST_WAIT, 0
        while True:
            self._stop_if_failed(begun)
            heard = await self._try(request, again=attempt > 0)
            if heard.reworded:
                continue
            if heard.reply or heard.final or attempt == self.settings.retries:
                return heard
            attempt += 1
            if not heard.pause:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 (spreads calls, keeps no secret)
                wait = min(2 * wait, LONGEST_WAIT)

    async def close(self) -> None:
        await self.api.close()

    def clean(self, message: str, request: Mapping[str, Any] | None = None) -> str:
        """What may be logged and kept of an endpoint's words: no key, and nothing of a request's texts."""
        sent = request["messages"][-1]["content"] if request else ""
        return without_secrets(message, self._key, [sent, *json.loads(sent).values()] if sent else [])

    def log_unmetered(self) -> None:
        """Count a call whose tokens the endpoint did not say; the first one is told."""
        if not self.unmetered:
            what = "the endpoint does not say how many tokens a call took; it counts at its most"
            log.warning("judge %s: %s", self.settings.model, what)
        self.unmetered += 1

    async def _takes_another(self, request: Mapping[str, Any], begun: float) -> bool:
        """Whether the endpoint answers a harmless text in the same form, so that it refused this one for its text."""
        async with self._probing:
            self._stop_if_failed(begun)
            if not self._takes_texts:
                *others, user = request["messages"]
                await self._try(dict(request) | {"messages": [*others, {**user, "content": PROBE}]}, again=True)
            return self._takes_texts

    async def _try(self, request: Mapping[str, Any], again: bool) -> Heard:
        most = most_tokens(request)
        worst = self.budget.cost(*most)
        try:
            sent = await self.limits.enter(tokens_about(request), worst, again)
        except (CeilingReached, UsedUp) as error:
            return Heard("broken", 0.0, reason=str(error), final=True)
        self.calls += 1
        heard = Heard("broken", worst, reason="stopped")
        try:
            heard = await self._call(self.form.apply(request), most, worst)
        finally:
            self.limits.leave(sent, heard.cost, heard.outcome, heard.headers, heard.pause)
        if heard.outcome == "answered":
            self._answered_at = time.monotonic()
        self._takes_texts = self._takes_texts or bool(heard.reply and heard.reply.completion)
        return heard

    async def _call(self, sent: dict[str, Any], most: tuple[int, int], worst: float) -> Heard:
        """One call. Where nobody knows whether the endpoint did the work, it counts as paid at its worst."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self.settings.timeout):
                response = await self.api.post("/chat/completions", cast_to=httpx2.Response, body=sent)
        except openai.APIStatusError as error:
            response = error.response
        except TimeoutError:
            return Heard("broken", worst, reason=f"silence for {self.settings.timeout:g} s")
        except openai.APIConnectionError as error:
            unsent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
            reason, final = _why_unsent(error) if unsent else ("connection lost", False)
            return Heard("broken", 0.0 if unsent else worst, reason=reason, final=final)
        except (ValueError, TypeError, httpx2.InvalidURL) as error:
            return Heard("broken", 0.0, reason=f"the call can't be sent ({type(error).__name__})", final=True)
        return self._read(response, sent, most, worst)

    def _read(self, response: httpx2.Response, sent: dict[str, Any], most: tuple[int, int], worst: float) -> Heard:
        status, headers = response.status_code, response.headers
        body = decoded(response.content)
        reply = read_reply(status, body)
        if isinstance(reply, ErrorReply):
            return self._refusal(reply, sent, headers)
        if reply is None:
            what = "an answer that is not JSON" if body is None else "an answer that is no completion"
            return Heard("broken", worst, reason=what, headers=headers)
        read, written, told = tokens_of(reply, most)
        if not told:
            self.log_unmetered()
        answered = EndpointReply(reply, input=read, output=written)
        return Heard("answered", self.budget.cost(read, written), answered, headers=headers)

    def _refusal(self, fault: ErrorReply, sent: dict[str, Any], headers: Mapping[str, str]) -> Heard:
        """An answer with an error; none of them is paid for."""
        if reason := fault.about_the_text:
            return Heard("answered", 0.0, EndpointReply(None, reason), headers=headers)
        if self.form.learn(fault, sent):
            return Heard("answered", 0.0, reworded=True, headers=headers)
        status, pause = fault.status, retry_after(headers) or 0.0
        reason = f"HTTP {status}: {fault.message or 'without a word'}"
        if 300 <= status < 400:
            reason = f"HTTP {status}: sends elsewhere, which is not followed; is judge.base_url right?"
        if fault.spends_a_quota:
            return Heard("refused", 0.0, reason=f"{reason} (a quota is used up)", final=True, headers=headers)
        if pause > LONGEST_PAUSE:
            return Heard("refused", 0.0, reason=f"{reason} (asks to wait {pause:,.0f} s)", final=True, headers=headers)
        if status == 429:
            return Heard("refused", 0.0, reason=reason, pause=pause, headers=headers)
        again = status in (408, 409) or status >= 500
        doubtful = status in (400, 422)
        reason += self._where_the_key_is() if status in (401, 403) else ""
        return Heard("broken", 0.0, reason=reason, pause=pause, final=not again, doubtful=doubtful, headers=headers)

    def _where_the_key_is(self) -> str:
        what = "no key was sent; it" if self._key == NO_KEY else "the key"
        return f" ({what} is looked for in {self.settings.key})"

    def _stop_if_failed(self, begun: float) -> None:
        """Who began before the endpoint failed need not find out for himself; who begins later asks afresh."""
        if self._failure and self._failed_at >= begun and self._answered_at <= self._failed_at:
            raise JudgeFailed(self._failure)

    def _fail(self, reason: str) -> JudgeFailed:
        self._failure, self._failed_at = f"judge {self.settings.model}: {reason}", time.monotonic()
        self.limits.dismiss(JudgeFailed(self._failure))
        return JudgeFailed(self._failure)


def _api(settings: LlmJudgeSettings, key: str) -> AsyncOpenAI:
    """The `openai` client for the settings' address, whatever the environment says of another; what the environment
    tells OpenAI of its account goes to OpenAI only."""
    from openai import AsyncOpenAI, DefaultAioHttpClient, Omit

    own = {} if settings.needs_key else {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    headers: Any = {"Authorization": f"Bearer {key}", **own}
    http = DefaultAioHttpClient(follow_redirects=False)
    return AsyncOpenAI(api_key=key, base_url=settings.address, max_retries=0, http_client=http, default_headers=headers)


def decoded(content: bytes) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _why_unsent(error: BaseException | None) -> tuple[str, bool]:
    """Why there is no connection, in words; and whether that is so for good."""
    import socket
    import ssl

    while error:
        if isinstance(error, ssl.SSLError | ssl.CertificateError):
            return "no secure connection (TLS)", True
        if isinstance(error, socket.gaierror):
            return "no such host", False
        error = getattr(error, "os_error", None) or error.__cause__ or error.__context__
    return "no connection", False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait, from `Retry-After-Ms` or `Retry-After` (seconds or a date)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
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
