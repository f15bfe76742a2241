"""What each group gets of each way to serve, and how well the ways serve all of them, in each architecture.

Scores are turned so that more is better (1 - score where lower is better). A prompt that is unscored for a group, on
one side or with one seed, leaves a level or a contrast on both sides, and for every group of a service measure. Draws
of prompts are the same for all conditions and architectures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import CONTROL, Contrast, Dimension
from tasks.effects.covariance import covariance_rows
from tasks.effects.effects import every_seed, mean_and_error
from tasks.groups.measures import Array, Measure, measured, measures_of
from tasks.groups.tables import Groups, GroupScores, ServiceCovariances, ServiceEffects, ServiceReplicates
from tasks.judging.proof import bootstrap_weights

CEILING = "own"
CELL = ["experiment", "dimension", "architecture", "replicate", "condition"]
Sides = tuple[str, ...]
"""One way to serve, or the two of a contrast."""


class ServiceCell(NamedTuple):
    """What ways to serve are compared within."""

    experiment: str
    dimension: str
    architecture: str
    replicate: int


class Ways:
    """The scores of every way to serve: a frame of seeds × (group, prompt) each, more is better."""

    def __init__(self, scores: pd.DataFrame, dimensions: Mapping[str, Dimension]) -> None:
        table = GroupScores.checked(scores)
        lower = table["dimension"].map({name: own.better == "lower" for name, own in dimensions.items()}).astype(bool)
        table["score"] = table["score"].where(~lower, 1 - table["score"])
        self.groups, self.prompts = list(pd.unique(table["group"])), sorted(table["prompt_id"].unique())
        columns = pd.MultiIndex.from_product([self.groups, self.prompts], names=["group", "prompt_id"])
        wide = table.set_index([*CELL, "seed", "group", "prompt_id"])["score"].unstack(["group", "prompt_id"])
        wide = wide.reindex(columns=columns)
        frames = {key: own.droplevel(CELL) for key, own in wide.groupby(level=CELL)}
        self._frames = {key: frames[key] for key in table[CELL].drop_duplicates().itertuples(index=False, name=None)}

    def cells(self) -> dict[ServiceCell, list[str]]:
        """The conditions of every cell; the control belongs to each, since neither experiment nor raters change it."""
        conditions: dict[ServiceCell, list[str]] = {}
        for *cell, condition in self._frames:
            if condition != CONTROL:
                conditions.setdefault(ServiceCell(*cell), []).append(condition)
        return {
            cell: [*names, CONTROL] if self._frame(cell, CONTROL) is not None else names
            for cell, names in conditions.items()
        }

    def _frame(self, cell: ServiceCell, name: str) -> pd.DataFrame | None:
        if name == CONTROL:
            cell = cell._replace(experiment=CONTROL, replicate=0)
        return self._frames.get((*cell, name))

    def scores(self, cell: ServiceCell, sides: Sides) -> list[Array]:
        """The scores of one or both sides (seeds, groups, prompts) with the seeds that they share; [] where one is
        missing, or they share none."""
        frames = [self._frame(cell, name) for name in sides]
        if len(frames) == 2:
            frames = list(every_seed(frames, [("", name) for name in sides]) or ())
        shape = (-1, len(self.groups), len(self.prompts))
        return [frame.to_numpy(float).reshape(shape) for frame in frames if frame is not None]


def measure_groups(
    scores: pd.DataFrame, dimensions: Mapping[str, Dimension], categories: int, ceiling: str = CEILING
) -> DataFrame[Groups]:
    """Utility and regret of every group under every way to serve, of the study itself (replicate 0).

    scores: `GroupScores`. dimensions: they say whether more is better. categories: K of the questionnaire, from whose
    step the least error follows. ceiling: the condition that gives each group its own adapter.
    """
    ways, step, rows = Ways(scores, dimensions), 1 / (categories - 1), []
    for cell, names in ways.cells().items():
        experiment, dimension, architecture, replicate = cell
        there = ceiling if ceiling in names else ""
        for name, (number, group) in product(names if not replicate else (), enumerate(ways.groups)):
            own = _scored(ways.scores(cell, (name,))[0][:, number])
            if not own.size:
                continue
            both = ways.scores(cell, (ceiling, name)) if there and name != ceiling else []
            lost = _scored(both[0][:, number] - both[1][:, number]) if both else np.empty((0, 0))
            regret = (0.0, 0.0) if name == ceiling else mean_and_error(lost, step)
            row = (experiment, name, architecture, group, dimension, *mean_and_error(own, step), there, *regret)
            rows.append((*row, own.shape[1], len(own), len(ways.prompts) - own.shape[1]))
    return Groups.checked(rows)


def _scored(scores: Array) -> Array:
    """Those prompts of (…, prompts) that have all scores."""
    return scores[..., np.isfinite(scores).all(axis=tuple(range(scores.ndim - 1)))]


class ServiceMeasures(NamedTuple):
    """Levels and contrasts of every measure in each architecture, what their errors share, and in replicates."""

    effects: DataFrame[ServiceEffects]
    covariances: DataFrame[ServiceCovariances]
    replicates: DataFrame[ServiceReplicates]


def measure_service(
    scores: pd.DataFrame,
    dimensions: Mapping[str, Dimension],
    contrasts: Mapping[str, Sequence[Contrast]],
    categories: int,
    shares: Mapping[str, float] | None = None,
    ceiling: str = CEILING,
    draws: int = 1000,
    seed: int = 0,
) -> ServiceMeasures:
    """Every measure of `tasks.groups.measures` of every way to serve, and of contrasts of two.

    scores, dimensions, categories, ceiling: as in `measure_groups`. contrasts: by experiment; those of the ceiling with
    every other way, the price of sharing, come beside. shares: of the groups in the population. draws, seed: of the
    bootstrap over prompts. A way that lacks a group has no measure.

    Raises:
        ValueError: the shares are not those of the groups, or don't sum to 1; a score stands there twice.
    """
    ways = Ways(scores, dimensions)
    measures = measures_of(ways.groups, shares)
    sampled = bootstrap_weights(len(ways.prompts), draws, seed)[1:]
    rows, replicates = [], []
    by_prompt: dict[tuple[str, str, str, str], dict[str, tuple[pd.Series, float]]] = {}
    for cell, names in ways.cells().items():
        experiment, dimension, architecture, replicate = cell
        for sides in _compared(names, contrasts.get(experiment, ()), ceiling):
            own = _measure(ways, cell, sides, sampled, measures)
            for measure, (estimate, value, parts) in own.items():
                key = (experiment, " - ".join(sides), measure, dimension)
                if replicate:
                    replicates.append((*_effect(key), architecture, replicate, estimate, measure))
                    continue
                _, error = mean_and_error(parts.to_numpy(), 1 / (categories - 1))
                rows.append((*key, architecture, estimate, value, error, parts.shape[1], len(parts)))
                if np.isfinite(error):
                    by_prompt.setdefault(key, {})[architecture] = parts.mean(), error
    shared = [
        (*_effect(key), *row, key[2])
        for key, own in by_prompt.items()
        for row in covariance_rows(
            {name: parts for name, (parts, _) in own.items()}, np.array([error for _, error in own.values()])
        )
    ]
    return ServiceMeasures(
        ServiceEffects.checked(rows), ServiceCovariances.checked(shared), ServiceReplicates.checked(replicates)
    )


def _effect(key: tuple[str, str, str, str]) -> tuple[str, str, str]:
    """`KEYS` without the measure."""
    experiment, contrast, _, dimension = key
    return experiment, contrast, dimension


def _compared(names: Sequence[str], contrasts: Sequence[Contrast], ceiling: str) -> list[Sides]:
    """Every way alone, the contrasts of two that are there, and the ceiling with every other."""
    asked = [contrast.sides for contrast in contrasts if set(contrast.sides) <= set(names)]
    prices = [(ceiling, name) for name in names if name != ceiling and ceiling in names]
    return list(dict.fromkeys([*((name,) for name in names), *asked, *prices]))


def _measure(
    ways: Ways, cell: ServiceCell, sides: Sides, draws: Array, measures: Mapping[str, Measure]
) -> dict[str, tuple[float, float, pd.DataFrame]]:
    """Estimate, value in the sample, and parts (seeds × prompts) of a level or a contrast; {} where not measured."""
    scores = ways.scores(cell, sides)
    if len(scores) < len(sides):
        return {}
    kept = np.isfinite(sum(scores)).all(axis=(0, 1))
    if not kept.any():
        return {}
    signed = list(zip((1, -1), (measured(own[..., kept], draws[:, kept], measures) for own in scores), strict=False))
    prompts = np.array(ways.prompts, dtype=object)[kept]
    return {
        name: (
            sum(sign * own[name].estimate for sign, own in signed),
            sum(sign * own[name].value for sign, own in signed),
            pd.DataFrame(sum(sign * own[name].parts for sign, own in signed), columns=prompts),
        )
        for name in measures
    }
