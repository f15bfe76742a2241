"""The likelihood of one rating, and its derivatives, under a cumulative logit model.

    P(y_k ≤ j) = logistic(θ_j − η_k),   θ_0 = −∞ < θ_1 < … < θ_{J−1} < θ_J = ∞

The logit link separates (Burridge 1981; any two values of logistic differ by a product):

    log P(y_k = y) = log(1 − q_k) + log(1 − s_k) + log(1 − e^{−(θ_y − θ_{y−1})})
    q_k = logistic(η_k − θ_y),   s_k = logistic(θ_{y−1} − η_k)

so that a row needs two logistic functions, and the last term only the number of ratings in each category. log P is
concave in (θ, η) together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, log_expit


@dataclass(frozen=True)
class Rows:
    """Every rating's likelihood at thresholds θ (J−1,) and predictors η (N,); `y` (N,) has codes 0 … J−1."""

    y: np.ndarray
    counts: np.ndarray
    """Ratings a category (J,)."""
    theta: np.ndarray
    eta: np.ndarray

    @cached_property
    def _above(self) -> np.ndarray:
        """θ_y − η, the room below the upper threshold (N,); ∞ in the top category."""
        return np.append(self.theta, np.inf)[self.y] - self.eta

    @cached_property
    def _below(self) -> np.ndarray:
        """η − θ_{y−1}, the room above the lower threshold (N,); ∞ in the bottom category."""
        return self.eta - np.append(-np.inf, self.theta)[self.y]

    @cached_property
    def q(self) -> np.ndarray:
        return expit(-self._above)

    @cached_property
    def s(self) -> np.ndarray:
        return expit(-self._below)

    @cached_property
    def g1(self) -> np.ndarray:
        """∂q/∂η = q(1 − q) (N,)."""
        return self.q * (1 - self.q)

    @cached_property
    def g2(self) -> np.ndarray:
        """−∂s/∂η = s(1 − s) (N,)."""
        return self.s * (1 - self.s)

    @cached_property
    def gaps(self) -> np.ndarray:
        """θ_j − θ_{j−1} between neighbouring thresholds (J−2,)."""
        return np.diff(self.theta)

    @cached_property
    def value(self) -> float:
        """Σ log P(y_k); −∞ where thresholds are out of order."""
        if np.any(self.gaps <= 0):
            return -np.inf
        inner = self.counts[1:-1] @ np.log(-np.expm1(-self.gaps))
        return float(log_expit(self._above).sum() + log_expit(self._below).sum() + inner)

    @cached_property
    def slope(self) -> np.ndarray:
        """ℓ′ = ∂ log P/∂η = s − q (N,)."""
        return self.s - self.q

    @cached_property
    def weight(self) -> np.ndarray:
        """W = −∂ℓ′/∂η = g₁ + g₂ > 0 (N,)."""
        return self.g1 + self.g2

    @cached_property
    def weight_slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """(g₁(1 − 2q), g₂(1 − 2s)): ∂W/∂η is the first minus the second, ∂W/∂θ_y minus the first, ∂W/∂θ_{y−1} the
        second (N,)."""
        return self.g1 * (1 - 2 * self.q), self.g2 * (1 - 2 * self.s)

    def at_thresholds(self, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Σ over the rows below each threshold of `upper`, and over those above it of `lower`: (N,), (N,) → (J−1,)."""
        categories = len(self.counts)
        below = np.bincount(self.y, upper, categories)[:-1]
        return below + np.bincount(self.y, lower, categories)[1:]

    @cached_property
    def theta_gradient(self) -> np.ndarray:
        """∂ Σ log P/∂θ (J−1,): Σ_{y=j} q − Σ_{y=j+1} s and, from the gaps, ± n_y / (e^{gap} − 1)."""
        with np.errstate(over="ignore"):
            pull = self.counts[1:-1] / np.expm1(self.gaps)
        return self.at_thresholds(self.q, -self.s) + np.append(0.0, pull) - np.append(pull, 0.0)

    @cached_property
    def theta_information(self) -> np.ndarray:
        """−∂² Σ log P/∂θ∂θ′ (J−1, J−1), tridiagonal."""
        with np.errstate(over="ignore"):
            bend = self.counts[1:-1] / (4 * np.sinh(self.gaps / 2) ** 2)
        diagonal = self.at_thresholds(self.g1, self.g2) + np.append(0.0, bend) + np.append(bend, 0.0)
        return np.diag(diagonal) - np.diag(bend, 1) - np.diag(bend, -1)
