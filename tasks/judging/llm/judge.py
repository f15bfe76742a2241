"""A chat model as the judge, behind any OpenAI-compatible endpoint; verdicts that are kept are not asked for again."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from configs.errors import InputError
from configs.schema import LlmJudgeSettings
from configs.urls import host_of, is_encrypted, is_this_machine
from tasks.judging.judge import EMPTY, VERDICTS, Judge, JudgeFailed, JudgeScores, Material
from tasks.judging.llm.batch import Batches
from tasks.judging.llm.client import CHARACTERS_A_TOKEN, NO_KEY, Client
from tasks.judging.llm.replies import model_of
from tasks.judging.llm.rubric import NOT_JSON, Rubric, make_rubric
from tasks.judging.llm.verdicts import Verdict, Verdicts, verdict_key
from tasks.runtime.fingerprint import fingerprint
from tasks.runtime.progress import Progress, Report, listener

log = logging.getLogger(__name__)
SECONDS_TO_GATHER = 0.02
"""Verdicts wait so long for others to be written with."""
OPEN = 2
"""Times the calls at once: so many texts are in flight or not yet on disk, and a kill loses no more."""
Result = TypeVar("Result")
Texts = Mapping[bytes, tuple[str, str]]
"""Key → prompt and answer."""


class LlmJudge(Judge):
    """One judge for all cells of a run: they share its limits, its cost ceiling and what was asked already.

    Its calls are made in an event loop of its own, in a thread that starts with the first and ends with `close`.
    """

    def __init__(self, settings: LlmJudgeSettings, rubric: Rubric, verdicts: Verdicts, key: Callable[[], str]) -> None:
        """`key` gives the endpoint's key; it is called only when something has to be asked."""
        self._settings, self._rubric, self._store, self._key = settings, rubric, verdicts, key
        self._asked: dict[bytes, asyncio.Task[Verdict]] = {}
        self._waiting: list[tuple[bytes, Verdict]] = []
        self._write: asyncio.Task[None] | None = None
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None
        self._batches: Batches | None = None
        self._answered_as: set[str] = set()
        """What the endpoint called itself in the verdicts that this judge has given."""

    @classmethod
    def of(cls, settings: LlmJudgeSettings, material: Material) -> LlmJudge:
        rubric = make_rubric(settings, material.dimensions, material.categories)
        return cls(
            settings,
            rubric,
            Verdicts(material.verdicts, material.store.journal("verdicts")),
            lambda: endpoint_key(settings, material.secret),
        )

    @cached_property
    def identity(self) -> str:
        """Of model, rubric and decoding settings."""
        settings = self._settings
        return fingerprint(["llm", settings.model, self._rubric.version, settings.temperature, settings.max_tokens])

    def score(self, prompts: Sequence[str], answers: Sequence[str]) -> JudgeScores:
        """By the kept verdicts, and by asking for those that are missing.

        Raises:
            JudgeFailed: the endpoint gives no verdicts, or the cost ceiling is reached; what was judged is kept.
        """
        verdicts = self.verdicts(list(zip(prompts, answers, strict=True)))
        unscored = (np.nan,) * len(self._rubric.dimensions)
        grades = np.array([verdict.grades or unscored for verdict in verdicts], dtype=float)
        values = (grades.reshape(len(answers), -1) - 1) / (self._rubric.categories - 1)
        final = all(verdict.lasts or verdict.reason == EMPTY for verdict in verdicts)
        return JudgeScores(values, [verdict.reason for verdict in verdicts], final)

    def verdicts(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """The verdict of each prompt and answer. Raises `JudgeFailed` like `score`."""
        keys = [verdict_key(self._settings, self._rubric.version, *pair) for pair in pairs]
        texts = {key: pair for key, pair in zip(keys, pairs, strict=True) if pair[1].strip()}
        verdicts = self._store.find(list(texts))
        missing = {key: pair for key, pair in texts.items() if key not in verdicts}
        if missing:
            progress = listener()
            verdicts |= self._run(lambda: self._ask_all(missing, progress))
            self._log_unscored([verdicts[key] for key in missing])
        self._log_another_model({verdict.model for verdict in verdicts.values() if verdict.model})
        return [verdicts.get(key) or Verdict((), EMPTY) for key in keys]

    def missing(self, pairs: Sequence[tuple[str, str]]) -> int:
        keys = {verdict_key(self._settings, self._rubric.version, *pair) for pair in pairs if pair[1].strip()}
        return len(keys) - len(self._store.find(list(keys)))

    def dollars_each(self, tokens: int) -> float | None:
        """At about so many characters a token, and as many verdicts' words as the schema allows."""
        price, rubric = self._settings.price, self._rubric
        if price is None:
            return None
        asked = len(rubric.text) + len(json.dumps(rubric.schema))
        verdict = len(json.dumps(dict.fromkeys(rubric.dimensions, rubric.categories)))
        read, written = asked // CHARACTERS_A_TOKEN + tokens, verdict // CHARACTERS_A_TOKEN + 1
        return (read * price.input + written * price.output) / 1e6

    @property
    def account(self) -> dict[str, float]:
        if self._client is None:
            return {"calls": 0, "dollars": 0.0}
        unmetered = {"unmetered": self._client.unmetered} if self._client.unmetered else {}
        return {"calls": self._client.calls, "dollars": round(self._client.budget.spent, 6), **unmetered}

    def close(self) -> None:
        with self._starting:
            if self._loop and self._client:
                asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._loop = None
            self._asked.clear()
        self._store.close()

    # ---- in the loop

    async def _ask_all(self, texts: Texts, progress: Progress) -> dict[bytes, Verdict]:
        """A verdict for each text; those of identical texts are shared, whoever asks."""
        if self._batches:
            return await self._batches.verdicts(texts, progress)
        for key, pair in texts.items():
            if key not in self._asked:
                self._asked[key] = asyncio.create_task(self._ask(key, pair))
        self._tell_of([self._asked[key] for key in texts], progress)
        outcomes = await asyncio.gather(*(self._asked[key] for key in texts), return_exceptions=True)
        verdicts = dict(zip(texts, outcomes, strict=True))
        failed = {key: error for key, error in verdicts.items() if isinstance(error, BaseException)}
        for key in failed:
            self._asked.pop(key, None)  # who asks next, asks anew
        if failed:
            error = next(iter(failed.values()))
            missing = f"{len(failed)} of {len(texts)} verdicts are missing, which the next run asks for"
            raise JudgeFailed(f"{error}; {missing}") from error
        return {key: verdict for key, verdict in verdicts.items() if isinstance(verdict, Verdict)}

    async def _ask(self, key: bytes, pair: tuple[str, str]) -> Verdict:
        async with self._open:
            verdict = await self._judge(pair)
            await self._keep(key, verdict)
        return verdict

    async def _judge(self, pair: tuple[str, str]) -> Verdict:
        """Asked again where the answer is no verdict."""
        assert self._client
        request, read, written = self._rubric.request(self._settings, *pair), 0, 0
        for _ in range(self._settings.tries):
            reply = await self._client.ask(request)
            read, written = read + reply.input, written + reply.output
            grades, reason = self._rubric.read(reply.completion) if reply.completion else ((), reply.reason)
            if grades or not (reply.completion or reason == NOT_JSON):
                break
        return Verdict(grades, reason, model_of(reply.completion or {}), read, written)

    async def _keep(self, key: bytes, verdict: Verdict) -> None:
        """On disk before it counts, with all that come while verdicts are gathered; what may pass is not kept."""
        if not verdict.lasts:
            return
        self._waiting.append((key, verdict))
        if self._write is None:
            self._write = asyncio.create_task(self._write_soon())
        await asyncio.shield(self._write)  # one who is stopped stops no one else's

    async def _write_soon(self) -> None:
        await asyncio.sleep(SECONDS_TO_GATHER)
        rows, self._waiting, self._write = self._waiting, [], None
        await asyncio.to_thread(self._store.add, self.identity, rows)

    def _log_unscored(self, verdicts: Sequence[Verdict]) -> None:
        passing = Counter(verdict.reason for verdict in verdicts if not verdict.lasts)
        if passing:
            reasons = "; ".join(f"{reason}: {n}" for reason, n in passing.most_common())
            counts = f"{passing.total():,} of {len(verdicts):,} answers are unscored ({reasons})"
            log.warning("judge %s: %s; the next run asks for them again", self._settings.model, counts)

    def _log_another_model(self, names: set[str]) -> None:
        """A name may stand for one model today and for another tomorrow; only the endpoint tells."""
        before, self._answered_as = self._answered_as, self._answered_as | names
        if len(self._answered_as) > max(len(before), 1):
            several = ", ".join(sorted(self._answered_as))
            note = "judge %s: verdicts in use were given by several models (%s), as the endpoint calls them"
            log.warning(note, self._settings.model, several)

    def _tell_of(self, asked: Sequence[asyncio.Task[Verdict]], progress: Progress) -> None:
        """Tell how many of them are there, now and as they come."""
        done = 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            assert self._client
            cost = f", ${self._client.budget.spent:.2f} so far" if self._settings.price else ""
            what = f"judge {self._settings.model}, {self._client.limits.window} calls at once{cost}"
            progress(Report(what, done, len(asked), VERDICTS))

        tell(0)
        for task in asked:
            task.add_done_callback(lambda _: tell(1))

    # ---- the loop

    def _run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        with self._starting:
            if self._loop is None:
                self._start()
        assert self._loop
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    def _start(self) -> None:
        """The thread, and the client, whose account goes on where there was one."""
        key, before = self._key(), self._client
        self._client = Client(self._settings, key, before.form if before else None)
        if before:
            self._client.calls, self._client.unmetered = before.calls, before.unmetered
            self._client.budget.spent = before.budget.spent
        self._open = asyncio.Semaphore(OPEN * self._settings.at_once)
        if self._settings.batch:
            self._batches = Batches(self._settings, self._rubric, self._store, self.identity, self._client)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge", daemon=True)
        self._thread.start()


def endpoint_key(settings: LlmJudgeSettings, secret: Callable[[str], str | None]) -> str:
    """The key of the host that is asked; an address that is not OpenAI's may need none.

    Raises:
        InputError: there is no key, or it can't be one, or it would travel unencrypted to another machine.
    """
    host, name = host_of(settings.address), settings.key
    if key := (secret(name) or "").strip():
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"judge {settings.model}: the key in {name} holds a character that no key has")
        if not is_encrypted(settings.address) and not is_this_machine(host):
            raise InputError(
                f"judge {settings.model}: base_url is http://, over which the key in {name} would travel unencrypted "
                f"to {host}; use https://, reach it through localhost, or unset the key where it needs none"
            )
        return key
    if not settings.needs_key:
        return NO_KEY
    block = name.lower().replace("_", "-")
    raise InputError(f"judge {settings.model}: needs a key in {name}, or in Prefect's Secret block {block}")
