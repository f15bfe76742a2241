"""The pooled tables of a study, from the effects of every architecture."""

from __future__ import annotations

import pandas as pd

from configs.schema import Study
from tasks.meta_analysis.groups import leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import MORE, STATISTICS
from tasks.survey.holm import holm

KEYS = ["experiment", "contrast", "dimension"]
UNMARKED = ["k", "estimate", "ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high"]
COMPARED = [
    "k",
    "estimate",
    "std_error",
    "ci_low",
    "ci_high",
    "p",
    "tau2",
    "i2",
    "hksj_ci_low",
    "hksj_ci_high",
    "hksj_p",
]


def pool_contrasts(study: Study, effects: pd.DataFrame) -> pd.DataFrame:
    """One row a contrast and dimension: KEYS, `STATISTICS`, published, published_p, then `MORE`, Holm and the marked.

    p_holm and hksj_p_holm are adjusted for all contrasts and dimensions of the experiment. n_marked effects rest on a
    run that fails a limit of health; they are pooled like the others, and unmarked_… is the pool without them, where
    there are any.
    """
    pooled = pool_table(effects, KEYS)
    published = [
        study.experiments[row.experiment].contrasts[row.contrast].published.get(row.dimension)
        for row in pooled.itertuples()
    ]
    marked = effects["marked"].fillna("") != ""
    result = pooled[[*KEYS, *STATISTICS]].assign(
        published=[item.estimate if item else None for item in published],
        published_p=[item.p if item else None for item in published],
        **{name: pooled[name] for name in MORE}, **adjusted(pooled),
    )  # fmt: skip
    return result.merge(_without(effects, marked), on=KEYS, how="left")


def _without(effects: pd.DataFrame, marked: pd.Series) -> pd.DataFrame:
    """How many effects of each group are marked, and the pool of the others where some are."""
    counts = marked.groupby([effects[key] for key in KEYS], sort=False).sum().rename("n_marked").reset_index()
    touched = counts.loc[counts["n_marked"] > 0, KEYS]
    others = pool_table(effects[~marked].merge(touched, on=KEYS), KEYS)[[*KEYS, *UNMARKED]]
    renamed = others.rename(columns={name: f"unmarked_{name}" for name in UNMARKED})
    return counts.astype({"n_marked": int}).merge(renamed, on=KEYS, how="left")


def adjusted(pooled: pd.DataFrame) -> dict[str, pd.Series]:
    """Holm's adjustment of both p over all rows of an experiment."""
    return {f"{name}_holm": holm(pooled[name], pooled["experiment"]) for name in ("p", "hksj_p")}


def compare_pairs(effects: pd.DataFrame) -> pd.DataFrame:
    """Every two conditions from their paired differences: KEYS, `COMPARED` and Holm within experiment and dimension."""
    pooled = pool_table(effects, KEYS)
    families = pooled["experiment"] + "\n" + pooled["dimension"]
    extra = {f"{name}_holm": holm(pooled[name], families) for name in ("p", "hksj_p")}
    return pooled[[*KEYS, *COMPARED]].assign(**extra)


def other_methods(effects: pd.DataFrame) -> pd.DataFrame:
    """The same effects pooled by every method: KEYS, method, `STATISTICS`."""
    tables = [pool_table(effects, KEYS, method).assign(method=method) for method in METHODS]
    return pd.concat(tables, ignore_index=True)[[*KEYS, "method", *STATISTICS]]


def without_each(effects: pd.DataFrame) -> pd.DataFrame:
    """Every pooled effect without each of its architectures."""
    return leave_one_out(effects, KEYS, "architecture")
