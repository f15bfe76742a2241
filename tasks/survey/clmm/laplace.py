"""The Laplace approximation of a cumulative logit model with two crossed random intercepts.

    η = x β + σ_r u_{r(k)} + σ_i v_{i(k)},   u, v ~ N(0, 1)
    h(ψ, u, v) = Σ log P(y_k) − (|u|² + |v|²) / 2,   ψ = (θ, β, σ)
    L(ψ) = h(ψ, û, v̂) − ½ log|D|,   (û, v̂) = argmax h,   D = −∂²h/∂(u, v)² = I + ΛZ′WZΛ

(Tierney & Kadane 1986; Christensen 2019, ordinal). h is concave in (θ, β, u, v). L is even in each σ, so σ is left
free to take any sign: an estimate of zero is a stationary point in the middle of the line, not the end of it.

The approximation is good where a level has many ratings. With few, standard deviations come out too small, and the
standard errors of what varies between levels with them, a little; that is the method's, in any implementation.

The gradient is exact. h's own part needs no derivative of the modes, since h is stationary there. log|D| moves with W
directly, and through the modes by dû = D⁻¹ ΛZ′ dℓ′, which one adjoint solution λ = D⁻¹ ΛZ′(d · dW/dη) sums up:

    d_k = σ_r² P_rr + 2 σ_r σ_i P_ri + σ_i² P_ii,   z = ZΛλ
    −½ ∂log|D|: by η  ½(z W − d dW/dη);  by θ_y  ½(d g₁(1 − 2q) − z g₁);  by θ_{y−1}  −½(d g₂(1 − 2s) + z g₂)
    by σ_r besides: −½ λ_r′ Z_r′ℓ′ − Σ W (σ_r P_rr + σ_i P_ri)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.survey.clmm.crossing import Crossing, Grouping
from tasks.survey.clmm.factor import Factor
from tasks.survey.clmm.likelihood import Rows

MODE_TOLERANCE = 1e-17
"""Of g′D⁻¹g at the modes; a looser one makes L noisy and stalls the search for its maximum."""
SLOW = 0.05
"""An old factor is kept while it shrinks g′D⁻¹g at least this much a step."""
MOST_STEPS = 100


@dataclass(frozen=True)
class Model:
    """Codes y (N,) of J categories, predictors x (N, p), the crossing, and which of the two σ are estimated."""

    y: np.ndarray
    x: np.ndarray
    crossing: Crossing
    free: tuple[bool, bool]
    factor: Callable[[Crossing, np.ndarray, np.ndarray], Factor]

    @cached_property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y)

    @property
    def n_theta(self) -> int:
        return len(self.counts) - 1

    @property
    def n_fixed(self) -> int:
        """Parameters in θ and β."""
        return self.n_theta + self.x.shape[1]

    @property
    def n_parameters(self) -> int:
        return self.n_fixed + sum(self.free)

    @cached_property
    def categories(self) -> Grouping:
        return Grouping(self.y, len(self.counts))

    def sigma(self, psi: np.ndarray) -> np.ndarray:
        """(σ_r, σ_i), zero where not estimated (2,)."""
        sigma = np.zeros(2)
        sigma[np.array(self.free)] = psi[self.n_fixed :]
        return sigma


@dataclass(frozen=True)
class State:
    """ψ and modes, whether or not they maximise h there; `factor` may belong to an earlier state."""

    model: Model
    psi: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @cached_property
    def sigma(self) -> np.ndarray:
        return self.model.sigma(self.psi)

    @cached_property
    def rows(self) -> Rows:
        model = self.model
        eta = model.x @ self.psi[model.n_theta : model.n_fixed] + self._spread(self.u, self.v)
        return Rows(model.y, model.counts, self.psi[: model.n_theta], eta)

    def _spread(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """ZΛ(u, v): the levels' values on their rows (N,)."""
        first, second = self.model.crossing.first, self.model.crossing.second
        return (self.sigma[0] * u)[first.codes] + (self.sigma[1] * v)[second.codes]

    @property
    def h(self) -> float:
        return self.rows.value - (self.u @ self.u + self.v @ self.v) / 2

    @cached_property
    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Z_r′ℓ′ (R,) and Z_i′ℓ′ (I,)."""
        crossing = self.model.crossing
        return crossing.first.sum(self.rows.slope), crossing.second.sum(self.rows.slope)

    @property
    def mode_gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """∂h/∂u (R,) and ∂h/∂v (I,)."""
        return self.sigma[0] * self.slopes[0] - self.u, self.sigma[1] * self.slopes[1] - self.v

    @cached_property
    def factor(self) -> Factor:
        """D at this state."""
        return self.model.factor(self.model.crossing, self.rows.weight, self.sigma)

    @cached_property
    def predictors(self) -> np.ndarray:
        """∂η/∂(β, σ) (N, p + number of σ)."""
        crossing, free = self.model.crossing, self.model.free
        sides = zip((self.u, self.v), (crossing.first, crossing.second), free, strict=True)
        return np.column_stack([self.model.x, *(modes[side.codes] for modes, side, estimated in sides if estimated)])

    @cached_property
    def gradient_of_h(self) -> np.ndarray:
        """∂h/∂ψ with the modes held."""
        return np.append(self.rows.theta_gradient, self.predictors.T @ self.rows.slope)

    @cached_property
    def _mixed(self) -> tuple[np.ndarray, np.ndarray]:
        """∂²h/∂u∂ψ (R, q) and ∂²h/∂v∂ψ (I, q)."""
        model, crossing, rows, categories = self.model, self.model.crossing, self.rows, len(self.model.counts)
        weighted = rows.weight[:, None] * self.predictors
        parts = []
        for side, grouping in enumerate((crossing.first, crossing.second)):
            by_category = Grouping(grouping.codes.astype(np.int64) * categories + model.y, grouping.levels * categories)
            upper = by_category.sum(rows.g1).reshape(-1, categories)[:, :-1]
            lower = by_category.sum(rows.g2).reshape(-1, categories)[:, 1:]
            part = self.sigma[side] * np.hstack([upper + lower, -grouping.sum(weighted)])
            if model.free[side]:
                part[:, model.n_fixed + sum(model.free[:side])] += self.slopes[side]
            parts.append(part)
        return parts[0], parts[1]

    @cached_property
    def mode_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """∂û/∂ψ (R, q) and ∂v̂/∂ψ (I, q) at the modes: D⁻¹ ∂²h/∂(u, v)∂ψ."""
        return self.factor.solve(*self._mixed)

    @cached_property
    def information_of_h(self) -> np.ndarray:
        """−∂²h/∂ψ∂ψ′ with the modes following ψ (q, q)."""
        model, rows, x = self.model, self.rows, self.predictors
        cross = model.categories.sum(rows.g1[:, None] * x)[:-1] + model.categories.sum(rows.g2[:, None] * x)[1:]
        held = np.block([[rows.theta_information, -cross], [-cross.T, x.T @ (rows.weight[:, None] * x)]])
        return held - sum(mixed.T @ shift for mixed, shift in zip(self._mixed, self.mode_shift, strict=True))

    @cached_property
    def value(self) -> float:
        """L at the modes."""
        return self.h - self.factor.log_determinant / 2

    @cached_property
    def gradient_of_log_determinant(self) -> np.ndarray:
        """∂(−½ log|D|)/∂ψ at the modes (q,); formulas in the module."""
        model, crossing, rows, sigma = self.model, self.model.crossing, self.rows, self.sigma
        p = self.factor.inverse()
        p_rr, p_ii = p.first[crossing.cell_first], p.second[crossing.cell_second]
        d = (sigma[0] ** 2 * p_rr + 2 * sigma[0] * sigma[1] * p.cells + sigma[1] ** 2 * p_ii)[crossing.cell]
        upper, lower = rows.weight_slopes
        moved = d * (upper - lower)
        adjoint = self.factor.solve(sigma[0] * crossing.first.sum(moved), sigma[1] * crossing.second.sum(moved))
        z = self._spread(*adjoint)
        theta = rows.at_thresholds((d * upper - z * rows.g1) / 2, -(d * lower + z * rows.g2) / 2)
        gradient = np.append(theta, self.predictors.T @ ((z * rows.weight - moved) / 2))
        w = crossing.by_cell(rows.weight)
        own = (w @ (sigma[0] * p_rr + sigma[1] * p.cells), w @ (sigma[1] * p_ii + sigma[0] * p.cells))
        direct = [-adjoint[side] @ self.slopes[side] / 2 - own[side] for side in (0, 1) if model.free[side]]
        gradient[model.n_fixed :] += direct
        return gradient

    @property
    def gradient(self) -> np.ndarray:
        """∂L/∂ψ at the modes (q,)."""
        return self.gradient_of_h + self.gradient_of_log_determinant


def at_modes(state: State, factor: Factor) -> State:
    """The state whose modes maximise h at the same ψ: Newton steps, on the given factor while that is good enough."""
    last = np.inf
    for _ in range(MOST_STEPS):
        gradient = state.mode_gradient
        step = factor.solve(*gradient)
        decrement = gradient[0] @ step[0] + gradient[1] @ step[1]
        if decrement < MODE_TOLERANCE:
            return state
        if decrement > SLOW * last and factor is not state.factor:
            factor, last = state.factor, np.inf
            continue
        last = decrement
        state = _uphill(state, step, decrement)
    return state


def _uphill(state: State, step: tuple[np.ndarray, np.ndarray], decrement: float) -> State:
    """The state after the step, halved until h does not fall beyond rounding."""
    size = 1.0
    while True:
        moved = State(state.model, state.psi, state.u + size * step[0], state.v + size * step[1])
        if decrement < 1e-4 or size < 1e-3 or moved.h >= state.h:
            return moved
        size /= 2


def moved_to(state: State, psi: np.ndarray) -> State:
    """The state at another ψ, at its modes, started from where they move to in the first order."""
    change = psi - state.psi
    shift = state.mode_shift
    start = State(state.model, psi, state.u + shift[0] @ change, state.v + shift[1] @ change)
    return at_modes(start, state.factor)
