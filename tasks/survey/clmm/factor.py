"""The curvature of the random effects: D = I + ΛZ′WZΛ, factored through the crossing of two factors.

    D = ⎡A  B ⎤    A = I + σ_r² diag(W_r),  E = I + σ_i² diag(W_i),  B = σ_r σ_i C
        ⎣B′ E ⎦    S = A − B E⁻¹ B′  (R × R),   log|D| = Σ log E + log|S|,   C_{ri} = Σ W over the rows of a cell

E is diagonal and belongs to the factor with more levels, so that only S costs something (Pinheiro & Bates 2000, ch. 2).
A factor gives what the Laplace approximation needs: solutions of D x = a, log|D|, and the entries of P = D⁻¹ where W
has entries: P_rr and P_ii on the diagonal and P_ri in the cells that occur:

    P_rr = diag S⁻¹,   t = S⁻¹ B in the cells,   P_ri = −t / E_i,   P_ii = 1/E_i + Σ_{cells of i} B t / E_i²
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import lapack

from tasks.survey.clmm.cholesky import factorise, invert
from tasks.survey.clmm.crossing import Crossing


@dataclass(frozen=True)
class Inverse:
    """Entries of P = D⁻¹: P_rr (R,), P_ri in the cells (M,), P_ii (I,)."""

    first: np.ndarray
    cells: np.ndarray
    second: np.ndarray


class Factor(Protocol):
    """D at given weights; see the module."""

    def solve(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D (x, y) = (a, b): (R,), (I,) or (R, q), (I, q)."""

    @property
    def log_determinant(self) -> float: ...

    def inverse(self) -> Inverse: ...


class Blocks:
    """A, B and E of weights `w` (N,) and standard deviations σ = (σ_r, σ_i)."""

    def __init__(self, crossing: Crossing, w: np.ndarray, sigma: np.ndarray) -> None:
        cells = crossing.by_cell(w)
        self.crossing = crossing
        self.a = 1 + sigma[0] ** 2 * np.bincount(crossing.cell_first, cells, crossing.n_first)
        self.e = 1 + sigma[1] ** 2 * np.bincount(crossing.cell_second, cells, crossing.n_second)
        self.b = sigma[0] * sigma[1] * cells
        self.table = crossing.table(self.b)
        """B′ (I, R)."""

    def inverse(self, p_rr: np.ndarray, t: np.ndarray) -> Inverse:
        e = self.e[self.crossing.cell_second]
        p_ii = 1 / self.e + np.bincount(self.crossing.cell_second, self.b * t / e**2, self.crossing.n_second)
        return Inverse(p_rr, -t / e, p_ii)


class ExactFactor:
    """S by a dense Cholesky factorisation: R³/3 multiplications, twice that for its inverse."""

    def __init__(self, crossing: Crossing, w: np.ndarray, sigma: np.ndarray) -> None:
        self._blocks = Blocks(crossing, w, sigma)
        self._root = _schur(self._blocks)
        if not factorise(self._root):
            raise FloatingPointError("the curvature of the random effects is not positive definite")

    @property
    def log_determinant(self) -> float:
        return float(np.log(self._blocks.e).sum() + 2 * np.log(np.diagonal(self._root)).sum())

    def solve(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table, e = self._blocks.table, self._blocks.e if a.ndim == 1 else self._blocks.e[:, None]
        x = lapack.dpotrs(self._root, a - table.T @ (b / e), lower=1)[0]
        return x, (b - table @ x) / e

    def inverse(self) -> Inverse:
        below = self._root.copy(order="F")
        invert(below)
        return self._blocks.inverse(np.diagonal(below).copy(), _in_cells(self._blocks, below))


def diagonal(matrix: np.ndarray) -> np.ndarray:
    """A view that can be written to."""
    return np.einsum("ii->i", matrix)


def _schur(blocks: Blocks) -> np.ndarray:
    """S below its diagonal, in column order (R, R)."""
    crossing, n = blocks.crossing, blocks.crossing.n_first
    if crossing.is_dense:
        schur = np.zeros((n, n), dtype=float, order="F")
        for levels, _ in crossing.blocks():
            columns = blocks.table[levels].toarray() / np.sqrt(blocks.e[levels, None])
            schur -= columns.T @ columns
    else:
        root = blocks.b / np.sqrt(blocks.e[crossing.cell_second])
        a, b = crossing.pairs
        met = np.bincount(crossing.pair_places, root[a] * root[b], n * n)
        schur = -met.astype(float, copy=False).reshape((n, n), order="F")  # no pairs: whole numbers
        diagonal(schur)[:] -= np.bincount(crossing.cell_first, root**2, n)
    diagonal(schur)[:] += blocks.a
    return schur


def _in_cells(blocks: Blocks, below: np.ndarray) -> np.ndarray:
    """t = S⁻¹ B in the cells (M,), from S⁻¹ below its diagonal."""
    crossing = blocks.crossing
    if crossing.is_dense:
        whole = np.tril(below) + np.tril(below, -1).T
        t = np.empty(crossing.n_cells)
        for levels, cells in crossing.blocks():
            product = blocks.table[levels].toarray() @ whole
            t[cells] = product[crossing.cell_second[cells] - levels.start, crossing.cell_first[cells]]
        return t
    a, b = crossing.pairs
    shared = below.reshape(-1, order="F")[crossing.pair_places]
    t = np.diagonal(below)[crossing.cell_first] * blocks.b
    t += np.bincount(a, shared * blocks.b[b], crossing.n_cells)
    return t + np.bincount(b, shared * blocks.b[a], crossing.n_cells)
