"""Tables of effects, pooled group by group; all groups at once, in matrices of those of about the same size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.meta_analysis.heterogeneity import Array, Standardised
from tasks.meta_analysis.pooling import MORE, STATISTICS, checked_estimates, core, pool_groups, variances

LEFT_OUT = [name for name in STATISTICS if name not in ("q_p", "pi_low", "pi_high")]
LEFT_OUT_UP_TO = 500
"""Larger groups are not pooled once for every effect that is left out."""
AT_ONCE = 200_000
"""Places of a matrix, so that it stays in the processor's cache."""


class Matrix(NamedTuple):
    """Groups by their number; row i has the rows of the table that are in groups[i], -1 where there is no more."""

    groups: np.ndarray
    rows: np.ndarray

    def filled(self, values: Array, empty: float) -> Array:
        """The values of the rows; `empty` in empty places."""
        padded = np.append(values, empty)
        return padded[self.rows]


def pool_table(effects: pd.DataFrame, by: Sequence[str], method: str = "dl") -> pd.DataFrame:
    """One row a group of `effects` (columns estimate, std_error), in the order in which the groups first appear.

    Without `by`, one row for all. Rows with a missing number count for nothing. Raises `ValueError` like `pool`.
    """
    names = [*STATISTICS, *MORE]
    groups, codes = _groups(effects, by)
    y, v = checked_estimates(effects["estimate"].to_numpy(float)), variances(effects["std_error"].to_numpy(float))
    result = np.full((len(groups), len(names)), np.nan)
    for matrix in _matrices(codes[np.isfinite(y) & np.isfinite(v)], len(groups), np.flatnonzero(np.isfinite(y + v))):
        columns = pool_groups(matrix.filled(y, 0.0), matrix.filled(v, np.inf), method)
        result[matrix.groups] = np.column_stack(list(columns.values()))
    table = pd.DataFrame(result, columns=names).astype({"k": int})
    return pd.concat([groups, table], axis=1)


def leave_one_out(effects: pd.DataFrame, by: Sequence[str], study: str, method: str = "dl") -> pd.DataFrame:
    """Each group pooled without each of its effects in turn: `by`, without (from column `study`), `LEFT_OUT`.

    Groups of one effect have none, nor those of more than `LEFT_OUT_UP_TO`.
    """
    usable = effects[effects["estimate"].notna() & effects["std_error"].notna()]
    groups, codes = _groups(usable, by)
    y, v = checked_estimates(usable["estimate"].to_numpy(float)), variances(usable["std_error"].to_numpy(float))
    sizes = np.bincount(codes, minlength=len(groups))
    result = np.full((len(usable), len(LEFT_OUT)), np.nan)
    for matrix in _matrices(codes, len(groups), np.arange(len(usable))):
        if 1 < matrix.rows.shape[1] <= LEFT_OUT_UP_TO:
            _fill_left_out(result, matrix, y, v, method)
    table = pd.DataFrame(result, columns=LEFT_OUT, index=usable.index)
    kept = ((sizes > 1) & (sizes <= LEFT_OUT_UP_TO))[codes]
    table = pd.concat([usable[list(by)], usable[study].rename("without"), table], axis=1)[kept]
    return table.astype({"k": int}).reset_index(drop=True)


def members(effects: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The keys of the groups in order of appearance, and the positions of each group's rows."""
    groups, codes = _groups(effects, by)
    starts = np.cumsum(np.bincount(codes, minlength=len(groups)))[:-1]
    return groups, np.split(np.argsort(codes, kind="stable"), starts) if len(groups) else []


def _groups(effects: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The keys of the groups in order of appearance, and each row's group."""
    if not by:
        return pd.DataFrame(index=range(min(len(effects), 1))), np.zeros(len(effects), int)
    codes = effects.groupby(list(by), sort=False, dropna=False).ngroup().to_numpy()
    return effects[list(by)].drop_duplicates().reset_index(drop=True), codes


def _matrices(codes: np.ndarray, groups: int, rows: np.ndarray) -> Iterator[Matrix]:
    """All groups, those together that need about the same width; `codes` are the groups of `rows`."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=groups)
    starts, table = np.cumsum(sizes) - sizes, np.append(rows[order], -1)
    widths = np.exp2(np.ceil(np.log2(np.maximum(sizes, 1)))).astype(int)
    for width in np.unique(widths):
        same = np.flatnonzero(widths == width)
        for some in np.array_split(same, -(-len(same) * width // AT_ONCE)):
            place = np.arange(max(sizes[some].max(), 1))
            inside = place < sizes[some][:, None]
            yield Matrix(some, table[np.where(inside, starts[some][:, None] + place, -1)])


def _fill_left_out(result: np.ndarray, matrix: Matrix, y: Array, v: Array, method: str) -> None:
    """Write into `result`, row by row, the pool of the row's group without that row."""
    width = matrix.rows.shape[1]
    ys, vs, without = matrix.filled(y, 0.0), matrix.filled(v, np.inf), np.eye(width, dtype=bool)
    for some in np.array_split(np.arange(len(ys)), -(-len(ys) * width**2 // AT_ONCE)):
        others = np.where(without, np.inf, vs[some][:, None, :]).reshape(-1, width)
        columns = core(Standardised.of(np.repeat(ys[some], width, axis=0), others), method)
        places = matrix.rows[some].reshape(-1)
        result[places[places >= 0]] = np.column_stack([columns[name] for name in LEFT_OUT])[places >= 0]
