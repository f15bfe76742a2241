"""Whether the ways to serve come out as they must where it is known what groups want.

    python tests/benchmarks/groups.py [--set FIELD=VALUE]

The study `groups` is run twice: as it is, where the smallest group wants the opposite of the others, and with slopes
that are all alike, where they want the same, and with eight times the raters and the same steps for every way. In the
first, each group's own adapter must serve the smaller group better than the pooled one does, and robust's or least
regret's worst group must be above pooled's, with an interval that knows who was asked and excludes zero. In the
second, no contrast of ways on the worst group or the gap may be clear. With few raters it is not so: pooling alone
compares labels across groups, and learns more from the same ratings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
SMALLER = "conservative"
ALIKE = ("ratings.simulate.slopes={}", "ratings.simulate.participants=5840", "experiments.ways.budget=steps")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="as in pluralign run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        opposite = service(Path(place), "opposite", options.set)
        alike = service(Path(place), "alike", [*options.set, *ALIKE])
    faults = [
        *(["own is not above pooled for the smaller group"] if opposite.loc[
            ("own - pooled", f"group: {SMALLER}"), "total_ci_low"] <= 0 else []),
        *(["no worst group is clearly above pooled's"] if max(
            opposite.loc[(f"{way} - pooled", "worst group"), "total_ci_low"] for way in ("robust", "least-regret")
        ) <= 0 else []),
    ]  # fmt: skip
    for contrast, measure in alike.index:
        row = alike.loc[(contrast, measure)]
        if measure in ("worst group", "gap") and row["total_ci_low"] * row["total_ci_high"] > 0:
            faults.append(f"alike: {contrast} on the {measure} is clear")
    print("\n".join(faults) or "all as it must be")
    return int(bool(faults))


def service(place: Path, name: str, sets: list[str]) -> pd.DataFrame:
    """Run the study; its pooled contrasts by contrast and measure, which are printed."""
    started = time.monotonic()
    command = [sys.executable, "-m", "flows.cli", "run", "groups", "--output", str(place / name)]
    command += [part for item in sets for part in ("--set", item)]
    environment = {**os.environ, "PLURALIGN_HOME": str(place / f"home-{name}")}
    with open(place / f"{name}.log", "w") as log:
        ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    if ended.returncode:
        raise SystemExit((place / f"{name}.log").read_text())
    table = pd.read_csv(place / name / "tables" / "service.csv")
    pooled = table[table["architecture"].isna()].set_index(["contrast", "measure"])
    contrasts = pooled[[" - " in contrast for contrast, _ in pooled.index]]
    print(f"groups that want the {'opposite' if name == 'opposite' else 'same'}, {time.monotonic() - started:.0f} s")
    columns = ["estimate", "hksj_ci_low", "hksj_ci_high", "total_ci_low", "total_ci_high"]
    print(contrasts[columns].round(3).to_string(), flush=True)
    return contrasts


if __name__ == "__main__":
    sys.exit(main())
