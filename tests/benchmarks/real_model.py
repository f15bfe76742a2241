"""What a real model takes on a CPU: a training run of pairs of real ratings, and answers, in this tree and in another.

    python tests/benchmarks/real_model.py MODEL [--before TREE] [--rounds 3] [--pairs 96] [--length 160]

MODEL is a folder of safetensors, such as a dequantised SmolLM2-135M. `--before` is another checkout, which takes turns
with this one, so that the machine's moods fall on both alike. Each round is a store and a pool of its own, one job at a
time: 20 held-out prompts are answered (which loads the base), then an adapter is trained with DPO on pairs of SPICA,
its reference log-probabilities included, as for the first run of a study. Nothing is set that a user would not set, but
what `--dtype` and `--workers` say. Printed are wall seconds, CPU seconds where so named, and the medians of the ratios
of the rounds; on a busy machine go by CPU seconds and by how many threads a tree has.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from configs.load import load_study
from configs.schema import Architecture, Study
from tasks.architectures.step import prepare_base
from tasks.generation.step import Prompts, answer_prompts
from tasks.methods.step import Train, train_adapter
from tasks.methods.training_set import training_sets
from tasks.planning.bench import Bench
from tasks.preferences.experiment import keep_preferences
from tasks.ratings.step import load_data, read_ratings
from tasks.runtime.local.pool import Pool
from tasks.runtime.store import FolderStore, StoredFile

ROOT = Path(__file__).parents[2]
PHASES = ("answers", "answers, CPU", "training", "training, CPU", "of it steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--before", help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--length", type=int, default=160, help="tokens of prompt and response, at most")
    parser.add_argument("--dtype", default="", help="of both, where theirs is not to decide")
    parser.add_argument("--workers", type=int, help="of both; by default theirs")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(one_round(options, Path(options.measure))))
        return
    trees = {"before": options.before, "now": str(ROOT)} if options.before else {"now": str(ROOT)}
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as place:
        keep_data(Path(place), options)
        for _ in range(options.rounds):
            rounds.append({name: in_tree(tree, place) for name, tree in trees.items()})
            print(json.dumps(rounds[-1]), flush=True)
    for phase in PHASES:
        seconds = {name: statistics.median(own[name][phase] for own in rounds) for name in trees}
        line = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        if options.before:
            line += f"; ratio {statistics.median(own['before'][phase] / own['now'][phase] for own in rounds):.2f}"
        print(f"{phase}: {line}")


def settings(options: argparse.Namespace) -> Study:
    """The study of SPICA with one condition, cut to what is measured."""
    changes = {
        "recipe.dpo.max_pairs": options.pairs, "recipe.max_length": options.length, "evaluation.max_prompts": 20,
    }  # fmt: skip
    return load_study("spica", changes)


def keep_data(place: Path, options: argparse.Namespace) -> None:
    """The pairs and the held-out prompts, the same for all that are measured."""
    os.environ["PLURALIGN_HOME"] = str(place / "home")
    study = settings(options)
    bench = Bench(study, 1)
    ratings = read_ratings(study, bench.store, None)
    data = load_data(study, ratings)
    preferences = keep_preferences(study, "scale", data, ratings, bench.store)
    rows = training_sets(study, "scale", preferences, bench.store)["5-point"].table.fetch(bench.store)
    pd.read_parquet(rows).to_parquet(place / "rows.parquet", index=False)
    bench.evaluation_prompts(data).to_parquet(place / "prompts.parquet", index=False)


def in_tree(tree: str, place: str) -> dict[str, float]:
    """A round in a process of a tree's own code."""
    command = [sys.executable, str(Path(__file__)), *sys.argv[1:], "--measure", place]
    environment = os.environ | {"PYTHONPATH": tree}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def one_round(options: argparse.Namespace, place: Path) -> dict[str, float]:
    """Seconds of answering and of training, in this process's tree."""
    study, chosen = settings(options), {"dtype": options.dtype} if options.dtype else {}
    real: dict[str, Any] = {"name": "real", "title": "Real", "family": "llama", "parameters": 1.35e8}
    architecture = Architecture(path=options.model, **real, **chosen)
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder, "store"))
        store.make("rows", "all", lambda to: pd.read_parquet(place / "rows.parquet").to_parquet(to / "rows.parquet"))
        with closing(Pool(store, Path(folder, "slots"), options.workers)) as pool:
            base = prepare_base(study, architecture, pd.DataFrame(), store, pool)
            prompts = Prompts.of(pd.read_parquet(place / "prompts.parquet"))
            answers, answering = measured(pool, lambda: answer_prompts(base, None, prompts, study.recipe, store, pool))
            data = StoredFile(stage="rows", key="all", name="rows.parquet")
            job = Train(base=base, method="dpo", data=data, digest="rows", recipe=study.recipe, seed=0)
            run, training = measured(pool, lambda: train_adapter(job, store, pool))
    wall = (answers.record.seconds, run.record.seconds, run.record.loop_seconds)
    return dict(zip(PHASES, (wall[0], answering, wall[1], training, wall[2]), strict=True))


def measured(pool: Pool, work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and the CPU seconds of the pool's children on the way."""

    def spent() -> float:
        children = [slot._child for slot in pool.slots if slot._child and slot._child.poll() is None]
        return sum(sum(psutil.Process(child.pid).cpu_times()[:2]) for child in children)

    before = spent()
    result = work()
    return result, spent() - before


if __name__ == "__main__":
    main()
