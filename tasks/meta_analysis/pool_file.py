"""`pluralign meta`: pool any table of effects, without a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.errors import InputError, one_of
from tasks.meta_analysis.dependence import LEFT_OUT_UP_TO as SHARED_LEFT_OUT_UP_TO
from tasks.meta_analysis.dependence import Dependence, pool_dependent
from tasks.meta_analysis.groups import LEFT_OUT_UP_TO, leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.read_effects import AS_WRITTEN, NAME, EffectColumns, read_effects
from tasks.meta_analysis.study import adjusted
from tasks.ratings.reading.rejected import visible

SHOWN = ["k", "estimate", "ci_low", "ci_high", "p", "hksj_ci_low", "hksj_ci_high", "hksj_p"]
HETEROGENEITY = ["k", "q", "q_df", "q_p", "i2", "i2_low", "i2_high", "tau2", "tau2_low", "tau2_high"]
SHOWN_BESIDE = ["cr2_std_error", "cr2_df", "cr2_ci_low", "cr2_ci_high", "cr2_p"]
SHOWN_BESIDE += [f"half_normal_{name}" for name in ("mean", "low", "high", "tau", "tau_low", "tau_high")]
MOST_ROWS = 60
"""So many groups are printed; the rest is in the file."""
INDEPENDENT = Dependence()


@dataclass(frozen=True)
class PooledFile:
    """A pooled table, what it looks like without each effect, and what a reader should know of it."""

    effects: pd.DataFrame
    pooled: pd.DataFrame
    left_out: pd.DataFrame
    notes: list[str]


def pool_file(
    path: Path,
    by: list[str],
    method: str,
    dependence: Dependence = INDEPENDENT,
    columns: EffectColumns = AS_WRITTEN,
) -> PooledFile:
    """Read and pool; p_holm and hksj_p_holm within the first of `by` where there are several, else over all groups.

    dependence: what effects share. With it the pool has the columns of `tasks.meta_analysis.beside`, too.

    Raises:
        InputError: the method is unknown; what can't be read or pooled, with the file's name, row and column.
    """
    if method not in METHODS:
        raise one_of("--method", method, METHODS)
    effects, notes = read_effects(path, by, dependence.shares, columns)
    if len(effects) < 2:
        raise InputError(f"{path}: row {effects.index[0]} is the only one; pooling needs two")
    if dependence.given:
        result = pool_dependent(effects, by, method, dependence)
        effects, pooled, without, most = result.effects, result.pooled, result.left_out, SHARED_LEFT_OUT_UP_TO
        notes += result.notes
    else:
        pooled, without = pool_table(effects, by, method), leave_one_out(effects, by, NAME, method)
        most = LEFT_OUT_UP_TO
    families = pooled[by[0]] if len(by) > 1 else None
    pooled = pooled.assign(**adjusted(pooled, families))
    return PooledFile(effects, pooled, without, [*notes, *_notes(pooled, by, most)])


def summary(result: PooledFile, by: list[str]) -> str:
    """What a screen holds of the pooled table: the estimates; Q, I² in percent and τ² of each pool of two effects and
    more; what stands beside; and notes."""
    shown = result.pooled.head(MOST_ROWS)
    shown = shown.assign(**{column: shown[column].map(visible) for column in by})
    several = shown[shown["k"] > 1].assign(q_df=lambda pools: pools["k"] - 1)
    blocks = [shown[[*by, *SHOWN]], *([several[[*by, *HETEROGENEITY]]] if len(several) else [])]
    blocks += [shown[[*by, *SHOWN_BESIDE]]] if {*SHOWN_BESIDE} <= {*shown} else []
    with pd.option_context("display.unicode.east_asian_width", True):
        texts = [
            block.to_string(index=False, na_rep="–", float_format=lambda value: f"{value:.4g}") for block in blocks
        ]
    rest = len(result.pooled) - len(shown)
    return "\n".join(["\n\n".join(texts), *([f"… and {rest} groups more"] if rest else []), *result.notes])


def _notes(pooled: pd.DataFrame, by: list[str], most: int) -> list[str]:
    notes = []
    alone = pooled[pooled["k"] == 1]
    if len(alone):
        share, first = f"{len(alone)} of {len(pooled)} groups", visible(" / ".join(alone[by].iloc[0]))
        notes.append(f"{share} have one effect, which stands as it is, without τ²: the first is {first}")
    if (pooled["k"] > most).any():
        notes.append(f"groups of more than {most} effects are not in leave_one_out.csv")
    if ((pooled["k"] > 1) & (pooled["q"] == 0)).any():
        notes.append("groups whose effects are all equal have no HKSJ interval: read the Wald one there")
    return notes
