"""Ending processes, and what they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from tasks.runtime.processes import bury_orphans, children, end, existing

STUBBORN = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def stubborn():
    """A process that ignores SIGTERM, and its child."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    yield process, psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()


def test_what_does_not_end_when_asked_is_killed_with_what_it_started(stubborn) -> None:
    process, child = stubborn
    assert children([process.pid]) == [child]
    started = time.monotonic()
    end(existing([process.pid]), seconds=0.3)
    assert 0.3 <= time.monotonic() - started < 3
    assert existing([process.pid]) == []
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_ended_children_are_buried_but_not_ones_own() -> None:
    own, other = (subprocess.Popen(["true"]) for _ in range(2))
    for process in (own, other):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    bury_orphans({own.pid, other.pid})
    assert own.wait() == 0
    bury_orphans(set())
    with pytest.raises(ChildProcessError):
        os.waitpid(other.pid, os.WNOHANG)
