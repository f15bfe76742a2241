"""How long landing a million ratings takes, and how much memory: `python tests/benchmarks/landing.py [wide|long …]`.

A simulated English export of the paper's size is repeated under new participants' ids until it has a million ratings:
200,000 wide rows of five, or as many long rows as ratings. Each is then landed (read, validated, given pseudonyms, kept
as a snapshot) by a process of its own, whose peak of memory counts. The paper's study is then planned on the wide ones.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from configs.codebook import Codebook
from configs.load import load_codebook
from configs.schema import Simulation
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection
from tasks.simulation.simulate import simulate_tables

RATINGS, SECONDS, GIB, PLAN_SECONDS = 1_000_000, 60.0, 4.0, 30.0
NAME = "million"
WIDE = load_codebook("survey-app-en")
LONG = Codebook.model_validate(
    WIDE.model_dump()
    | {"name": "long", "ratings": WIDE.ratings.model_dump() | {"dimension": "question", "rating": "answer"}}
)


def main(layouts: list[str]) -> int:
    """Print what each layout takes; 1 where one is above a target."""
    codes = []
    for layout in layouts:
        with tempfile.TemporaryDirectory() as folder:
            write_export(Path(folder) / "export", layout)
            steps = ["--land", "--plan"] if layout == "wide" else ["--land"]
            for step in steps:
                codes.append(subprocess.run([sys.executable, __file__, step, layout, folder], check=False).returncode)
    return max(codes)


def write_export(folder: Path, layout: str) -> None:
    """A million ratings as CSV."""
    tables = simulate_tables(Simulation(), 0)
    ratings, people = tables[WIDE.ratings.file], tables[WIDE.participants.file]
    times = -(-RATINGS // (len(ratings) * len(WIDE.ratings.dimensions)))
    ratings = repeated(ratings, times).head(RATINGS // len(WIDE.ratings.dimensions))
    if layout == "long":
        ratings = ratings.melt(
            ["participant_id", "prompt_id"], [*WIDE.ratings.dimensions.values()], "question", "answer"
        )
    folder.mkdir()
    ratings.to_csv(folder / WIDE.ratings.file, index=False)
    repeated(people, times).to_csv(folder / WIDE.participants.file, index=False)
    tables[WIDE.responses.file].to_csv(folder / WIDE.responses.file, index=False)


def repeated(table: pd.DataFrame, times: int) -> pd.DataFrame:
    """The table so many times, each by other participants."""
    parts = [table.assign(participant_id=table["participant_id"] + f"-{time}") for time in range(times)]
    return pd.concat(parts, ignore_index=True)


def land_export(layout: str, folder: Path) -> int:
    started = time.perf_counter()
    codebook = LONG if layout == "long" else WIDE
    collection = Collection(folder / "collections" / NAME)
    landing = land(collection, [folder / "export"], [codebook], b"a key for the benchmark")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    counts = landing.snapshot.manifest["counts"]
    print(
        f"{layout}: {counts['ratings']:,} ratings of {counts['participants']:,} participants in {seconds:.1f} s, "
        f"at most {peak:.2f} GiB (targets {SECONDS:.0f} s, {GIB:.0f} GiB)"
    )
    return int(seconds > SECONDS or peak > GIB or counts["ratings"] != RATINGS)


def plan_paper(folder: Path) -> int:
    os.environ["PLURALIGN_HOME"] = str(folder)
    from tasks.planning.plan import plan_study

    started = time.perf_counter()
    plan = plan_study("paper", {"ratings": {"collection": NAME, "codebooks": [WIDE.name]}})
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"plan of the paper's study on them: {len(plan.cells)} cells, {plan.training_runs} training runs in "
        f"{seconds:.1f} s, at most {peak:.2f} GiB (target {PLAN_SECONDS:.0f} s)"
    )
    return int(seconds > PLAN_SECONDS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--land"]:
        sys.exit(land_export(sys.argv[2], Path(sys.argv[3])))
    if sys.argv[1:2] == ["--plan"]:
        sys.exit(plan_paper(Path(sys.argv[3])))
    sys.exit(main(sys.argv[1:] or ["wide", "long"]))
