"""The runner of a cluster, by hosts that only sleep: where jobs go, and what becomes of them when places are lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.errors import InputError
from tasks.generation.step import Answer
from tasks.runtime.ray import actor, nodes, runner
from tasks.runtime.ray.runner import RayRunner
from tasks.runtime.runner import JobFailed
from tasks.runtime.store import Artifact, FolderStore
from tests.models import architecture
from tests.ray_cluster import SleepingHost, add_node, answers, ray_cluster
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with two GPUs each."""
    with ray_cluster() as made:
        for _ in range(2):
            add_node(made, gpus=2)
        import ray

        ray.init(address=made.address, log_to_driver=False, configure_logging=False)  # once for all of these tests
        yield made
        ray.shutdown()


@pytest.fixture(autouse=True)
def sleeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor, "Host", SleepingHost)


@contextmanager
def running(
    cluster: Any, folder: Path, gpus: int = 1, most: int | None = None, retries: int = 2
) -> Iterator[RayRunner]:
    models = tuple(architecture(name).model_copy(update={"gpus": gpus}) for name in ("llama", "qwen3"))
    made = RayRunner(f"ray://{cluster.address}", FolderStore(folder), models, most, retries)
    try:
        made.check()
        yield made
    finally:
        made.close()


def all_of(made: RayRunner, jobs: list[Answer]) -> dict[str, Artifact | Exception]:
    """What became of each job, a thread each as cells have, by its number."""
    outcomes: dict[str, Artifact | Exception] = {}

    def ask(job: Answer) -> None:
        try:
            with made.near(job.base.key):
                outcomes[str(job.run_key)] = made.run(job)
        except Exception as error:
            outcomes[str(job.run_key)] = error

    threads = [threading.Thread(target=ask, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return outcomes


def lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text().splitlines() if (folder / name).exists() else []


def processes(name: str = "ray::SleepingHost") -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if name in " ".join(process.info["cmdline"] or [])]


def test_forty_cells_of_seven_architectures_load_at_most_ten_bases(cluster: Any, tmp_path: Path) -> None:
    jobs = [answers(f"base-{number % 7}", number) for number in range(40)]
    with running(cluster, tmp_path) as made:
        outcomes = all_of(made, jobs)
        assert made.size == 4
    assert all(isinstance(outcome, Artifact) and outcome.fresh for outcome in outcomes.values())
    assert sorted(lines(tmp_path, "done")) == sorted(job.key for job in jobs)
    assert 7 <= len(lines(tmp_path, "loads")) <= 10
    until(lambda: not processes(), "the end of all actors")


@pytest.mark.parametrize("fault", ["die", "lost"])
def test_a_lost_job_is_done_again_and_no_other(
    fault: str, cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [answers("base", number) for number in range(8)]
    with running(cluster, tmp_path) as made:
        (tmp_path / f"fault-{jobs[3].key}").write_text(fault)
        outcomes = all_of(made, jobs)
    assert all(isinstance(outcome, Artifact) for outcome in outcomes.values())
    assert sorted(lines(tmp_path, "done")) == sorted(job.key for job in jobs)
    (line,) = [message for message in caplog.messages if "it is done again" in message]
    assert line.startswith("tiny-llama: answer: its ")
    assert line.endswith("it is done again (1 of 2)")


def test_a_job_that_is_lost_each_time_fails_with_its_reason(cluster: Any, tmp_path: Path) -> None:
    job, other = answers("base", 1), answers("base", 2)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / f"fault-{job.key}").write_text("lost lost")
    with running(cluster, tmp_path, retries=1) as made:
        outcomes = all_of(made, [job, other])
    assert isinstance(outcomes["2"], Artifact)
    assert isinstance(outcomes["1"], JobFailed)
    assert str(outcomes["1"]).endswith("its log is x.log (tried 2 times)")


def test_an_actor_that_says_nothing_any_more_is_given_up(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SILENCE_SECONDS", 3.0)
    job = answers("base", 1)
    with running(cluster, tmp_path) as made:
        (tmp_path / f"fault-{job.key}").write_text("freeze")
        assert isinstance(all_of(made, [job])["1"], Artifact)
    for process in processes():
        process.kill()  # a frozen one hears of nothing


def test_a_node_that_joins_is_used_and_one_that_goes_loses_only_what_it_had(cluster: Any, tmp_path: Path) -> None:
    jobs = [answers(f"base-{number % 2}", number) for number in range(120)]
    (tmp_path / "seconds").write_text("0.5")
    third = add_node(cluster, gpus=2)
    outcomes: dict[str, Artifact | Exception] = {}
    with running(cluster, tmp_path) as made:
        asking = threading.Thread(target=lambda: outcomes.update(all_of(made, jobs)))
        asking.start()
        until(lambda: made.size == 6 and len(lines(tmp_path, "done")) > 10, "jobs on all six GPUs")
        cluster.remove_node(third, allow_graceful=False)
        third = add_node(cluster, gpus=1)
        (tmp_path / "seconds").write_text("0.1")
        asking.join(PATIENCE)
        cluster.remove_node(third)
    assert len(outcomes) == 120
    assert all(isinstance(outcome, Artifact) for outcome in outcomes.values())
    assert {job.key for job in jobs} == set(lines(tmp_path, "done"))


def test_close_ends_what_is_under_way(cluster: Any, tmp_path: Path) -> None:
    job = answers("base", 1)
    outcomes: dict[str, Artifact | Exception] = {}
    with running(cluster, tmp_path) as made:
        (tmp_path / f"fault-{job.key}").write_text("freeze")
        asking = threading.Thread(target=lambda: outcomes.update(all_of(made, [job])))
        asking.start()
        until(lambda: not (tmp_path / f"fault-{job.key}").exists(), "the job under way")
        started = time.monotonic()
        made.close()
        asking.join(PATIENCE)
    assert str(outcomes["1"]) == "the study was stopped"
    assert time.monotonic() - started < 30
    for process in processes():
        process.kill()


def test_actors_by_the_gpus_of_an_architecture(cluster: Any, tmp_path: Path) -> None:
    small, large = architecture("llama"), architecture("qwen3").model_copy(update={"gpus": 2})
    made = RayRunner(f"ray://{cluster.address}", FolderStore(tmp_path), (small, large), None, 2)
    jobs = [answers("small", number) for number in range(6)] + [answers("large", n, 2, "qwen3") for n in range(6, 12)]
    try:
        assert all(isinstance(outcome, Artifact) for outcome in all_of(made, jobs).values())
    finally:
        made.close()
    own = {
        base: {line.split()[0] for line in lines(tmp_path, "loads") if line.endswith(base)}
        for base in ("small", "large")
    }
    assert not own["small"] & own["large"]


def faults_of(act: Callable[[], object]) -> list[str]:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value).splitlines()


def test_what_can_not_work_is_said_before_the_first_job(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(models: tuple[Any, ...], address: str = f"ray://{cluster.address}") -> None:
        made = RayRunner(address, FolderStore(tmp_path), models, None, 2)
        try:
            made.check()
        finally:
            made.close()

    model = architecture("llama")
    (line,) = faults_of(lambda: check((model.model_copy(update={"gpus": 3}),)))
    assert line == (
        f"architectures.tiny-llama: it asks for 3 GPUs of one node, and no node of ray://{cluster.address} has more "
        "than 2"
    )
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        (line,) = faults_of(lambda: check((model,), f"ray://127.0.0.1:{port}"))
    assert line.startswith(f"ray://127.0.0.1:{port}: nothing answers there (")
    (line,) = faults_of(lambda: check((model,), "kubernetes"))
    assert line == "kubernetes: a runner is local, ray, or ray://HOST:PORT of a cluster's head"
    monkeypatch.setattr(nodes, "source_digest", lambda: "another")
    monkeypatch.setattr(nodes, "PACKAGES", ("torch",))
    first, *rest = faults_of(lambda: check((model.model_copy(update={"tiny": None, "path": "/nowhere"}),)))
    assert first == f"ray://{cluster.address}: nodes that can't do this study's jobs:"
    assert len(rest) == 4  # two faults of each of two nodes
    assert rest[0].endswith(": another version of pluralign than the driver's; install the same one")
    assert rest[1].endswith(": architectures.tiny-llama.path: /nowhere is not there")


DRIVER = """
import sys, threading, time
from pathlib import Path
from tasks.runtime.ray import actor
from tasks.runtime.ray.runner import RayRunner
from tasks.runtime.store import FolderStore
from tests.models import architecture
from tests.ray_cluster import SleepingHost, answers
actor.Host = SleepingHost
made = RayRunner(f"ray://{sys.argv[1]}", FolderStore(Path(sys.argv[2])), (architecture("llama"),), None, 2)
for number in range(200):
    threading.Thread(target=lambda n=number: made.run(answers("base", n)), daemon=True).start()
time.sleep(600)
"""


def test_actors_end_with_a_driver_that_is_killed(cluster: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    driver = subprocess.Popen([sys.executable, "-c", DRIVER, cluster.address, str(tmp_path)], stderr=subprocess.DEVNULL)
    until(lambda: len(lines(tmp_path, "done")) > 3, "jobs of the other driver")
    assert processes()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    started = time.monotonic()
    until(lambda: not processes(), "the end of its actors")
    assert time.monotonic() - started < 30
