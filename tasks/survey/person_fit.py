"""Person fit: whose answers the mixed ordinal model of a dimension does not expect.

    P(y_k ≤ j) = logistic(θ_j − a_{r(k)} − b_{i(k)}),   a ~ N(0, σ_a²) of raters,  b ~ N(0, σ_b²) of responses

is fitted to all ratings of a dimension, without what raters declare: their own intercept takes up how high they rate,
and the indices don't know who somebody is. With p_kj the predicted probability of category j for answer k,

    outfit = mean_k (y_k − E_k)² / Var_k,   E_k = Σ_j j p_kj,  Var_k = Σ_j (j − E_k)² p_kj   (Wright & Masters 1982)
    l_z = (l − E(l)) / √Var(l),   l = Σ_k log p_k(y_k),
    E(l) = Σ_k Σ_j p_kj log p_kj,   Var(l) = Σ_k [Σ_j p_kj (log p_kj)² − (Σ_j p_kj log p_kj)²]   (Drasgow et al. 1985)

Outfit is about 1 and l_z about 0 for answers that the model expects; answers that it does not expect raise the one and
lower the other. p_kj knows nothing of the rater's own answers but their level: with three raters to a response, a mode
of b that has seen the answer finds it likely. So b_i is integrated over its posterior given the *other* raters of the
response, and the level of each of these over its posterior given their answers to *other* responses, by quadrature. The
rater's own level is the mode of its posterior given their own answers, on a grid.

As that level is estimated, l_z is narrower than N(0, 1) and outfit's distribution has no formula (Snijders 2001). So
both are held against answers that the model simulates for this very rater: a level from N(0, σ_a²), answers to the
same responses from p_k, the level estimated anew. Given the other raters, the rater's own answers and the simulated
ones are then drawn alike, whatever their number, so that p is uniform where the model holds. What that leaves out is
the error of θ and σ, and that raters who answer at random raise the noise that the model expects of everybody: then
all others fit a little better than they should, and p is cautious.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logsumexp
from threadpoolctl import threadpool_limits

from configs.errors import InputError
from tasks.survey.clmm.model import fit
from tasks.survey.clmm.result import Fit

SIMULATED = 1000
"""Sets of answers that are simulated for each rater."""
RESPONSE_NODES = np.linspace(-4, 4, 25)
"""Of the quadrature over a response's intercept, in its standard deviations."""
RATER_NODES = np.linspace(-3, 3, 21)
"""Levels that a rater may have, in their standard deviation."""
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class PersonFit:
    """One row a rater of a dimension, indexed by participant_id; why there is none in `reason`, else "".

    Columns: n (answers to responses that somebody else rated too), outfit, outfit_p, lz, lz_p. A p is the share of
    simulated answers that fit no better than the rater's own, ties counting half: small for answers that the model does
    not expect.
    """

    table: pd.DataFrame
    reason: str = ""


def person_fit(ratings: pd.DataFrame, dimension: str, seed: int, simulated: int = SIMULATED) -> PersonFit:
    """The fit of every rater of a dimension; `ratings` has participant_id, response_id and the dimension's category.

    An answer to a response that nobody else rated can't be held against anything, and is left out.
    """
    rated = ratings.dropna(subset=[dimension])
    rated = rated[rated.groupby("response_id")["participant_id"].transform("nunique") > 1]
    columns = ["n", "outfit", "outfit_p", "lz", "lz_p"]
    nothing = pd.DataFrame(columns=columns, index=pd.Index([], name="participant_id"), dtype=float)
    if rated.empty:
        return PersonFit(nothing, "no response has two raters")
    groups = {group: rated[f"{group}_id"] for group in ("participant", "response")}
    groups = {group: levels for group, levels in groups.items() if 1 < levels.nunique() < len(rated)}
    try:
        model = fit(rated[dimension].to_numpy(float), pd.DataFrame(index=rated.index), groups)
    except InputError as error:
        return PersonFit(nothing, str(error))
    if not model.converged:
        return PersonFit(nothing, f"the model did not converge after {model.steps} steps")
    with threadpool_limits(1, "blas"):
        rows = _each_rater(model, rated, dimension, np.random.default_rng(seed), simulated)
    table = pd.DataFrame(rows, columns=["participant_id", *columns]).set_index("participant_id")
    return PersonFit(table.astype(float))


@dataclass(frozen=True)
class Predictions:
    """What the model predicts of each answer from the other raters'.

    weights: each answer's posterior over the response's intercept, (N, nodes). at_levels: P(y = j | level, node),
    shape (levels, nodes, J); the levels are `RATER_NODES` times the raters' standard deviation.
    """

    weights: np.ndarray
    at_levels: np.ndarray

    def of(self, places: np.ndarray) -> np.ndarray:
        """P(y_k = j | level) of the answers at these places, shape (n, J, levels)."""
        return np.einsum("kq,aqj->kja", self.weights[places], self.at_levels, optimize=True)


def predictions(model: Fit, rated: pd.DataFrame, dimension: str) -> Predictions:
    """Of every row of `rated`, to which the model was fitted."""
    thresholds = model.thresholds["estimate"].to_numpy()
    y = np.unique(rated[dimension].to_numpy(float), return_inverse=True)[1]
    sd = {group: float(model.random_effects["sd"].get(group, 0.0)) for group in ("participant", "response")}
    levels, responses = sd["participant"] * RATER_NODES, sd["response"] * RESPONSE_NODES
    at_levels = _categories(thresholds, levels[:, None] + responses)
    mode = np.zeros(len(rated))
    if "response" in model.modes:
        mode = model.modes["response"].loc[rated["response_id"]].to_numpy()
    answer = np.log(_categories(thresholds, mode[:, None] + levels)[np.arange(len(y)), :, y])
    level = _given_the_others(answer, rated["participant_id"], RATER_NODES)
    seen = np.zeros((len(y), len(responses)))
    for category in range(at_levels.shape[-1]):
        seen[y == category] = np.log(level[y == category] @ at_levels[:, :, category])
    return Predictions(_given_the_others(seen, rated["response_id"], RESPONSE_NODES), at_levels)


def _given_the_others(log_likelihood: np.ndarray, groups: pd.Series, nodes: np.ndarray) -> np.ndarray:
    """The posterior over nodes given the other rows of each row's group, (N, nodes), with a prior of N(0, 1)."""
    codes, names = pd.factorize(groups)
    whole = np.zeros((len(names), len(nodes)))
    np.add.at(whole, codes, log_likelihood)
    others = whole[codes] - log_likelihood - nodes**2 / 2
    return np.exp(others - logsumexp(others, axis=1, keepdims=True))


def _categories(thresholds: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """P(y = j) at η, shape (…,) → (…, J), above zero."""
    at_most = expit(thresholds - eta[..., None])
    ends = np.zeros((*eta.shape, 1)), np.ones((*eta.shape, 1))
    return np.maximum(np.diff(np.concatenate([ends[0], at_most, ends[1]], axis=-1)), LEAST_VARIANCE)


def _each_rater(
    model: Fit, rated: pd.DataFrame, dimension: str, rng: np.random.Generator, simulated: int
) -> list[tuple[object, ...]]:
    """participant_id, n, outfit, outfit_p, lz, lz_p of each rater, in the order of their ids."""
    categories = np.array([float(name) for name in model.categories])
    prior = -(RATER_NODES**2) / 2
    rated = rated.sort_values("participant_id", kind="stable")
    predicted = predictions(model, rated, dimension)
    y = np.searchsorted(categories, rated[dimension].to_numpy(float))
    rows: list[tuple[object, ...]] = []
    at_level = np.exp(prior - logsumexp(prior))
    for name, places in rated.reset_index(drop=True).groupby("participant_id").indices.items():
        p = predicted.of(places)
        level = rng.choice(len(prior), size=simulated, p=at_level)
        drawn = rng.random((len(places), 1, simulated)) > np.take(np.cumsum(p, axis=1), level, axis=2)
        answers = np.column_stack([y[places], np.minimum(drawn.sum(axis=1), len(categories) - 1)])
        outfit, lz = fit_of_answers(p, answers, categories, prior)
        p_values = [_share_as_bad(values) for values in (outfit, -lz)]
        rows.append((name, len(places), outfit[0], p_values[0], lz[0], p_values[1]))
    return rows


def fit_of_answers(
    p: np.ndarray, answers: np.ndarray, categories: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """outfit and l_z (S,) of sets of answers.

    p: (n, J, levels) probabilities; answers: (n, S) places among the `categories` (J,), which are their values; prior:
    log-density of the levels (levels,). Each set's level is the one that is likeliest given its own answers.
    """
    log_p, rows = np.log(p), np.arange(len(p))[:, None]
    by_level = np.zeros((answers.shape[1], len(prior)))  # (S, levels)
    for own, given in zip(log_p, answers, strict=True):
        by_level += own[given]
    level = np.argmax(by_level + prior, axis=1)
    mean_log = (p * log_p).sum(axis=1)
    expected, variance = mean_log.sum(axis=0), ((p * log_p**2).sum(axis=1) - mean_log**2).sum(axis=0)
    lz = by_level[np.arange(len(level)), level] - expected[level]
    lz /= np.sqrt(np.maximum(variance[level], LEAST_VARIANCE))
    mean = np.einsum("kja,j->ka", p, categories)
    spread = np.einsum("kja,kja->ka", p, (categories[:, None] - mean[:, None, :]) ** 2)
    squares = (categories[answers] - mean[rows, level]) ** 2 / np.maximum(spread[rows, level], LEAST_VARIANCE)
    return squares.mean(axis=0), lz


def _share_as_bad(values: np.ndarray) -> float:
    """The share of the simulated values (all but the first) above the first, ties counting half, out of one more, so
    that it is never 0."""
    own, others = values[0], values[1:]
    equal = np.abs(others - own) <= 1e-9 * max(1.0, abs(own))
    return float(((others > own) & ~equal).sum() + 0.5 * (equal.sum() + 1)) / (len(others) + 1)
