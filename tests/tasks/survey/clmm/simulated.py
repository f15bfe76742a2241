"""Small ratings drawn from a known crossed model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tasks.survey.clmm.crossing import Crossing, Grouping
from tasks.survey.clmm.factor import ExactFactor
from tasks.survey.clmm.laplace import Model

THETA = (-1.5, 0.0, 1.0, 2.5)


def ratings(
    seed: int = 0,
    n: int = 400,
    raters: int = 20,
    items: int = 40,
    sd: tuple[float, float] = (1.2, 0.8),
    beta: Sequence[float] = (0.5, -0.7),
    theta: Sequence[float] = THETA,
) -> pd.DataFrame:
    """Columns rating (1 … J), rater, item (texts), and x0, x1 …: x0 is of the row, the others are of the rater."""
    rng = np.random.default_rng(seed)
    rater, item = rng.permutation(np.arange(n) % raters), rng.permutation(np.arange(n) % items)
    x = rng.normal(size=(raters, len(beta)))[rater]
    x[:, :1] = rng.normal(size=(n, len(beta[:1])))
    eta = x @ np.asarray(beta) + (sd[0] * rng.normal(size=raters))[rater] + (sd[1] * rng.normal(size=items))[item]
    rating = 1 + ((eta + rng.logistic(size=n))[:, None] > np.asarray(theta)).sum(1)
    table = pd.DataFrame(x, columns=[f"x{column}" for column in range(len(beta))])
    return table.assign(rating=rating, rater=[f"r{level}" for level in rater], item=[f"i{level}" for level in item])


def model(table: pd.DataFrame, groups: Sequence[str] = ("rater", "item")) -> Model:
    """The arrays of `rating ~ x0 + x1 + … + (1|group) …`; the group with fewer levels first."""
    columns = [name for name in table if str(name).startswith("x")]
    y = np.unique(table["rating"], return_inverse=True)[1]
    coded = sorted((_grouping(table[name]) for name in groups), key=lambda grouping: grouping.levels)
    first, second = [Grouping(np.zeros(len(y), np.int32), 1)] * (2 - len(coded)) + coded
    free = (len(coded) == 2, len(coded) > 0)
    return Model(y, table[columns].to_numpy(float), Crossing(first, second), free, ExactFactor)


def _grouping(labels: pd.Series) -> Grouping:
    codes, levels = pd.factorize(labels)
    return Grouping(codes.astype(np.int32), len(levels))
