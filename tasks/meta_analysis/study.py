"""The pooled tables of a study, from the effects of every architecture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandera.typing import DataFrame

from configs.schema import Published, Study
from tasks.effects.correction import correct_effects
from tasks.effects.identity import KEYS
from tasks.meta_analysis.groups import leave_one_out, pool_table
from tasks.meta_analysis.heterogeneity import METHODS
from tasks.meta_analysis.pooling import interval
from tasks.meta_analysis.published import published_interval
from tasks.meta_analysis.raters import rater_errors, total
from tasks.meta_analysis.shared_prompts import pool_shared, shared_errors
from tasks.meta_analysis.tables import LeaveOneOut, Pairwise, Pooled, PoolingMethods
from tasks.runtime.tables import columns_of
from tasks.survey.holm import holm
from tasks.survey.intervals import Z95

UNMARKED = ["k", "estimate", "ci_low", "ci_high", "hksj_ci_low", "hksj_ci_high"]


def pool_contrasts(
    study: Study, effects: pd.DataFrame, covariances: pd.DataFrame, replicates: pd.DataFrame, calibration: pd.DataFrame
) -> DataFrame[Pooled]:
    """One row a contrast and dimension, corrected after it is pooled (see `tasks.effects.correction`).

    replicates: `ReplicateEffects`, from which the columns total_… know who was asked (`tasks.meta_analysis.raters`).

    The columns …_holm are adjusted for all contrasts and dimensions of the experiment. n_marked effects rest on a
    run that fails a limit of health; they are pooled like the others, and unmarked_… is the pool without them, where
    there are any. shared_… are the errors of the estimate where those of the effects have their `covariances`.
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
    for more in (_without(effects, effects["marked"].fillna("") != ""), shared_errors(effects, covariances)):
        pooled = pooled.merge(more, on=KEYS, how="left")
    pooled = with_total(pooled, pooled["shared_hksj_std_error"], effects, replicates)
    pooled = pooled.assign(total_p_holm=holm(pooled["total_p"], pooled["experiment"]))
    corrected = correct_pooled(pooled, calibration)
    return Pooled.checked(corrected.assign(**correct_total(pooled, calibration)))


def correct_pooled(pooled: pd.DataFrame, calibration: pd.DataFrame) -> pd.DataFrame:
    """Pooled effects (dimension, estimate, std_error) with corrected, its standard error, and its Wald 95% interval."""
    result = correct_effects(pooled, calibration)
    low, high = interval(result["corrected"], result["corrected_std_error"], Z95)
    return result.assign(corrected_ci_low=low, corrected_ci_high=high)


def correct_total(pooled: pd.DataFrame, calibration: pd.DataFrame) -> dict[str, pd.Series]:
    """The corrected effects' interval that knows who was asked: corrected_total_ci_low, corrected_total_ci_high."""
    whole = correct_effects(pooled.assign(std_error=pooled["total_std_error"]), calibration)
    ends = interval(whole["corrected"], whole["corrected_std_error"], quantile(pooled["total_df"]))
    return dict(zip(("corrected_total_ci_low", "corrected_total_ci_high"), ends, strict=True))


def with_total(
    pooled: pd.DataFrame, between: pd.Series, effects: pd.DataFrame, replicates: pd.DataFrame
) -> pd.DataFrame:
    """The pooled effects with n_replicates, raters_std_error, raters_shared_std_error and `TOTAL`.

    between: the error between architectures, for t of k - 1; one architecture alone has its own.
    """
    both = pooled.merge(rater_errors(effects, pooled, replicates), on=KEYS, how="left")
    both["n_replicates"] = both["n_replicates"].fillna(0).astype(int)
    df = (both["k"] - 1).where(both["k"] > 1, np.inf)
    error = between.astype(float).where(both["k"] > 1, both["std_error"])
    asked = (both[name] for name in ("raters_std_error", "raters_shared_std_error", "n_replicates"))
    return both.join(total(both["estimate"], error, df, *asked))


def hksj_std_error(pooled: pd.DataFrame) -> pd.Series:
    """The error behind HKSJ's interval of each pooled effect."""
    return (pooled["hksj_ci_high"] - pooled["estimate"]) / quantile(pooled["k"] - 1)


def quantile(df: pd.Series) -> pd.Series:
    """The 97.5% quantile of t."""
    from scipy import stats

    return pd.Series(stats.t.ppf(0.975, df), index=df.index)


def _without(effects: pd.DataFrame, marked: pd.Series) -> pd.DataFrame:
    """How many effects of each group are marked, and the pool of the others where some are."""
    counts = marked.groupby([effects[key] for key in KEYS], sort=False).sum().rename("n_marked").reset_index()
    touched = counts.loc[counts["n_marked"] > 0, KEYS]
    others = pool_table(effects[~marked].merge(touched, on=KEYS), KEYS)[[*KEYS, *UNMARKED]]
    renamed = others.rename(columns={name: f"unmarked_{name}" for name in UNMARKED})
    return counts.astype({"n_marked": int}).merge(renamed, on=KEYS, how="left")


def adjusted(pooled: pd.DataFrame, families: pd.Series | None) -> dict[str, pd.Series]:
    """Holm's adjustment of each p (Wald's, HKSJ's, the total) within each family of rows, or over all: p_holm …"""
    return {f"{name}_holm": holm(pooled[name], families) for name in ("p", "hksj_p", "total_p") if name in pooled}


def compare_pairs(effects: pd.DataFrame, replicates: pd.DataFrame) -> DataFrame[Pairwise]:
    """Every two conditions from their paired differences; Holm's families are an experiment's pairs on a dimension."""
    pooled = pool_table(effects, KEYS)
    pooled = with_total(pooled, hksj_std_error(pooled), effects, replicates)
    both = pooled.assign(**adjusted(pooled, pooled["experiment"] + "\n" + pooled["dimension"]))
    return Pairwise.checked(both[list(columns_of(Pairwise))])


def other_methods(study: Study, effects: pd.DataFrame, covariances: pd.DataFrame) -> DataFrame[PoolingMethods]:
    """The same effects pooled by every method, as if they were independent, and with their `covariances`."""
    alone = [pool_table(effects, KEYS, method).assign(method=method) for method in METHODS]
    families = {architecture.name: architecture.family for architecture in study.architectures}
    shared = pool_shared(effects, covariances, families, study.pooling.tau_scale)
    table = pd.concat([*alone, shared], ignore_index=True)
    of_hksj = (table["k"] - 1).where(table["hksj_p"].notna())
    table["df"] = table["df"].fillna(of_hksj) if "df" in table else of_hksj
    return PoolingMethods.checked(table[list(columns_of(PoolingMethods))])


def without_each(effects: pd.DataFrame) -> DataFrame[LeaveOneOut]:
    """Every pooled effect without each of its architectures."""
    return LeaveOneOut.checked(leave_one_out(effects, KEYS, "architecture"))
