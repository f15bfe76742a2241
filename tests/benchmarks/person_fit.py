"""How well each index of the raters tells who answers at random: `python tests/benchmarks/person_fit.py [STUDIES]`.

Each study (by default 5 of each design) is a simulated export of 730 participants, of whom one of ten answers at
random, every label as likely as any other, read through the codebooks of the survey app. Printed is the area under the
curve of each index (0.5 is chance), mean and range over the studies; and by l_z and outfit how many of those at random
and of the others have a p below .05, and of as many raters when nobody answers at random. Person fit by l_z is to reach
0.85 with 25 answers each.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import tasks.methods  # noqa: F401
from configs.load import load_codebook, load_study
from configs.schema import Simulation
from tasks.ratings.reading.load import load_ratings
from tasks.simulation.language import DIMENSIONS
from tasks.simulation.simulate import careless_participants, simulate_export
from tasks.survey.rater_indices import EVERY, rater_indices
from tasks.survey.raters import BEYOND, area_under_curve

STUDIES, PROCESSES, TARGET, CARELESS, RATERS = 5, 2, 0.85, 0.1, 730
DOUBTFUL = {"lz_p": -1, "outfit_p": -1, "even_odd": -1, "irv": 1, "long_string": 1}
"""Index → the sign of its doubtful end; answers at random spread more, so that a high IRV is."""


@dataclass(frozen=True)
class Answers:
    """So many responses each on so many dimensions, with so many raters a response on average."""

    responses_each: int
    prompts: int
    dimensions: tuple[str, ...]

    @property
    def title(self) -> str:
        answers, raters = self.responses_each * len(self.dimensions), RATERS * self.responses_each / (3 * self.prompts)
        each = f"{self.responses_each} responses x {len(self.dimensions)} dimensions"
        return f"{answers} answers: {each}, {raters:.1f} raters to a response"


TOXICITY = DIMENSIONS[:1]
DESIGNS = (
    Answers(25, 390, TOXICITY), Answers(25, 1940, TOXICITY), Answers(5, 390, DIMENSIONS), Answers(5, 390, TOXICITY),
)  # fmt: skip


def main(studies: int) -> int:
    """Print a table for each design; 1 where l_z with 25 answers is below the target."""
    missed = False
    with ProcessPoolExecutor(PROCESSES) as pool:
        for design in DESIGNS:
            started = time.perf_counter()
            asked = [(design, seed, share) for seed in range(studies) for share in (CARELESS, 0.0)]
            found = list(pool.map(_study, asked))
            some, none = (pd.DataFrame(found[at::2]) for at in (0, 1))
            print(f"\n{design.title} ({studies} studies, {time.perf_counter() - started:.0f} s)")
            print(pd.DataFrame({index: _row(some, none, index) for index in DOUBTFUL}).T.to_string())
            answers = design.responses_each * len(design.dimensions)
            missed |= answers == 25 and some["auc lz_p"].mean() < TARGET
    return int(missed)


def _study(asked: tuple[Answers, int, float]) -> dict[str, float]:
    design, seed, share = asked
    settings = Simulation(
        participants=RATERS, responses_each=design.responses_each, prompts=design.prompts, careless=share
    )
    codebooks = [load_codebook(name) for name in load_study("paper").ratings.codebooks]
    with tempfile.TemporaryDirectory() as folder:
        simulate_export(settings, seed, Path(folder))
        data = load_ratings(design.dimensions, codebooks, Path(folder))
    indices, _ = rater_indices(data.ratings, design.dimensions, seed)
    own = indices[indices["dimension"] == EVERY]
    careless = own["participant_id"].str.partition(":")[2].isin(careless_participants(settings, seed)).to_numpy()
    values = {}
    for index, sign in DOUBTFUL.items():
        known = own[index].notna().to_numpy()
        values[f"auc {index}"] = area_under_curve(sign * own.loc[known, index].to_numpy(float), careless[known])
    for index in ("lz_p", "outfit_p"):
        beyond = own[index] < BEYOND
        values |= {f"at random {index}": beyond[careless].mean(), f"others {index}": beyond[~careless].mean()}
    return values


def _row(some: pd.DataFrame, none: pd.DataFrame, index: str) -> dict[str, str]:
    auc = some[f"auc {index}"]
    row = {"area under the curve": f"{auc.mean():.3f} ({auc.min():.3f} to {auc.max():.3f})"}
    if f"others {index}" in some:
        row |= {f"p < {BEYOND}, {who}": f"{some[f'{who} {index}'].mean():.1%}" for who in ("at random", "others")}
        row |= {f"p < {BEYOND}, nobody at random": f"{none[f'others {index}'].mean():.1%}"}
    return row


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else STUDIES))
