"""How often the survey's 95% intervals hold the truth: `python tests/benchmarks/coverage.py [STUDIES]`.

Each study (by default 200) is an export of 300 simulated participants with five ratings each, three to a response,
read through the codebooks of the survey app and analysed as the paper's is. The simulation's effects are known: the
published ones, and zero for all other terms. What it counts are terms of at least ten participants.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from configs.load import load_codebook, load_study
from configs.schema import Simulation
from tasks.ratings.reading.load import load_ratings
from tasks.simulation.simulate import MODEL, simulate_export
from tasks.survey.ordinal_regression import ordinal_regression

STUDIES, PROCESSES, TARGET = 200, 2, 0.90
SIZE = Simulation(participants=300, responses_each=5, prompts=161, responses_per_prompt=3)


def main(studies: int) -> int:
    """Print coverage by dimension and of all; 1 where it is below the target."""
    started = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = list(pool.map(_study, range(studies)))
    terms = pd.concat([part[0] for part in parts], ignore_index=True)
    models = pd.concat([part[1] for part in parts], ignore_index=True)
    print(f"{studies} studies of {SIZE.participants} participants, {time.perf_counter() - started:.0f} s")
    rows = {f"{name}, all terms": part for name, part in terms.groupby("dimension", sort=False)}
    rows |= {f"{name}, published": part for name, part in terms[terms["truth"] != 0].groupby("dimension", sort=False)}
    rows |= {"all terms": terms, "published": terms[terms["truth"] != 0], "zero": terms[terms["truth"] == 0]}
    print(pd.DataFrame({name: _coverage(part) for name, part in rows.items()}).T.to_string())
    print(pd.DataFrame({name: _models(part) for name, part in models.groupby("dimension", sort=False)}).T.to_string())
    return int(terms["covered"].mean() < TARGET)


def _study(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The terms with their truth and whether the interval holds it, and the models of one study."""
    study = load_study("paper")
    with tempfile.TemporaryDirectory() as folder:
        simulate_export(SIZE, seed, Path(folder))
        codebooks = [load_codebook(name) for name in study.ratings.codebooks]
        data = load_ratings(list(study.dimensions), codebooks, Path(folder))
    terms, models = ordinal_regression(study, data)
    truth = {name: MODEL.log_odds(name) for name in study.dimensions}
    terms["truth"] = [
        truth[row.dimension].get((row.attribute, row.value), 0.0) for row in terms.itertuples(index=False)
    ]
    terms["covered"] = np.exp(terms["truth"]).between(terms["ci_low"], terms["ci_high"])
    return terms, models


def _coverage(terms: pd.DataFrame) -> dict[str, str]:
    hits, n = int(terms["covered"].sum()), len(terms)
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    ratio = (terms["estimate"] - terms["truth"]) / terms["std_error"]
    return {
        "terms": f"{n:,}",
        "coverage": f"{hits / n:.1%}",
        "binomial interval": f"{interval.low:.1%} to {interval.high:.1%}",
        "mean error": f"{(terms['estimate'] - terms['truth']).mean():+.3f}",
        "sd of error / std error": f"{ratio.std():.3f}",
    }


def _models(models: pd.DataFrame) -> dict[str, str]:
    return {
        "converged": f"{models['converged'].mean():.1%}",
        "sd participant": _spread(
            models["sd_participant"], float(np.hypot(MODEL.participant_sd, MODEL.acquiescence_sd))
        ),
        "at zero": f"{(models['sd_participant'] == 0).mean():.1%}",
        "sd response": f"{models['sd_response'].mean():.2f}",
    }


def _spread(values: pd.Series, truth: float) -> str:
    return f"{values.mean():.2f} ({values.quantile(0.05):.2f} to {values.quantile(0.95):.2f}; true {truth:.2f})"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else STUDIES))
