"""Processes that this one started, and all that those started: find them, end them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a command to stop."""


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
        left = [process for process in processes if runs_on(process)]
        if not left or time.monotonic() >= deadline:
            return left


def runs_on(process: psutil.Process) -> bool:
    """Whether a process has not ended; a zombie has."""
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


@contextmanager
def stopped_in_time(seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
    """Within it, a signal that asks to stop raises KeyboardInterrupt, and so many seconds later `give_up` is called.

    It is called at once by a second Ctrl-C, and whatever a library does with the signal: a thread hears of each. A
    signal that is ignored, as under nohup, stays so. To be used in the first thread of a process.
    """
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    asked = threading.Event()

    def listen() -> None:
        deadline: threading.Timer | None = None
        while signals := os.read(heard, 1):
            if deadline is None and signals[0] in STOPPING:
                asked.set()
                deadline = threading.Timer(seconds, give_up)
                deadline.daemon = True
                deadline.start()
            elif signals[0] == signal.SIGINT:
                give_up()

    def stop(*_: object) -> None:
        asked.set()
        for number in STOPPING:
            signal.signal(number, lambda *_: None)  # what ends in order is not to be interrupted again
        raise KeyboardInterrupt

    earlier = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in earlier.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    earlier_tell = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=listen, daemon=True).start()
    try:
        yield
    finally:
        if not asked.is_set():  # else the end of the process is waited for too
            signal.set_wakeup_fd(earlier_tell)
            for number, handler in earlier.items():
                signal.signal(number, handler)
            os.close(tell)
