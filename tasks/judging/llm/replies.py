"""What an endpoint's answer means: a completion, an error about the text, about the form of the request, or another.

Endpoints that speak OpenAI's protocol tell errors in their own ways: with or without an envelope, under status 200, by
a code or by words only. What is known of OpenAI, Azure, vLLM, SGLang, llama.cpp, TGI, Groq, OpenRouter, Mistral, Gemini
and Anthropic-compatible endpoints is here, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from configs.schema import LlmJudgeSettings
from tasks.judging.llm.rubric import FILTERED, NOT_JSON, TOO_LONG

Body = Mapping[str, Any]
ABOUT_THE_TEXT = {
    "content_filter": FILTERED, "content_policy_violation": FILTERED, "responsibleaipolicyviolation": FILTERED,
    "invalid_prompt": FILTERED, "data_inspection_failed": FILTERED, "moderation_blocked": FILTERED,
    "context_length_exceeded": TOO_LONG, "exceed_context_size_error": TOO_LONG, "string_above_max_length": TOO_LONG,
    "request_too_large": TOO_LONG, "json_validate_failed": NOT_JSON,
}  # fmt: skip
"""Error codes and types, in lower case, that say something about a text, and nothing about the endpoint."""
WORDS_ABOUT_THE_TEXT = {
    TOO_LONG: re.compile(
        r"context[ _-]?(length|window|size|limit)|contextwindow|reduce the length|longer than the model"
        r"|(prompt|input|message|request|text)s? (is |are |was )?too (long|large)|too many (input |prompt )?tokens"
        r"|maximum (context|prompt|input|number of (input )?tokens)"
        r"|exceeds? the (maximum|model|available|limit)[^.]*token"
        r"|inputs?`? tokens?[^.]*must be <=|token count[^.]*exceeds|string too long|tokens must be reduced",
        re.IGNORECASE,
    ),
    FILTERED: re.compile(
        r"content[ _](management )?(policy|filter)|flagged|moderation|usage polic|safety system|responsible ?ai"
        r"|inappropriate content",
        re.IGNORECASE,
    ),
    NOT_JSON: re.compile(r"failed to (generate|produce|parse)[^.]{0,30}json|no valid json", re.IGNORECASE),
}
"""What those say that have no code of their own."""
TOO_LARGE_A_MINUTE = re.compile(r"request too large|tokens must be reduced", re.IGNORECASE)
"""A text that is over a limit of a minute all alone, so that no waiting helps."""
SPENT_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
SPENT = re.compile(
    r"per[ _-]?(day|month)|/ ?day|\b[RT]PD\b|\b(daily|monthly)\b|exceeded your current quota"
    r"|insufficient (quota|balance)|(out of|insufficient) (credit|fund)",
    re.IGNORECASE,
)
OF_A_MINUTE = re.compile(r"per[ _-]?min|/ ?min|\b[RT]PM\b", re.IGNORECASE)
NOT_TAKEN = re.compile(
    r"unsupported|not support|n't support|only the default|deprecated|unknown|unrecogni[sz]ed|not permitted|not allowed"
    r"|extra (inputs|fields)|unexpected|use '?.?max_",
    re.IGNORECASE,
)
"""What is said of a parameter that a model does not take."""
LONGEST_MESSAGE = 300
MOST_TOKENS = 10**9
"""More than any call takes: a number beyond it is none."""


# ---- errors


@dataclass(frozen=True)
class ErrorReply:
    """An error as an endpoint tells it; `code` may be a type, and `words` is all by which it is recognised."""

    status: int
    code: str
    message: str
    param: str
    words: str

    @property
    def about_the_text(self) -> str:
        """Why this text gets no verdict, "" where the error is not about the text."""
        for code in self.code.lower().split():
            if code in ABOUT_THE_TEXT:
                return ABOUT_THE_TEXT[code]
        if self.status == 429:
            return TOO_LONG if TOO_LARGE_A_MINUTE.search(self.words) else ""
        if self.status == 413:
            return TOO_LONG
        said = [reason for reason, words in WORDS_ABOUT_THE_TEXT.items() if words.search(self.words)]
        if self.status in (400, 403, 422, 451):
            return next(iter(said), "")
        return TOO_LONG if self.status >= 500 and TOO_LONG in said else ""

    @property
    def spends_a_quota(self) -> bool:
        """Whether a limit of a day or longer, or the account's money, is used up."""
        if self.status == 402 or any(code in SPENT_CODES for code in self.code.lower().split()):
            return True
        days = [match.group() for match in SPENT.finditer(self.words)]
        of_a_minute = OF_A_MINUTE.search(self.words) and days == ["exceeded your current quota"]
        return self.status in (403, 429) and bool(days) and not of_a_minute

    def refuses(self, parameter: str) -> bool:
        """Whether it says that the model does not take a parameter of this name at all, or this value of it."""
        named = self.param == parameter or re.search(rf"\b{parameter}\b", self.message)
        return self.status in (400, 422) and bool(named) and bool(NOT_TAKEN.search(f"{self.code} {self.message}"))


def fault_of(status: int, body: object) -> ErrorReply:
    """The error in an answer, in any of the forms that endpoints give it."""
    if isinstance(body, list):
        body = next(iter(body), None)
    outer: Body = body if isinstance(body, dict) else {"message": body if isinstance(body, str) else ""}
    error = outer.get("error") or outer
    if not isinstance(error, dict):
        error = {**outer, "message": error}
    codes = " ".join(str(error[name]) for name in ("code", "type", "error_type") if error.get(name))
    inner = error.get("innererror") or {}
    codes += f" {inner.get('code', '')}" if isinstance(inner, dict) else ""
    message = printable(str(error.get("message") or _detail(outer)))
    metadata = error.get("metadata") or {}
    more = [str(metadata.get(name, "")) for name in ("raw", "reasons")] if isinstance(metadata, dict) else []
    details = error.get("details") if isinstance(error.get("details"), list) else []
    words = " ".join([message, codes, *more, json.dumps(details)])[:5000]
    return ErrorReply(status, codes.strip(), message, str(error.get("param") or ""), words)


def _detail(outer: Body) -> str:
    """What FastAPI says, without the input that it repeats."""
    detail = outer.get("detail") or ""
    if not isinstance(detail, list):
        return str(detail)
    places = [(item.get("loc") or [""], item.get("msg", "")) for item in detail if isinstance(item, dict)]
    return "; ".join(f"{'.'.join(map(str, place))}: {text}" for place, text in places if isinstance(place, list))


# ---- completions


def read_reply(status: int, body: object) -> Body | ErrorReply | None:
    """A completion; an error, whatever status it comes with; or None where it is neither."""
    if not 200 <= status < 300:
        return fault_of(status, body)
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice = choices[0]
        if choice.get("error") or choice.get("finish_reason") == "error":
            return _fault_within({"error": choice.get("error") or "the answer broke off"})
        return body if isinstance(choice.get("message"), dict) else None
    return _fault_within(body) if body.get("error") or body.get("object") == "error" else None


def _fault_within(body: Body) -> ErrorReply:
    """An error that came with status 200; its code may be the status that it should have had."""
    fault = fault_of(502, body)
    code = next((int(code) for code in fault.code.split() if re.fullmatch(r"[45]\d\d", code)), 502)
    return ErrorReply(code, fault.code, fault.message, fault.param, fault.words)


def tokens_of(body: object, most: tuple[int, int]) -> tuple[int, int, bool]:
    """Tokens read and written, and whether the endpoint says both; what it does not say counts at its most."""
    usage = body.get("usage") if isinstance(body, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    read, written = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return read or most[0], written or most[1], bool(read and written)


def _count(value: object) -> int | None:
    """A number of tokens, also where it is written as a text; None for anything that can't be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        return None
    return number if 0 < number <= MOST_TOKENS else None


def model_of(body: Body) -> str:
    """What the endpoint says that it ran."""
    model = body.get("model")
    return printable(model)[:LONGEST_MESSAGE] if isinstance(model, str) else ""


# ---- the form of a request


@dataclass
class Form:
    """How this endpoint wants its requests: what it refuses to take is learned from its errors."""

    limit: str = "max_tokens"
    """What it calls the longest answer."""
    temperature: bool = True
    """Whether it takes one."""
    changes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, settings: LlmJudgeSettings) -> Form:
        return cls(settings.max_tokens_as, settings.temperature is not None)

    def apply(self, request: Body) -> dict[str, Any]:
        """The request as it is sent."""
        sent = {name: value for name, value in request.items() if name not in ("max_tokens", "temperature")}
        sent[self.limit] = request["max_tokens"]
        return sent | ({"temperature": request["temperature"]} if self.temperature else {})

    def learn(self, fault: ErrorReply, sent: Body) -> bool:
        """Whether a request that was refused in this form may be sent in another, known by now."""
        for limit, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
            if limit in sent and fault.refuses(limit):
                if self.limit == limit and "limit" not in self.changes:
                    self.limit = other
                    self.changes.append("limit")
                return self.limit == other
        if "temperature" in sent and fault.refuses("temperature"):
            self.temperature = False
            return True
        return False


# ---- what may be said of an error


def printable(text: str) -> str:
    """On one line, without what a terminal, a file or a database can't show."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def without_secrets(message: str, key: str, texts: Sequence[str] = ()) -> str:
    """A message without the key, or anything like one, and without what it repeats of the texts that were sent: a
    whole one, or a stretch of it."""
    message = re.sub(r"//[^/\s@]+@", "//", message)
    message = re.sub(r"\b(bearer\s+|sk-)[^\s\"',;]{4,}", "[key]", message, flags=re.IGNORECASE)
    message = _without(message, key, 6, "[key]") if len(key) > 6 else message
    message = message[:LONGEST_MESSAGE]
    for text in filter(None, map(printable, texts)):
        message = _without(message, text, min(len(text), 12), "[text]") if len(text) > 6 else message
    return message


def _without(message: str, secret: str, shortest: int, mark: str) -> str:
    """The message with every stretch that it shares with a secret, from so many characters on, replaced."""
    while True:
        shared = SequenceMatcher(None, message, secret, autojunk=False).find_longest_match()
        if shared.size < shortest:
            return message
        message = message[: shared.a] + mark + message[shared.a + shared.size :]
