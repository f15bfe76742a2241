"""Where jobs are done: slots of this machine, or a cluster of Ray's."""

from __future__ import annotations

from configs.errors import InputError
from tasks.doctor.asking import NoReply, answers_tcp
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Settings, bad_line
from tasks.doctor.machine import gpus_here, slots_of
from tasks.doctor.versions import installed, required
from tasks.planning.bench import LOCAL, RUNNER
from tasks.runtime.ray.cluster import host_and_port

NAME, RAY = "runner", "ray"


def runner_check(settings: Settings) -> Findings:
    """What is known without joining a cluster. What each of its nodes lacks belongs here, too (`ray.nodes.node_faults`,
    asked on the node itself)."""
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
        yield _cluster(chosen)
    elif not faults:
        yield Finding(OK, NAME, f"{RAY} {installed(RAY)}, a cluster of this machine for each run, {where}")


def _package() -> Findings:
    wanted, own = required(RAY), installed(RAY)
    if own is None:
        yield Finding(BAD, NAME, "Ray is not installed", "pip install 'pluralign[ray]'")
    elif wanted and wanted != f"=={own}":
        todo = f"pip install 'ray{wanted}', here and on every node: they must have the same version"
        yield Finding(BAD, NAME, f"ray {own}", todo)


def _cluster(address: str) -> Finding:
    try:
        answers_tcp(*host_and_port(address))
    except InputError as error:
        return bad_line(NAME, str(error), f"{RAY}://HOST:PORT of the cluster's head")
    except NoReply as error:
        return Finding(
            BAD, NAME, f"{address}: {error}", "start the cluster's head (`ray start --head` says its address)"
        )
    return Finding(NOTE, NAME, f"{address} takes connections; its nodes were not asked, a run does so as it begins")
