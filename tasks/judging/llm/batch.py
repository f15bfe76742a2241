"""Verdicts by OpenAI's Batch API: submitted, waited for, collected.

A batch is noted before it is submitted and carries its name at the endpoint, so that a run that is killed at any point
is followed by one that waits for the same batch. What there is of a batch's output is taken, however the batch ended;
what it did not answer, or all of it where the endpoint no longer knows it, is asked for anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from configs.schema import LlmJudgeSettings
from tasks.judging.judge import VERDICTS, JudgeFailed
from tasks.judging.llm.client import NO_ANSWER, Client, decoded, most_tokens
from tasks.judging.llm.limits import CeilingReached
from tasks.judging.llm.replies import ErrorReply, fault_of, model_of, printable, read_reply, tokens_of
from tasks.judging.llm.rubric import FILTERED, TOO_LONG, Rubric
from tasks.judging.llm.verdicts import Verdict, Verdicts
from tasks.runtime.progress import Progress, Report, unheard

if TYPE_CHECKING:
    from openai import APIError
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
Result = TypeVar("Result")


class Batches:
    """Lives in the client's event loop."""

    def __init__(self, settings: LlmJudgeSettings, rubric: Rubric, store: Verdicts, judge: str, client: Client) -> None:
        self._settings, self._rubric, self._store, self._judge = settings, rubric, store, judge
        self._client, self._api = client, client.api.with_options(max_retries=settings.retries)
        self._planning = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[bytes, Verdict] = {}
        """What was no verdict, and may be asked for once more."""
        self._reasons: list[str] = []
        """Why batches failed, in the endpoint's words."""

    async def verdicts(self, texts: Texts, progress: Progress = unheard) -> dict[bytes, Verdict]:
        """A verdict for each text, from batches that run already and from a new one for the rest.

        Raises:
            JudgeFailed: the endpoint takes no batch or loses part of it, or the batch might pass the cost ceiling.
        """
        rounds = 0
        while len(kept := self._known(texts)) < len(texts) and rounds < self._settings.tries:
            form = replace(self._client.form)
            async with self._planning:
                running = await self._batches_for(
                    {key: pair for key, pair in texts.items() if key not in kept}, progress
                )
            await asyncio.gather(*running)
            rounds += form == self._client.form  # a batch that taught the form does not count
        unscored = {key: self._faults[key] for key in texts if key not in kept and key in self._faults}
        if lost := len(texts) - len(kept) - len(unscored):
            why = "".join(f"{reason}; " for reason in self._reasons)
            raise self._failed(f"{why}{lost} of {len(texts)} verdicts are missing after {rounds} batches")
        return kept | unscored

    def _known(self, texts: Texts) -> dict[bytes, Verdict]:
        """The kept verdicts, and what is not asked again in this run: texts that the endpoint has refused."""
        refused = {key: verdict for key, verdict in self._faults.items() if verdict.reason in (TOO_LONG, FILTERED)}
        return {key: refused[key] for key in texts if key in refused} | self._store.find(list(texts))

    async def _batches_for(self, missing: Texts, progress: Progress) -> list[asyncio.Task[None]]:
        """The batches, running or submitted now, that hold these keys."""
        rest, tasks = dict(missing), []
        for name, id, keys in self._store.open_batches():
            if mine := {key: rest.pop(key) for key in keys if key in rest}:
                tasks.append(self._follow(name, id or await self._find(name), mine, progress))
        if rest:
            name = uuid4().hex
            self._store.plan_batch(name, list(rest))
            tasks.append(self._follow(name, None, rest, progress))
        return tasks

    def _follow(self, name: str, id: str | None, texts: Texts, progress: Progress) -> asyncio.Task[None]:
        if name not in self._running:
            self._running[name] = asyncio.create_task(self._work(name, id, texts, progress))
        return self._running[name]

    async def _work(self, name: str, id: str | None, texts: Texts, progress: Progress) -> None:
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
            if batch := await self._ended(name, id, progress):
                spent = await self._collect(name, batch, requests)
            else:
                self._give_up(name, id, len(texts))
        except openai.APIError as error:
            raise self._failed(self._words(error)) from None
        finally:
            self._running.pop(name)
            if aside:
                self._client.budget.settle(worst, spent)
            else:
                self._client.budget.spent += spent

    def _words(self, error: APIError) -> str:
        """What the endpoint says, without the key."""
        status = getattr(error, "status_code", None)
        if status is None:
            return "no connection"
        fault = fault_of(status, error.body)
        spent = " (a quota is used up)" if fault.spends_a_quota else ""
        return self._client.clean(f"HTTP {status}: {fault.message}{spent}")

    def _give_up(self, name: str, id: str, n: int) -> None:
        lost = f"the endpoint no longer knows batch {id}; its {n:,} answers are asked for anew"
        log.warning("judge %s: %s", self._settings.model, lost)
        self._store.collect_batch(name)

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
        form = self._client.form
        lines = [{"custom_id": key.hex(), **call, "body": form.apply(request)} for key, request in requests.items()]
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

    async def _ended(self, name: str, id: str, progress: Progress) -> Batch | None:
        """The batch when it has ended; None where the endpoint does not know it any more."""
        while True:
            batch = await self._look(id) or await self._look(await self._find(name))
            if batch is None or batch.status in ENDED:
                return batch
            done = batch.request_counts
            progress(Report(f"wait for batch {id}", *((done.completed, done.total, VERDICTS) if done else ())))
            if done:
                log.info("judge %s: batch %s: %d of %d done", self._settings.model, id, done.completed, done.total)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def _look(self, id: str | None) -> Batch | None:
        return await _unless_gone(self._api.batches.retrieve(id)) if id else None

    async def _collect(self, name: str, batch: Batch, requests: Mapping[bytes, dict[str, Any]]) -> float:
        """Keep the verdicts of a batch, also of one that expired on the way; what it cost."""
        answers = self._read(await self._lines(batch), requests)
        known = {key for name_, _, keys in self._store.open_batches() if name_ == name for key in keys}
        mine = {key: verdict for key, verdict in answers.items() if key in known}
        if len(mine) < len(answers):
            log.warning("judge %s: batch %s answers what it was not asked", self._settings.model, batch.id)
        if any(not verdict.reason.startswith(NO_ANSWER) for verdict in mine.values()):
            self._faults.update({key: verdict for key, verdict in mine.items() if not verdict.lasts})
        self._store.add(self._judge, mine.items())
        self._store.collect_batch(name)
        self._log_end(batch, sum(verdict.lasts for verdict in mine.values()), len(known))
        return sum(self._client.budget.cost(verdict.input, verdict.output) for verdict in mine.values())

    def _log_end(self, batch: Batch, verdicts: int, asked: int) -> None:
        """What a batch gave, and why one failed."""
        errors = [printable(error.message or "") for error in (batch.errors.data if batch.errors else None) or []]
        if batch.status == "failed":
            self._reasons.append(f"batch {batch.id}: {self._client.clean('; '.join(errors)) or 'failed'}")
        rest = "" if verdicts == asked else "; the rest is asked for anew"
        level = logging.INFO if verdicts == asked else logging.WARNING
        what = f"batch {batch.id} {batch.status}: {verdicts:,} of {asked:,} verdicts{rest}"
        log.log(level, "judge %s: %s", self._settings.model, what)

    async def _lines(self, batch: Batch) -> list[bytes]:
        """The lines of a batch's files; one that is gone has none, and is told."""
        lines: list[bytes] = []
        for id in filter(None, (batch.output_file_id, batch.error_file_id)):
            file = await _unless_gone(self._api.files.content(id))
            if file is None:
                log.warning("judge %s: a file of batch %s is gone", self._settings.model, batch.id)
            else:
                lines += file.content.splitlines()
        return lines

    def _read(self, lines: Iterable[bytes], requests: Mapping[bytes, dict[str, Any]]) -> dict[bytes, Verdict]:
        """The verdict of every line that has one, the best one of each key. A line without tokens counts at its most,
        or that of all requests at hand where its own is not known."""
        sent = {key: self._client.form.apply(request) for key, request in requests.items()}
        most = {key: most_tokens(request) for key, request in requests.items()}
        answers: dict[bytes, Verdict] = {}
        for key, status, body in _answers(lines):
            reply = read_reply(status, body)
            if isinstance(reply, ErrorReply) and self._client.form.learn(reply, sent.get(key, {})):
                continue
            verdict = self._verdict(reply, most.get(key, max(most.values())))
            if key not in answers or (verdict.grades and not answers[key].grades):
                answers[key] = verdict
        return answers

    def _verdict(self, reply: Mapping[str, Any] | ErrorReply | None, most: tuple[int, int]) -> Verdict:
        if isinstance(reply, ErrorReply):
            return Verdict((), reply.about_the_text or f"{NO_ANSWER}: HTTP {reply.status}")
        read, written, told = tokens_of(reply, most)
        if not told:
            self._client.log_unmetered()
        if reply is None:
            return Verdict((), f"{NO_ANSWER}: no completion", "", read, written)
        return Verdict(*self._rubric.read(reply), model_of(reply), read, written)

    def _failed(self, reason: str) -> JudgeFailed:
        return JudgeFailed(f"judge {self._settings.model}: {reason}")


async def _unless_gone(call: Awaitable[Result]) -> Result | None:
    """What the endpoint gives; None where it does not know it, or no longer."""
    import openai

    try:
        return await call
    except openai.APIStatusError as error:
        if error.status_code not in (404, 410):
            raise
        return None


def _answers(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int, Any]]:
    """Key, status and body of every line that has them; a line that can't be read says nothing."""
    for line in lines:
        answer = decoded(line)
        if not isinstance(answer, dict):
            continue
        try:
            key = bytes.fromhex(answer.get("custom_id"))  # type: ignore[arg-type]
        except (ValueError, TypeError):
            continue
        error, response = answer.get("error"), answer.get("response")
        if isinstance(error, dict) and error.get("code") in ABOUT_THE_BATCH:
            continue
        response = response if isinstance(response, dict) else {}
        status, body = response.get("status_code"), response.get("body")
        if error and not body:
            status, body = status if status != 200 else 502, {"error": error}
        yield key, status if isinstance(status, int) else 502, body
