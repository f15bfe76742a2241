"""Where jobs are done: slots of this machine, or a cluster of Ray's."""

from __future__ import annotations

from importlib.util import find_spec

from tasks.doctor.asking import NoReply, answers_tcp, host_and_port
from tasks.doctor.finding import BAD, LOCAL, NOTE, OK, Finding, Findings, Settings
from tasks.doctor.machine import gpus_here, slots_of
from tasks.doctor.versions import installed, required

NAME, VARIABLE = "runner", "PLURALIGN_RUNNER"
RAY = "ray"


def runner_check(settings: Settings) -> Findings:
    """What is known without joining a cluster. What each of its nodes has belongs here, too, once it can be asked."""
    chosen = settings.runner
    if chosen == LOCAL:
        slots, where = slots_of(settings), "the GPUs" if gpus_here() else "the CPU"
        yield Finding(OK, NAME, f"{LOCAL}, {slots} slot{'s' if slots > 1 else ''} on {where}")
        return
    if chosen != RAY and not chosen.startswith(f"{RAY}://"):
        yield Finding(BAD, NAME, f"unknown {chosen!r}", f"--runner or {VARIABLE}: {LOCAL}, {RAY} or {RAY}://HOST:PORT")
        return
    faults = list(_package())
    yield from faults
    address = chosen if "://" in chosen else settings.environment.get("RAY_ADDRESS", "")
    if not faults and not address:
        yield Finding(OK, NAME, f"{RAY} {installed(RAY)}, without the address of a cluster")
    elif address:
        yield _cluster(address if "://" in address else f"{RAY}://{address}")


def _package() -> Findings:
    wanted, own = required(RAY), installed(RAY)
    if own is None or not find_spec(RAY):
        yield Finding(BAD, NAME, "ray is not installed", "pip install 'pluralign[ray]'")
    elif wanted and wanted != f"=={own}":
        todo = f"pip install 'ray{wanted}', here and on every node: they must have the same version"
        yield Finding(BAD, NAME, f"ray {own}", todo)


def _cluster(address: str) -> Finding:
    try:
        host, port = host_and_port(address)
    except ValueError:
        host, port = "", 0
    if not port:
        return Finding(BAD, NAME, f"{address} names no host and port", f"{RAY}://HOST:PORT")
    try:
        answers_tcp(host, port)
    except NoReply as error:
        return Finding(BAD, NAME, f"{address}: {error}", "start the cluster's head, or correct the address")
    return Finding(NOTE, NAME, f"{address} takes connections; its nodes were not asked")
