"""Slots and their child processes: a dead child costs its own job and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from tasks.architectures.load import BaseRef
from tasks.methods.step import TrainingRun, train_adapter
from tasks.runtime.local.pool import JobFailed, Pool
from tasks.runtime.store import Store
from tests.models import RECIPE, architecture, some_pairs, texts


def pretrain(pool: Pool, folder: Path, steps: int) -> dict:
    recipe = RECIPE.model_copy(update={"pretraining": RECIPE.pretraining.model_copy(update={"steps": steps})})
    folder.mkdir(exist_ok=True)
    pd.DataFrame(texts(), columns=["prompt", "response"]).to_parquet(folder / "texts.parquet")
    with pool.lease("base") as slot:
        return slot.run(
            "pretrain", architecture=architecture("llama").model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"), texts=str(folder / "texts.parquet"), seed=0,
            folder=str(folder / "model"),
        )  # fmt: skip


def child_of(pool: Pool) -> subprocess.Popen:
    slots = [slot for slot in pool._free if slot._child]
    return slots[0]._child


def test_a_killed_child_fails_its_own_job_with_the_reason_and_is_replaced(pool, tmp_path):
    pretrain(pool, tmp_path / "warm", steps=2)
    child = child_of(pool)
    threading.Timer(1.0, lambda: os.kill(child.pid, signal.SIGKILL)).start()
    with pytest.raises(JobFailed, match=r"was killed by SIGKILL \(out of memory\?\); its log is .*cpu-0\.log"):
        pretrain(pool, tmp_path / "victim", steps=100_000)
    assert pretrain(pool, tmp_path / "next", steps=2)["vocabulary"] > 100
    assert child_of(pool).pid != child.pid


def test_a_job_that_raises_fails_with_its_message_and_leaves_the_child_alive(pool, tmp_path):
    pretrain(pool, tmp_path, steps=2)
    child = child_of(pool)
    with pool.lease("base") as slot, pytest.raises(JobFailed, match="FileNotFoundError"):
        slot.run(
            "pretrain", architecture=architecture("llama").model_dump(mode="json"),
            recipe=RECIPE.model_dump(mode="json"), texts="nowhere.parquet", seed=0, folder=str(tmp_path),
        )  # fmt: skip
    assert child.poll() is None


def test_children_end_when_their_parent_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tasks.runtime.local.pool import Pool\n"
        "pool = Pool(Path(sys.argv[1]), workers=1)\n"
        "with pool.lease('x') as slot: print(slot._living_child().pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1]:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.1)


def test_a_lease_prefers_the_slot_that_holds_the_base(tmp_path):
    pool = Pool(tmp_path, workers=2)
    with pool.lease("one") as first, pool.lease("two") as second:
        assert first is not second
    with pool.lease("two") as again:
        assert again is second


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with one GPU, as far as slots can tell."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_gpu_is_one_study_s_until_it_closes(one_gpu, tmp_path):
    first, second = Pool(tmp_path / "a"), Pool(tmp_path / "b")
    with first.lease("x") as slot:
        assert slot.gpus == ["0"]
    got = threading.Event()

    def wait() -> None:
        with second.lease("y"):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(1.5)  # the first study's child keeps its base on the GPU between two jobs
    first.close()
    assert got.wait(5)
    waiting.join()
    second.close()


def test_gpus_are_grouped_as_a_large_model_needs_them(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    both, single = Pool(tmp_path / "a", gpus_each=2), Pool(tmp_path / "b")
    assert [slot.gpus for slot in both._slots] == [["0", "1"], ["2", "3"]]
    for seen, visible in ((1, "0"), (2, "0,1")):  # a small model's child sees one, or its trainer would use both
        both._slots[0]._sees = seen
        assert both._slots[0]._environment()["CUDA_VISIBLE_DEVICES"] == visible
    with single.lease("x") as slot:
        assert slot.gpus == ["0"]
        with both.lease("y") as free:
            assert free.gpus == ["2", "3"]  # one of the first two is the other study's
    single.close()
    both.close()
    with pytest.raises(InputError, match="one asks for 8 GPUs, and this machine has 5"):
        Pool(tmp_path, gpus_each=8)


@pytest.mark.slow
def test_a_run_over_two_processes_gives_the_adapter_of_one(llama, tmp_path):
    from safetensors.torch import load_file

    settings, base = llama
    some_pairs(16).to_parquet(tmp_path / "pairs.parquet")
    pool = Pool(tmp_path / "slots", workers=1)
    weights = []
    for processes in (1, 2):
        shared = settings.model_copy(update={"gpus": processes})
        ref = BaseRef(shared, "base", base.model.name_or_path)
        store = Store(tmp_path / str(processes))
        made = train_adapter(
            TrainingRun(ref, "dpo", "data", RECIPE, 0), tmp_path / "pairs.parquet", "card", store, pool
        )
        assert made.record["steps"] == 2
        weights.append(load_file(made.path / "adapter" / "adapter_model.safetensors"))
    pool.close()
    assert made.record["at_once"] == 4  # of a batch of eight, in each of two
    one, two = (np.concatenate([value.numpy().ravel() for value in part.values()]) for part in weights)
    change = next(value for name, value in weights[0].items() if "lora_B" in name)  # starts from zero
    assert np.abs(change).max() > 0
    assert np.linalg.norm(two - one) / np.linalg.norm(change) < 1e-2


@pytest.mark.slow
def test_a_failure_in_one_of_two_processes_ends_both_and_says_why(llama, tmp_path):
    settings, base = llama
    some_pairs(16).assign(target=float("nan")).to_parquet(tmp_path / "pairs.parquet")
    ref = BaseRef(settings.model_copy(update={"gpus": 2}), "base", base.model.name_or_path)
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 5})})
    pool = Pool(tmp_path / "slots", workers=1)
    run = TrainingRun(ref, "dpo", "data", recipe, 0)
    with pytest.raises(JobFailed, match="NotFinite: the loss is nan by step 5"):
        train_adapter(run, tmp_path / "pairs.parquet", "card", Store(tmp_path), pool)
    pool.close()


def test_a_closed_pool_leases_no_more_and_lets_go_of_who_waits(tmp_path):
    pool = Pool(tmp_path, workers=1)
    failed = threading.Event()

    def wait() -> None:
        with pytest.raises(JobFailed, match="the study was stopped"), pool.lease("y"):
            pass
        failed.set()

    with pool.lease("x"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        pool.close()
        assert failed.wait(5)
    waiting.join()
