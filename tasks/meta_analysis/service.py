"""How well each way serves all groups, pooled over architectures like any effect."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from tasks.effects.identity import KEYS
from tasks.meta_analysis.groups import pool_table
from tasks.meta_analysis.pooling import interval
from tasks.meta_analysis.shared_prompts import shared_errors
from tasks.meta_analysis.study import quantile, with_total
from tasks.meta_analysis.tables import Service
from tasks.runtime.tables import columns_of

EVERY = [*KEYS, "measure"]


def pool_service(effects: pd.DataFrame, covariances: pd.DataFrame, replicates: pd.DataFrame) -> DataFrame[Service]:
    """Every level and contrast of every measure: pooled, and below that in each architecture.

    effects, covariances, replicates: `tasks.groups.service.ServiceMeasures`. A level is no test of anything, so it has
    no p. The pool is DerSimonian and Laird's; its HKSJ interval and the total know the prompts that the architectures
    share. Where there are no replicates, nothing is known of who was asked.
    """
    pooled = [
        _pool(own, covariances[covariances["measure"] == measure], replicates[replicates["measure"] == measure])
        for measure, own in effects.groupby("measure", sort=False)
    ]
    single = pool_table(effects, [*EVERY, "architecture"]).merge(
        effects[[*EVERY, "architecture", "uncorrected", "n_prompts"]], on=[*EVERY, "architecture"]
    )
    table = pd.concat([*pooled, single.assign(n_replicates=0)], ignore_index=True)
    table = table.reindex(columns=list(columns_of(Service)))
    levels = ~table["contrast"].astype(str).str.contains(" - ", regex=False)
    table.loc[levels, ["p", "hksj_p", "total_p"]] = np.nan
    return Service.checked(table)


def _pool(effects: pd.DataFrame, covariances: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """The pooled rows of one measure."""
    from scipy import stats

    pooled = pool_table(effects, KEYS).merge(shared_errors(effects, covariances), on=KEYS, how="left")
    error, df = pooled["shared_hksj_std_error"].astype(float), pooled["k"] - 1
    low, high = interval(pooled["estimate"], error, quantile(df))
    plain = pool_table(effects.assign(estimate=effects["uncorrected"]), KEYS)["estimate"]
    fewest = effects.groupby(KEYS, sort=False)["n_prompts"].min().reset_index()
    pooled = pooled.assign(
        measure=effects["measure"].iloc[0], architecture="", uncorrected=plain, hksj_ci_low=low, hksj_ci_high=high,
        hksj_p=2 * stats.t.sf(np.abs(pooled["estimate"]) / error, df),
    )  # fmt: skip
    return with_total(pooled.merge(fewest, on=KEYS), error, effects, replicates)
