"""Kill it anywhere and run it again: only what is missing runs, and the result is the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tasks.runtime.processes import existing, runs_on
from tests.flows.conftest import Place
from tests.watch import PATIENCE

pytestmark = pytest.mark.slow


def follow(process: subprocess.Popen[str], until: str) -> list[str]:
    """Lines of output up to one that contains `until`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until in line:
            return lines
    pytest.fail(f"ended before {until!r}:\n{''.join(lines)}")


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    return output


def children_of(pid: int, module: str = "tasks.runtime.local.child") -> list[int]:
    """Processes that train for a parent, or that run another module for it."""
    command = ["pgrep", "-P", str(pid), "-f", module]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def left_after(pids: list[int], seconds: float) -> list[psutil.Process]:
    """Those of the processes that still run when so much time has passed."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in existing(pids) if runs_on(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def runs(place: Place) -> set[Path]:
    return set((place.folder / "home" / "store" / "training-runs").glob("*/record.json"))


@pytest.fixture
def warm(place: Place, databases: Path, finished: Place) -> Place:
    """A place with all that the finished study made but for its cells, on which a test spends its time."""
    cells = shutil.ignore_patterns("training-runs", "outputs", "scores", "checkpoints", "*.lock")
    shutil.copytree(finished.folder / "home" / "store", place.folder / "home" / "store", ignore=cells)
    return place.has(databases)


@pytest.fixture
def served(warm: Place) -> Place:
    """The same, with the tests' own Prefect server."""
    from prefect.settings import PREFECT_API_URL

    return replace(warm, server=str(PREFECT_API_URL.value()))


def test_killing_the_parent_loses_nothing_that_was_done_and_leaves_nothing_half_written(warm, finished):
    process = warm.start("run", "small.yaml", "--workers", "1")
    follow(process, "cell 4 of 14")
    children, servers = children_of(process.pid), children_of(process.pid, "tasks.serving.temporary")
    process.kill()
    process.wait()
    assert children
    (server,) = servers
    before = {path: path.stat().st_mtime_ns for path in runs(warm)}
    assert 2 <= len(before) < 10

    again = warm.start("run", "small.yaml", "--workers", "1")
    follow(again, "cells …")
    os.kill(*children_of(again.pid, "tasks.serving.temporary"), signal.SIGKILL)  # another takes its place
    output = finish(again)
    assert again.returncode == 0, output
    assert len(runs(warm)) == 10
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list((warm.folder / "home" / "store").glob("*/*.partial"))
    pooled = [pd.read_csv(place.tables / "pooled.csv") for place in (warm, finished)]
    pd.testing.assert_frame_equal(*pooled)
    assert not left_after([*children, server], seconds=0)


def test_killing_a_child_without_retries_fails_one_cell_and_the_next_run_makes_up_for_it(served, finished):
    process = served.start("run", "small.yaml", "--workers", "1", "--set", "runtime.retries=0")
    follow(process, "cell 2 of 14")
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 3, output
    assert "was killed by SIGKILL" in output
    assert "Traceback" not in output
    cells = pd.read_csv(served.tables / "cells.csv")
    failed = cells[cells["status"] == "failed"]
    assert len(failed) == 1
    assert "was killed by SIGKILL (out of memory?)" in failed["error"].iloc[0]
    assert pd.read_csv(served.tables / "pooled.csv")["k"].min() == 1

    again = served.start("run", "small.yaml", "--workers", "1")
    follow(again, "cell 1 of 14")
    for child in children_of(again.pid):  # it has that one job left, which is done again
        os.kill(child, signal.SIGKILL)
    output = finish(again)
    assert again.returncode == 0, output
    pooled = [pd.read_csv(place.tables / "pooled.csv") for place in (served, finished)]
    pd.testing.assert_frame_equal(*pooled)


@pytest.mark.parametrize(("stop", "workers"), [
    (lambda pid: os.killpg(pid, signal.SIGINT), "2"),  # Ctrl-C in a terminal: all of its group, Prefect's server too
    (lambda pid: os.kill(pid, signal.SIGINT), "2"),
    (lambda pid: os.killpg(pid, signal.SIGTERM), "1"),  # as timeout and systemd do; from here on as interrupted
    (lambda pid: os.kill(pid, signal.SIGHUP), "1"),
], ids=["ctrl-c", "interrupt", "terminate", "hang-up"])  # fmt: skip
def test_stopping_it_ends_it_and_its_children_soon(warm, stop, workers):
    process = warm.start("run", "small.yaml", "--workers", workers)
    follow(process, "cell 2 of 14")
    children = [*children_of(process.pid), *children_of(process.pid, "tasks.serving.temporary")]
    started = time.monotonic()
    stop(process.pid)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    assert "stopped; run the same command again" in output
    assert time.monotonic() - started < 20
    assert "Traceback" not in output
    assert len(children) > 1
    assert not left_after(children, seconds=2)


def test_two_runs_at_once_train_nothing_twice(served):
    processes = [served.start("run", "small.yaml", "--workers", "1", "--output", f"outputs/{n}") for n in range(2)]
    outputs = [finish(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    cells = [pd.read_csv(served.folder / "outputs" / str(n) / "tables" / "cells.csv") for n in range(2)]
    trained = pd.concat(cells).query("status == 'trained'")["training_run"]
    assert trained.is_unique
    assert len(trained) == 10
