"""A training run that stops at any step goes on to the same weights, and never from half a checkpoint."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.methods import METHODS
from tasks.methods.checkpoints import ADAPTER_WEIGHTS, FILES, OPTIMISER, RANDOM, newest_checkpoint
from tasks.methods.run import NotFinite, Run, Trained, margin_at_end
from tasks.methods.step import Train, train_adapter
from tasks.runtime.in_process import InProcess
from tasks.runtime.progress import Progress, Report, unheard
from tasks.runtime.runner import JobFailed, Runner
from tasks.runtime.store import FolderStore
from tests.models import RECIPE, a_run, as_folder, kept, some_pairs, some_rated, some_rewards
from tests.pickles import pickles_below

EVERY_STEP = RECIPE.model_copy(
    update={name: block.model_copy(update={"epochs": 3}) for name, block in RECIPE.blocks.items()}
    | {"checkpoint_seconds": 0.0}
)
"""Six steps each, and a checkpoint after every one."""


class Stopped(Exception):
    """Stands for a kill: nothing of the run remains but what is on disk."""


def stop_at(step: int) -> Progress:
    def progress(report: Report) -> None:
        if (report.done, report.unit) == (step, "steps"):
            raise Stopped

    return progress


def trained(method: str, llama: Any, run: Run, progress: Progress = unheard) -> Trained:
    architecture, base = llama
    rows = {"dpo": some_pairs(16), "kto": some_rated(16), "grpo": some_rewards()}[method]
    return METHODS[method].train(base, architecture, rows, EVERY_STEP, run, progress)


def adapter(run: Run) -> bytes:
    return (run.adapter / "adapter_model.safetensors").read_bytes()


@pytest.fixture
def every_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.methods import dpo, grpo, kto

    for module in (dpo, grpo, kto):
        plain = module.training_arguments
        monkeypatch.setattr(module, "training_arguments", lambda *a, plain=plain: {**plain(*a), "logging_steps": 1})


@pytest.mark.usefixtures("every_step_is_logged")
@pytest.mark.parametrize("method", list(METHODS))
def test_a_stopped_run_goes_on_to_the_same_weights(method, llama, tmp_path):
    whole, broken = a_run(tmp_path / "whole"), a_run(tmp_path / "broken")
    assert trained(method, llama, whole).resumed_from == 0
    for step in (2, 5):
        with pytest.raises(Stopped):
            trained(method, llama, broken, stop_at(step))
    again = trained(method, llama, broken)
    assert again.resumed_from == 4  # the log of step 5 came before its checkpoint
    assert adapter(broken) == adapter(whole)
    assert [entry["step"] for entry in again.curve] == [1, 2, 3, 4, 5, 6]
    assert {path.suffix for path in broken.checkpoints.rglob("*") if path.is_file()} == {".json", ".safetensors", ".md"}
    assert pickles_below(broken.checkpoints) == []


@pytest.mark.parametrize("method", list(METHODS))
def test_the_margin_of_a_stopped_run_is_that_of_an_undisturbed_one(method, llama, tmp_path, monkeypatch):
    from tasks.methods import dpo, grpo, kto

    # logged every second step, killed after the fifth, when the third log is half way
    for module in (dpo, grpo, kto):
        plain = module.training_arguments
        monkeypatch.setattr(module, "training_arguments", lambda *a, plain=plain: {**plain(*a), "logging_steps": 2})
    whole, broken = a_run(tmp_path / "whole"), a_run(tmp_path / "broken")
    expected = trained(method, llama, whole)
    with monkeypatch.context() as patch:
        kill_after(5, patch)
        with pytest.raises(Stopped):
            trained(method, llama, broken)
    again, name = trained(method, llama, broken), METHODS[method].margin
    assert margin_at_end(again.curve, name) == margin_at_end(expected.curve, name)
    assert again.resumed_from == 4
    measured = [[[entry[key] for key in ("step", "loss", name)] for entry in run.curve] for run in (again, expected)]
    assert measured[0] == measured[1]


def kill_after(step: int, patch: pytest.MonkeyPatch) -> None:
    from tasks.methods import run

    def callbacks(*arguments: Any) -> list[Any]:
        from transformers import TrainerCallback

        class Kill(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == step:
                    raise Stopped

        return [*plain(*arguments), Kill()]

    plain = run.callbacks
    patch.setattr(run, "callbacks", callbacks)


def as_of_an_earlier_version(checkpoint: Path) -> None:
    """With the names that transformers gives to pickles, all of them listed."""
    for name, then in ((OPTIMISER, "optimizer.pt"), (RANDOM, "rng_state.pth")):
        (checkpoint / name).rename(checkpoint / then)
    listed = {path.name: path.stat().st_size for path in checkpoint.iterdir() if path.name != FILES}
    (checkpoint / FILES).write_text(json.dumps(listed))


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.usefixtures("every_step_is_logged")
@pytest.mark.parametrize("damage", [
    lambda checkpoint: (checkpoint / OPTIMISER).unlink(),
    lambda checkpoint: (checkpoint / ADAPTER_WEIGHTS).unlink(),
    lambda checkpoint: os.truncate(checkpoint / OPTIMISER, 1000),
    lambda checkpoint: (checkpoint / RANDOM).write_bytes(b""),
    lambda checkpoint: flip_a_byte(checkpoint / ADAPTER_WEIGHTS),
    lambda checkpoint: (checkpoint / FILES).unlink(),
    lambda checkpoint: (checkpoint / FILES).write_text('{"optimi'),
    lambda checkpoint: (checkpoint / FILES).write_text("[]"),
    lambda checkpoint: as_of_an_earlier_version(checkpoint),
], ids=["lost", "no adapter", "cut", "emptied", "flipped", "unlisted", "half a list", "no list", "old"])  # fmt: skip
def test_half_a_checkpoint_counts_for_nothing(damage, llama, tmp_path):
    whole, broken = a_run(tmp_path / "whole"), a_run(tmp_path / "broken")
    trained("dpo", llama, whole)
    with pytest.raises(Stopped):
        trained("dpo", llama, broken, stop_at(5))
    newest = newest_checkpoint(broken.checkpoints)
    assert newest is not None
    assert newest.name == "checkpoint-4"
    damage(newest)
    assert trained("dpo", llama, broken).resumed_from == 3
    assert adapter(broken) == adapter(whole)


@pytest.mark.usefixtures("every_step_is_logged")
def test_a_run_all_of_whose_checkpoints_are_halves_starts_anew(llama, tmp_path):
    whole, broken = a_run(tmp_path / "whole"), a_run(tmp_path / "broken")
    trained("dpo", llama, whole)
    with pytest.raises(Stopped):
        trained("dpo", llama, broken, stop_at(5))
    for list_of_files in broken.checkpoints.glob(f"checkpoint-*/{FILES}"):
        list_of_files.unlink()
    assert trained("dpo", llama, broken).resumed_from == 0  # though the halves are of later steps
    assert adapter(broken) == adapter(whole)
    assert sorted(path.name for path in broken.checkpoints.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-5"]


@pytest.mark.usefixtures("every_step_is_logged")
def test_out_of_memory_halves_what_goes_through_at_once_and_goes_on(llama, tmp_path, monkeypatch):
    from tasks.methods import dpo

    plain = dpo.collapsed_trainer()
    calls = []

    class Narrow(plain):
        """Memory for two pairs at once, from the third step on."""

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            calls.append(len(inputs["weight"]))
            if self.state.global_step >= 2 and len(inputs["weight"]) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return super()._compute_loss(model, inputs, return_outputs)

    whole, short = a_run(tmp_path / "whole"), a_run(tmp_path / "short")
    trained("dpo", llama, whole)
    monkeypatch.setattr(dpo, "collapsed_trainer", lambda: Narrow)
    result = trained("dpo", llama, short)
    assert (result.steps, result.at_once, result.resumed_from) == (6, 2, 2)
    assert calls == [8, 8, 8, 4, *[2] * 16]  # two whole steps, two that failed, four steps in four parts
    from safetensors.torch import load_file

    ours, theirs = (load_file(run.adapter / "adapter_model.safetensors") for run in (short, whole))
    for name, value in ours.items():  # sums in another order, through AdamW's division by small numbers
        torch.testing.assert_close(value, theirs[name], rtol=1e-2, atol=1e-4)


def test_a_row_that_does_not_fit_is_an_error_that_says_so(llama, tmp_path, monkeypatch):
    from tasks.methods import dpo
    from tasks.methods.memory import OutOfMemory

    class Full(dpo.collapsed_trainer()):
        def _compute_loss(self, *_: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(dpo, "collapsed_trainer", lambda: Full)
    with pytest.raises(OutOfMemory, match="not even one row at once fits into memory: CUDA out of memory"):
        trained("dpo", llama, a_run(tmp_path))


@pytest.mark.usefixtures("every_step_is_logged")
def test_a_loss_that_is_not_finite_ends_the_run(llama, tmp_path, monkeypatch):
    from tasks.methods import dpo

    class Broken(dpo.collapsed_trainer()):
        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            return super()._compute_loss(model, inputs, return_outputs) * float("nan")

    monkeypatch.setattr(dpo, "collapsed_trainer", lambda: Broken)
    with pytest.raises(NotFinite, match="the loss is nan by step 1"):
        trained("dpo", llama, a_run(tmp_path))


@pytest.mark.slow
def test_a_killed_process_s_run_goes_on_from_its_checkpoint(llama, pool, store, tmp_path):
    recipe = EVERY_STEP.model_copy(update={"dpo": RECIPE.dpo.model_copy(update={"epochs": 60})})

    def train(store: FolderStore, runner: Runner) -> Any:
        data = kept(some_pairs(16), store)
        job = Train(base=as_folder(llama), method="dpo", data=data, digest="data", recipe=recipe, seed=0, card="card")
        return train_adapter(job, store, runner)

    def kill() -> None:
        while not list(store.root.glob(f"checkpoints/*/checkpoint-*/{FILES}")):
            time.sleep(0.05)
        os.kill(pool.slots[0]._child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobFailed, match="was killed by SIGKILL"):
        train(store, pool)
    killer.join()
    other = FolderStore(tmp_path / "whole")
    with closing(InProcess(other)) as another:
        again, whole = train(store, pool), train(other, another)
    assert 0 < again.record.resumed_from < 120 == again.record.steps
    files = [Path(run.path) / "adapter" / "adapter_model.safetensors" for run in (again, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not list((store.root / "checkpoints").iterdir())
