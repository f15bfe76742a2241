"""`pluralign meta`: pool any table of effects, without a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.errors import InputError, one_of
from tasks.meta_analysis.groups import LEFT_OUT_UP_TO, leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.read_effects import read_effects
from tasks.meta_analysis.study import adjusted

SHOWN = ["k", "estimate", "ci_low", "ci_high", "p", "hksj_ci_low", "hksj_ci_high", "tau2", "i2"]
MOST_ROWS = 60
"""So many groups are printed; the rest is in the file."""


@dataclass(frozen=True)
class PooledFile:
    """A pooled table, what it looks like without each effect, and what a reader should know of it."""

    effects: pd.DataFrame
    pooled: pd.DataFrame
    left_out: pd.DataFrame
    notes: list[str]


def pool_file(path: Path, by: list[str], method: str) -> PooledFile:
    """Read and pool; p_holm and hksj_p_holm within the first of `by` where there are several, else over all groups.

    Raises:
        InputError: the method is unknown; what can't be read or pooled, with the file's name, row and column.
    """
    if method not in METHODS:
        raise one_of("--method", method, METHODS)
    effects = read_effects(path, by)
    if len(effects) < 2:
        raise InputError(f"{path}: row 2 is the only one; pooling needs two")
    pooled = pool_table(effects, by, method)
    families = pooled[by[0]] if len(by) > 1 else None
    pooled = pooled.assign(**adjusted(pooled, families))
    return PooledFile(effects, pooled, leave_one_out(effects, by, "label", method), _notes(pooled, by))


def summary(result: PooledFile, by: list[str]) -> str:
    """The pooled table, as much of it as a screen holds, and notes."""
    shown = result.pooled[[*by, *SHOWN]].head(MOST_ROWS)
    text = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    rest = len(result.pooled) - len(shown)
    return "\n".join([text, *([f"… and {rest} groups more"] if rest else []), *result.notes])


def _notes(pooled: pd.DataFrame, by: list[str]) -> list[str]:
    notes = []
    alone = pooled[pooled["k"] == 1]
    if len(alone):
        first = " / ".join(map(str, alone[by].iloc[0]))
        share = f"{len(alone)} of {len(pooled)} groups"
        notes.append(f"{share} have one effect, which stands as it is: the first is {first}")
    if (pooled["k"] > LEFT_OUT_UP_TO).any():
        notes.append(f"groups of more than {LEFT_OUT_UP_TO} effects are not in leave_one_out.csv")
    if ((pooled["k"] > 1) & (pooled["q"] <= 1e-12)).any():
        notes.append("groups whose effects are all equal have an HKSJ interval without width: read the Wald one there")
    return notes
