"""Processes that this one started, and all that those started: find them, end them."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies (Linux), so that `descendants` still finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_orphans(own: Collection[int]) -> None:
    """Take leave of adopted children that have ended; those in `own`, by id, are for their starter to ask about."""
    with suppress(ChildProcessError):  # there are no children at all
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in own:
            os.waitpid(ended.si_pid, 0)


def descendants() -> list[psutil.Process]:
    """All processes below this one."""
    return psutil.Process().children(recursive=True)


def children(of: Iterable[int]) -> list[psutil.Process]:
    """The processes that these, by id, have started themselves."""
    return [child for parent in existing(of) for child in _below(parent, recursive=False)]


def existing(ids: Iterable[int]) -> list[psutil.Process]:
    """Of these ids, the processes that still exist."""
    processes = []
    for pid in ids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    return processes


def end(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Ask them to end (SIGTERM), and kill what is left after so many seconds, with what it started meanwhile."""
    asked = list(processes)
    _each(asked, psutil.Process.terminate)
    left = _wait(asked, seconds)
    for _ in range(3):
        left = [*left, *(process for parent in left for process in _below(parent))]
        _each(left, psutil.Process.kill)
        left = _wait(left, 0.5)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so many seconds; a zombie does not."""
    deadline = time.monotonic() + seconds
    while True:
        psutil.wait_procs(processes, timeout=0.05)
        left = [process for process in processes if _runs(process)]
        if not left or time.monotonic() >= deadline:
            return left


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _below(process: psutil.Process, recursive: bool = True) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=recursive)
    return []


def _each(processes: Iterable[psutil.Process], action: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            action(process)
