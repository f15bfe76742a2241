"""How often the pooled worst group, gap and their contrast hold what is true, with the usual correction and with ours.

    python tests/benchmarks/service.py [--studies 1000] [--architectures 7] [--prompts 60]

The utilities of the groups are those of the line, in units of an architecture's standard error of one utility; two
groups' errors correlate by one half, those of architectures not at all. The second way of the contrast serves all
groups as the first one does. Pooled by DerSimonian and Laird with HKSJ's interval. `usual`: a bootstrap around the
estimates themselves (c = 1 in `tasks/groups/measures.py`).
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from tasks.groups import measures
from tasks.judging.proof import bootstrap_weights
from tasks.meta_analysis.groups import pool_table

PATTERNS = ((0, 0), (0, 1), (0, 2), (0, 4), (0, 0, 0), (0, 1, 2), (0, 0, 3), (0, 0, 0, 0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--architectures", type=int, default=7)
    parser.add_argument("--prompts", type=int, default=60)
    options = parser.parse_args()
    ours, draws = measures._shrunk, bootstrap_weights(options.prompts, 200, 0)[1:]
    print(f"{'utilities':<16}{'measure':<14}{'correction':<12}{'bias':>8}{'pooled interval holds the truth':>34}")
    for pattern in PATTERNS:
        for name, shrink in (("usual", lambda utilities, noise: utilities), ("ours", ours)):
            measures._shrunk = shrink
            for measure, (bias, held) in _coverage(np.array(pattern, float), draws, options).items():
                print(f"{pattern!s:<16}{measure:<14}{name:<12}{bias:>+8.2f}{held:>34.1%}")


def _coverage(true: np.ndarray, draws: np.ndarray, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Bias and coverage of each measure, and of the gap of one way less that of another."""
    rng, groups = np.random.default_rng(1), [f"g{number}" for number in range(len(true))]
    chosen = {name: own for name, own in measures.measures_of(groups).items() if name in ("worst group", "gap")}
    truth = {"worst group": true.min(), "gap": np.ptp(true), "contrast": 0.0}
    rows = []
    for study in range(options.studies):
        for _ in range(options.architectures):
            both = []
            for _way in range(2):
                noise = rng.normal(size=(len(true) + 1, options.prompts)) * np.sqrt(options.prompts / 2)
                both.append(measures.measured((true[:, None] + noise[1:] + noise[0])[None], draws, chosen))
            values = {name: (own.estimate, own.parts[0]) for name, own in both[0].items()}
            gaps = both[0]["gap"], both[1]["gap"]
            values["contrast"] = gaps[0].estimate - gaps[1].estimate, gaps[0].parts[0] - gaps[1].parts[0]
            for name, (estimate, parts) in values.items():
                rows.append((study, name, estimate, parts.std(ddof=1) / np.sqrt(len(parts))))
    table = pd.DataFrame(rows, columns=["study", "measure", "estimate", "std_error"])
    pooled = pool_table(table, ["study", "measure"])
    pooled["truth"] = pooled["measure"].map(truth)
    pooled["held"] = (pooled["hksj_ci_low"] <= pooled["truth"]) & (pooled["truth"] <= pooled["hksj_ci_high"])
    bias = table["estimate"].groupby(table["measure"]).mean()
    return {name: (bias[name] - truth[name], own["held"].mean()) for name, own in pooled.groupby("measure")}


if __name__ == "__main__":
    main()
