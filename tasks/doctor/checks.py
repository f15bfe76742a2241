"""All checks. They are made at the same time, each within its own limit; what one raises becomes its bad line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tasks.doctor.clock import clock_check
from tasks.doctor.databases import database_check
from tasks.doctor.disk import disk_check
from tasks.doctor.finding import BAD, Finding, Findings, Settings
from tasks.doctor.judge import judge_check
from tasks.doctor.machine import gpus_check
from tasks.doctor.mlflow_server import mlflow_check
from tasks.doctor.models import models_check, ratings_check
from tasks.doctor.prefect_server import server_check
from tasks.doctor.runner import runner_check
from tasks.doctor.secret_keys import secrets_check
from tasks.doctor.stores import store_check
from tasks.doctor.versions import versions_check

log = logging.getLogger(__name__)


class Check(NamedTuple):
    """`function` gives the lines of one thing. seconds: that it may take; longer where a GPU has to wake up, where
    several models are asked for, or each node of a cluster."""

    name: str
    function: Callable[[Settings], Findings]
    seconds: float = 5.0


CHECKS = (
    Check("versions", versions_check),
    Check("GPUs", gpus_check, 40.0),
    Check("ratings", ratings_check),
    Check("models", models_check, 15.0),
    Check("disk", disk_check),
    Check("server", server_check, 9.0),
    Check("database", database_check, 9.0),
    Check("MLflow", mlflow_check, 9.0),
    Check("store", store_check, 9.0),
    Check("runner", runner_check, 90.0),
    Check("judge", judge_check, 9.0),
    Check("secrets", secrets_check),
)
"""In the order in which their lines are shown. Two questions that each may wait make nine seconds."""
AFTERWARDS = (Check("clock", clock_check),)
"""They go by what the others have heard."""


def examine(
    settings: Settings, checks: Sequence[Check] = CHECKS, afterwards: Sequence[Check] = AFTERWARDS
) -> list[Finding]:
    """What all checks find, without secrets."""
    found = [*_at_the_same_time(settings, checks), *_at_the_same_time(settings, afterwards)]
    return [settings.cleaned(finding) for finding in found]


def _at_the_same_time(settings: Settings, checks: Sequence[Check]) -> list[Finding]:
    """One thread a check, which ends with this process where it hangs."""
    began, findings = time.monotonic(), [list[Finding]() for _ in checks]
    threads = [
        threading.Thread(target=_collect, args=(check, settings, own), name=f"check {check.name}", daemon=True)
        for check, own in zip(checks, findings, strict=True)
    ]
    for thread in threads:
        thread.start()
    for check, thread, own in zip(checks, threads, findings, strict=True):
        thread.join(max(began + check.seconds - time.monotonic(), 0.0))
        if thread.is_alive():
            todo = "see what it waits for: a server, a disk on the network, a driver"
            own.append(Finding(BAD, check.name, f"not done within {check.seconds:.0f} seconds", todo))
    return [finding for own in findings for finding in list(own)]


def _collect(check: Check, settings: Settings, found: list[Finding]) -> None:
    try:
        for finding in check.function(settings):
            found.append(finding)
    except Exception as error:  # whatever a machine may have in store for a check: the others are told
        log.debug("%s", check.name, exc_info=True)
        reason = " ".join(str(error).split()) or "without a word"
        todo = "this check could not be made; the others hold"
        found.append(Finding(BAD, check.name, f"{type(error).__name__}: {reason[:300]}", todo))
