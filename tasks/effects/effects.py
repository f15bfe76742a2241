"""Effects of one architecture: paired differences of scores on the same held-out prompts.

An output that the judge could not score leaves its prompt out of the effect, on both sides and in every seed, and is
counted. An output that is not well-formed is scored like any other: without it, a model that breaks down would be
compared on the prompts where it does not. How many there are, and which runs are marked for them, stands beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import CONTROL, Contrast, Experiment, Study
from tasks.effects.tables import Differences

SIDE = ["architecture", "experiment", "condition"]


def effects(study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int) -> DataFrame[Differences]:
    """Every contrast of every experiment on every evaluated dimension, one row an architecture that has both sides.

    scores: experiment, architecture, condition, seed, prompt_id, dimension, score; the control's experiment is
    "control", and its one seed counts for every seed. health: the same keys, n_outputs, well_formed, marked.
    """
    return effects_of(contrasts_of(study), study, scores, health, categories)


def contrasts_of(study: Study) -> dict[str, list[Contrast]]:
    """Every contrast, by experiment."""
    return {name: list(settings.contrasts) for name, settings in study.experiments.items()}


def pairwise_effects(
    study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int
) -> DataFrame[Differences]:
    """Effects like those of `effects`, of every two conditions of an experiment that can be compared."""
    contrasts = {name: pairs(settings, study) for name, settings in study.experiments.items()}
    return effects_of(contrasts, study, scores, health, categories)


def pairs(experiment: Experiment, study: Study) -> list[Contrast]:
    """`A - B` for every two conditions, as the experiment's contrasts have it, else in the order of the conditions.

    Conditions on the ratings of groups are compared within one attribute only: two attributes overlap.
    """

    def whose(name: str) -> str:
        condition = experiment.conditions[name]
        if condition.half:
            return f"half {condition.half.number}"
        return study.strata[condition.stratum].attribute if condition.stratum else ""

    both = [(a, b) for a, b in combinations(experiment.conditions, 2) if whose(a) == whose(b)]
    contrasts = [(Contrast(f"{a} - {b}"), Contrast(f"{b} - {a}")) for a, b in both]
    return [turned if turned in experiment.contrasts else contrast for contrast, turned in contrasts]


def effects_of(
    contrasts: dict[str, list[Contrast]], study: Study, scores: pd.DataFrame, health: pd.DataFrame, categories: int
) -> DataFrame[Differences]:
    """The effects of `contrasts`, by experiment."""
    reports = _reports(health)
    rows = []
    for pair in paired(contrasts, study, scores):
        scored = pair.scored
        n_seeds, n_prompts = scored.shape
        estimate, error = mean_and_error(scored.to_numpy(float), 1 / (categories - 1))
        between_seeds = seed_variance(scored.to_numpy(float))
        numbers = estimate, error, between_seeds, n_prompts, n_seeds, len(pair.prompts) - n_prompts
        sides = [reports.get((pair.architecture, *side), {}) for side in pair.sides]
        malformed = _health(sides, pair.sides, scored.index)
        rows.append((pair.experiment, pair.contrast, pair.dimension, pair.architecture, *numbers, *malformed))
    return Differences.checked(rows)


class Paired(NamedTuple):
    """Scores of both sides of a contrast in one architecture, by seed and prompt, with the seeds that both have."""

    experiment: str
    contrast: Contrast
    dimension: str
    architecture: str
    a: pd.DataFrame
    b: pd.DataFrame

    @property
    def sides(self) -> list[tuple[str, str]]:
        """Experiment and condition of both."""
        return _sides(self.experiment, self.contrast)

    @property
    def prompts(self) -> pd.Index:
        """Those that both sides were asked."""
        return self.a.columns.intersection(self.b.columns)

    @property
    def scored(self) -> pd.DataFrame:
        """Differences of the prompts that are scored on both sides with every seed."""
        differences = self.a[self.prompts] - self.b[self.prompts]
        return differences.loc[:, np.isfinite(differences.to_numpy(float)).all(axis=0)]


def paired(contrasts: dict[str, list[Contrast]], study: Study, scores: pd.DataFrame) -> Iterator[Paired]:
    """Every contrast on every evaluated dimension in every architecture that has both sides, in this order."""
    wide = scores.set_index([*SIDE, "dimension", "seed", "prompt_id"])["score"]
    groups = wide.groupby(level=[*SIDE, "dimension"])
    tables = {key: table.droplevel([*SIDE, "dimension"]).unstack("prompt_id") for key, table in groups}
    models = [architecture.name for architecture in study.architectures]
    for experiment, names in contrasts.items():
        for contrast, dimension, model in product(names, study.evaluation.dimensions, models):
            both = _sides(experiment, contrast)
            pair = every_seed([tables.get((model, *side, dimension)) for side in both], both)
            if pair is not None:
                yield Paired(experiment, contrast, dimension, model, *pair)


def _sides(experiment: str, contrast: Contrast) -> list[tuple[str, str]]:
    return [(CONTROL if name == CONTROL else experiment, name) for name in contrast.sides]


def every_seed(
    pair: Sequence[pd.DataFrame | None], both: Sequence[tuple[str, str]]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Both sides with the seeds that they share; None where they share none, or one is missing.

    The control, which is not trained and answers greedily, has the same scores with every seed.
    """
    a, b = pair
    if a is None or b is None:
        return None
    alone = [condition == CONTROL for _, condition in both]
    seeds = a.index if alone[1] else b.index if alone[0] else a.index.intersection(b.index)
    sides = [
        pd.DataFrame(np.repeat(side.to_numpy()[:1], len(seeds), axis=0), index=seeds, columns=side.columns)
        if control
        else side.loc[seeds]
        for side, control in zip((a, b), alone, strict=True)
    ]
    return (sides[0], sides[1]) if len(seeds) else None


def mean_and_error(differences: np.ndarray, step: float) -> tuple[float, float]:
    """Mean over S seeds of means over P prompts of (S, P) differences, and its two-way clustered standard error.

    The error is at least step / (P S), that of one output moved by one category of the questionnaire: where all
    differences are equal, the sample says nothing about their spread. NaN below two prompts.
    """
    seeds, prompts = differences.shape
    estimate = float(differences.mean()) if differences.size else np.nan
    if prompts < 2 or seeds < 1:
        return estimate, np.nan
    return estimate, float(max(np.sqrt(two_way_variance(differences)), step / (prompts * seeds)))


def two_way_variance(differences: np.ndarray) -> float:
    """Variance of the mean of (S, P) differences, clustered by prompt and by seed (Cameron, Gelbach & Miller 2011).

    By prompt: s²(means over seeds) / P. By seed: s²(means over prompts) / S. Both have the part of single outputs in
    them, which is counted twice: s²(d - prompt's mean - seed's mean + mean) / (S P), with (S - 1)(P - 1) degrees of
    freedom, so that the sum is unbiased. Neither cluster alone can have more variance than both. S = 1: by prompt.
    """
    seeds, prompts = differences.shape
    by_prompt = differences.mean(axis=0).var(ddof=1) / prompts
    if seeds < 2:
        return float(by_prompt)
    by_seed = differences.mean(axis=1).var(ddof=1) / seeds
    rest = differences - differences.mean(axis=0) - differences.mean(axis=1)[:, None] + differences.mean()
    twice = np.sum(rest**2) / ((seeds - 1) * (prompts - 1)) / (seeds * prompts)
    return float(max(by_prompt + by_seed - twice, by_prompt, by_seed))


def seed_variance(differences: np.ndarray) -> float:
    """The part of `two_way_variance` that lies between seeds alone; NaN of one seed, which says nothing of it."""
    if differences.shape[0] < 2 or differences.shape[1] < 2:
        return np.nan
    by_prompt = differences.mean(axis=0).var(ddof=1) / differences.shape[1]
    return float(max(two_way_variance(differences) - by_prompt, 0.0))


class _Report(NamedTuple):
    """Outputs of a cell that are not well-formed, and the limits that its run fails."""

    malformed: int
    marked: str


def _reports(health: pd.DataFrame) -> dict[tuple[str, str, str], dict[int, _Report]]:
    """`SIDE` → seed → report."""
    reports: dict[tuple[str, str, str], dict[int, _Report]] = {}
    malformed = (health["n_outputs"] * (1 - health["well_formed"])).fillna(0).round().astype(int)
    for row, count, marked in zip(
        health[[*SIDE, "seed"]].itertuples(), malformed, health["marked"].fillna(""), strict=True
    ):
        own = reports.setdefault((row.architecture, row.experiment, row.condition), {})
        own[row.seed] = _Report(count, marked)
    return reports


def _health(reports: Sequence[dict[int, _Report]], both: Sequence[tuple[str, str]], seeds: pd.Index) -> tuple[int, str]:
    """n_malformed and marked of both sides together."""
    malformed, marks = 0, []
    for report, (_, condition) in zip(reports, both, strict=True):
        used = {seed: own for seed, own in report.items() if condition == CONTROL or seed in seeds}
        malformed += sum(own.malformed for own in used.values())
        which = {seed: condition if len(used) == 1 else f"{condition} (seed {seed})" for seed in used}
        marks += [f"{which[seed]}: {own.marked}" for seed, own in used.items() if own.marked]
    return malformed, "; ".join(marks)
