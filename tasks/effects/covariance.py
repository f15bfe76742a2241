"""What effects of several architectures share: they are measured on the same held-out prompts.

A prompt on which a contrast comes out high in one architecture may do so in others, so that the errors of their effects
are correlated. The covariance of the effects of architectures i and j, from the P prompts that both have scored, of P_i
and P_j that each has, is

    P / (P_i P_j) · covariance over these prompts of d_i and d_j,

d the differences of a prompt, means over seeds. Variances are the squares of the effects' standard errors, clustered by
prompt and by seed. Seeds add nothing between architectures: a seed's runs in two of them have other weights, and what
the runs may share, the order of the pairs, a handful of seeds can't tell.

Few prompts say little of k (k - 1) / 2 correlations. Where any two architectures share fewer than 10 k, all are shrunk
towards zero by the one share that makes their expected squared error least (Schäfer & Strimmer 2005). If architectures
have scored different prompts, correlations of pairs may fit no covariance at all, and equal differences have no
inverse: then all are shrunk further by one share, until the smallest eigenvalue is `LEAST_EIGENVALUE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement, groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandera.typing import DataFrame

from configs.schema import Study
from tasks.effects.effects import contrasts_of, paired
from tasks.effects.identity import KEYS
from tasks.effects.tables import EffectCovariances

Array = NDArray[np.float64]
ENOUGH_PROMPTS = 10
"""Times the number of architectures; with fewer shared prompts correlations are shrunk."""
LEAST_EIGENVALUE = 1e-3
"""Of the correlations, whose sum of eigenvalues is the number of architectures."""


def effect_covariances(study: Study, scores: pd.DataFrame, effects: pd.DataFrame) -> DataFrame[EffectCovariances]:
    """Every two architectures of every contrast and dimension, and each with itself.

    scores as for `tasks.effects.effects.effects`, effects its result. An effect without a standard error has no row.
    """
    errors = effects.set_index([*KEYS, "architecture"])["std_error"].dropna()
    rows = []
    for key, group in groupby(paired(contrasts_of(study), study, scores), lambda pair: pair[:3]):
        means = {pair.architecture: pair.scored.mean() for pair in group if (*key, pair.architecture) in errors.index}
        if not means:
            continue
        own = errors.loc[[(*key, name) for name in means]].to_numpy(float)
        rows += [(*key, *row) for row in covariance_rows(means, own)]
    return EffectCovariances.checked(rows)


def covariance_rows(means: Mapping[str, pd.Series], errors: Array) -> Iterator[tuple[str, str, float, float, int]]:
    """architecture, other, covariance, correlation and n_prompts of every two effects, and of each with itself.

    means: architecture → the effect by prompt, mean over seeds. errors: their standard errors (k,).
    """
    names = list(means)
    correlations, prompts = shared_correlations(pd.DataFrame(means, columns=names), errors)
    for i, j in combinations_with_replacement(range(len(names)), 2):
        r = correlations[i, j]
        yield names[i], names[j], r * errors[i] * errors[j], r, prompts[i, j]


def covariance_matrix(covariances: pd.DataFrame, names: list[str], errors: Array) -> Array:
    """The covariance (k, k) of the effects of `names`, whose standard errors are `errors` (k,), from their rows.

    NaN in the places of an effect without a standard error.

    Raises:
        KeyError: the table has no row of two of these.
    """
    known = {frozenset((row.architecture, row.other)): row.correlation for row in covariances.itertuples()}
    missing = {name for name, error in zip(names, errors, strict=True) if not np.isfinite(error)}
    correlations = [[np.nan if missing & {a, b} else known[frozenset((a, b))] for b in names] for a in names]
    return np.array(correlations, float).reshape(len(names), len(names)) * errors[:, None] * errors


def shared_correlations(differences: pd.DataFrame, errors: Array) -> tuple[Array, Array]:
    """Correlations (k, k) of the effects with standard errors (k,), and how many prompts each two share.

    differences: a row a prompt, a column an architecture, NaN where it was not scored.
    """
    scored = differences.notna().to_numpy(float)
    prompts = scored.T @ scored
    own = np.diagonal(prompts)
    covariance = differences.cov().fillna(0.0).to_numpy() * prompts / np.outer(own, own)
    correlations = covariance / np.outer(errors, errors)
    if len(own) > 1 and prompts.min() < ENOUGH_PROMPTS * len(own):
        correlations = correlations * (1 - shrinkage(differences))
    np.fill_diagonal(correlations, 1.0)
    smallest = np.linalg.eigvalsh(correlations).min(initial=1.0)
    if smallest < LEAST_EIGENVALUE:
        kept = (1 - LEAST_EIGENVALUE) / (1 - smallest)
        correlations = kept * correlations + (1 - kept) * np.eye(len(own))
    return correlations, prompts.astype(int)


def shrinkage(differences: pd.DataFrame) -> float:
    """λ = Σ Var(r) / Σ r² over all pairs, from 0 to 1 (Schäfer & Strimmer 2005), pairwise where prompts are missing.

    With z standardised differences of the n prompts of a pair and w = z_i z_j: Var(r) = n / (n - 1)³ Σ (w - w̄)².
    """
    z = ((differences - differences.mean()) / differences.std().where(differences.std() > 0)).to_numpy(float)
    products = z[:, :, None] * z[:, None, :]
    n = np.isfinite(products).sum(axis=0)
    pair = np.triu(n > 1, 1)
    products, n = products[:, pair], n[pair]
    mean = np.nansum(products, axis=0) / n
    variance = n / (n - 1) ** 3 * np.nansum((products - mean) ** 2, axis=0)
    square = float(np.sum((n / (n - 1) * mean) ** 2))
    return min(float(variance.sum()) / square, 1.0) if square > 0 else 1.0
