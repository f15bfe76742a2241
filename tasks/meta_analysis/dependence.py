"""Any table of effects, pooled with what they share: a known covariance, or a column that says which go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from tasks.meta_analysis.beside import BESIDE, beside
from tasks.meta_analysis.correlated import between_variance, gls_weights, left_out, pool_correlated
from tasks.meta_analysis.groups import LEFT_OUT, members
from tasks.meta_analysis.half_normal import SCALE
from tasks.meta_analysis.heterogeneity import Array
from tasks.meta_analysis.pooling import MORE, STATISTICS
from tasks.meta_analysis.read_covariance import read_covariance
from tasks.meta_analysis.read_effects import NAME, SHARED, WEIGHT, WITHOUT

CORRELATION = 0.6
"""Between effects that share something, where nobody knows better: an assumption, to be varied."""
FEW = 4
"""Degrees of freedom below which Satterthwaite's approximation of CR2 does not hold (Tipton 2015)."""
LEFT_OUT_UP_TO = 100
"""Larger groups are not pooled once for every effect that is left out."""


@dataclass(frozen=True)
class Dependence:
    """What effects share, as a user says it.

    covariance: a file with the covariance of their errors. shares: the column of the effects that says what they have
    in common; without a file, two effects of one value correlate by `correlation`. tau_scale: of the prior on τ.

    Raises:
        InputError: a number is out of its range, or means nothing without the others.
    """

    covariance: Path | None = None
    shares: str | None = None
    correlation: float | None = None
    tau_scale: float | None = None

    def __post_init__(self) -> None:
        if self.correlation is not None and not 0 <= self.correlation < 1:
            raise InputError(f"--correlation {self.correlation:g}: must be from 0 to below 1")
        if self.correlation is not None and (self.covariance or not self.shares):
            raise InputError("--correlation: only where --shares says what effects share, and no --covariance how much")
        if self.tau_scale is not None and not 0 < self.tau_scale < math.inf:
            raise InputError(f"--tau-scale {self.tau_scale:g}: must be above 0")

    @property
    def given(self) -> bool:
        """Whether anything is said, so that effects are not taken for independent without more."""
        return any(value is not None for value in (self.covariance, self.shares, self.tau_scale))


@dataclass(frozen=True)
class Dependent:
    """Effects with `WEIGHT`, their pool with `BESIDE`, the pool without each of them, and what a reader should know."""

    effects: pd.DataFrame
    pooled: pd.DataFrame
    left_out: pd.DataFrame
    notes: list[str]


def pool_dependent(effects: pd.DataFrame, by: Sequence[str], method: str, dependence: Dependence) -> Dependent:
    """The groups of a table of `read_effects` pooled with what their effects share.

    Clusters of CR2 are what the column says; without one, effects that no covariance links, not even through others.

    Raises:
        InputError: the covariance can't be read or used.
    """
    keys, groups = members(effects, by)
    matrices, notes = _covariances(effects, by, groups, dependence)
    scale = dependence.tau_scale or SCALE
    pooled, without, weights = [], [], np.zeros(len(effects))
    for group, covariance in zip(groups, matrices, strict=True):
        own = effects.iloc[group]
        y = own["estimate"].to_numpy(float)
        clusters = _labels(own[SHARED]) if SHARED in own else _linked(covariance)
        pooled.append(pool_correlated(y, covariance, method) | beside(y, covariance, clusters, method, scale))
        weights[group] = gls_weights(covariance + between_variance(y, covariance, method) * np.eye(len(y)))[0]
        if 1 < len(group) <= LEFT_OUT_UP_TO:
            numbers = pd.DataFrame(left_out(y, covariance, method), index=own.index)[LEFT_OUT].astype({"k": int})
            without.append(pd.concat([own[list(by)], own[NAME].rename(WITHOUT), numbers], axis=1))
    table = pd.concat([keys, pd.DataFrame(pooled, columns=[*STATISTICS, *MORE, *BESIDE])], axis=1)
    empty = pd.DataFrame(columns=[*by, WITHOUT, *LEFT_OUT])
    left = pd.concat(without, ignore_index=True) if without else empty
    return Dependent(effects.assign(**{WEIGHT: weights}), table, left, [*notes, *_notes(table, scale)])


def _covariances(
    effects: pd.DataFrame, by: Sequence[str], groups: list[np.ndarray], dependence: Dependence
) -> tuple[list[Array], list[str]]:
    """The covariance of each group's effects, and what a reader should know of it."""
    if dependence.covariance:
        return read_covariance(dependence.covariance, effects, by, groups)
    errors = effects["std_error"].to_numpy(float)
    if not dependence.shares:
        return [np.diag(errors[group] ** 2) for group in groups], []
    r = CORRELATION if dependence.correlation is None else dependence.correlation
    matrices = []
    for group in groups:
        labels = _labels(effects[SHARED].iloc[group])
        same = np.array([[a == b for b in labels] for a in labels])
        own = errors[group]
        matrices.append(np.where(same, r, 0.0) * np.outer(own, own) + np.diag((1 - r) * own**2))
    note = f"errors of effects with the same {dependence.shares} are taken to correlate by {r:g}"
    return matrices, [f"{note}{', an assumption (--correlation)' if dependence.correlation is None else ''}"]


def _labels(shared: pd.Series) -> list[object]:
    """What each effect shares; who shares nothing has a label of its own."""
    return [text or number for number, text in enumerate(shared)]


def _linked(covariance: Array) -> list[object]:
    """A label for each effect, the same for those that covariances link."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return list(connected_components(csr_array(covariance != 0), directed=False)[1])


def _notes(pooled: pd.DataFrame, scale: float) -> list[str]:
    notes = [f"half_normal: τ has a half-normal prior of scale {scale:g} (--tau-scale), in the unit of the estimates"]
    linked = int(((pooled["cr2_clusters"] < 2) & (pooled["k"] > 1)).sum())
    if linked:
        notes.append(
            f"cr2 is missing in {linked} of {len(pooled)} groups, where every effect shares something with the others: "
            "it needs two clusters that don't"
        )
    few = int((pooled["cr2_df"] < FEW).sum())
    if few:
        notes.append(f"cr2 has fewer than {FEW} degrees of freedom in {few} of {len(pooled)} groups: trust no p there")
    return notes
