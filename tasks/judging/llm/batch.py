"""Verdicts by OpenAI's Batch API: submitted, waited for, collected.

A batch is noted before it is submitted and carries its name at the endpoint, so that a run that is killed at any point
is followed by one that waits for the same batch.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from configs.schema import LlmJudgeSettings
from tasks.judging.llm.client import ABOUT_THE_TEXT, NO_ANSWER, Client, JudgeFailed, most_tokens
from tasks.judging.llm.limits import CeilingReached
from tasks.judging.llm.rubric import Rubric
from tasks.judging.llm.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from openai.types import Batch

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 30.0
SEARCHED_BACK = 3 * 86400.0
"""Seconds back to which a batch is searched for at the endpoint; it lives for one day."""
ENDED = ("completed", "expired", "cancelled", "failed")
ABOUT_THE_BATCH = ("batch_expired", "batch_cancelled")
"""Error codes of lines that the endpoint never came to."""
ENDPOINT: Final = "/v1/chat/completions"
NAME = "pluralign"
"""The key of a batch's name in its metadata."""
Texts = Mapping[bytes, tuple[str, str]]


class Batches:
    """Lives in the client's event loop."""

    def __init__(self, settings: LlmJudgeSettings, rubric: Rubric, store: Verdicts, judge: str, client: Client) -> None:
        self._settings, self._rubric, self._store, self._judge = settings, rubric, store, judge
        self._client, self._api = client, client.api.with_options(max_retries=settings.retries)
        self._planning = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[bytes, Verdict] = {}
        """What was no verdict, and may be asked for once more."""

    async def verdicts(self, texts: Texts) -> dict[bytes, Verdict]:
        """A verdict for each text, from batches that run already and from a new one for the rest.

        Raises:
            JudgeFailed: the endpoint takes no batch or loses part of it, or the batch might pass the cost ceiling.
        """
        for _ in range(self._settings.tries):
            kept = self._store.find(list(texts))
            if len(kept) == len(texts):
                return kept
            async with self._planning:
                running = await self._batches_for({key: pair for key, pair in texts.items() if key not in kept})
            await asyncio.gather(*running)
        kept = self._store.find(list(texts))
        unscored = {key: self._faults[key] for key in texts if key not in kept and key in self._faults}
        self._store.add(self._judge, unscored.items())
        if lost := len(texts) - len(kept) - len(unscored):
            raise self._failed(f"{lost} of {len(texts)} verdicts are missing after {self._settings.tries} batches")
        return kept | unscored

    async def _batches_for(self, missing: Texts) -> list[asyncio.Task[None]]:
        """The batches, running or submitted now, that hold these keys."""
        rest, tasks = dict(missing), []
        for name, id, keys in self._store.open_batches():
            if mine := {key: rest.pop(key) for key in keys if key in rest}:
                tasks.append(self._follow(name, id or await self._find(name), mine))
        if rest:
            name = uuid4().hex
            self._store.plan_batch(name, list(rest))
            tasks.append(self._follow(name, None, rest))
        return tasks

    def _follow(self, name: str, id: str | None, texts: Texts) -> asyncio.Task[None]:
        if name not in self._running:
            self._running[name] = asyncio.create_task(self._work(name, id, texts))
        return self._running[name]

    async def _work(self, name: str, id: str | None, texts: Texts) -> None:
        """One batch from wherever it is to its end."""
        import openai

        requests = {key: self._rubric.request(self._settings, *pair) for key, pair in texts.items()}
        worst = sum(self._client.budget.cost(*most_tokens(request)) for request in requests.values())
        aside, spent = False, 0.0
        try:
            if id is None:
                await self._set_aside(worst)
                aside = True
                id = await self._submit(name, requests)
            self._store.submit_batch(name, id)
            spent = await self._collect(name, await self._ended(id))
        except openai.APIError as error:
            raise self._failed(" ".join(error.message.split())[:300]) from None
        finally:
            self._running.pop(name)
            if aside:
                self._client.budget.settle(worst, spent)
            else:
                self._client.budget.spent += spent

    async def _set_aside(self, worst: float) -> None:
        """Wait until the worst case of a batch fits under the ceiling: what others set aside may turn out less."""
        try:
            while not self._client.budget.fits(worst):
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        except CeilingReached as error:
            raise self._failed(str(error)) from None
        self._client.budget.set_aside(worst)

    async def _submit(self, name: str, requests: Mapping[bytes, dict[str, Any]]) -> str:
        """The id of the new batch; where the answer is lost, the batch is searched for before another is made."""
        import openai

        call = {"method": "POST", "url": ENDPOINT}
        lines = [{"custom_id": key.hex(), **call, "body": request} for key, request in requests.items()]
        content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
        file = await self._api.files.create(file=("verdicts.jsonl", content), purpose="batch")
        for attempt in range(self._settings.retries + 1):
            try:
                batch = await self._client.api.batches.create(
                    input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={NAME: name}
                )
            except (openai.APIConnectionError, openai.InternalServerError):
                if attempt == self._settings.retries:
                    raise
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
                if known := await self._find(name):
                    return known
            else:
                self._client.calls += len(lines)
                log.info("judge %s: batch %s with %d answers submitted", self._settings.model, batch.id, len(lines))
                return batch.id
        raise AssertionError("the last attempt returns or raises")

    async def _find(self, name: str) -> str | None:
        """The id that the endpoint gave a batch of ours, if it came there."""
        async for batch in self._api.batches.list(limit=100):
            if (batch.metadata or {}).get(NAME) == name:
                return batch.id
            if batch.created_at < time.time() - SEARCHED_BACK:
                break
        return None

    async def _ended(self, id: str) -> Batch:
        while (batch := await self._api.batches.retrieve(id)).status not in ENDED:
            if done := batch.request_counts:
                log.info("judge %s: batch %s: %d of %d done", self._settings.model, id, done.completed, done.total)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return batch

    async def _collect(self, name: str, batch: Batch) -> float:
        """Keep the verdicts of a batch, also of one that expired on the way; what it cost."""
        files = [await self._api.files.content(id) for id in (batch.output_file_id, batch.error_file_id) if id]
        answers: dict[bytes, Verdict] = {}
        for key, verdict in _verdicts((file.content for file in files), self._rubric):
            answers.setdefault(key, verdict)
        known = {key for name_, _, keys in self._store.open_batches() if name_ == name for key in keys}
        mine = {key: verdict for key, verdict in answers.items() if key in known}
        if len(mine) < len(answers):
            log.warning("judge %s: batch %s answers what it was not asked", self._settings.model, batch.id)
        final = ABOUT_THE_TEXT.values()  # reasons that asking again does not change
        kept = {key: verdict for key, verdict in mine.items() if verdict.grades or verdict.reason in final}
        if any(not verdict.reason.startswith(NO_ANSWER) for verdict in mine.values()):
            self._faults.update({key: verdict for key, verdict in mine.items() if key not in kept})
        self._store.add(self._judge, kept.items())
        self._store.collect_batch(name)
        counts = f"{len(kept)} of {len(known)} verdicts"
        log.info("judge %s: batch %s %s: %s", self._settings.model, batch.id, batch.status, counts)
        if batch.status == "failed":
            errors = [error.message or "" for error in (batch.errors.data if batch.errors else None) or []]
            raise self._failed(f"batch {batch.id}: {'; '.join(errors) or 'failed'}")
        return sum(self._client.budget.cost(verdict.input, verdict.output) for verdict in mine.values())

    def _failed(self, reason: str) -> JudgeFailed:
        return JudgeFailed(f"judge {self._settings.model}: {reason}")


def _verdicts(files: Iterator[bytes], rubric: Rubric) -> Iterator[tuple[bytes, Verdict]]:
    """Key and verdict of every line that has them; a line that can't be read says nothing."""
    for content in files:
        for line in content.splitlines():
            try:
                answer = json.loads(line)
                key = bytes.fromhex(answer["custom_id"])
            except (ValueError, KeyError, TypeError):
                continue
            if (answer.get("error") or {}).get("code") not in ABOUT_THE_BATCH:
                yield key, _verdict(answer, rubric)


def _verdict(answer: Mapping[str, Any], rubric: Rubric) -> Verdict:
    response = answer.get("response") or {}
    body = response.get("body") or {}
    error = answer.get("error") or body.get("error") or {}
    if response.get("status_code") != 200:
        code = str(error.get("code") or response.get("status_code"))
        return Verdict((), ABOUT_THE_TEXT.get(code, f"{NO_ANSWER}: {code}"))
    usage = body.get("usage") or {}
    grades, reason = rubric.read(body)
    read, written = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    return Verdict(grades, reason, str(body.get("model", "")), read, written)
