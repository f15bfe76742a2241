"""A judge for each group of raters, made from everybody's and held against it before it is used.

Everybody's judge gives a score s. On the raters' scale it is e = a + b s, the line of everybody's mean rating on s
among the rated responses to held-out prompts. Without it, a judge that errs alike for all groups would make every group
seem to differ from it. A group's judge is e where the group can't be told from everybody, and otherwise what the
judge's `group_fit` makes of the group's ratings (`tasks.judging.group_fits`).

Proof: the prompts are divided, and for each part both the line and the group's fit are made without it, with all that a
fit chooses. The group's judge is used where it predicts its own raters' means on unseen prompts better than e does: the
mean squared error is smaller by a gain whose 95% interval over prompts lies above zero. An embedded judge's scores of
the prompts that remain were learned with the left out ones; that is no advantage for the group's judge: of 100 groups
that judge alike none got one, embedded or not (`tests/benchmarks/group_judges.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from tasks.judging.calibration import FEW, FEWEST_PROMPTS
from tasks.judging.group_fits import Array, GroupFit, GroupModel, GroupSample, LineModel, Texts, folds, gain
from tasks.judging.proof import bootstrap_weights, measures, with_intervals
from tasks.judging.tables import JudgeGroups
from tasks.runtime.tables import columns_of

ZERO = "no deviation from everybody predicts better: its penalty is infinite"
NOT_BETTER = "it does not predict the group's ratings better than everybody's judge does, beyond chance"
SIDES = ("own", "everybody", "others")


@dataclass(frozen=True)
class GroupJudge:
    """The judge of one group; of each dimension `lines` has everybody's line, `models` the group's own or None."""

    lines: Sequence[LineModel]
    models: Sequence[GroupModel | None]

    def score(self, scores: Array, answers: Sequence[str]) -> Array:
        """What the group would say of answers with these scores of everybody's judge.

        Both are of shape (answers, dimensions) and in [0, 1], 0 the questionnaire's lowest category; what is unscored
        (NaN) stays so.
        """
        result = np.full(scores.shape, np.nan)
        texts: Texts = np.array(answers, dtype=object)
        for place, (line, model) in enumerate(zip(self.lines, self.models, strict=True)):
            known = np.isfinite(scores[:, place])
            if known.any():
                everybody = line.predict(scores[known, place], texts[known])
                own = model.predict(everybody, texts[known]) if model else everybody
                result[known, place] = np.clip(own, 0, 1)
        return result


@dataclass(frozen=True)
class GroupJudges:
    """The judges by group, and their proof: one row a dimension and a group."""

    judges: dict[str, GroupJudge]
    table: DataFrame[JudgeGroups]


def make_group_judges(
    fit: GroupFit,
    judged: pd.DataFrame,
    sample: pd.DataFrame,
    ratings: pd.DataFrame,
    groups: Mapping[str, Collection[str]],
    dimensions: Sequence[str],
    categories: int,
    draws: int = 1000,
    seed: int = 0,
) -> GroupJudges:
    """A judge for each of `groups` (name → ids of participants, of whom one may be in several).

    fit: the `group_fit` of everybody's judge. judged: response_id and a score for each dimension, by that judge without
    the prompt's ratings (`score_rated`). sample: response_id, prompt_id and response of the same responses. ratings:
    everybody's of held-out prompts, as `proof.prove` takes them. draws, seed: of the bootstrap of rank correlations.
    """
    lines: list[LineModel] = []
    models: dict[str, list[GroupModel | None]] = {name: [] for name in groups}
    rows = []
    for dimension in dimensions:
        whole = _samples(judged, sample, ratings, dimension, categories, groups)
        everybody = whole["", False]
        lines.append(LineModel(everybody.where(everybody.n > 0)))
        weights = bootstrap_weights(int(everybody.prompt.max(initial=-1)) + 1, draws, seed)
        for group in groups:
            raters = _Raters(everybody, whole[group, True], whole[group, False])
            proof, model = _prove(fit, lines[-1], raters, weights, categories)
            models[group].append(model)
            rows.append({**proof, "dimension": dimension, "group": group})
    judges = {name: GroupJudge(lines, own) for name, own in models.items()}
    return GroupJudges(judges, JudgeGroups.checked(rows))


class _Raters(NamedTuple):
    """The same responses as everybody rated them, a group of raters, and all who are not in it."""

    everybody: GroupSample
    own: GroupSample
    others: GroupSample


def _samples(
    judged: pd.DataFrame,
    sample: pd.DataFrame,
    ratings: pd.DataFrame,
    dimension: str,
    categories: int,
    groups: Mapping[str, Collection[str]],
) -> dict[tuple[str, bool], GroupSample]:
    """All scored responses as those in a group (True) rated them, and those outside (False); "" has nobody inside.

    n is 0 and human NaN where none of them rated a response.
    """
    scores = judged[["response_id", dimension]].rename(columns={dimension: "score"}).dropna()
    table = scores.merge(sample[["response_id", "prompt_id", "response"]], on="response_id")
    texts, score = table["response"].to_numpy(object), table["score"].to_numpy(float)
    prompt = pd.factorize(table["prompt_id"])[0]
    known = ratings[ratings[dimension].notna()]
    rating = (known[dimension].astype(float) - 1) / (categories - 1)
    samples = {}
    for group, ids in [("", set()), *groups.items()]:
        inside = known["participant_id"].isin(list(ids))
        for side in (True, False):
            kept = inside == side
            means = rating[kept].groupby(known.loc[kept, "response_id"]).agg(["mean", "size"])
            means = means.reindex(table["response_id"])
            human, n = means["mean"].to_numpy(float), means["size"].fillna(0).to_numpy(float)
            samples[group, side] = GroupSample(texts, score, human, n, prompt)
    return samples


def _prove(
    fit: GroupFit, line: LineModel, raters: _Raters, weights: Array, categories: int
) -> tuple[dict[str, Any], GroupModel | None]:
    """A row of the table without its keys, and the group's model where it is used."""
    rated = raters.own.n > 0
    own = raters.own.where(rated)
    row: dict[str, Any] = dict.fromkeys(columns_of(JudgeGroups), np.nan)
    row |= {"n": len(own.n), "n_prompts": len(np.unique(own.prompt)), "n_ratings": own.n.sum()}
    row |= {"kind": "", "used": False, "why_not": FEW}
    if row["n_prompts"] < FEWEST_PROMPTS:
        return row, None
    everybody, group = _unseen(fit, raters)
    errors = [(own.human - predicted[rated]) ** 2 for predicted in (everybody, group)]
    better = gain(errors[0], errors[1], own.n, own.prompt)
    row |= dict(zip(("error_everybody", "error_group"), (np.average(e, weights=own.n) for e in errors), strict=True))
    row |= dict(zip(("gain", "gain_std_error", "gain_low", "gain_high"), better, strict=True))
    pairs = ((raters.own, group), (raters.own, everybody), (raters.others, group))
    for name, (who, predicted) in zip(SIDES, pairs, strict=True):
        row |= _rank_correlation(f"spearman_{name}", who, predicted, weights, categories)
    own = own._replace(score=line.predict(own.score, own.texts))
    model = fit(own)
    row |= {"kind": model.kind, "penalty": model.penalty, **_line_of(own)}
    used = better.low > 0 and model.penalty != np.inf
    return row | {"used": used, "why_not": "" if used else ZERO if model.penalty == np.inf else NOT_BETTER}, (
        model if used else None
    )


def _unseen(fit: GroupFit, raters: _Raters) -> tuple[Array, Array]:
    """What everybody's judge and the group's say of each response (n,), made without its prompt."""
    everybody, group = np.empty((2, len(raters.own.n)))
    for train, test in folds(raters.own.prompt):
        inside = np.isin(np.arange(len(group)), train)
        line = LineModel(raters.everybody.where(inside & (raters.everybody.n > 0)))
        score = line.predict(raters.own.score, raters.own.texts)
        everybody[test] = group[test] = score[test]
        if (rated := inside & (raters.own.n > 0)).any():
            model = fit(raters.own._replace(score=score).where(rated))
            group[test] = model.predict(score[test], raters.own.texts[test])
    return np.clip(everybody, 0, 1), np.clip(group, 0, 1)


def _rank_correlation(
    name: str, raters: GroupSample, predicted: Array, weights: Array, categories: int
) -> dict[str, float]:
    """Spearman's with the raters' means, and its interval."""
    rated = raters.n > 0
    draws = measures(raters.human[rated], predicted[rated], weights[:, raters.prompt[rated]], categories)
    return with_intervals({name: draws["spearman"]})


def _line_of(sample: GroupSample) -> dict[str, float]:
    """Weighted least squares of the group's mean on everybody's judge; the error is clustered by prompt."""
    from statsmodels.api import WLS, add_constant

    if np.ptp(sample.score) == 0:
        return {}
    fit = WLS(sample.human, add_constant(sample.score), weights=sample.n)
    fit = fit.fit(cov_type="cluster", cov_kwds={"groups": sample.prompt})
    return {"intercept": fit.params[0], "slope": fit.params[1], "slope_std_error": fit.bse[1]}
