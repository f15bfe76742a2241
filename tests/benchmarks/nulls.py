"""How often 95% intervals of nulls hold zero, in small studies each with raters of its own; and whether planted signs
are found.

    python tests/benchmarks/nulls.py [--studies 36] [--planted] [--raters 360] [--architectures 4] [--replicates 8]

Each study is the demo's experiment 1 (six conditions, three contrasts between groups, two dimensions) on simulated
raters and tiny models, with a seed of its own: other raters, responses, split and training order. Groups differ in
level only, so every contrast is a null; with --planted they have the demo's slopes. Bases are made anew for each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from configs.load import load_study

TABLES = ("pooled", "effects", "replicate_effects")
INTERVALS = {"Wald": "", "HKSJ": "hksj_", "full": "total_"}
FAMILIES = ["tiny-llama", "tiny-qwen3", "tiny-gptneox", "tiny-falcon", "tiny-phi3", "tiny-olmo2", "tiny-gemma3"]


def settings(seed: int, options: argparse.Namespace) -> dict[str, object]:
    demo = load_study("demo")
    simulate: dict[str, object] = {"participants": options.raters, "prompts": options.prompts}
    if options.planted and demo.ratings.simulate:
        simulate["slopes"] = demo.ratings.simulate.model_dump(mode="json")["slopes"]
    own = load_study("paper").experiments["demographics"].model_dump(mode="json")
    return {
        "seed": seed, "ratings.simulate": simulate, "experiments": {"demographics": own}, "survey.draws": 20,
        "judge.proof.draws": 20, "architectures": FAMILIES[: options.architectures], "recipe.pretraining.steps": 200,
        "raters": {"replicates": options.replicates}, "placebo": 0,
    }  # fmt: skip


def run(seed: int, options: argparse.Namespace, folder: Path) -> dict[str, pd.DataFrame]:
    """`TABLES` of one study."""
    from flows.study import run_study

    place = folder / f"study-{seed}"
    os.environ["PLURALIGN_HOME"] = str(place / "home")
    state = run_study("demo", settings(seed, options), str(place / "out"), options.workers, return_state=True)
    if not state.is_completed():
        raise SystemExit(f"study {seed}: {state.message}")
    return {name: pd.read_csv(place / "out" / "tables" / f"{name}.csv").assign(study=seed) for name in TABLES}


def describe(pooled: pd.DataFrame, planted: bool) -> str:
    """Coverage of zero by interval, or how often the planted sign is found."""
    lines = [f"{len(pooled)} effects of {pooled['study'].nunique()} studies, k = {pooled['k'].iloc[0]}, "
             f"root mean square {np.sqrt((pooled['estimate'] ** 2).mean()):.4f}"]  # fmt: skip
    errors = {
        "HKSJ": (pooled["hksj_ci_high"] - pooled["estimate"]),
        "full": pooled["total_ci_high"] - pooled["estimate"],
    }
    for name, prefix in INTERVALS.items():
        low, high = pooled[f"{prefix}ci_low"], pooled[f"{prefix}ci_high"]
        held = ((low <= 0) & (high >= 0)).mean()
        reach = f", half-width {errors[name].mean():.4f}" if name in errors else ""
        lines.append(f"  {name}: holds zero in {held:.3f}{reach}")
    error = np.sqrt((pooled["raters_std_error"] ** 2).mean()), np.sqrt((pooled["total_std_error"] ** 2).mean())
    lines.append(f"  standard errors (root mean square): raters {error[0]:.4f}, full {error[1]:.4f}")
    if planted:
        for (contrast, dimension), own in pooled.groupby(["contrast", "dimension"], sort=False):
            signs = np.sign(own["estimate"]).value_counts().to_dict()
            clear = ((own["total_ci_low"] > 0) | (own["total_ci_high"] < 0)).sum()
            lines.append(
                f"  {contrast} on {dimension}: signs {signs}, mean {own['estimate'].mean():.4f}, clear {clear}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=36)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first")
    parser.add_argument("--raters", type=int, default=360)
    parser.add_argument("--prompts", type=int, default=150)
    parser.add_argument("--architectures", type=int, default=4)
    parser.add_argument("--replicates", type=int, default=8)
    parser.add_argument("--workers", type=int, help="processes that train; by default one a core")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument(
        "--output", type=Path, help="a folder for the effects, those of replicates, and the pooled ones"
    )
    options = parser.parse_args()
    from prefect.testing.utilities import prefect_test_harness

    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nothing is logged
    tables, started = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=120):
        for number in range(options.studies):
            tables.append(run(options.first + number, options, Path(folder)))
            whole = {name: pd.concat([own[name] for own in tables]) for name in TABLES}
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                for name, table in whole.items():
                    table.to_csv(options.output / f"{name}.csv", index=False)
            print(f"study {number + 1} of {options.studies}, {time.monotonic() - started:.0f} s", flush=True)
            print(describe(whole["pooled"], options.planted), flush=True)


if __name__ == "__main__":
    main()
