"""The maximum of the Laplace objective and its curvature there.

Start: joint Newton steps on (θ, β, u, v) with σ held, where h is concave, and a few EM updates of σ. Then BFGS on
ψ = (θ, β, σ), whose first matrix is the information of h plus the curvature of log|D| in the columns of σ.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from tasks.survey.clmm.laplace import Model, State, at_modes, moved_to

log = logging.getLogger(__name__)

START_SIGMA = 1.0
EM_UPDATES = 3
START_TOLERANCE = 1e-3
"""Of the decrement of the joint Newton steps, which only have to come near."""
QUIET_SECONDS = 5.0
TOLERANCE = 1e-9
"""Of the Newton decrement g′I⁻¹g: twice what the log-likelihood may still lack."""
NEAR = 1e-4
"""A decrement below which values differ by less than what probes leave open: steps may lose up to `SLACK`."""
SLACK = 1e-2
"""Far less than a step loses that leaves the log-likelihood's domain, and far more than probes leave open."""
MOST_STEPS = 200
LARGEST_SIGMA = 50.0
"""On the logit scale; beyond it a factor's levels decide the rating and σ runs away."""
DIFFERENCE_STEP = 1e-3
"""Of a standard error, or of one logit where that is less."""


@dataclass(frozen=True)
class Maximum:
    """Where the search ended; `information` is −∂²L/∂ψ∂ψ′ (q, q), `decrement` g′I⁻¹g by the last approximation."""

    state: State
    information: np.ndarray
    decrement: float
    steps: int

    @property
    def converged(self) -> bool:
        return bool(self.decrement < TOLERANCE and np.abs(self.state.sigma).max() <= LARGEST_SIGMA)


def maximise(model: Model) -> Maximum:
    """Climb to the maximum; a long way is told as it goes."""
    started = time.monotonic()
    state = _start(model)
    information = _first_information(state)
    decrement = np.inf
    for steps in range(MOST_STEPS):
        gradient = state.gradient
        step = _solve(information, gradient)
        decrement = float(gradient @ step)
        level = logging.INFO if time.monotonic() - started > QUIET_SECONDS else logging.DEBUG
        log.log(level, "clmm: step %d, log-likelihood %.4f, decrement %.1e", steps, state.value, decrement)
        if decrement < TOLERANCE or np.abs(state.sigma).max() > LARGEST_SIGMA:
            break
        moved = _uphill(state, step, decrement)
        if moved is None:
            break
        information = _updated(information, moved.psi - state.psi, gradient - moved.gradient)
        state = moved
    if time.monotonic() - started > QUIET_SECONDS:
        log.info("clmm: standard errors of %d parameters …", model.n_parameters)
    return Maximum(state, _information(state), decrement, steps)


# ---- start


def _start(model: Model) -> State:
    crossing = model.crossing
    shares = np.cumsum(model.counts)[:-1] / len(model.y)
    thresholds, slopes = np.log(shares / (1 - shares)), np.zeros(model.x.shape[1])
    psi = np.concatenate([thresholds, slopes, np.full(sum(model.free), START_SIGMA)])
    state = State(model, psi, np.zeros(crossing.n_first), np.zeros(crossing.n_second))
    state = _joint(state)
    for _ in range(EM_UPDATES if any(model.free) else 0):
        state = _joint(State(model, _em(state), state.u, state.v))
    return at_modes(state, state.factor)


def _joint(state: State) -> State:
    """Newton steps on (θ, β, u, v) with σ held."""
    q = state.model.n_fixed
    for _ in range(MOST_STEPS):
        gradient, inner = state.gradient_of_h[:q], state.mode_gradient
        free = state.factor.solve(*inner)
        shift = [part[:, :q] for part in state.mode_shift]
        gradient = gradient + shift[0].T @ inner[0] + shift[1].T @ inner[1]
        step = _solve(state.information_of_h[:q, :q], gradient)
        decrement = gradient @ step + inner[0] @ free[0] + inner[1] @ free[1]
        moved = _joint_step(state, step, free[0] + shift[0] @ step, free[1] + shift[1] @ step)
        if moved is None:
            break
        state = moved
        if decrement < START_TOLERANCE:
            break
    return state


def _joint_step(state: State, step: np.ndarray, step_u: np.ndarray, step_v: np.ndarray) -> State | None:
    """The state after the step, halved until h does not fall; None where it always does."""
    size = 1.0
    while size > 1e-6:
        psi = state.psi.copy()
        psi[: len(step)] += size * step
        moved = State(state.model, psi, state.u + size * step_u, state.v + size * step_v)
        if moved.h >= state.h:
            return moved
        size /= 2
    return None


def _em(state: State) -> np.ndarray:
    """ψ after σ² ← σ² · mean(û² + P) for each factor, an EM update with u's approximate posterior."""
    inverse = state.factor.inverse()
    psi, q = state.psi.copy(), state.model.n_fixed
    spread = [np.sqrt(np.mean(modes**2 + p)) for modes, p in ((state.u, inverse.first), (state.v, inverse.second))]
    psi[q:] *= [value for value, free in zip(spread, state.model.free, strict=True) if free]
    return psi


# ---- BFGS


def _uphill(state: State, step: np.ndarray, decrement: float) -> State | None:
    """The state after the step, halved until L rises as it should (Armijo), or if near the top hardly falls; None where
    it no longer can."""
    size = 1.0
    while size > 1e-8:
        moved = moved_to(state, state.psi + size * step)
        if moved.value - state.value >= (-SLACK if decrement < NEAR else 1e-4 * size * decrement):
            return moved
        size /= 2
    return None


def _updated(information: np.ndarray, step: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """BFGS: the matrix that takes `step` to the gradient's `fall` and else changes least."""
    curvature = float(step @ fall)
    if curvature <= 1e-12 * float(step @ step):
        return information
    taken = information @ step
    return information - np.outer(taken, taken) / (step @ taken) + np.outer(fall, fall) / curvature


def _first_information(state: State) -> np.ndarray:
    """Directions in which L still bends upwards are gone as far as if it bent downwards as much."""
    columns = range(state.model.n_fixed, state.model.n_parameters)
    return positive(state.information_of_h - _bend(state, state.information_of_h, columns), mirrored=True)


def _information(state: State) -> np.ndarray:
    """−∂²L/∂ψ∂ψ′: that of h exactly, that of log|D| by differences of its gradient."""
    return state.information_of_h - _bend(state, state.information_of_h, range(state.model.n_parameters))


def _bend(state: State, scale: np.ndarray, columns: range) -> np.ndarray:
    """∂²(−½ log|D|)/∂ψ∂ψ′ in the given columns and rows, zero elsewhere."""
    bend = np.zeros_like(scale)
    if not any(state.model.free):
        return bend
    errors = np.sqrt(np.diagonal(np.linalg.inv(positive(scale))))
    for column in columns:
        psi = state.psi.copy()
        psi[column] += DIFFERENCE_STEP * min(errors[column], 1.0)
        change = moved_to(state, psi).gradient_of_log_determinant - state.gradient_of_log_determinant
        bend[:, column] = change / (psi[column] - state.psi[column])
    known = np.zeros(len(bend), bool)
    known[list(columns)] = True
    both = np.outer(known, known)
    mirrored = np.where(known[None, :], bend, bend.T)
    return np.where(both, (bend + bend.T) / 2, mirrored)


def positive(matrix: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """The matrix with eigenvalues of its correlation form, or if `mirrored` their sizes, raised to 1e-8 at least."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(matrix)), 1e-12))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    return (vectors * np.maximum(np.abs(values) if mirrored else values, 1e-8)) @ vectors.T * np.outer(scale, scale)


def _solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    try:
        return cho_solve(cho_factor(matrix), vector)
    except np.linalg.LinAlgError:
        return cho_solve(cho_factor(positive(matrix)), vector)
