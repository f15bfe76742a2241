"""How long mixed ordinal models take, and how much memory: `python tests/benchmarks/clmm.py [NAME …] [--check]`.

NAME (by default all but `check`):

    popquorn    13,036 real ratings, 262 raters x 1,500 texts; R took minutes
    exact       130,000 ratings, 2,620 x 15,000
    stochastic  130,000 ratings, 10,000 x 20,000: log-determinants from random probes
    million     1,000,000 ratings, 20,000 x 100,000
    check       `stochastic` again, and with exact log-determinants: a quarter of an hour and 3 GB

Each fit runs in a process of its own on one BLAS thread. Its time is that of the fit with standard errors, without
imports and reading; its memory is the process's peak. But for POPQUORN the ratings are simulated from a known model
with 12 yes-or-no attributes of the raters.
PLURALIGN_SHARED says where the folder with `reference/popquorn_clmm.csv` lies.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

SHARED = Path(os.environ.get("PLURALIGN_SHARED", Path(__file__).parents[3] / "shared"))
THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
FORMULA = "offensiveness ~ gender + race + age + education + (1|user_id) + (1|instance_id)"
REFERENCE = {"gender": "Man", "race": "White", "age": "18-29", "education": "HSorLess"}
TIMES = 5
TIMES_FASTER = 500
ATTRIBUTES, SDS, THETA = 12, (1.2, 1.0), (-1.5, 0.0, 1.0, 2.5)


@dataclass(frozen=True)
class Study:
    """Sizes of a study, and the most seconds and megabytes that its fit may take."""

    raters: int
    items: int
    ratings: int
    seconds: float = float("inf")
    megabytes: float = float("inf")
    exact: bool | None = None


STUDIES = {
    "exact": Study(2_620, 15_000, 130_000, seconds=20),
    "stochastic": Study(10_000, 20_000, 130_000, seconds=10, megabytes=400),
    "million": Study(20_000, 100_000, 1_000_000),
    "check": Study(10_000, 20_000, 130_000, exact=True),
}
POPQUORN = Study(262, 1_500, 13_036, seconds=0.5, megabytes=250)


def main() -> int:
    """Print what each fit takes; 1 where one takes more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["popquorn", *(name for name in STUDIES if name != "check")]
    parser.add_argument("names", nargs="*", metavar="NAME", default=names)
    parser.add_argument("--check", action="store_true", help="also compare `stochastic` with the exact fit")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_fit(options.child)))
        return 0
    names = [*options.names, *(["check"] if options.check else [])]
    if unknown := set(names) - {"popquorn", *STUDIES}:
        parser.error(f"unknown {', '.join(unknown)}")
    return max((_popquorn() if name == "popquorn" else _check() if name == "check" else _large(name)) for name in names)


def _popquorn() -> int:
    runs = [_measured("popquorn") for _ in range(TIMES)]
    seconds = [run["seconds"] for run in runs]
    in_r = json.loads((SHARED / "reference" / "popquorn_clmm.json").read_text())
    ratio = in_r["seconds"] / median(seconds)
    print(
        f"popquorn: median {median(seconds):.3f} s of {TIMES} (from {min(seconds):.3f} to {max(seconds):.3f}), "
        f"{max(run['megabytes'] for run in runs):.0f} MB; R took {in_r['seconds']:.0f} s for the reference values, "
        f"{ratio:,.0f} times as long; "
        f"log-likelihood {runs[0]['log_likelihood'] - in_r['logLik']:+.1e} of R's"
    )
    worst = {"seconds": median(seconds), "megabytes": max(run["megabytes"] for run in runs)}
    return max(_verdict(POPQUORN, worst), int(ratio < TIMES_FASTER))


def _large(name: str) -> int:
    run = _measured(name)
    print(f"{name}: {_told(run)}")
    return _verdict(STUDIES[name], run)


def _check() -> int:
    probed, exact = _measured("stochastic"), _measured("check")
    print(f"check: {_told(exact)}")
    names = list(exact["estimates"])
    shift = {n: (probed["estimates"][n] - exact["estimates"][n]) / exact["errors"][n] for n in names}
    ratio = {n: probed["errors"][n] / exact["errors"][n] - 1 for n in names}
    worst = max(names, key=lambda n: abs(shift[n]))
    sds = ", ".join(f"{name} {probed['sds'][name] - sd:+.5f}" for name, sd in exact["sds"].items())
    print(
        f"random probes against exact: estimates off by at most {abs(shift[worst]):.4f} standard errors ({worst}), "
        f"standard errors by at most {max(map(abs, ratio.values())):.2%}, standard deviations {sds}, log-likelihood "
        f"{probed['log_likelihood'] - exact['log_likelihood']:+.2f} (said: ± {probed['log_likelihood_error']:.2f})"
    )
    return int(abs(shift[worst]) > 0.01)


def _told(run: dict[str, Any]) -> str:
    sds = ", ".join(f"{sd:.3f}" for sd in run["sds"].values())
    return (
        f"{run['seconds']:.1f} s, {run['megabytes']:.0f} MB, {run['steps']} steps"
        f"{'' if run['converged'] else ', NOT CONVERGED'}, standard deviations {sds}, "
        f"thresholds and coefficients at most {run['furthest']:.1f} standard errors from the truth"
    )


def _verdict(study: Study, run: dict[str, Any]) -> int:
    missed = []
    if run["seconds"] > study.seconds:
        missed.append(f"more than {study.seconds:g} s")
    if run["megabytes"] > study.megabytes:
        missed.append(f"more than {study.megabytes:g} MB")
    if missed:
        print(f"    MISSED: {', '.join(missed)}")
    return int(bool(missed))


# ---- one process


def _measured(name: str) -> dict[str, Any]:
    """What a process of its own found."""
    command = [sys.executable, __file__, "--child", name]
    done = subprocess.run(command, env=os.environ | THREADS, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _fit(name: str) -> dict[str, Any]:
    """Fit, and tell time, memory and numbers."""
    import formulaic  # noqa: F401  (imported by the first formula)
    import pandas as pd
    import scipy.stats  # noqa: F401  (imported by the first table of coefficients)

    from tasks.survey.clmm.formula import clmm, read_table
    from tasks.survey.clmm.model import fit

    truth = None
    if name == "popquorn":
        table = read_table(SHARED / "reference" / "popquorn_clmm.csv")
        started = time.perf_counter()
        found = clmm(FORMULA, table, REFERENCE)
    else:
        study = STUDIES[name]
        ratings, predictors, groups, truth = _simulated(study)
        started = time.perf_counter()
        found = fit(ratings, predictors, groups, study.exact)
    seconds = time.perf_counter() - started
    table = pd.concat([found.thresholds, found.coefficients[["estimate", "std_error"]]])
    furthest = 0.0 if truth is None else ((table["estimate"] - truth).abs() / table["std_error"]).max()
    return {
        "seconds": seconds, "megabytes": _peak_megabytes(), "steps": found.steps, "converged": found.converged,
        "log_likelihood": found.log_likelihood, "log_likelihood_error": found.log_likelihood_error,
        "estimates": table["estimate"].to_dict(), "errors": table["std_error"].to_dict(),
        "sds": found.random_effects["sd"].to_dict(), "furthest": float(furthest),
    }  # fmt: skip


def _simulated(study: Study) -> tuple[Any, Any, Any, Any]:
    """Ratings, the raters' attributes, the groups, and the true thresholds and coefficients."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    rater = rng.permutation(np.arange(study.ratings) % study.raters)
    item = rng.permutation(np.arange(study.ratings) % study.items)
    attributes, beta = rng.random((study.raters, ATTRIBUTES)) < 0.2, 0.3 * rng.normal(size=ATTRIBUTES)
    rater_effects = attributes @ beta + SDS[0] * rng.normal(size=study.raters)
    eta = rater_effects[rater] + SDS[1] * rng.normal(size=study.items)[item] + rng.logistic(size=study.ratings)
    ratings = 1 + np.searchsorted(THETA, eta)
    predictors = pd.DataFrame(
        attributes[rater].astype(float), columns=[f"attribute{number}" for number in range(ATTRIBUTES)]
    )
    between = [f"{category}|{category + 1}" for category in range(1, len(THETA) + 1)]
    truth = pd.Series([*THETA, *beta], index=[*between, *predictors.columns])
    return ratings, predictors, {"rater": rater, "item": item}, truth


def _peak_megabytes() -> float:
    """The highest resident memory of this process; `getrusage` would begin with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


if __name__ == "__main__":
    sys.exit(main())
