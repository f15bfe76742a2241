"""The DPO grid of the demo, beside one stock TRL process a condition on the expanded rows.

    python tests/benchmarks/grid.py                            # all seven tiny architectures: over an hour
    python tests/benchmarks/grid.py --architectures tiny-llama --without

Stock TRL runs twice: as it is, and with its own precomputed reference log-probabilities, which its cache keeps from one
process to the next.

All sides train the same preferences in the same number of optimiser steps on one core, and are alternated. Ratios are
of CPU seconds (of wall seconds beside them), from process start to saved adapter; pre-training the bases is in neither.
Then both sides' adapters answer the held-out prompts, and their effects against control are compared: ours of two
seeds, so that the difference is held against what another seed does.
`--without` runs our side again with each of its savings left out alone: where the factor comes from.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from configs.load import load_study  # noqa: E402
from tasks.architectures.step import prepare_base  # noqa: E402
from tasks.exporting.preferences import as_conversations  # noqa: E402
from tasks.judging.embedded import EmbeddedJudge  # noqa: E402
from tasks.judging.evidence import mean_ratings  # noqa: E402
from tasks.methods import METHODS  # noqa: E402
from tasks.methods.step import Train, train_adapter  # noqa: E402
from tasks.methods.training_set import training_sets  # noqa: E402
from tasks.planning.bench import Bench  # noqa: E402
from tasks.preferences.experiment import keep_preferences  # noqa: E402
from tasks.ratings.step import load_data, read_ratings  # noqa: E402
from tasks.runtime.local.pool import Pool  # noqa: E402
from tasks.runtime.local.slot import CPU, QUIET  # noqa: E402
from tasks.runtime.store import Store, StoredFile  # noqa: E402
from tasks.runtime.stores import chosen_store  # noqa: E402
from tasks.simulation.step import simulated_export  # noqa: E402

SEEDS = 2
"""Of ours, for how much effects differ between seeds; the first is the one that is timed."""
SAVINGS = ("collapse", "shared reference", "warm base", "shared runs")


@dataclass
class Spent:
    """CPU and wall seconds, and what was made."""

    cpu: float = 0.0
    wall: float = 0.0
    adapters: dict[str, Path] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)


@contextmanager
def measured(spent: Spent) -> Iterator[None]:
    """Add the seconds of the children that end within."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent.cpu += after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    spent.wall += time.perf_counter() - started


def expanded(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a preference, the winner first."""
    wins = (pairs["target"] * pairs["n"]).round().astype(int)
    ahead = pairs.loc[pairs.index.repeat(wins), ["prompt", "text_a", "text_b"]]
    back = pairs.loc[pairs.index.repeat(pairs["n"].astype(int) - wins), ["prompt", "text_b", "text_a"]]
    columns = ["prompt", "chosen", "rejected"]
    return pd.concat([ahead.set_axis(columns, axis=1), back.set_axis(columns, axis=1)], ignore_index=True)


def as_chat(rows: pd.DataFrame, path: Path) -> Path:
    """The rows as TRL reads conversations."""
    pq.write_table(as_conversations(rows), path)
    return path


def stock(study: Any, base: Any, conditions: dict[str, Path], folder: Path, precompute: bool) -> Spent:
    """A process a condition, on its expanded rows; `precompute`: TRL's own cache of reference log-probabilities."""
    spent, recipe = Spent(), study.recipe
    folder.mkdir(parents=True)
    for name, data in conditions.items():
        pairs = pd.read_parquet(data)
        rows = expanded(pairs)
        steps = METHODS["dpo"].steps(len(pairs), recipe)
        job = {
            "base": base.source(chosen_store()), "dtype": "float32",
            "rows": str(as_chat(rows, folder / "rows.parquet")),
            "folder": str(folder / name.replace("/", "-")), "beta": recipe.dpo.beta,
            "learning_rate": recipe.dpo.learning_rate, "at_once": -(-len(rows) // steps), "accumulation": 1,
            "max_length": recipe.max_length, "rank": recipe.lora.rank, "alpha": recipe.lora.alpha,
            "target_modules": base.architecture.target_modules, "precompute": precompute,
        }  # fmt: skip
        environment = os.environ | QUIET | CPU | {"HF_DATASETS_CACHE": str(folder / "datasets")}
        command = [sys.executable, str(ROOT / "tests" / "benchmarks" / "stock_dpo.py"), json.dumps(job)]
        with measured(spent):
            run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        phases = json.loads(run.stdout.splitlines()[-1])
        if abs(phases["steps"] - steps) > 1:
            raise SystemExit(f"{name}: stock took {phases['steps']} steps, ours takes {steps}")
        for phase in ("load", "prepare", "train"):
            spent.phases[phase] = spent.phases.get(phase, 0.0) + phases[phase]
        spent.adapters[name] = Path(job["folder"])
    return spent


def ours(
    study: Any, base: Any, conditions: dict[str, Any], pool: Pool, store: Store, without: str = "", seed: int = 0
) -> Spent:
    """The product's own path on one slot; `without` leaves one saving out."""
    spent = Spent()
    forget_reference(store)
    for name, prepared in conditions.items():
        data, recipe, digest = prepared.table, study.recipe, f"{without} {prepared.digest}"
        if without == "collapse":
            data, recipe = spread(study, prepared, store)
        if without == "shared runs":
            digest = name
        if without == "shared reference":
            forget_reference(store)
        before, started = cpu_of(pool) + time.process_time(), time.perf_counter()
        job = Train(base=base, method="dpo", data=data, digest=digest, recipe=recipe, seed=seed)
        run = train_adapter(job, store, pool)
        spent.cpu += cpu_of(pool) + time.process_time() - before
        spent.wall += time.perf_counter() - started
        spent.adapters[name] = run.path / "adapter"
        if without == "warm base" and run.fresh:
            for slot in pool.slots:
                slot._child.kill()
                slot._child.wait()
    return spent


def forget_reference(store: Store) -> None:
    """As if no run had asked for reference log-probabilities yet."""
    store.workspace("reference").remove()


def cpu_of(pool: Pool) -> float:
    """CPU seconds of the children that are alive."""
    children = [slot._child for slot in pool.slots if slot._child and slot._child.poll() is None]
    return sum(sum(psutil.Process(child.pid).cpu_times()[:2]) for child in children)


def spread(study: Any, prepared: Any, store: Store) -> tuple[StoredFile, Any]:
    """The condition's expanded rows as pairs of weight one, and a recipe with as many steps on them."""
    pairs = pd.read_parquet(prepared.table.fetch(store))
    rows = expanded(pairs).set_axis(["prompt", "text_a", "text_b"], axis=1).assign(target=1.0, weight=1.0)
    store.make("spread", prepared.digest, lambda folder: rows.to_parquet(folder / "rows.parquet", index=False))
    steps = METHODS["dpo"].steps(len(pairs), study.recipe)
    dpo = study.recipe.dpo.model_copy(update={"batch_size": -(-len(rows) // steps)})
    table = StoredFile(stage="spread", key=prepared.digest, name="rows.parquet")
    return table, study.recipe.model_copy(update={"dpo": dpo})


def scores(study: Any, base: Any, adapters: dict[str, Path | None], prompts: pd.DataFrame, judge: Any) -> Any:
    """Condition → a score a prompt and dimension."""
    from tasks.architectures.load import load_base
    from tasks.generation.greedy import generate

    loaded = load_base(base.architecture, base.source(chosen_store()), None)
    answers = {name: generate(loaded, path, prompts, study.recipe, False)[0]["text"] for name, path in adapters.items()}
    return {name: judge.score(prompts["prompt"].tolist(), texts.tolist()).values for name, texts in answers.items()}


def effects(study: Any, base: Any, sides: list[Spent], prompts: pd.DataFrame, judge: Any) -> np.ndarray:
    """Shape (sides, conditions, dimensions, 2): every effect against control, and its standard error over prompts."""
    control = scores(study, base, {"control": None}, prompts, judge)["control"]
    tables = [scores(study, base, dict(side.adapters), prompts, judge) for side in sides]
    return np.array([
        [[[np.nanmean(d), np.nanstd(d, ddof=1) / np.sqrt(len(d))] for d in (table[name] - control).T]
         for name in sides[0].adapters]
        for table in tables
    ])  # fmt: skip


def agreement(found: list[np.ndarray]) -> str:
    """Stock's effects beside ours of several seeds; an effect's error is that over prompts and that over seeds."""
    stock_, *seeds = np.concatenate(found, axis=1)  # sides, architectures x conditions, dimensions, 2
    own = np.array(seeds)
    between = own[..., 0].var(axis=0, ddof=1).mean()
    one_run = (stock_[..., 1] ** 2 + own[..., 1].mean(axis=0) ** 2) / 2 + between
    z = (own[..., 0].mean(axis=0) - stock_[..., 0]) / np.sqrt(one_run * (1 + 1 / len(seeds)))
    return (
        f"effects against control, ours (mean of {len(seeds)} seeds) less stock's: mean {np.mean(z):+.2f} of their "
        f"standard error, largest {np.abs(z).max():.2f}, within one {np.mean(np.abs(z) <= 1):.0%}, within two "
        f"{np.mean(np.abs(z) <= 2):.0%} of {z.size}; sd between seeds {np.sqrt(between):.4f}"
    )


def judge_of(study: Any, data: Any) -> EmbeddedJudge:
    """The demo's judge."""
    dimensions = list(study.evaluation.dimensions)
    held = data.evaluation(data.ratings)
    rated = mean_ratings(held, dimensions, data.categories)
    return EmbeddedJudge(rated.merge(data.responses[["response_id", "response"]], on="response_id"), dimensions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", metavar="NAME", help="default: all of the demo")
    parser.add_argument("--conditions", nargs="+", metavar="EXPERIMENT/CONDITION", help="default: all that DPO trains")
    parser.add_argument("--without", action="store_true", help="also with each saving left out alone")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ.setdefault("PLURALIGN_HOME", f"{place}/home")
        study = load_study("demo", {"architectures": options.architectures} if options.architectures else None)
        bench = Bench(study, workers=1)
        ratings = read_ratings(study, bench.store, simulated_export(study, bench.store))
        data = load_data(study, ratings)
        preferences = {name: keep_preferences(study, name, data, ratings, bench.store) for name in study.experiments}
        conditions = {
            f"{experiment}/{name}": made
            for experiment in study.experiments
            for name, made in training_sets(study, experiment, preferences[experiment], bench.store).items()
            if made.method == "dpo"
        }
        conditions = {name: conditions[name] for name in options.conditions or conditions}
        judge = judge_of(study, data)
        texts, prompts = bench.training_texts(data), bench.evaluation_prompts(data)
        bases = [prepare_base(study, item, texts, bench.store, bench.runner) for item in study.architectures]
        bench.runner.close()
        compare(study, bases, conditions, prompts, judge, Path(place), options.without)


def compare(
    study: Any, bases: list[Any], conditions: dict[str, Any], prompts: pd.DataFrame, judge: Any, place: Path, more: bool
) -> None:
    total: dict[str, list[float]] = {name: [0.0, 0.0] for name in ("ours", "stock", "stock, precomputed")}
    found: list[np.ndarray] = []
    store = chosen_store()
    pool = Pool(store, place / "slots", workers=1)
    for base in bases:
        folder, data = (
            place / base.architecture.name,
            {name: made.table.fetch(store) for name, made in conditions.items()},
        )
        theirs, cached = (stock(study, base, data, folder / str(own), own) for own in (False, True))
        mine, *others = [ours(study, base, conditions, pool, store, seed=seed) for seed in range(SEEDS)]
        found.append(effects(study, base, [theirs, mine, *others], prompts, judge))
        for name, spent in zip(total, (mine, theirs, cached), strict=True):
            total[name] = [total[name][0] + spent.cpu, total[name][1] + spent.wall]
        print(f"{base.architecture.name}: ours {mine.cpu:.0f} CPU-s")
        for name, spent in (("stock", theirs), ("stock, precomputed", cached)):
            phases = ", ".join(f"{phase} {seconds:.0f}" for phase, seconds in spent.phases.items())
            print(f"  {name} {spent.cpu:.0f} CPU-s (wall: {phases}), ratio {spent.cpu / mine.cpu:.1f}, "
                  f"by wall {spent.wall / mine.wall:.1f}", flush=True)  # fmt: skip
        for saving in SAVINGS if more else ():
            left_out = ours(study, base, conditions, pool, store, saving)
            print(f"  without {saving}: {left_out.cpu:.0f} CPU-s, {left_out.cpu / mine.cpu:.2f} times as much")
    print(f"{len(bases)} architectures, {len(conditions)} conditions: ours {total['ours'][0]:.0f} CPU-s")
    for name in ("stock", "stock, precomputed"):
        cpu, wall = (total[name][i] / total["ours"][i] for i in (0, 1))
        print(f"{name} {total[name][0]:.0f} CPU-s: {cpu:.1f} times as much (by wall time {wall:.1f})")
    print(agreement(found))
    pool.close()


if __name__ == "__main__":
    main()
