"""Rows for TRL's own trainers, one a preference or a label, made of the rows that stand for several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Expanded(NamedTuple):
    """Rows for TRL's own trainer of a method, equal ones once.

    rows: prompt and what the trainer reads beside it, under TRL's names; prompts and responses are plain text. weight:
        what one copy of the row counts in the condition's loss.
    copies: how often each row stands in the data, shape (rows,), whole numbers above zero.
    """

    rows: pd.DataFrame
    copies: np.ndarray


def both_sides(
    table: pd.DataFrame, n_for: pd.Series, n_against: pd.Series, ahead: pd.DataFrame, back: pd.DataFrame
) -> Expanded:
    """Each row of a soft target p and a weight w as `n_for` copies of `ahead` and `n_against` copies of `back`.

    A copy of `ahead` weighs w · p / n_for, one of `back` w · (1 - p) / n_against: so the weighted sum of the copies'
    losses is that of the table's. Where w ∝ n and p = n_for / n, all copies weigh the same.

    Args:
        table: target and weight; all arguments have its index.
        n_for, n_against: whole numbers, of which one may be 0.
    """
    import pandas as pd

    sides = []
    for rows, n, share in ((ahead, n_for, table["target"]), (back, n_against, 1 - table["target"])):
        own = rows.assign(weight=table["weight"] * share / n.where(n > 0), copies=n)
        sides.append(own[n > 0])
    rows = pd.concat(sides).sort_index(kind="stable").reset_index(drop=True)
    copies = rows.pop("copies").to_numpy(int)
    return Expanded(rows, copies)
