"""Which levels of two crossed factors meet: rows, cells (the pairs of levels that occur) and pairs of cells.

`first` is the factor with fewer levels (R of them), `second` the other (I). A model with one factor has a `first` of
one level whose standard deviation is held at zero; a model without any has two such factors. So nothing below knows a
special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse

DENSE_SHARE = 0.2
"""Of the table first × second: when more of its cells occur, whole rows of it are multiplied."""
BLOCK = 512
"""Levels of `second` in one dense product."""


@dataclass(frozen=True)
class Grouping:
    """Each row's level of a factor: codes (N,) from 0, of `levels`."""

    codes: np.ndarray
    levels: int

    def sum(self, rows: np.ndarray) -> np.ndarray:
        """Σ over each level's rows: (N,) → (levels,), (N, q) → (levels, q)."""
        if rows.ndim == 1:
            return np.bincount(self.codes, rows, self.levels)
        return self._indicator @ rows

    @cached_property
    def _indicator(self) -> sparse.csr_array:
        """(levels, N)"""
        order = np.argsort(self.codes, kind="stable")
        starts = np.append(0, np.cumsum(np.bincount(self.codes, minlength=self.levels)))
        return sparse.csr_array((np.ones(len(order)), order, starts), shape=(self.levels, len(order)))


@dataclass(frozen=True)
class Crossing:
    """Row k belongs to level r(k) of `first`, of R, and i(k) of `second`, of I."""

    first: Grouping
    second: Grouping

    @property
    def n_first(self) -> int:
        return self.first.levels

    @property
    def n_second(self) -> int:
        return self.second.levels

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        key = self.second.codes.astype(np.int64) * self.n_first + self.first.codes
        return np.unique(key, return_inverse=True)

    @cached_property
    def cell(self) -> np.ndarray:
        """The row's cell (N,); cells are sorted by second, then first."""
        return self._cells[1].astype(np.int32)

    @cached_property
    def cell_first(self) -> np.ndarray:
        """(M,)"""
        return (self._cells[0] % self.n_first).astype(np.int32)

    @cached_property
    def cell_second(self) -> np.ndarray:
        """(M,)"""
        return (self._cells[0] // self.n_first).astype(np.int32)

    @property
    def n_cells(self) -> int:
        return len(self._cells[0])

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each level of `second` begins among the cells (I + 1,)."""
        return np.append(0, np.cumsum(np.bincount(self.cell_second, minlength=self.n_second))).astype(np.int32)

    @property
    def is_dense(self) -> bool:
        return self.n_cells > DENSE_SHARE * self.n_first * self.n_second

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Cells a, b of the same level of `second` with first(a) < first(b), each (P,)."""
        sizes = np.diff(self.starts)
        later = np.repeat(self.starts[1:], sizes) - np.arange(self.n_cells) - 1
        a = np.repeat(np.arange(self.n_cells, dtype=np.int32), later)
        ends = np.cumsum(later)
        b = a + 1 + (np.arange(len(a)) - np.repeat(ends - later, later)).astype(np.int32)
        return a, b

    @cached_property
    def pair_places(self) -> np.ndarray:
        """Each pair's place below the diagonal of an R × R matrix in column order (P,)."""
        a, b = self.pairs
        return self.cell_first[a].astype(np.int64) * self.n_first + self.cell_first[b]

    def by_cell(self, rows: np.ndarray) -> np.ndarray:
        """Σ over rows: (N,) → (M,)."""
        return np.bincount(self.cell, rows, self.n_cells)

    def table(self, cells: np.ndarray) -> sparse.csr_array:
        """Values of cells (M,) as a sparse matrix (I, R)."""
        return sparse.csr_array((cells, self.cell_first, self.starts), shape=(self.n_second, self.n_first))

    def blocks(self) -> list[tuple[slice, slice]]:
        """Levels of `second` a block at a time, and their cells."""
        edges = [*range(0, self.n_second, BLOCK), self.n_second]
        return [(slice(low, high), slice(self.starts[low], self.starts[high])) for low, high in pairwise(edges)]
