"""What rater replicates cost: the demo's demographics (7 architectures, 6 conditions) without them and with.

    python tests/benchmarks/replicates.py [--replicates 8] [--set FIELD=VALUE …]

One run after another in one place: another experiment, which makes the bases; the demographics without replicates; then
their replicates (what exists is found, not made again). Seconds are those of the stage `cells`: training, answers,
judging, Prefect, MLflow and files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ("demographics", "scale", "disagreement", "optimisation", "methods")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as in pluralign run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:

        def cells(what: str, leave: str, replicates: int) -> float:
            others = [f"experiments.{name}=null" for name in EXPERIMENTS if name != leave]
            sets = [*others, f"raters.replicates={replicates}", "raters.experiments=null", "placebo=0", *options.set]
            command = [sys.executable, "-m", "flows.cli", "run", "demo", "--output", f"{place}/out"]
            command += [part for item in sets for part in ("--set", item)]
            environment = {**os.environ, "PLURALIGN_HOME": f"{place}/home"}
            with open(f"{place}/log", "w") as log:
                ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            if ended.returncode:
                raise SystemExit(Path(place, "log").read_text())
            seconds = json.loads(Path(place, "out", "study.json").read_text())["seconds"]["cells"]
            print(f"{what}: {seconds:.1f} s", flush=True)
            return float(seconds)

        cells("bases and another experiment", "methods", 0)
        without = cells("the experiment without replicates", "demographics", 0)
        more = cells(f"its {options.replicates} replicates", "demographics", options.replicates)
    print(f"with replicates {(without + more) / without:.2f} times the experiment; "
          f"a replicate costs {more / without / options.replicates:.2f} of it")  # fmt: skip


if __name__ == "__main__":
    main()
