"""The proof of a judge: how far its scores agree with the humans', and how far the humans agree among themselves.

Scores are in [0, 1]. Every measure takes weights of the scored responses, shape (draws, n), and gives one value a draw:
the first draw has weight 1 everywhere and is the estimate, the others are a bootstrap over prompts, whose responses
stay together. NaN where a measure is undefined (no response, no variation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Level, Measure
from tasks.judging.judge import Tried
from tasks.judging.tables import JudgeAgreement, JudgeFeatures, JudgeStrata
from tasks.runtime.tables import columns_of
from tasks.survey.reliability import alpha, coincidences

MEASURES = ["agreement", "weighted_kappa", "spearman", "mean_error", "alpha"]
OF_HUMANS = ["agreement", "weighted_kappa", "spearman", "alpha"]
COMPARED = ["mean_error", "alpha"]
"""What can be compared between groups: the others rise with the number of raters behind a mean."""
Draws = dict[str, np.ndarray]


def prove(
    judged: pd.DataFrame,
    ratings: Mapping[str, pd.DataFrame],
    dimensions: Sequence[str],
    categories: int,
    pairs: Sequence[tuple[str, str]] = (),
    draws: int = 1000,
    seed: int = 0,
    level: Level = "ordinal",
) -> tuple[DataFrame[JudgeAgreement], DataFrame[JudgeStrata]]:
    """The judge against all raters and each stratum of them, and its agreement with one stratum less that with
    another, for `pairs` of strata (one bootstrap for both, since they rated the same prompts).

    judged: response_id and a score for each dimension. ratings: stratum → participant_id, response_id, prompt_id and a
    category 1 … K for each dimension; "all" is everybody. The ceiling is one rater against the mean of the others who
    rated the same response; for alpha, the raters' own.
    """
    prompts = pd.Index(ratings["all"]["prompt_id"].unique())
    weights = bootstrap_weights(len(prompts), draws, seed)
    rows, differences = [], []
    for dimension in dimensions:
        agreement: dict[str, Draws] = {}
        for stratum, table in ratings.items():
            one = Rated(table, judged, dimension, categories, prompts)
            agreement[stratum] = one.against_judge(weights, level)
            ceiling = {f"human_{name}": values for name, values in one.among_humans(weights, level).items()}
            sizes = {"n": len(one.judge), "n_prompts": len(np.unique(one.prompt))}
            sizes |= {"n_unscored": one.unscored, "n_human": one.raters}
            spreads = {"spread": spread(one.judge), "raters_spread": spread(one.human)}
            both = agreement[stratum] | ceiling
            rows.append(
                {"dimension": dimension, "stratum": stratum, **sizes, **spreads, **with_intervals(both), **_lost(both)}
            )
        for a, b in pairs:
            for name in COMPARED:
                difference = {name: agreement[a][name] - agreement[b][name]}
                ends, lost = with_intervals(difference).values(), _lost(difference).values()
                differences.append((dimension, f"{a} - {b}", name, *ends, *lost))
    return JudgeAgreement.checked(rows), JudgeStrata.checked(differences)


def compare(
    tried: Sequence[tuple[Tried, pd.DataFrame]],
    ratings: pd.DataFrame,
    dimensions: Sequence[str],
    categories: int,
    draws: int = 1000,
    seed: int = 0,
    level: Level = "ordinal",
) -> DataFrame[JudgeFeatures]:
    """Judges that might have been, each with its scores as `prove` takes them, against all raters (ratings)."""
    rows: list[dict[str, Any]] = []
    for one, judged in tried:
        proof, _ = prove(judged, {"all": ratings}, dimensions, categories, (), draws, seed, level)
        own = {"features": one.name, "used": one.used, "chosen": one.chosen, "parts": one.parts}
        rows += [own | {str(name): row[name] for name in columns_of(JudgeFeatures) if name in row}
                 for row in proof.to_dict("records")]  # fmt: skip
    return JudgeFeatures.checked(rows)


def shortfalls(table: pd.DataFrame, floor: Mapping[Measure, float]) -> list[str]:
    """Where the judge is below the floor against all raters; a measure that is undefined is below."""
    return [
        f"{row['dimension']}: {name.replace('_', ' ')} {row[name]:.3f}, floor {least:g}"
        for _, row in table[table["stratum"] == "all"].iterrows()
        for name, least in floor.items()
        if not row[name] >= least
    ]


class Rated:
    """A dimension's ratings of the responses that the judge scored, by some raters."""

    def __init__(
        self, ratings: pd.DataFrame, judged: pd.DataFrame, dimension: str, categories: int, prompts: pd.Index
    ) -> None:
        judge = judged.set_index("response_id")[dimension]
        rated = ratings[ratings[dimension].notna() & ratings["response_id"].isin(judge.index)]
        self.unscored = int(judge[rated["response_id"].unique()].isna().sum())
        rated = rated[rated["response_id"].map(judge).notna()]
        self._code, responses = pd.factorize(rated["response_id"])
        self._category, self._k = rated[dimension].to_numpy(int) - 1, categories
        self.counts = np.zeros((len(responses), categories))
        np.add.at(self.counts, (self._code, self._category), 1)
        self.judge = judge[responses].to_numpy(float)
        self.prompt = prompts.get_indexer(rated.drop_duplicates("response_id")["prompt_id"])
        n = self.counts.sum(1)
        self.raters = int(n[n >= 2].sum())
        """Ratings of responses that another rated too."""

    @property
    def human(self) -> np.ndarray:
        """The raters' mean of each response."""
        return self.counts @ np.arange(self._k) / np.maximum(self.counts.sum(1), 1) / (self._k - 1)

    def against_judge(self, weights: np.ndarray, level: Level) -> Draws:
        """`MEASURES` of the judge, response by response; alpha of the judge and one rater of each, drawn at random."""
        own, spread = weights[:, self.prompt], self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        verdicts = np.eye(self._k)[to_category(self.judge, self._k)]
        parts = verdicts[:, :, None] * spread[:, None, :]
        both = (own @ (parts + parts.transpose(0, 2, 1)).reshape(len(own.T), self._k**2)).reshape(-1, self._k, self._k)
        return measures(self.human, self.judge, own, self._k) | {"alpha": alpha(both, level)}

    def among_humans(self, weights: np.ndarray, level: Level) -> Draws:
        """`OF_HUMANS`, where a response has two raters or more."""
        total, size = self.counts @ np.arange(self._k), self.counts.sum(1)
        several = size[self._code] >= 2
        code, category = self._code[several], self._category[several]
        others = (total[code] - category) / (size[code] - 1) / (self._k - 1)
        own = weights[:, self.prompt[code]] / size[code]  # every response counts as one, whoever is left out
        parts = coincidences(self.counts)
        both = weights[:, self.prompt[size >= 2]] @ parts.reshape(len(parts), self._k**2)
        values = measures(others, category / (self._k - 1), own, self._k)
        del values["mean_error"]
        return values | {"alpha": alpha(both.reshape(-1, self._k, self._k), level)}


def bootstrap_weights(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n prompts counts, shape (1 + draws, n): once, then as drawn n times with replacement."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws) if n else np.zeros((draws, 0))
    return np.vstack([np.ones((1, n)), drawn])


def measures(human: np.ndarray, judge: np.ndarray, weights: np.ndarray, categories: int) -> Draws:
    """All measures but alpha, each of shape (draws,).

    agreement: share on the same side of the middle, as the paper's 85%. weighted_kappa: Cohen's with quadratic weights
    on scores rounded to the questionnaire's categories, 1 - Σ (i-j)² o_ij / Σ (i-j)² r_i c_j. spearman: correlation of
    mid-ranks. mean_error: judge - human.
    """
    total, rounded = weights.sum(1), [to_category(scores, categories) for scores in (human, judge)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "agreement": weights @ ((human > 0.5) == (judge > 0.5)) / total,
            "weighted_kappa": _kappa(rounded[0], rounded[1], weights, categories),
            "spearman": _correlation(_ranks(human, weights), _ranks(judge, weights), weights),
            "mean_error": weights @ (judge - human) / total,
        }


def spread(scores: np.ndarray) -> float:
    """Standard deviation of scores, shape (n,): 0 where all are the same, NaN where there are none."""
    return float(scores.std()) if len(scores) else np.nan


def to_category(scores: np.ndarray, categories: int) -> np.ndarray:
    """The nearest of the categories 0 … K - 1, a half up."""
    return np.floor(scores * (categories - 1) + 0.5).astype(int)


def _kappa(a: np.ndarray, b: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    table = (weights @ np.eye(k * k)[a * k + b]).reshape(-1, k, k)
    table = table / table.sum((1, 2), keepdims=True)
    distance = np.subtract.outer(np.arange(k), np.arange(k)) ** 2
    rows, columns = table.sum(2), table.sum(1)
    expected = np.einsum("di,dj,ij->d", rows, columns, distance)
    varied = ((rows > 0).sum(1) > 1) & ((columns > 0).sum(1) > 1)
    return np.where(varied, 1 - (table * distance).sum((1, 2)) / expected, np.nan)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mid-ranks of weighted values, shape (draws, n): the weight below, and half of that of equal values."""
    levels, code = np.unique(values, return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(levels)))
    group = np.add.reduceat(weights[:, order], starts, axis=1) if len(levels) else weights
    return (np.cumsum(group, axis=1) - group / 2)[:, code]


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(1, keepdims=True)
    x, y = (side - (weights * side).sum(1, keepdims=True) / total for side in (x, y))
    xy, xx, yy = ((weights * product).sum(1) for product in (x * y, x * x, y * y))
    varied = (xx > 1e-9) & (yy > 1e-9)
    return np.where(varied, xy / np.sqrt(np.where(varied, xx * yy, 1.0)), np.nan)


def with_intervals(draws: Draws) -> dict[str, float]:
    """Each measure's estimate, and the 95% interval of its defined draws."""
    intervals: dict[str, float] = {}
    for name, values in draws.items():
        known = values[1:][np.isfinite(values[1:])]
        ends = np.percentile(known, [2.5, 97.5]) if len(known) and np.isfinite(values[0]) else (np.nan, np.nan)
        intervals |= {name: float(values[0]), f"{name}_low": float(ends[0]), f"{name}_high": float(ends[1])}
    return intervals


def _lost(draws: Draws) -> dict[str, int]:
    """How many draws there are, and how many are undefined for the measure with an estimate that lacks most."""
    undefined = [np.isnan(values[1:]).sum() for values in draws.values() if np.isfinite(values[0])]
    return {"draws": len(next(iter(draws.values()))) - 1, "undefined": int(max(undefined, default=0))}
