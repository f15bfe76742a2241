"""Derivatives against differences, and the objective against one written anew with dense matrices.

Differences are of fourth order: (8 (f(+h) − f(−h)) − (f(+2h) − f(−2h))) / 12h. With h = 1e-3 their own error is about
h⁴ ≈ 1e-12 of f's fifth derivative, and rounding gives 1e-13 · |f| / h ≈ 1e-8 for |f| ≈ 500: 1e-6 of the largest entry
holds with room, and no wrong term of a formula is that small.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from tasks.survey.clmm.laplace import Model, State, at_modes, moved_to
from tasks.survey.clmm.likelihood import Rows
from tasks.survey.clmm.maximise import maximise
from tests.tasks.survey.clmm.simulated import model, ratings

STEP = 1e-3


def differences(function: Callable[[np.ndarray], float | np.ndarray], at: np.ndarray) -> np.ndarray:
    """∂function/∂at, of the function's shape and one axis more."""
    columns = []
    for place in range(len(at)):
        step = STEP * np.eye(len(at))[place]
        near, far = (np.asarray(function(at + k * step)) - function(at - k * step) for k in (1, 2))
        columns.append((8 * near - far) / (12 * STEP))
    return np.stack(columns, axis=-1)


def close(actual: np.ndarray, expected: np.ndarray, relative: float = 1e-6) -> bool:
    """Whether no entry is off by more than this share of the largest one."""
    return bool(np.abs(actual - expected).max() <= relative * max(np.abs(expected).max(), 1.0))


# ---- one rating


def rows(theta: np.ndarray, eta: np.ndarray, y: np.ndarray) -> Rows:
    return Rows(y, np.bincount(y, minlength=len(theta) + 1), theta, eta)


def cumulative(theta: np.ndarray, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(y_k) as the difference of two cumulative probabilities, by the definition (N,)."""
    below = expit(np.append(theta, np.inf)[y] - eta)
    return below - expit(np.append(-np.inf, theta)[y] - eta)


def test_a_rating_by_hand() -> None:
    # θ = (0, log 3), η = 0: P(y ≤ 1) = 1/2, P(y ≤ 2) = 3/4, so that P = (1/2, 1/4, 1/4).
    found = rows(np.array([0.0, np.log(3)]), np.zeros(3), np.array([0, 1, 2]))
    assert found.value == pytest.approx(np.log(1 / 2) + 2 * np.log(1 / 4), abs=1e-14)
    # q = 1 − P(y ≤ y_k), s = P(y ≤ y_k − 1): (1/2, 0), (1/4, 1/2), (0, 3/4), and ℓ′ = s − q.
    assert found.slope == pytest.approx([-1 / 2, 1 / 4, 3 / 4], abs=1e-14)
    # W = q(1 − q) + s(1 − s): 1/4, 3/16 + 1/4, 3/16.
    assert found.weight == pytest.approx([1 / 4, 7 / 16, 3 / 16], abs=1e-14)


@pytest.mark.parametrize("categories", [2, 3, 7])
def test_the_likelihood_of_a_rating_and_its_derivatives(categories: int) -> None:
    rng = np.random.default_rng(categories)
    theta, y = np.sort(rng.normal(scale=2, size=categories - 1)), rng.integers(0, categories, 50)
    eta = rng.normal(scale=2, size=50)
    found = rows(theta, eta, y)
    assert found.value == pytest.approx(np.log(cumulative(theta, eta, y)).sum(), rel=1e-12)
    assert close(found.slope, differences(lambda at: rows(theta, at, y).value, eta))
    assert close(found.theta_gradient, differences(lambda at: rows(at, eta, y).value, theta))
    assert close(-found.theta_information, differences(lambda at: rows(at, eta, y).theta_gradient, theta))
    assert close(-np.diag(found.weight), differences(lambda at: rows(theta, at, y).slope, eta))
    first, second = found.weight_slopes
    assert close(np.diag(first - second), differences(lambda at: rows(theta, at, y).weight, eta))
    upper, lower = np.zeros((50, categories)), np.zeros((50, categories))
    upper[np.arange(50), y], lower[np.arange(50), y] = -first, second
    expected = differences(lambda at: rows(at, eta, y).weight, theta)
    assert close(upper[:, :-1] + lower[:, 1:], expected)


def test_thresholds_out_of_order_are_impossible_and_far_ones_do_no_harm() -> None:
    y = np.array([0, 1, 2])
    assert rows(np.array([1.0, 1.0]), np.zeros(3), y).value == -np.inf
    assert rows(np.array([1.0, -1.0]), np.zeros(3), y).value == -np.inf
    far = rows(np.array([-600.0, 600.0]), np.array([0.0, 0.0, 0.0]), y)
    # log P(y = 1) = log logistic(−600) = −600 to rounding, that of y = 3 likewise, of y = 2 it is 0
    assert far.value == pytest.approx(-1200, abs=1e-9)
    assert far.slope == pytest.approx([-1, 0, 1], abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(far.theta_gradient).all()
        assert np.isfinite(far.theta_information).all()


# ---- the objective


def solved(model: Model, psi: np.ndarray) -> State:
    """The state at ψ with modes found from zero."""
    start = State(model, psi, np.zeros(model.crossing.n_first), np.zeros(model.crossing.n_second))
    return at_modes(start, start.factor)


def parameters(model: Model, sigma: tuple[float, ...]) -> np.ndarray:
    theta = np.linspace(-1.2, 1.7, model.n_theta)
    beta = np.linspace(0.4, -0.6, model.x.shape[1])
    return np.concatenate([theta, beta, sigma])


def repeated(seed: int) -> pd.DataFrame:
    """Each rater meets the same item several times."""
    return ratings(seed, n=160, raters=4, items=8)


CASES = {
    "crossed": (ratings(1, n=150, raters=9, items=14), ("rater", "item"), (0.9, 0.6)),
    "negative": (ratings(2, n=150, raters=9, items=14), ("rater", "item"), (-0.9, 0.6)),
    "one zero": (ratings(3, n=150, raters=9, items=14), ("rater", "item"), (0.0, 0.6)),
    "other zero": (ratings(3, n=150, raters=9, items=14), ("rater", "item"), (0.6, 0.0)),
    "both zero": (ratings(3, n=150, raters=9, items=14), ("rater", "item"), (0.0, 0.0)),
    "sparse": (ratings(4, n=120, raters=30, items=40), ("rater", "item"), (1.5, -1.1)),
    "repeated cells": (repeated(5), ("rater", "item"), (0.7, 1.3)),
    "as many of both": (ratings(6, n=100, raters=12, items=12), ("rater", "item"), (0.7, 1.3)),
    "one group": (ratings(7, n=120, raters=15), ("rater",), (1.1,)),
    "one group at zero": (ratings(7, n=120, raters=15), ("rater",), (0.0,)),
    "no group": (ratings(8, n=120), (), ()),
    "two categories": (ratings(9, n=120, raters=9, items=14, theta=(0.2,)), ("rater", "item"), (0.8, 0.5)),
    "no predictor": (ratings(10, n=120, raters=9, items=14, beta=()), ("rater", "item"), (0.8, 0.5)),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request: pytest.FixtureRequest) -> tuple[Model, np.ndarray]:
    table, groups, sigma = CASES[request.param]
    made = model(table, groups)
    return made, parameters(made, sigma)


@pytest.fixture(params=["dense", "sparse"])
def crossing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Force one way of building S, with several blocks in the dense one."""
    monkeypatch.setattr("tasks.survey.clmm.crossing.DENSE_SHARE", {"dense": -1.0, "sparse": 2.0}[request.param])
    monkeypatch.setattr("tasks.survey.clmm.crossing.BLOCK", 5)


@pytest.mark.usefixtures("crossing")
def test_the_gradient_is_that_of_the_objective(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    state = solved(made, psi)
    assert close(state.gradient, differences(lambda at: solved(made, at).value, psi))


@pytest.mark.usefixtures("crossing")
def test_the_gradient_of_the_log_determinant_follows_the_modes(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    expected = differences(lambda at: -solved(made, at).factor.log_determinant / 2, psi)
    assert close(solved(made, psi).gradient_of_log_determinant, expected)


def test_the_information_of_h_follows_the_modes(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    # by the envelope theorem the gradient of h at its modes is that with the modes held
    expected = differences(lambda at: solved(made, at).gradient_of_h, psi)
    assert close(-solved(made, psi).information_of_h, expected)


def test_the_modes_move_as_the_first_order_says(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    state = solved(made, psi)
    for side, shift in enumerate(state.mode_shift):
        expected = differences(lambda at, side=side: (solved(made, at).u, solved(made, at).v)[side], psi)
        assert close(shift, expected)


def test_a_state_moved_to_is_the_state_solved_anew(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    target = psi + 0.1
    moved, anew = moved_to(solved(made, psi), target), solved(made, target)
    # modes are found to √1e-17 ≈ 3e-9, and log|D| moves with them in the first order
    assert moved.u == pytest.approx(anew.u, abs=1e-8)
    assert moved.v == pytest.approx(anew.v, abs=1e-8)
    assert moved.value == pytest.approx(anew.value, abs=1e-8)


def test_the_objective_is_even_in_each_standard_deviation() -> None:
    table, groups, sigma = CASES["crossed"]
    made = model(table, groups)
    values = [solved(made, parameters(made, (a * sigma[0], b * sigma[1]))).value for a in (1, -1) for b in (1, -1)]
    assert values == pytest.approx([values[0]] * 4, abs=1e-10)
    # so that a standard deviation of zero is a stationary point
    gradient = solved(made, parameters(made, (0.0, 0.0))).gradient
    assert gradient[made.n_fixed :] == pytest.approx([0, 0], abs=1e-12)


def test_the_information_at_the_maximum_is_the_curvature_of_the_objective() -> None:
    made = model(ratings(11, n=300, raters=12, items=30))
    maximum = maximise(made)
    expected = -differences(lambda at: solved(made, at).gradient, maximum.state.psi)
    # The log-determinant's curvature is a one-sided difference over 1e-3 of a standard error, and so good to about 1e-3
    # of itself. It is part of the whole only, less so for the fixed effects.
    assert close(maximum.information, expected, 1e-3)
    found, true = (np.sqrt(np.diagonal(np.linalg.inv(matrix))) for matrix in (maximum.information, expected))
    assert found[: made.n_fixed] == pytest.approx(true[: made.n_fixed], rel=1e-4)
    assert found == pytest.approx(true, rel=1e-3)
    assert np.abs(differences(lambda at: solved(made, at).value, maximum.state.psi)).max() < 1e-3


# ---- the same objective, written from its definition


def dense_laplace(made: Model, psi: np.ndarray) -> tuple[float, np.ndarray]:
    """L(ψ) and the modes, from P(y) = F(θ_y − η) − F(θ_{y−1} − η), one dense Z, scipy's minimiser and slogdet."""
    theta, beta, (s_first, s_second) = psi[: made.n_theta], psi[made.n_theta : made.n_fixed], made.sigma(psi)
    first, second = made.crossing.first, made.crossing.second
    z = np.hstack([s_first * np.eye(first.levels)[first.codes], s_second * np.eye(second.levels)[second.codes]])
    high, low = np.append(theta, np.inf)[made.y], np.append(-np.inf, theta)[made.y]

    def derivatives(modes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log P and its first two derivatives by η."""
        eta = made.x @ beta + z @ modes
        f_high, f_low = expit(high - eta), expit(low - eta)
        d_high, d_low = f_high * (1 - f_high), f_low * (1 - f_low)
        p = f_high - f_low
        slope = -(d_high - d_low) / p
        bend = (d_high * (1 - 2 * f_high) - d_low * (1 - 2 * f_low)) / p - slope**2
        return np.log(p), slope, bend

    def minus_h(modes: np.ndarray) -> float:
        return modes @ modes / 2 - derivatives(modes)[0].sum()

    def minus_slope(modes: np.ndarray) -> np.ndarray:
        return modes - z.T @ derivatives(modes)[1]

    def curvature(modes: np.ndarray) -> np.ndarray:
        return np.eye(z.shape[1]) - z.T @ (derivatives(modes)[2][:, None] * z)

    found = minimize(
        minus_h, np.zeros(z.shape[1]), jac=minus_slope, hess=curvature, method="trust-exact", options={"gtol": 1e-10}
    )
    modes = found.x
    for _ in range(2):  # the minimiser ends where h no longer falls beyond rounding, at a gradient of about 1e-7
        modes = modes - np.linalg.solve(curvature(modes), minus_slope(modes))
    return -minus_h(modes) - np.linalg.slogdet(curvature(modes))[1] / 2, modes


@pytest.mark.usefixtures("crossing")
def test_the_objective_is_the_one_that_its_definition_gives(case: tuple[Model, np.ndarray]) -> None:
    made, psi = case
    state, (value, modes) = solved(made, psi), dense_laplace(made, psi)
    assert state.value == pytest.approx(value, abs=1e-8)
    assert np.append(state.u, state.v) == pytest.approx(modes, abs=1e-8)


def test_the_approximation_is_close_to_the_integral_where_levels_have_many_ratings() -> None:
    # One group: the likelihood is a product of one-dimensional integrals over a level's normal u, which
    # Gauss–Hermite quadrature with 60 nodes gives to rounding. Laplace's error is of order 1/ratings of a level:
    # 15 levels with 40 ratings each leave about 15 · O(1/40) · (a few hundredths), far below 0.05.
    made = model(ratings(12, n=600, raters=15, sd=(1.0, 0.0)), ("rater",))
    psi = parameters(made, (1.0,))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    codes = made.crossing.second.codes
    eta = made.x @ psi[made.n_theta : made.n_fixed]
    logs = np.log(cumulative(psi[: made.n_theta], eta[:, None] + nodes, made.y[:, None]))
    levels = np.array([logs[codes == level].sum(0) for level in range(made.crossing.n_second)])
    top = levels.max(1, keepdims=True)
    exact = (top[:, 0] + np.log(np.exp(levels - top) @ (weights / weights.sum()))).sum()
    assert solved(made, psi).value == pytest.approx(exact, abs=0.05)
