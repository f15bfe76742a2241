"""Where jobs are done: slots of this machine, or a cluster of Ray's."""

from __future__ import annotations

from configs.errors import InputError
from tasks.doctor.asking import NoReply, answers_tcp
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings, bad_line
from tasks.doctor.machine import gpus_here, slots_of
from tasks.doctor.versions import installed, required
from tasks.planning.bench import LOCAL, RUNNER
from tasks.runtime.ray.cluster import host_and_port
from tasks.runtime.stores import chosen_store

NAME, RAY = "runner", "ray"


def runner_check(settings: Settings) -> Findings:
    """Of a cluster that answers, each node is asked what it lacks, as a run does as it begins."""
    chosen, slots = settings.runner, slots_of(settings)
    where = f"{slots} slot{'s' if slots > 1 else ''} on {'the GPUs' if gpus_here() else 'the CPU'}"
    if chosen == LOCAL:
        yield Finding(OK, NAME, f"{LOCAL}, {where}")
        return
    if chosen != RAY and not chosen.startswith(f"{RAY}:"):
        yield Finding(BAD, NAME, f"unknown {chosen!r}", f"--runner or {RUNNER}: {LOCAL}, {RAY} or {RAY}://HOST:PORT")
        return
    faults = list(_package())
    yield from faults
    if chosen != RAY:
        yield from _cluster(chosen, settings, ask=not faults)
    elif not faults:
        yield Finding(OK, NAME, f"{RAY} {installed(RAY)}, a cluster of this machine for each run, {where}")


def _package() -> Findings:
    wanted, own = required(RAY), installed(RAY)
    if own is None:
        yield Finding(BAD, NAME, "Ray is not installed", "pip install 'pluralign[ray]'")
    elif wanted and wanted != f"=={own}":
        todo = f"pip install 'ray{wanted}', here and on every node: they must have the same version"
        yield Finding(BAD, NAME, f"ray {own}", todo)


def _cluster(address: str, settings: Settings, ask: bool) -> Findings:
    try:
        answers_tcp(*host_and_port(address))
    except InputError as error:
        yield bad_line(NAME, str(error), f"{RAY}://HOST:PORT of the cluster's head")
        return
    except NoReply as error:
        todo = "start the cluster's head (`ray start --head` says its address)"
        yield Finding(BAD, NAME, f"{address}: {error}", todo)
        return
    if not ask:
        yield Finding(NOTE, NAME, f"{address} takes connections; its nodes were not asked")
        return
    from tasks.runtime.ray.runner import RayRunner

    architectures = settings.study.architectures if settings.study else ()
    runner = RayRunner(address, chosen_store(settings.store), architectures, None, 0)
    try:
        runner.check()
        yield Finding(OK, NAME, f"{address}, {runner.room}")
    except InputError as error:
        for line in str(error).splitlines():
            yield bad_line(NAME, line, "make the nodes alike, then try again")
    finally:
        runner.close()
