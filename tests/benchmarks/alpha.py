"""How long the bootstrap of Krippendorff's alpha takes on real ratings: `python tests/benchmarks/alpha.py [DATA]`.

DATA is the folder with POPQUORN's ratings (13,036 of 1,500 texts); by default that of the study `popquorn`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

from configs.load import load_codebook, load_study
from tasks.ratings.reading.load import load_ratings
from tasks.survey.reliability import reliability

DRAWS, TIMES, TARGET = 1000, 7, 1.0


def main(folder: str | None) -> int:
    """Print the median; 1 where it is above the target."""
    study = load_study("popquorn")
    (dimension,) = study.dimensions
    codebooks = [load_codebook(name) for name in study.ratings.codebooks]
    data = load_ratings([dimension], codebooks, Path(folder or str(study.ratings.folder)))
    seconds = []
    for seed in range(TIMES):
        started = time.perf_counter()
        values = reliability(data.ratings, dimension, data.categories, DRAWS, seed)
        seconds.append(time.perf_counter() - started)
    print(
        f"{DRAWS:,} draws, {values['n_ratings']:,} ratings of {values['n_responses']:,} responses: median "
        f"{median(seconds):.3f} s of {TIMES} (from {min(seconds):.3f} to {max(seconds):.3f}; target {TARGET:.0f} s)"
    )
    return int(median(seconds) > TARGET)


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:2] or [None])))
