"""How long `pluralign init` takes for a million ratings, and its memory: `python tests/benchmarks/init.py [FORM …]`.

20,000 raters rate fifty of 40,000 responses each: in one flat table with the texts (flat), or with the raters and the
texts in tables of their own (apart). A process of its own does each; its processor time stands beside the clock's,
which others share.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

RATERS, EACH, RESPONSES, PER_PROMPT = 20_000, 50, 40_000, 4
SECONDS, GIB = 20.0, 2.0
WORDS = (
    "the",
    "of",
    "and",
    "to",
    "a",
    "in",
    "that",
    "it",
    "is",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "they",
    "at",
    "be",
)
FORMS = ("flat", "apart")


def main(forms: list[str]) -> int:
    """Print what each form takes; 1 where one is above a target."""
    codes = []
    for form in forms:
        with tempfile.TemporaryDirectory() as folder:
            write_tables(Path(folder) / "export", form)
            codes.append(subprocess.run([sys.executable, __file__, "--init", form, folder], check=False).returncode)
    return max(codes)


def write_tables(folder: Path, form: str) -> None:
    """A million ratings as CSV."""
    draw = np.random.default_rng(0)
    who = np.repeat(np.arange(RATERS), EACH)
    what = np.concatenate([draw.choice(RESPONSES, EACH, replace=False) for _ in range(RATERS)])
    ratings = pd.DataFrame(
        {
            "worker": [f"w{one:06d}" for one in who],
            "item": [f"i{one}" for one in what],
            "helpfulness": draw.integers(1, 6, len(who)),
            "submitted": 1_700_000_000 + np.arange(len(who)),
        }
    )
    people = pd.DataFrame(
        {
            "worker": [f"w{one:06d}" for one in range(RATERS)],
            "gender": draw.choice(["woman", "man", "non-binary"], RATERS, p=[0.49, 0.49, 0.02]),
            "age": draw.integers(18, 80, RATERS),
            "country": draw.choice(["Germany", "Kenya", "India", "Brazil"], RATERS),
        }
    )
    texts = pd.DataFrame(
        {
            "item": [f"i{one}" for one in range(RESPONSES)],
            "prompt": [
                f"{WORDS[one // PER_PROMPT % 7]} question {one // PER_PROMPT} of many that people ask?"
                for one in range(RESPONSES)
            ],
            "response": [f"{' '.join(draw.choice(WORDS, 25))} {one}." for one in range(RESPONSES)],
        }
    )
    folder.mkdir()
    if form == "flat":
        ratings.merge(texts, on="item").merge(people, on="worker").to_csv(folder / "everything.csv", index=False)
        return
    for name, table in (("ratings", ratings), ("people", people), ("texts", texts)):
        table.to_csv(folder / f"{name}.csv", index=False)


def init(form: str, folder: Path) -> int:
    """Time `init` itself, in a process of its own."""
    begun = time.perf_counter()
    from tasks.starting.init import start

    started = start([folder / "export"], folder / "out")
    seconds, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    gib = used.ru_maxrss / 2**20
    processor = used.ru_utime + used.ru_stime
    print(f"{form}: {seconds:.1f} s ({processor:.1f} s of processors), {gib:.2f} GiB; {started.lines[1]}")
    return int(bool(started.faults) or min(seconds, processor) > SECONDS or gib > GIB)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(init(arguments[1], Path(arguments[2])) if arguments[:1] == ["--init"] else main(arguments or list(FORMS)))
