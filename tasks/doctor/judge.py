"""The study's judge: what it needs on this machine, and whether its endpoint answers. No completion is asked for."""

from __future__ import annotations

from typing import Any

from configs.errors import InputError
from configs.schema import BaseJudgeSettings
from tasks.doctor.asking import NoReply, WebReply, ask
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings, bad_line
from tasks.doctor.prefect_server import secret_block
from tasks.judging.judges import check_judge

NAME = "judge"


def judge_check(settings: Settings) -> Findings:
    study = settings.study
    if study is None or not study.experiments:
        return
    judge = study.judge
    try:
        check_judge(judge)
    except InputError as error:
        yield bad_line(NAME, str(error), "see judge in the study")
        return
    if judge.address:
        yield from _endpoint(settings, judge)
    else:
        encoders = ", ".join(encoder.title for encoder in judge.encoders)
        yield Finding(OK, NAME, f"{judge.title} needs no endpoint{f'; it reads by {encoders}' if encoders else ''}")


def _endpoint(settings: Settings, judge: BaseJudgeSettings) -> Findings:
    block = judge.key.lower().replace("_", "-")
    key = settings.environment.get(judge.key) or secret_block(settings, judge.key)
    if judge.needs_key and not key:
        todo = f"set {judge.key}, or Prefect's Secret block {block} where a server is named"
        yield Finding(BAD, NAME, f"{judge.title} has no key", todo)
        return
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = ask(f"{judge.address}/models", headers)
        settings.read_clock("the judge", reply.ahead)
        yield _of_reply(judge, reply, bool(key), headers)
    except NoReply as error:
        yield Finding(BAD, NAME, f"{judge.address}: {error}", "is judge.base_url right, and the server up?")


def _of_reply(judge: BaseJudgeSettings, reply: WebReply, sent: bool, headers: dict[str, str]) -> Finding:
    where = f"{judge.address} answers HTTP {reply.status}"
    if reply.status == 401:
        what = "it does not know the key" if sent else "it wants a key"
        return Finding(BAD, NAME, f"{where}: {what}", f"set {judge.key} to a key of this endpoint")
    if reply.status == 403:
        return Finding(BAD, NAME, f"{where}: the key may not use it", f"give the key in {judge.key} this right")
    if reply.status == 404:
        return _without_a_list(judge, where, headers)
    if reply.status == 200:
        return _listed(judge, reply.json)
    if 300 <= reply.status < 400:
        return Finding(BAD, NAME, f"{where}: it sends elsewhere, which is not followed", "correct judge.base_url")
    return Finding(NOTE, NAME, f"{where}; ask again later")


def _without_a_list(judge: BaseJudgeSettings, where: str, headers: dict[str, str]) -> Finding:
    """Some endpoints list no models; one that has no completions either is another place. A GET completes nothing."""
    if ask(f"{judge.address}/chat/completions", headers).status == 404:
        todo = "judge.base_url is what /chat/completions comes after; for most endpoints it ends in /v1"
        return Finding(BAD, NAME, f"{where} to /models, and to /chat/completions", todo)
    return Finding(NOTE, NAME, f"{judge.address} answers, and lists no models, so {judge.title} is not looked for")


def _listed(judge: BaseJudgeSettings, told: Any) -> Finding:
    models = told.get("data") if isinstance(told, dict) else None
    names = [item.get("id") for item in models if isinstance(item, dict)] if isinstance(models, list) else []
    if not names:
        return Finding(NOTE, NAME, f"{judge.address} answers, and does not say which models it has")
    if judge.title not in names:
        return Finding(NOTE, NAME, f"{judge.address} answers, and {judge.title} is not among the {len(names)} models "
                       "that it lists; is that its name?")  # fmt: skip
    return Finding(OK, NAME, f"{judge.address} has {judge.title}")
