"""The process that trains: it keeps a base loaded and does one job after another.

Jobs come as JSON lines on standard input, answers and progress go as JSON lines to standard output; whatever libraries
print goes to standard error. When its parent is gone, standard input ends and the child ends with it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from configs.errors import InputError
from configs.schema import Architecture, Recipe
from tasks.methods import METHODS

_loaded: dict[str, Any] = {}
Say = Callable[[str], None]
SECONDS_BETWEEN_PROGRESS = 30.0


def pretrain(say: Say, architecture: dict, recipe: dict, texts: str, seed: int, folder: str) -> dict[str, Any]:
    """Build and pre-train a tiny base on the `prompt`, `response` columns of a table."""
    import pandas as pd

    from tasks.architectures.tiny import build_base

    settings, plan = Architecture.model_validate(architecture), Recipe.model_validate(recipe)
    table = pd.read_parquet(texts)
    pairs = list(zip(table["prompt"], table["response"], strict=True))
    assert settings.tiny is not None
    return build_base(settings.family, settings.tiny, plan.pretraining, pairs, plan.max_length, seed, Path(folder), say)


def train(say: Say, architecture: dict, **job: Any) -> dict[str, Any]:
    """Train an adapter as `train_on` does, over as many GPUs as the architecture asks for."""
    settings = Architecture.model_validate(architecture)
    if settings.gpus == 1:
        return train_on(say, architecture, **job)
    import pandas as pd
    import torch

    from tasks.runtime.local.sharded import run_sharded

    base, table = _base(settings, job["source"], job["revision"]), pd.read_parquet(job["data"])
    recipe = Recipe.model_validate(job["recipe"])
    METHODS[job["method"]].before_sharding(base, table, recipe, Path(job["reference"]), say)
    del base
    _unload()  # the processes that train need the memory
    say(f"training over {settings.gpus} processes")
    return run_sharded(settings, {"architecture": architecture, **job}, torch.cuda.is_available())


def train_on(
    say: Say, architecture: dict, source: str, revision: str | None, recipe: dict, method: str, data: str,
    seed: int, steps: int | None, adapter: str, checkpoints: str, reference: str, processes: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """Train an adapter on the table that the method reads, in this process or as one of several."""
    import pandas as pd

    from tasks.architectures.load import load_base
    from tasks.methods.run import Run, margin_at_end

    settings, plan = Architecture.model_validate(architecture), Recipe.model_validate(recipe)
    run = Run(seed, Path(adapter), Path(checkpoints), Path(reference), steps, processes)
    base = _base(settings, source, revision) if processes == 1 else load_base(settings, source, revision, "cpu")
    trained = METHODS[method].train(base, settings, pd.read_parquet(data), plan, run, say)
    if METHODS[method].leaves_base_changed():
        del base
        _unload()
    return {**vars(trained), "margin": margin_at_end(trained.curve, METHODS[method].margin)}


def generate(
    say: Say, architecture: dict, source: str, revision: str | None, recipe: dict, adapter: str | None, prompts: str,
    path: str,
) -> dict[str, Any]:  # fmt: skip
    """Answer a table of prompts greedily; the answers go to `path`."""
    import pandas as pd

    from tasks.generation.greedy import generate as answer

    settings, plan = Architecture.model_validate(architecture), Recipe.model_validate(recipe)
    base = _base(settings, source, revision)
    outputs = answer(base, Path(adapter) if adapter else None, pd.read_parquet(prompts), plan, settings.reasoning)
    at_once = outputs.attrs.pop("at_once")
    outputs.to_parquet(path, index=False)
    return {"at_once": at_once}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"pretrain": pretrain, "train": train, "generate": generate}


def _base(architecture: Architecture, source: str, revision: str | None) -> Any:
    """The base, from memory if it is the one in use."""
    from tasks.architectures.load import load_base

    _settle()
    key = f"{source}@{revision} as {architecture.dtype}"
    if key not in _loaded:
        _unload()
        _loaded[key] = load_base(architecture, source, revision)
    return _loaded[key]


def _unload() -> None:
    from tasks.methods.memory import free

    _loaded.clear()
    free()


@cache
def _settle() -> None:
    """Import what trains, and tell the garbage collector that it stays.

    Each trainer ends with a full collection, which would look through the libraries' objects again: a quarter of a
    second a run. Before the first base is loaded, since what is told to stay is never freed.
    """
    import trl

    for method in METHODS.values():
        getattr(trl, method.trainer)  # imported at first use
    gc.collect()
    gc.freeze()


def main() -> None:
    """Answer jobs until standard input ends."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    _prepare()
    while True:
        answer = _answer(json.loads(jobs.get()), channel)
        channel.write(json.dumps(answer) + "\n")
        if "CUDA error" in answer.get("error", ""):
            os._exit(1)  # nothing works on that GPU any more in this process


def _listen(jobs: queue.Queue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the parent closed its end or is gone: nobody waits for what is under way


def _prepare() -> None:
    import torch
    import transformers

    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _answer(job: dict[str, Any], channel: Any) -> dict[str, Any]:
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN_PROGRESS:
            channel.write(json.dumps({"progress": text}) + "\n")
            last = time.monotonic()

    try:
        _peak_memory(reset=True)
        result = JOBS[job["name"]](say, **job["arguments"])
        return {"result": result | {"peak_gpu_bytes": _peak_memory()}}
    except InputError as error:
        return {"error": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _peak_memory(reset: bool = False) -> int:
    """Most GPU memory that was allocated at once, in bytes; 0 without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated()


if __name__ == "__main__":
    main()
