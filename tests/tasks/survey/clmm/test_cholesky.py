"""LAPACK without Python's lock: the same bits as scipy's own wrappers, and other threads go on."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from tasks.survey.clmm.cholesky import factorise, invert


def definite(n: int, seed: int = 0) -> np.ndarray:
    """A positive definite matrix (n, n) in column order."""
    root = np.random.default_rng(seed).normal(size=(n, n))
    return np.asfortranarray(root @ root.T + n * np.eye(n))


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_root_and_inverse_are_scipys_to_the_bit(n: int) -> None:
    with threadpool_limits(1, "blas"):
        matrix = definite(n)
        root = matrix.copy(order="F")
        assert factorise(root)
        expected = lapack.dpotrf(matrix, lower=1, clean=0)[0]
        assert np.array_equal(root, expected)
        inverse = root.copy(order="F")
        invert(inverse)
        assert np.array_equal(inverse, lapack.dpotri(expected, lower=1)[0])
    whole = np.tril(inverse) + np.tril(inverse, -1).T
    assert whole @ matrix == pytest.approx(np.eye(n), abs=1e-10)


def test_a_matrix_that_is_not_positive_definite_has_no_root() -> None:
    assert not factorise(np.asfortranarray([[1.0, 0.0], [2.0, 1.0]]))  # 1 - 2² < 0


@pytest.mark.parametrize(
    "matrix", [np.array([[1.0, 2.0], [3.0, 4.0]]), np.asfortranarray(np.eye(2, dtype=int)), np.ones((2, 1))]
)
def test_what_lapack_would_read_wrongly_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a square matrix of floats in column order"):
        factorise(matrix)


def test_another_thread_goes_on_while_a_root_is_sought() -> None:
    calls: list[tuple[float, float]] = []
    matrix = np.asfortranarray(2 * np.eye(2500))  # LAPACK does not look for zeros: some 5 billion multiplications

    def work() -> None:
        for _ in range(3):
            own = matrix.copy(order="F")
            began = time.monotonic()
            factorise(own)
            calls.append((began, time.monotonic()))

    thread, moments = threading.Thread(target=work), []
    with threadpool_limits(1, "blas"):
        thread.start()
        while thread.is_alive():
            moments.append(time.monotonic())
        thread.join()
    # a call that held the lock would leave no moment to this thread between its beginning and its end; the first and
    # the last quarter don't count, in which a busy machine may stop the other thread outside of the call
    within = [(began + (ended - began) / 4, ended - (ended - began) / 4) for began, ended in calls]
    met = [any(low < moment < high for moment in moments) for low, high in within]
    assert sum(met) >= 2
