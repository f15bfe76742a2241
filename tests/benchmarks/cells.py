"""What a cell costs beside its work: many cells that only sleep, locally and on Ray.

    python tests/benchmarks/cells.py [--cells 1000] [--places 4] [--seconds 0.1] [--only local|ray]

Each cell is a Prefect task run in a thread, as a study's, and asks the runner for one job; all wait there at once. On
this machine a slot's child is replaced by a sleep, on Ray an actor by one that sleeps: router, store, Prefect, Ray are
the real ones. Printed: seconds of wall time a cell beside the sleeping that its place did, the driver's memory after a
tenth of the cells and at the end, and how many cells are there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"

import psutil

from tests.ray_cluster import SleepingHost, add_node, answers, ray_cluster

BASES = 7


def through(runner: Any, cells: int, every: Callable[[int], None]) -> tuple[float, set[str]]:
    """Wall time of all cells, and the keys of the artifacts that they gave."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE
    from prefect.futures import as_completed
    from prefect.task_runners import ThreadPoolTaskRunner

    @task(cache_policy=NO_CACHE)
    def cell(number: int) -> str:
        job = answers(f"base-{number % BASES}", number)
        with runner.near(job.base.key):
            return runner.run(job).key

    threads: Any = ThreadPoolTaskRunner(max_workers=cells)

    @flow(task_runner=threads)
    def all_cells() -> set[str]:
        started.append(time.monotonic())
        futures = [cell.submit(number) for number in range(cells)]
        keys = set()
        for done, future in enumerate(as_completed(futures), start=1):
            keys.add(future.result())
            every(done)
        return keys

    started: list[float] = []
    keys = all_cells()
    return time.monotonic() - started[0], keys


def measure(name: str, runner: Any, options: argparse.Namespace) -> float:
    own, memory = psutil.Process(), dict[int, int]()

    def every(done: int) -> None:
        if done in (options.cells // 10, options.cells):
            memory[done] = own.memory_info().rss

    seconds, keys = through(runner, options.cells, every)
    each = (seconds - options.cells * options.seconds / options.places) / options.cells
    first, last = memory[options.cells // 10] / 2**20, memory[options.cells] / 2**20
    print(
        f"{name}: {len(keys)} of {options.cells} cells, {seconds:.1f} s, {each * 1000:.0f} ms a cell beside its work; "
        f"driver {first:.0f} MiB after a tenth, {last:.0f} MiB at the end ({last / first - 1:+.0%}), "
        f"{threading.active_count()} threads left",
        flush=True,
    )
    return each


def local(options: argparse.Namespace) -> None:
    from tasks.runtime.local.pool import Pool
    from tasks.runtime.local.slot import Slot
    from tasks.runtime.store import FolderStore

    def sleep(self: Slot, job: Any, folder: Path) -> dict[str, Any]:
        time.sleep(options.seconds)
        return {"at_once": 1}

    Slot._ask = sleep  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        pool = Pool(FolderStore(Path(folder, "store")), Path(folder), options.places)
        measure("local slots", pool, options)
        pool.close()


def on_ray(options: argparse.Namespace) -> None:
    from tasks.runtime.ray import actor
    from tasks.runtime.ray.runner import RayRunner
    from tasks.runtime.store import FolderStore
    from tests.models import architecture

    actor.Host = SleepingHost  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder, ray_cluster() as cluster:
        add_node(cluster, gpus=options.places)
        Path(folder, "seconds").write_text(str(options.seconds))
        runner = RayRunner(f"ray://{cluster.address}", FolderStore(Path(folder)), (architecture("llama"),), None, 2)
        runner.check()
        runner.run(answers("base-0", -1))  # the first actor is there
        measure("Ray", runner, options)
        print(f"Ray: {len(Path(folder, 'loads').read_text().splitlines())} base loads of {BASES} bases")
        runner.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--places", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--only", choices=("local", "ray"))
    options = parser.parse_args()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        if options.only != "ray":
            local(options)
        if options.only != "local":
            on_ray(options)


if __name__ == "__main__":
    main()
