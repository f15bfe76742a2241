"""The pooled tables of a study, from the effects of every architecture."""

from __future__ import annotations

import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Published, Study
from tasks.effects.correction import correct_effects
from tasks.effects.identity import KEYS
from tasks.meta_analysis.groups import leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import MORE, interval
from tasks.meta_analysis.published import published_interval
from tasks.meta_analysis.tables import LeaveOneOut, Pairwise, Pooled, PoolingMethods
from tasks.runtime.tables import columns_of
from tasks.survey.holm import holm
from tasks.survey.intervals import Z95

UNMARKED = ["k", "estimate", "ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high"]


def pool_contrasts(study: Study, effects: pd.DataFrame, calibration: pd.DataFrame) -> DataFrame[Pooled]:
    """One row a contrast and dimension, corrected after it is pooled (see `tasks.effects.correction`).

    p_holm and hksj_p_holm are adjusted for all contrasts and dimensions of the experiment. n_marked effects rest on a
    run that fails a limit of health; they are pooled like the others, and unmarked_… is the pool without them, where
    there are any.
    """
    pooled = pool_table(effects, KEYS)
    published = [
        study.experiments[row.experiment].contrasts[row.contrast].published.get(row.dimension, Published())
        for row in pooled.itertuples()
    ]
    intervals = [published_interval(item.estimate, item.p or "") for item in published]
    pooled = pooled.assign(
        published=[item.estimate for item in published],
        published_p=[item.p or "" for item in published],
        published_low=[interval.low for interval in intervals],
        published_high=[interval.high for interval in intervals],
        published_at_most=[interval.at_most for interval in intervals],
        **adjusted(pooled, pooled["experiment"]),
    )
    marked = effects["marked"].fillna("") != ""
    return Pooled.checked(correct_pooled(pooled.merge(_without(effects, marked), on=KEYS, how="left"), calibration))


def correct_pooled(pooled: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """Pooled effects (dimension, estimate, std_error) with corrected, its standard error, and its Wald 95% interval."""
    result = correct_effects(pooled, calibration)
    low, high = interval(result["corrected"], result["corrected_std_error"], Z95)
    return result.assign(corrected_ci_low=low, corrected_ci_high=high)


def _without(effects: pd.DataFrame, marked: pd.Series) -> pd.DataFrame:
    """How many effects of each group are marked, and the pool of the others where some are."""
    counts = marked.groupby([effects[key] for key in KEYS], sort=False).sum().rename("n_marked").reset_index()
    touched = counts.loc[counts["n_marked"] > 0, KEYS]
    others = pool_table(effects[~marked].merge(touched, on=KEYS), KEYS)[[*KEYS, *UNMARKED]]
    renamed = others.rename(columns={name: f"unmarked_{name}" for name in UNMARKED})
    return counts.astype({"n_marked": int}).merge(renamed, on=KEYS, how="left")


def adjusted(pooled: pd.DataFrame, families: pd.Series | None) -> dict[str, pd.Series]:
    """p_holm and hksj_p_holm: Holm's adjustment of both p within each family of rows, or over all."""
    return {f"{name}_holm": holm(pooled[name], families) for name in ("p", "hksj_p")}


def compare_pairs(effects: pd.DataFrame) -> DataFrame[Pairwise]:
    """Every two conditions from their paired differences; Holm's families are an experiment's pairs on a dimension."""
    pooled = pool_table(effects, KEYS)
    both = pooled.assign(**adjusted(pooled, pooled["experiment"] + "\n" + pooled["dimension"]))
    return Pairwise.checked(both[list(columns_of(Pairwise))])


def other_methods(effects: pd.DataFrame) -> DataFrame[PoolingMethods]:
    """The same effects pooled by every method."""
    tables = [pool_table(effects, KEYS, method).assign(method=method) for method in METHODS]
    return PoolingMethods.checked(pd.concat(tables).drop(columns=MORE))


def without_each(effects: pd.DataFrame) -> DataFrame[LeaveOneOut]:
    """Every pooled effect without each of its architectures."""
    return LeaveOneOut.checked(leave_one_out(effects, KEYS, "architecture"))
