"""The factored curvature D = I + ΛZ′WZΛ against a dense matrix built from its definition."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from tasks.survey.clmm.crossing import Crossing, Grouping
from tasks.survey.clmm.factor import ExactFactor, Factor
from tasks.survey.clmm.stochastic import StochasticFactor

SIGMAS = [(1.3, 0.7), (-1.3, 0.7), (0.0, 0.7), (1.3, 0.0), (0.0, 0.0), (20.0, 30.0)]


def crossing(seed: int, rows: int, first: int, second: int) -> Crossing:
    """Rows at random; cells repeat where there are more rows than cells."""
    rng = np.random.default_rng(seed)
    codes = [np.append(np.arange(levels), rng.integers(0, levels, rows - levels)) for levels in (first, second)]
    return Crossing(Grouping(rng.permutation(codes[0]), first), Grouping(rng.permutation(codes[1]), second))


def nested() -> Crossing:
    """Thirty items, each of one of six raters: no two raters meet on an item."""
    item = np.repeat(np.arange(30), 2)
    return Crossing(Grouping(item % 6, 6), Grouping(item, 30))


CROSSINGS = {
    "few cells": crossing(0, 60, 12, 40),
    "many cells": crossing(1, 300, 12, 40),
    "repeated cells": crossing(2, 200, 3, 5),
    "one level of the first": crossing(3, 40, 1, 7),
    "one level of both": crossing(4, 10, 1, 1),
    "nested": nested(),
}


@pytest.fixture(params=CROSSINGS, ids=lambda name: name.replace(" ", "-"))
def crossed(request: pytest.FixtureRequest) -> Crossing:
    made = CROSSINGS[request.param]
    return Crossing(made.first, made.second)  # nothing cached


@pytest.fixture(params=["dense", "sparse"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Force one way of building S, with several blocks in the dense one."""
    monkeypatch.setattr("tasks.survey.clmm.crossing.DENSE_SHARE", {"dense": -1.0, "sparse": 2.0}[request.param])
    monkeypatch.setattr("tasks.survey.clmm.crossing.BLOCK", 7)


def weights(made: Crossing) -> np.ndarray:
    return np.random.default_rng(9).uniform(0.05, 0.5, len(made.first.codes))


def dense(made: Crossing, w: np.ndarray, sigma: tuple[float, float]) -> np.ndarray:
    """D by its definition (R + I, R + I)."""
    z = np.hstack(
        [sigma[0] * np.eye(made.n_first)[made.first.codes], sigma[1] * np.eye(made.n_second)[made.second.codes]]
    )
    return np.eye(z.shape[1]) + z.T @ (w[:, None] * z)


def solution(factor: Factor, made: Crossing, right: np.ndarray) -> np.ndarray:
    return np.concatenate(factor.solve(right[: made.n_first], right[made.n_first :]))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_exact_factor_is_that_of_the_dense_matrix(crossed: Crossing, sigma: tuple[float, float]) -> None:
    w = weights(crossed)
    factor, whole = ExactFactor(crossed, w, np.array(sigma)), dense(crossed, w, sigma)
    assert factor.log_determinant == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-11, abs=1e-12)
    for shape in ((len(whole),), (len(whole), 3)):
        right = np.random.default_rng(1).normal(size=shape)
        assert solution(factor, crossed, right) == pytest.approx(np.linalg.solve(whole, right), rel=1e-8, abs=1e-11)
    inverse, p = np.linalg.inv(whole), factor.inverse()
    n = crossed.n_first
    assert p.first == pytest.approx(np.diagonal(inverse)[:n], rel=1e-9, abs=1e-11)
    assert p.second == pytest.approx(np.diagonal(inverse)[n:], rel=1e-9, abs=1e-11)
    assert p.cells == pytest.approx(inverse[crossed.cell_first, n + crossed.cell_second], rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_conjugate_gradients_solve_as_the_dense_matrix(crossed: Crossing, sigma: tuple[float, float]) -> None:
    w = weights(crossed)
    factor, whole = StochasticFactor(crossed, w, np.array(sigma)), dense(crossed, w, sigma)
    for shape in ((len(whole),), (len(whole), 3)):
        right = np.random.default_rng(1).normal(size=shape)
        # residuals are 1e-9 of the right-hand side, and D ≥ I
        assert solution(factor, crossed, right) == pytest.approx(np.linalg.solve(whole, right), abs=1e-7)
    zero = np.zeros(len(whole))
    assert solution(factor, crossed, zero).tolist() == zero.tolist()


@pytest.mark.parametrize("sigma", [(1.3, 0.7), (-1.3, 0.7), (3.0, 2.0)])
@pytest.mark.parametrize("name", ["few cells", "many cells", "nested"])
def test_random_probes_estimate_what_the_exact_factor_gives(name: str, sigma: tuple[float, float]) -> None:
    made = CROSSINGS[name]
    w = weights(made)
    random, exact = StochasticFactor(made, w, np.array(sigma)), ExactFactor(made, w, np.array(sigma))
    error = random.log_determinant_error
    # four standard errors of 16 probes; nothing is left to estimate where K is diagonal (nested)
    assert abs(random.log_determinant - exact.log_determinant) <= 4 * error + 1e-9
    assert error < 0.02 * exact.log_determinant
    found, expected = random.inverse(), exact.inverse()
    for one, other in zip((found.first, found.second), (expected.first, expected.second), strict=True):
        # an average over the levels, in which the probes' noise is that of a trace
        assert one.mean() == pytest.approx(other.mean(), rel=0.05)
    by_cell = made.by_cell(w)
    assert by_cell @ found.cells == pytest.approx(by_cell @ expected.cells, rel=0.1)


@pytest.mark.parametrize("sigma", [(0.0, 0.7), (1.3, 0.0), (0.0, 0.0)])
def test_random_probes_are_exact_where_the_factors_do_not_mix(crossed: Crossing, sigma: tuple[float, float]) -> None:
    w = weights(crossed)
    random, exact = StochasticFactor(crossed, w, np.array(sigma)), ExactFactor(crossed, w, np.array(sigma))
    assert random.log_determinant == pytest.approx(exact.log_determinant, rel=1e-12, abs=1e-12)
    assert random.log_determinant_error == 0
    assert random.inverse().first == pytest.approx(exact.inverse().first, rel=1e-12)
    assert random.inverse().second == pytest.approx(exact.inverse().second, rel=1e-12)


def test_probes_are_the_same_each_time() -> None:
    made = CROSSINGS["many cells"]
    twice = [StochasticFactor(made, weights(made), np.array([1.3, 0.7])).log_determinant for _ in range(2)]
    assert twice[0] == twice[1]


@pytest.mark.parametrize("name", CROSSINGS)
def test_cells_are_the_pairs_of_levels_that_occur(name: str) -> None:
    made = CROSSINGS[name]
    rows = list(zip(made.second.codes.tolist(), made.first.codes.tolist(), strict=True))
    cells = list(zip(made.cell_second.tolist(), made.cell_first.tolist(), strict=True))
    assert cells == sorted(set(rows))
    assert [cells[cell] for cell in made.cell] == rows
    values = np.arange(len(rows), dtype=float)
    assert made.by_cell(values).tolist() == [sum(values[k] for k, row in enumerate(rows) if row == c) for c in cells]


@pytest.mark.parametrize("name", CROSSINGS)
def test_pairs_are_all_pairs_of_cells_of_a_level(name: str) -> None:
    made = CROSSINGS[name]
    a, b = (part.tolist() for part in made.pairs)
    expected = [pair for low, high in pairwise(made.starts.tolist()) for pair in combinations(range(low, high), 2)]
    assert list(zip(a, b, strict=True)) == expected


def test_sums_over_levels_are_those_of_the_rows() -> None:
    grouping = Grouping(np.array([2, 0, 2, 0, 0]), 4)
    assert grouping.sum(np.array([1.0, 2, 4, 8, 16])).tolist() == [26, 0, 5, 0]
    two = np.column_stack([[1.0, 2, 4, 8, 16], np.ones(5)])
    assert grouping.sum(two).tolist() == [[26, 3], [0, 0], [5, 2], [0, 0]]
