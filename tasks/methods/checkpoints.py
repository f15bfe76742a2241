"""Checkpoints to go on from after a kill.

transformers writes a checkpoint's files one after another, and goes on from half of them with other weights, unsaid. So
a checkpoint counts only once a list of its files with their digests has been written beside them. Where transformers
writes pickles, which may run code when they are read, there are safetensors and JSON (`saved_state.py`).
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tasks.methods.saved_state import load_state, save_state
from tasks.runtime.files import Damaged, write_atomically
from tasks.runtime.store import compare, digests

FILES = "files.json"
ADAPTER_WEIGHTS, OPTIMISER, RANDOM = "adapter_model.safetensors", "optimiser.safetensors", "random.safetensors"
"""Without which a checkpoint is none: one of an earlier version, which kept pickles, is not gone on from."""


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint in a trainer's output folder."""
    return max((path for path in folder.glob("checkpoint-*") if _is_whole(path)), key=step_of, default=None)


def remove_halves(folder: Path) -> None:
    """Remove what counts for nothing among a trainer's checkpoints, which it may take for newer than its own."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not _is_whole(checkpoint):
            shutil.rmtree(checkpoint, ignore_errors=True)


def do_nothing() -> None:
    """A checkpoint is where all find it."""


def checkpoint_callback(every_seconds: float, checkpointed: Callable[[], None] = do_nothing) -> Any:
    """A trainer's callback that saves a checkpoint when so many seconds have passed, lists its files, and says so.

    Only after a step that was logged: what a trainer has measured since its last log is in no checkpoint, and the curve
    of a run that goes on would have other values than that of an undisturbed one.
    """
    from transformers import TrainerCallback

    class Save(TrainerCallback):
        last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            due = state.global_step < state.max_steps and time.monotonic() - self.last >= every_seconds
            control.should_save = due and state.global_step % args.logging_steps == 0

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.last = time.monotonic()
            if state.is_world_process_zero:
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                write_atomically(folder / FILES, json.dumps(digests(folder)))
                checkpointed()

    return Save()


@cache
def without_pickles(kind: Any) -> Any:
    """A class of trainers that keeps the same in its checkpoints, bit for bit, and none of it pickled.

    Left out are the tokenizer and the arguments, which a run that goes on has from its recipe. Of one process; a run
    that several share saves none.
    """

    class PickleFree(kind):
        def _save(self, output_dir: str, state_dict: Any = None) -> None:
            # embedding layers are not adapted, and to find out that they are not, peft asks the hub
            self.model.save_pretrained(output_dir, state_dict=state_dict, save_embedding_layers=False)

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            state = {name: part.state_dict() for name, part in self._stateful().items()}
            save_state(Path(output_dir) / OPTIMISER, state)

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            if checkpoint:
                state = load_state(Path(checkpoint) / OPTIMISER)
                for name, part in self._stateful().items():
                    part.load_state_dict(state[name])

        def _stateful(self) -> dict[str, Any]:
            parts = {"optimiser": self.optimizer, "schedule": self.lr_scheduler}
            scaler = getattr(self.accelerator, "scaler", None)  # of gradients in float16
            return parts | ({"scaler": scaler} if scaler else {})

        def _save_scaler(self, output_dir: str) -> None:
            """It is kept with the optimiser."""

        def _load_scaler(self, checkpoint: str | None) -> None:
            """It was kept with the optimiser."""

        def _save_rng_state(self, output_dir: str) -> None:
            save_state(Path(output_dir) / RANDOM, _random_state())

        def _load_rng_state(self, checkpoint: str | None) -> None:
            if checkpoint:
                _restore_random(load_state(Path(checkpoint) / RANDOM))

    return PickleFree


def _random_state() -> dict[str, Any]:
    """The states of all generators that training may draw from."""
    import numpy as np
    import torch

    of_numpy: Any = np.random.get_state()
    kind, words, *rest = of_numpy
    state = {"python": random.getstate(), "numpy": (kind, words.tolist(), *rest), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore_random(state: dict[str, Any]) -> None:
    import numpy as np
    import torch

    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _is_whole(checkpoint: Path) -> bool:
    try:
        files = json.loads((checkpoint / FILES).read_text())
        compare(checkpoint, files)
        return {ADAPTER_WEIGHTS, OPTIMISER, RANDOM} <= files.keys()
    except (OSError, ValueError, AttributeError, Damaged):  # AttributeError: JSON, but no list of digests
        return False


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])
