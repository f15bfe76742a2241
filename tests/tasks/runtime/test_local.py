"""Slots and their child processes: a dead child costs its own job and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Recipe
from tasks.architectures.load import BaseRef
from tasks.architectures.step import Pretrain, Pretrained
from tasks.methods.step import Train, train_adapter
from tasks.planning.bench import choose_runner
from tasks.runtime.in_process import InProcess
from tasks.runtime.local.pool import Pool
from tasks.runtime.processes import existing, runs_on
from tasks.runtime.runner import JobFailed
from tasks.runtime.store import Artifact, FolderStore, StoredFile
from tests.models import RECIPE, architecture, as_folder, kept, some_pairs, texts
from tests.watch import PATIENCE, until


def pretraining(steps: int, texts_key: str = "some") -> Pretrain:
    return Pretrain(
        architecture=architecture("llama"),
        recipe=RECIPE.pretraining.model_copy(update={"steps": steps}),
        max_length=RECIPE.max_length,
        texts=StoredFile(stage="texts", key=texts_key, name="texts.parquet"),
        seed=0,
    )


def pretrain(pool: Pool, steps: int) -> Artifact[Pretrained]:
    table = pd.DataFrame(texts(), columns=["prompt", "response"])
    pool.slots[0].store.make("texts", "some", lambda folder: table.to_parquet(folder / "texts.parquet"))
    return pool.run(pretraining(steps))


def child_of(pool: Pool) -> subprocess.Popen:
    return pool.slots[0]._child


def test_a_killed_child_fails_its_own_job_with_the_reason_and_is_replaced(pool, store):
    assert pretrain(pool, steps=2).fresh
    child = child_of(pool)
    threading.Timer(1.0, lambda: os.kill(child.pid, signal.SIGKILL)).start()
    with pytest.raises(JobFailed, match=r"was killed by SIGKILL \(out of memory\?\); its log is .*cpu-0\.log"):
        pretrain(pool, steps=100_000)
    assert not list(store.root.glob("*/*.partial"))
    made = pretrain(pool, steps=3)
    assert made.record.vocabulary > 100
    assert made.record.seconds > 0
    assert (made.path / "model" / "model.safetensors").is_file()
    assert child_of(pool).pid != child.pid
    assert not pretrain(pool, steps=3).fresh


def test_a_job_whose_child_was_killed_is_done_again_as_often_as_it_may(store, tmp_path, caplog):
    with closing(Pool(store, tmp_path / "slots", workers=1, retries=1)) as pool:
        pretrain(pool, steps=2)
        kills = []

        def kill_first() -> None:
            first = child_of(pool).pid
            os.kill(first, signal.SIGKILL)
            kills.append(first)

        threading.Timer(0.3, kill_first).start()
        made = pretrain(pool, steps=400)
        assert kills
        assert made.fresh
        assert child_of(pool).pid != kills[0]
        (line,) = [message for message in caplog.messages if "it is done again" in message]
        assert line.startswith("tiny-llama: pretrain: its worker process was killed by SIGKILL")
        assert line.endswith("it is done again (1 of 1)")


def test_a_job_that_raises_fails_with_its_message_and_leaves_the_child_alive(pool):
    pretrain(pool, steps=2)
    child = child_of(pool)
    with pytest.raises(JobFailed, match=r"FileNotFoundError: .*texts/nowhere: no such artifact"):
        pool.run(pretraining(2, texts_key="nowhere"))
    assert child.poll() is None


def test_what_another_thread_is_having_made_is_made_once(pool):
    fresh = []
    threads = [threading.Thread(target=lambda: fresh.append(pretrain(pool, steps=2).fresh)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False, False, True]


def test_a_library_that_asks_a_question_in_a_child_gets_no_answer_and_takes_no_job():
    script = (
        "from tasks.runtime.local.child import _own_input\n"
        "jobs = _own_input()\n"
        "try: print('answered', input('run it? [y/N] '))\n"
        "except EOFError: print('nobody answers;', 'job:', jobs.readline())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], input="y\n", capture_output=True, text=True, timeout=PATIENCE
    )
    assert "nobody answers; job: y" in ended.stdout


def test_children_end_when_their_parent_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tasks.runtime.local.slot import Slot\n"
        "from tasks.runtime.store import FolderStore\n"
        "slot = Slot('cpu-0', [], Path(sys.argv[1]), FolderStore(Path(sys.argv[1])))\n"
        "print(slot._living_child().pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(runs_on, existing([pid]))), "the end of the child with its parent")


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with one GPU, as far as slots can tell."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_gpu_is_one_study_s_until_it_closes(one_gpu, tmp_path):
    store = FolderStore(tmp_path / "store")
    first, second = Pool(store, tmp_path / "a"), Pool(store, tmp_path / "b")
    with first.router.lease("x") as slot:
        assert slot.gpus == ["0"]
    got = threading.Event()

    def wait() -> None:
        with second.router.lease("y"):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(1.5)  # the first study's child keeps its base on the GPU between two jobs
    first.close()
    assert got.wait(PATIENCE)
    waiting.join()
    second.close()


def test_gpus_are_grouped_as_a_large_model_needs_them(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = FolderStore(tmp_path / "store")
    both, single = Pool(store, tmp_path / "a", gpus_each=2), Pool(store, tmp_path / "b")
    assert [slot.gpus for slot in both.slots] == [["0", "1"], ["2", "3"]]
    for seen, visible in ((1, "0"), (2, "0,1")):  # a small model's child sees one, or its trainer would use both
        both.slots[0]._sees = seen
        assert both.slots[0]._environment()["CUDA_VISIBLE_DEVICES"] == visible
    with single.router.lease("x") as slot:
        assert slot.gpus == ["0"]
        with both.router.lease("y") as free:
            assert free.gpus == ["2", "3"]  # one of the first two is the other study's
    single.close()
    both.close()
    with pytest.raises(InputError, match="one asks for 8 GPUs, and this machine has 5"):
        Pool(store, tmp_path, gpus_each=8)


@pytest.mark.parametrize(("cores", "threads_each", "workers", "expected"), [
    (2, 1, 1, (1, 1)), (2, 4, None, (2, 1)), (2, 4, 1, (1, 2)), (8, 4, 1, (1, 4)), (2, 4, 8, (8, 1)),
])  # fmt: skip
def test_processes_have_the_threads_that_there_are_cores_for(
    cores: int, threads_each: int, workers: int | None, expected: tuple[int, int], monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr("tasks.runtime.local.pool.gpus", list)
    monkeypatch.setattr("tasks.runtime.local.pool.cores_of_this_process", lambda: cores)
    pool = Pool(FolderStore(tmp_path / "store"), tmp_path, workers, threads_each=threads_each)
    assert {slot._environment()["OMP_NUM_THREADS"] for slot in pool.slots} == {str(expected[1])}
    assert pool.size == expected[0]


def test_only_processes_of_real_models_have_several(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("tasks.runtime.local.pool.gpus", list)
    monkeypatch.setattr("tasks.runtime.local.pool.cores_of_this_process", lambda: 4)
    runners = [choose_runner(load_study(name), FolderStore(tmp_path), 1) for name in ("demo", "paper")]
    assert [slot.threads for runner in runners for slot in runner.slots] == [1, 4]


@pytest.mark.slow
def test_a_run_over_two_processes_gives_the_adapter_of_one(llama, tmp_path):
    from safetensors.torch import load_file

    weights, stores = [], [FolderStore(tmp_path / str(processes)) for processes in (1, 2)]
    runners = InProcess(stores[0]), Pool(stores[1], tmp_path / "slots", workers=1)
    for processes, store, runner in zip((1, 2), stores, runners, strict=True):
        with closing(runner):
            made = train_adapter(training(as_folder(llama, processes), some_pairs(16), store), store, runner)
        assert made.record.steps == 2
        assert (made.path / "adapter" / "README.md").read_text() == "card"
        weights.append(load_file(made.path / "adapter" / "adapter_model.safetensors"))
    assert made.record.at_once == 4  # of a batch of eight, in each of two
    one, two = (np.concatenate([value.numpy().ravel() for value in part.values()]) for part in weights)
    change = next(value for name, value in weights[0].items() if "lora_B" in name)  # starts from zero
    assert np.abs(change).max() > 0
    assert np.linalg.norm(two - one) / np.linalg.norm(change) < 1e-2


@pytest.mark.slow
def test_a_failure_in_one_of_two_processes_ends_both_and_says_why(llama, pool, store):
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 5})})
    broken = some_pairs(16).assign(target=float("nan"))
    with pytest.raises(JobFailed, match="NotFinite: the loss is nan by step 5"):
        train_adapter(training(as_folder(llama, 2), broken, store, recipe), store, pool)


def training(base: BaseRef, pairs: pd.DataFrame, store: FolderStore, recipe: Recipe = RECIPE) -> Train:
    data = kept(pairs, store)
    return Train(base=base, method="dpo", data=data, digest="data", recipe=recipe, seed=0, card="card")


def test_a_closed_pool_starts_no_more_and_lets_go_of_who_waits(pool):
    failed = threading.Event()

    def wait() -> None:
        with pytest.raises(JobFailed, match="the study was stopped"):
            pretrain(pool, steps=2)
        failed.set()

    with pool.router.lease("x"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.2)
        pool.close()
        assert failed.wait(PATIENCE)
    waiting.join()
    with pytest.raises(JobFailed, match="the study was stopped"):
        pretrain(pool, steps=3)


def test_closing_ends_the_child_at_work_and_its_job_fails(pool):
    pretrain(pool, steps=2)
    child, failed = child_of(pool), threading.Event()

    def work() -> None:
        with pytest.raises(JobFailed, match="was killed by SIGKILL"):
            pretrain(pool, steps=100_000)
        failed.set()

    working = threading.Thread(target=work)
    working.start()
    time.sleep(1)
    pool.close()
    assert failed.wait(PATIENCE)
    working.join()
    assert child.poll() is not None
