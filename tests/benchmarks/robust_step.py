"""What looking after the group that is served worst costs: DPO on the same rows without groups, with, and robust.

    python tests/benchmarks/robust_step.py [--rounds 9] [--rows 320] [--batch 16]

The three kinds take turns, so that the machine's moods fall on all alike; printed are medians and their ratios. The
base is a tiny Llama on one thread, and references are computed in every run, as for the first run of a study.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from configs.schema import Robust, Tiny
from tasks.architectures.load import load_base
from tasks.architectures.tiny import build_base
from tasks.methods.group_weights import GROUP
from tests.models import RECIPE, a_run, architecture, some_pairs, texts, train_dpo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = pd.concat([some_pairs(40, seed) for seed in range(-(-options.rows // 40))], ignore_index=True)
    pairs = pairs.head(options.rows)
    grouped = pairs.assign(**{GROUP: ["a", "b"] * (len(pairs) // 2) + ["a"] * (len(pairs) % 2)})
    kinds = {"plain": (pairs, None), "groups": (grouped, None), "robust": (grouped, Robust(rate=1.0))}
    recipe = RECIPE.model_copy(update={"dpo": RECIPE.blocks["dpo"].model_copy(update={"batch_size": options.batch})})
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as place:
        build_base("llama", Tiny(), recipe.pretraining, texts(), recipe.max_length, 0, Path(place, "base"))
        base = load_base(architecture("llama"), str(Path(place, "base")), None)
        for number in range(options.rounds + 1):
            for kind, (table, robust) in kinds.items():
                run = replace(a_run(Path(place, f"{kind}-{number}")), robust=robust)
                started = time.perf_counter()
                train_dpo(base, architecture("llama"), table, recipe, run, lambda _: None)
                if number:  # the first round warms up
                    seconds[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(own) for kind, own in seconds.items()}
    for kind, median in medians.items():
        print(f"{kind}: {median:.2f} s a run, {median / medians['plain']:.3f} of plain")
    pairwise = [robust / plain for robust, plain in zip(seconds["robust"], seconds["plain"], strict=True)]
    print(f"robust over plain, median over rounds: {statistics.median(pairwise):.3f}")


if __name__ == "__main__":
    main()
