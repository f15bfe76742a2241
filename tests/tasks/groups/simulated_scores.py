"""Scores of groups with a known utility, for tests, the benchmark and the look of the chapter; nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from configs.schema import CONTROL, Dimension

BETTER = {"x": Dimension(title="X", better="higher")}
COLUMNS = ["experiment", "architecture", "condition", "seed", "replicate", "group", "prompt_id", "dimension", "score"]


def simulated_scores(
    utilities: Mapping[str, Mapping[str, float]],
    architectures: int = 3,
    prompts: int = 40,
    noise: float = 0.1,
    replicates: int = 0,
    seed: int = 0,
    dimension: str = "x",
    experiment: str = "e",
    tau: float = 0.0,
) -> pd.DataFrame:
    """condition → group → its true utility, as `GroupScores`.

    Each score has noise of a prompt (shared by conditions and architectures), of an architecture's answer (shared by
    groups), and of a group's judge. `tau`: sd of an architecture's own utilities. Replicates move a condition's
    utilities by .02, the same in all architectures.
    """
    rng = np.random.default_rng(seed)
    tables = []
    by_prompt = rng.normal(size=prompts)
    moves = {(b, c): 0.02 * rng.normal() if b and c != CONTROL else 0.0
             for b in range(replicates + 1) for c in utilities}  # fmt: skip
    for model in range(architectures):
        for condition, groups in utilities.items():
            answer = rng.normal(size=prompts)
            own = {name: value + tau * rng.normal() for name, value in groups.items()}
            judged = {name: rng.normal(size=prompts) for name in groups}
            for replicate in range(replicates + 1 if condition != CONTROL else 1):
                for name, value in own.items():
                    score = value + moves[replicate, condition] + noise * (by_prompt + answer + judged[name]) / 3**0.5
                    tables.append(pd.DataFrame({
                        "experiment": CONTROL if condition == CONTROL else experiment, "architecture": f"m{model}",
                        "condition": condition, "seed": 0, "replicate": replicate, "group": name,
                        "prompt_id": [f"q{number:03d}" for number in range(prompts)], "dimension": dimension,
                        "score": score,
                    }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def by_hand(rows: Sequence[tuple[str, str, list[float]]], **changes: object) -> pd.DataFrame:
    """Scores of one architecture from (condition, group, scores by prompt)."""
    table = [
        {"experiment": CONTROL if condition == CONTROL else "e", "architecture": "m", "condition": condition, "seed": 0,
         "replicate": 0, "group": group, "prompt_id": f"q{number}", "dimension": "x", "score": score, **changes}
        for condition, group, scores in rows
        for number, score in enumerate(scores)
    ]  # fmt: skip
    return pd.DataFrame(table, columns=COLUMNS)
