"""Fit a cumulative link mixed model to arrays: checks, coding, the maximum, and the result in the user's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from configs.errors import InputError
from tasks.survey.clmm.crossing import Crossing, Grouping
from tasks.survey.clmm.factor import ExactFactor
from tasks.survey.clmm.laplace import Model
from tasks.survey.clmm.maximise import LARGEST_SIGMA, Maximum, maximise, positive
from tasks.survey.clmm.result import Fit, coefficient_table
from tasks.survey.clmm.stochastic import StochasticFactor

EXACT_LEVELS = 3000
"""Most levels of the smaller factor for which its dense Cholesky factor is affordable."""
ZERO_SIGMA = 1e-2
"""Below this, σ = 0 is tried, and taken where it costs no more log-likelihood than `ZERO_COST`."""
ZERO_COST = 1e-6
ALIASED = 1e-8
"""Share of a column's length, less its mean, that the columns before it leave over."""
CONSTANT = 1e-14
"""Share of a column's length beyond its mean that is rounding."""
ROUNDING = 1e-6
"""Size of a negative eigenvalue, relative to the diagonal, that is taken for zero."""
DECIDED = 1e-3
"""Of the log-likelihood of all ratings together: one as near to zero is that of a model that tells every rating."""
SEPARATED = 100.0
"""A standard error, times its column's range, above which the data decide a rating and set no bound to the effect."""
Codes = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Group → each row's level, as its place among the levels (N,), and the levels."""


def fit(
    ratings: Sequence[float] | np.ndarray,
    predictors: pd.DataFrame,
    groups: Mapping[str, Sequence[object] | np.ndarray],
    exact: bool | None = None,
) -> Fit:
    """The model rating ~ predictors + (1 | group) for none, one or two groups.

    P(rating ≤ j) = logistic(θ_j − η), η = xβ + Σ random intercepts: a positive coefficient means higher ratings.

    Args:
        ratings: (N,) numbers; their order is that of the categories, their values don't matter.
        predictors: (N, p) numbers; no intercept, which the thresholds are.
        groups: name → label of each row's level (N,).
        exact: a dense Cholesky factor for log|D|, or random probes (see `stochastic`); by default as many levels allow.

    Raises:
        InputError: a rating or predictor that is not a finite number, constant ratings, predictors or labels for
            another number of rows, a group with one level or with as many as there are ratings, two groups that are the
            same.
    """
    y, categories = _codes_of_ratings(ratings)
    if len(predictors) != len(y):
        raise InputError(f"predictors: {len(predictors)} rows for {len(y)} ratings")
    codes = {name: pd.factorize(pd.Series(labels)) for name, labels in groups.items()}
    _check_groups({name: (code, len(levels)) for name, (code, levels) in codes.items()}, len(y))
    kept, aliased = _independent(predictors)
    with threadpool_limits(1, "blas"):
        columns = _Columns.of(predictors.iloc[:, kept])
        order = sorted(codes, key=lambda name: len(codes[name][1]))
        model = _model(y, columns.standardised, [codes[name] for name in order], exact)
        maximum = _without_zero(maximise(model))
    result = _result(maximum, columns, categories, order, codes)
    notes = [f"dropped, since other columns add up to them: {', '.join(aliased)}"] if aliased else []
    gaps = _empty_categories(categories)
    notes += [f"no rating is {', '.join(gaps)}: the model has no such category"] if gaps else []
    return replace(result, aliased=tuple(aliased), notes=(*notes, *result.notes))


# ---- input


def _codes_of_ratings(ratings: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0 … J−1 (N,) and the categories' values (J,)."""
    values = np.asarray(ratings, dtype=float)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"ratings, row {row + 1}: {values[row]} is not a finite number")
    categories, y = np.unique(values, return_inverse=True)
    if len(categories) < 2:
        reason = f"all {len(values)} ratings are {_label(categories[0])}" if len(values) else "there are no ratings"
        raise InputError(f"{reason}; the model needs at least two categories")
    return y, categories


def _label(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _empty_categories(categories: np.ndarray) -> list[str]:
    """Whole numbers between the lowest and the highest rating that nobody gave."""
    if any(not value.is_integer() for value in categories) or categories[-1] - categories[0] > 100:
        return []
    return [str(value) for value in range(int(categories[0]), int(categories[-1])) if value not in categories]


def _check_groups(groups: Mapping[str, tuple[np.ndarray, int]], n: int) -> None:
    if len(groups) > 2:
        raise InputError(f"random effects {', '.join(groups)}: at most two groups")
    for name, (codes, levels) in groups.items():
        if len(codes) != n:
            raise InputError(f"(1|{name}): {len(codes)} labels for {n} ratings")
        if (codes < 0).any():
            raise InputError(f"(1|{name}), row {int(np.argmax(codes < 0)) + 1}: no label")
        if levels < 2:
            raise InputError(f"(1|{name}): one level only; a random effect needs at least two")
        if levels >= n:
            raise InputError(f"(1|{name}): {levels} levels for {n} ratings; some level needs several ratings")
    if len(groups) == 2:
        (first, n_first), (second, n_second) = groups.values()
        if n_first == n_second == len(np.unique(first.astype(np.int64) * n_second + second)):
            raise InputError(f"(1|{') and (1|'.join(groups)}) group the ratings alike; keep one")


def _independent(predictors: pd.DataFrame) -> tuple[list[int], list[str]]:
    """Places of the columns that the ones before them (and the thresholds) don't add up to, and names of the others.

    Modified Gram–Schmidt, twice each, on the rows that differ.
    """
    values = predictors.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(f"{predictors.columns[column]}, row {row + 1}: {values[row, column]} is not a finite number")
    distinct = predictors.drop_duplicates().to_numpy(dtype=float)
    basis = [np.full(len(distinct), len(distinct) ** -0.5)] if len(distinct) else []
    kept: list[int] = []
    aliased: list[str] = []
    for place, column in enumerate(distinct.T):
        rest = column - column.mean()
        length = np.linalg.norm(rest)
        for _ in range(2):
            for direction in basis:
                rest -= (direction @ rest) * direction
        left = np.linalg.norm(rest)
        if length <= CONSTANT * np.linalg.norm(column) or left <= ALIASED * length:
            aliased.append(str(predictors.columns[place]))
            continue
        basis.append(rest / left)
        kept.append(place)
    return kept, aliased


@dataclass(frozen=True)
class _Columns:
    """Predictors with mean 0 and standard deviation 1, and the way back."""

    names: list[str]
    standardised: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    span: np.ndarray
    """Highest minus lowest value (p,)."""

    @classmethod
    def of(cls, predictors: pd.DataFrame) -> _Columns:
        values = predictors.to_numpy(dtype=float)
        mean, scale = values.mean(0), values.std(0)
        span = np.ptp(values, axis=0)
        return cls([str(name) for name in predictors.columns], (values - mean) / scale, mean, scale, span)

    def back(self, n_theta: int) -> np.ndarray:
        """T with (θ, β) = T (θ, β) of the standardised columns; (q, q)."""
        p = len(self.names)
        transform = np.eye(n_theta + p)
        transform[n_theta:, n_theta:] = np.diag(1 / self.scale)
        transform[:n_theta, n_theta:] = self.mean / self.scale
        return transform


def _model(y: np.ndarray, x: np.ndarray, factors: list[tuple[np.ndarray, np.ndarray]], exact: bool | None) -> Model:
    """Factors with fewer levels first; a missing one has a single level and no σ."""
    coded = [Grouping(codes.astype(np.int32), len(levels)) for codes, levels in factors]
    first, second = [Grouping(np.zeros(len(y), np.int32), 1)] * (2 - len(coded)) + coded
    free = (len(coded) == 2, len(coded) > 0)
    small = first.levels <= EXACT_LEVELS if exact is None else exact
    return Model(y, x, Crossing(first, second), free, ExactFactor if small else StochasticFactor)


# ---- the maximum, and its boundary


def _without_zero(maximum: Maximum) -> Maximum:
    """The maximum with a σ of about zero held at zero, where that costs nothing."""
    sigma, model = maximum.state.sigma, maximum.state.model
    for side in np.argsort(np.abs(sigma)):
        if not model.free[side] or abs(sigma[side]) >= ZERO_SIGMA:
            continue
        free = (model.free[0] and side != 0, model.free[1] and side != 1)
        smaller = maximise(replace(model, free=free))
        if smaller.state.value >= maximum.state.value - ZERO_COST:
            return _without_zero(smaller)
    return maximum


# ---- the result


def _result(maximum: Maximum, columns: _Columns, categories: np.ndarray, order: list[str], codes: Codes) -> Fit:
    state, model = maximum.state, maximum.state.model
    q, transform = model.n_fixed, columns.back(model.n_theta)
    covariance, sound = _inverse(maximum.information)
    covariance = transform @ covariance[:q, :q] @ transform.T
    estimates = transform @ state.psi[:q]
    errors = np.sqrt(np.diagonal(covariance))
    labels = [_label(value) for value in categories]
    between = [f"{low}|{high}" for low, high in pairwise(labels)]
    effects, modes = {}, {}
    for side, name in enumerate(order, 2 - len(order)):
        levels = codes[name][1]
        effects[name] = (abs(float(state.sigma[side])), len(levels))
        modes[name] = pd.Series(state.sigma[side] * (state.u, state.v)[side], index=levels, name=name)
    names, cut = [*between, *columns.names], len(between)
    thresholds = pd.DataFrame({"estimate": estimates[:cut], "std_error": errors[:cut]}, index=pd.Index(between))
    in_order = {name: effects[name] for name in codes}
    return Fit(
        n=len(model.y),
        categories=tuple(labels),
        counts=tuple(int(count) for count in model.counts),
        thresholds=thresholds,
        coefficients=coefficient_table(columns.names, estimates[cut:], errors[cut:]),
        random_effects=pd.DataFrame.from_dict(in_order, orient="index", columns=["sd", "n_levels"]),
        modes={name: modes[name] for name in codes},
        covariance=pd.DataFrame(covariance, index=names, columns=names),
        log_likelihood=state.value,
        log_likelihood_error=0.5 * getattr(state.factor, "log_determinant_error", 0.0),
        n_parameters=q + len(order),
        converged=maximum.converged,
        steps=maximum.steps,
        decrement=maximum.decrement,
        notes=tuple(_notes(maximum, columns, effects, errors[cut:], sound)),
    )


def _inverse(information: np.ndarray) -> tuple[np.ndarray, bool]:
    """The covariance; NaN, and False, where the information is negative in some direction by more than rounding.

    A direction without information (separation) gets a variance as large as rounding can tell from infinity.
    """
    scale = np.sqrt(np.abs(np.diagonal(information)))
    if not (scale > 0).all() or np.linalg.eigvalsh(information / np.outer(scale, scale))[0] < -ROUNDING:
        return np.full_like(information, np.nan), False
    return np.linalg.inv(positive(information)), True


def _notes(
    maximum: Maximum, columns: _Columns, effects: Mapping[str, tuple[float, int]], errors: np.ndarray, sound: bool
) -> list[str]:
    notes = []
    if not maximum.converged:
        way = f"{maximum.steps} steps (decrement {maximum.decrement:.1e})"
        notes.append(f"NOT CONVERGED after {way}: don't use the numbers")
    if not sound:
        notes.append("no standard errors: the log-likelihood is not curved downwards everywhere")
    notes += [f"singular: the standard deviation of {name} is zero" for name, (sd, _) in effects.items() if sd == 0]
    runaway = [name for name, (sd, _) in effects.items() if sd > LARGEST_SIGMA]
    notes += [f"the standard deviation of {name} runs away: ratings hardly vary within its levels" for name in runaway]
    if separated := ", ".join(np.array(columns.names, dtype=object)[errors * columns.span > SEPARATED]):
        notes.append(f"separation: the data set no bound to {separated}; its huge standard error is not a measurement")
    if maximum.state.rows.value > -DECIDED:
        notes.append("separation: the model tells every rating, so that its estimates have no bounds")
    if maximum.state.model.factor is StochasticFactor:
        notes.append("many levels: log-determinants are estimated from random probes")
    return notes
