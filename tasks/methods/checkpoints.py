"""Checkpoints to go on from after a kill.

transformers writes a checkpoint's files one after another, and goes on from half of them with other weights, unsaid. So
a checkpoint counts only once a list of its files with their sizes has been written beside them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.runtime.files import write_atomically

FILES = "files.json"


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint in a trainer's output folder."""
    return max((path for path in folder.glob("checkpoint-*") if _is_whole(path)), key=step_of, default=None)


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
                sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
                write_atomically(folder / FILES, json.dumps(sizes))
                checkpointed()

    return Save()


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / FILES).read_text())
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])
