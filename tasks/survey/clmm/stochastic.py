"""D without its dense Cholesky factor: conjugate gradients, and traces from random probes.

For so many levels that R³ is out of reach. With K = GG′ scaled from the Schur complement,

    S = A^½ (I − K) A^½,   K = G′G,   G = E^−½ B′ A^−½ (I × R, sparse),   0 ≤ K < I

solutions come from conjugate gradients on I − K, and traces from J fixed probes z of ±1 (Hutchinson 1990), each of
which needs y = (I − K)⁻¹ z once. What is known exactly is taken out first, so that probes estimate only the rest:

    diag (I − K)⁻¹  = 1 + K_rr + mean z ∘ (y − z − Kz)
    (I − K)⁻¹ G′    = G′ + mean (y − z) (Gz)′, in the cells
    log|I − K|      = −tr K − tr K²/2 + mean [z′ log(I − K) z + z′Kz + z′K²z/2]

z′ log(I − K) z follows by Gauss quadrature from the Lanczos matrix that conjugate gradients make on the way (Ubaru,
Chen & Saad 2017). The probes are the same at every ψ, so estimates move smoothly with ψ, but their gradient is not
exactly that of the estimated log-determinant: compare decrements, not values, of states that are close.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.linalg import eigh_tridiagonal

from tasks.survey.clmm.crossing import Crossing
from tasks.survey.clmm.factor import Blocks, Inverse

PROBES = 16
SEED = 0
TOLERANCE = 1e-9
"""Of a residual, relative to its right-hand side."""
MOST_STEPS = 1000


class StochasticFactor:
    """See the module; the interface is `factor.Factor`."""

    def __init__(self, crossing: Crossing, w: np.ndarray, sigma: np.ndarray) -> None:
        self._blocks = Blocks(crossing, w, sigma)
        self._root_a = np.sqrt(self._blocks.a)
        self._g = self._blocks.b / (self._root_a[crossing.cell_first] * np.sqrt(self._blocks.e)[crossing.cell_second])
        self._table = crossing.table(self._g)
        self._columns = self._table.T.tocsr()

    def _k(self, x: np.ndarray) -> np.ndarray:
        """K x: (R, q) → (R, q)."""
        return self._columns @ (self._table @ x)

    def solve(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if a.ndim == 1:
            x, y = self.solve(a[:, None], b[:, None])
            return x[:, 0], y[:, 0]
        table, e, root = self._blocks.table, self._blocks.e[:, None], self._root_a[:, None]
        x = self._conjugate((a - table.T @ (b / e)) / root)[0] / root
        return x, (b - table @ x) / e

    def _conjugate(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(I − K) x = right (R, q), with the step lengths α and ratios β of each column (steps, q)."""
        x, residual = np.zeros_like(right), right.copy()
        direction, size = residual.copy(), np.einsum("rq,rq->q", residual, residual)
        enough = TOLERANCE**2 * size
        alphas, betas = [], []
        for _ in range(MOST_STEPS):
            if np.all(size <= enough):
                break
            image = direction - self._k(direction)
            alpha = _ratio(size, np.einsum("rq,rq->q", direction, image))
            x += alpha * direction
            residual -= alpha * image
            last, size = size, np.einsum("rq,rq->q", residual, residual)
            beta = _ratio(size, last)
            direction *= beta
            direction += residual
            alphas.append(alpha)
            betas.append(beta)
        return x, np.array(alphas), np.array(betas)

    @cached_property
    def _probed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Probes z (R, J), (I − K)⁻¹ z, and the α and β on the way."""
        z = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(len(self._root_a), PROBES))
        return z, *self._conjugate(z)

    @cached_property
    def _log_determinants(self) -> np.ndarray:
        """Each probe's estimate of log|D| (J,)."""
        z, _, alphas, betas = self._probed
        gz = self._table @ z
        kz = self._columns @ gz
        gram = (self._columns @ self._table).data
        known = np.log(self._blocks.a).sum() + np.log(self._blocks.e).sum() - self._g @ self._g - gram @ gram / 2
        logs = np.array([len(z) * _log_quadrature(alpha, beta) for alpha, beta in zip(alphas.T, betas.T, strict=True)])
        return known + logs + np.einsum("iq,iq->q", gz, gz) + np.einsum("rq,rq->q", kz, kz) / 2

    @property
    def log_determinant(self) -> float:
        return float(self._log_determinants.mean())

    @property
    def log_determinant_error(self) -> float:
        """Standard error of log|D| over the probes."""
        return float(self._log_determinants.std(ddof=1) / np.sqrt(PROBES))

    def inverse(self) -> Inverse:
        crossing, z = self._blocks.crossing, self._probed[0]
        rest, gz = self._probed[1] - z, self._table @ z
        kept = np.bincount(crossing.cell_first, self._g**2, crossing.n_first)
        p_rr = (1 + kept + ((rest - self._columns @ gz) * z).mean(1)) / self._blocks.a
        met = sum(rest[crossing.cell_first, j] * gz[crossing.cell_second, j] for j in range(PROBES)) / PROBES
        root_e = np.sqrt(self._blocks.e)[crossing.cell_second]
        return self._blocks.inverse(p_rr, (self._g + met) * root_e / self._root_a[crossing.cell_first])


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, zero where b is (columns that have converged exactly)."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _log_quadrature(alpha: np.ndarray, beta: np.ndarray) -> float:
    """e₁′ log(T) e₁ of the Lanczos matrix T of one column's conjugate gradients (steps,), (steps,)."""
    alpha, beta = alpha[alpha > 0], beta[: np.count_nonzero(alpha > 0)]
    diagonal = 1 / alpha + np.append(0.0, beta[:-1] / alpha[:-1])
    values, vectors = eigh_tridiagonal(diagonal, np.sqrt(beta[:-1]) / alpha[:-1])
    return float(vectors[0] ** 2 @ np.log(values))
