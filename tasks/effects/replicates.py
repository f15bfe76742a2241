"""Effects of rater replicates: what each architecture's effect would be had other raters been asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import CONTROL, Contrast, Study
from tasks.effects.tables import ReplicateEffects

SIDE = ["experiment", "condition", "dimension", "architecture"]


def replicate_effects(
    study: Study, contrasts: Mapping[str, Sequence[Contrast]], scores: pd.DataFrame, replicated: pd.DataFrame
) -> DataFrame[ReplicateEffects]:
    """One row a contrast, dimension, architecture and replicate that both sides have.

    contrasts: by experiment. scores: those of the study, of which the control's are taken: raters don't change it.
    replicated: experiment, architecture, condition, replicate, prompt_id, dimension, score. An effect is the mean
    paired difference over the held-out prompts that are scored on both sides, as in the study.
    """
    both = pd.concat([replicated, scores[scores["condition"] == CONTROL].assign(replicate=0)])
    wide = both.pivot_table(index=[*SIDE, "replicate"], columns="prompt_id", values="score", dropna=False, sort=False)
    wide = wide[wide.notna().any(axis=1)]
    sides = {key: table.droplevel(SIDE) for key, table in wide.groupby(level=SIDE)} if len(wide) else {}
    architectures, rows = [architecture.name for architecture in study.architectures], []
    for experiment, names in contrasts.items():
        for contrast, dimension, architecture in product(names, study.evaluation.dimensions, architectures):
            a, b = (
                sides.get((CONTROL if name == CONTROL else experiment, name, dimension, architecture))
                for name in contrast.sides
            )
            if a is not None and b is not None:
                key = (experiment, contrast, dimension, architecture)
                rows += [(*key, replicate, estimate) for replicate, estimate in _differences(a, b)]
    return ReplicateEffects.checked(rows)


def _differences(a: pd.DataFrame, b: pd.DataFrame) -> list[tuple[int, float]]:
    """(replicate, estimate) from scores by replicate and prompt; the control, replicate 0, stands beside each."""
    alone = [set(side.index) == {0} for side in (a, b)]
    numbers = a.index if alone[1] else b.index if alone[0] else a.index.intersection(b.index)
    first, second = (
        side.to_numpy() if control else side.loc[numbers].to_numpy()
        for side, control in zip((a, b), alone, strict=True)
    )
    differences = first - second
    known = np.isfinite(differences)
    means = np.where(known, differences, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return [(int(number), float(mean)) for number, mean, n in zip(numbers, means, known.sum(axis=1), strict=True) if n]
