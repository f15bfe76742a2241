"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Pooled(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    k: float = column("")
    estimate: float = column("")
    std_error: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    p: float = column("")
    tau2: float = column("")
    q: float = column("")
    q_p: float = column("")
    i2: float = column("")
    pi_low: float = column("")
    pi_high: float = column("")
    hksj_ci_low: float = column("")
    hksj_ci_high: float = column("")
    hksj_p: float = column("")
    published: float = column("")
    published_p: str = column("")
    tau2_low: float = column("")
    tau2_high: float = column("")
    i2_low: float = column("")
    i2_high: float = column("")
    egger_z: float = column("")
    egger_p: float = column("")
    p_holm: float = column("")
    hksj_p_holm: float = column("")
    n_marked: float = column("")
    unmarked_k: float = column("")
    unmarked_estimate: float = column("")
    unmarked_ci_low: float = column("")
    unmarked_ci_high: float = column("")
    unmarked_hksj_ci_low: float = column("")
    unmarked_hksj_ci_high: float = column("")
    corrected: float = column("")
    corrected_std_error: float = column("")
    corrected_ci_low: float = column("")
    corrected_ci_high: float = column("")

    class Config:
        name = "pooled"


class PoolingMethods(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    method: str = column("")
    k: float = column("")
    estimate: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    tau2: float = column("")
    hksj_ci_low: float = column("")
    hksj_ci_high: float = column("")

    class Config:
        name = "pooling_methods"


class LeaveOneOut(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    without: str = column("")
    k: float = column("")
    estimate: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    hksj_ci_low: float = column("")
    hksj_ci_high: float = column("")

    class Config:
        name = "leave_one_out"


class Pairwise(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    k: float = column("")
    estimate: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    p: float = column("")
    hksj_ci_low: float = column("")
    hksj_ci_high: float = column("")
    hksj_p: float = column("")
    p_holm: float = column("")
    hksj_p_holm: float = column("")

    class Config:
        name = "pairwise"


class Ratios(Table):
    """"""

    experiment: str = column("")
    of: str = column("")
    to: str = column("")
    dimension: str = column("")
    k: float = column("")
    estimate_of: float = column("")
    estimate_to: float = column("")
    ratio: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    published: float = column("")

    class Config:
        name = "ratios"


class Moved(Table):
    """"""

    experiment: str = column("")
    contrast: str = column("")
    dimension: str = column("")
    before: float = column("")
    after: float = column("")
    change: float = column("")
    k_before: float = column("")
    k_after: float = column("")
    moved: float = column("")
    beyond: float = column("")

    class Config:
        name = "moved"
