"""Ending processes, and what they started."""

from __future__ import annotations

import os
import re
import signal
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
    assert 0.3 <= time.monotonic() - started < 30
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


STOPPABLE = """
import os, signal, sys, time
from tasks.runtime.processes import stopped_in_time
def give_up():
    print("gave up", flush=True)
    os._exit(5)
if "nohup" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
try:
    with stopped_in_time(0.5, give_up):
        if "library" in sys.argv:  # one that has its own way with the signal
            signal.signal(signal.SIGTERM, lambda *_: None)
        print("ready", flush=True)
        for _ in range(400):
            time.sleep(0.01)
    print("whole", flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
    time.sleep(60 if "slow" in sys.argv else 0)
"""


@pytest.mark.parametrize(
    ("arguments", "signals", "output", "code"),
    [
        ([], [signal.SIGTERM], "stopped", 0),
        ([], [signal.SIGHUP], "stopped", 0),
        ([], [signal.SIGINT], "stopped", 0),
        ([], [signal.SIGTERM, signal.SIGTERM, signal.SIGHUP], "stopped", 0),
        (["slow"], [signal.SIGTERM], "stopped gave up", 5),
        (["library"], [signal.SIGTERM], "gave up", 5),
        (["slow"], [signal.SIGINT, signal.SIGINT], "stopped gave up", 5),
        (["nohup"], [signal.SIGHUP], "whole", 0),
    ],
)
def test_a_command_ends_in_time_when_it_is_asked_to_stop(arguments, signals, output, code) -> None:
    command = [sys.executable, "-c", STOPPABLE, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    started = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.2)
    rest, _ = process.communicate(timeout=30)
    assert (rest.split("\n")[:-1], process.returncode) == (re.findall("stopped|gave up|whole", output), code)
    assert time.monotonic() - started < 30  # the slow ones sleep for a minute
