"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class JudgeAgreement(Table):
    """"""

    dimension: str = column("")
    stratum: str = column("")
    n: float = column("")
    agreement: float = column("")
    weighted_kappa: float = column("")
    spearman: float = column("")
    mean_error: float = column("")
    n_prompts: float = column("")
    n_unscored: float = column("")
    alpha: float = column("")
    agreement_low: float = column("")
    agreement_high: float = column("")
    weighted_kappa_low: float = column("")
    weighted_kappa_high: float = column("")
    spearman_low: float = column("")
    spearman_high: float = column("")
    mean_error_low: float = column("")
    mean_error_high: float = column("")
    alpha_low: float = column("")
    alpha_high: float = column("")
    n_human: float = column("")
    human_agreement: float = column("")
    human_agreement_low: float = column("")
    human_agreement_high: float = column("")
    human_weighted_kappa: float = column("")
    human_weighted_kappa_low: float = column("")
    human_weighted_kappa_high: float = column("")
    human_spearman: float = column("")
    human_spearman_low: float = column("")
    human_spearman_high: float = column("")
    human_alpha: float = column("")
    human_alpha_low: float = column("")
    human_alpha_high: float = column("")

    class Config:
        name = "judge_agreement"


class JudgeStrata(Table):
    """"""

    dimension: str = column("")
    contrast: str = column("")
    measure: str = column("")
    difference: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")

    class Config:
        name = "judge_strata"


class JudgeCalibration(Table):
    """"""

    dimension: str = column("")
    n: float = column("")
    n_prompts: float = column("")
    intercept: float = column("")
    slope: float = column("")
    slope_std_error: float = column("")
    slope_low: float = column("")
    slope_high: float = column("")
    score_low: float = column("")
    score_high: float = column("")
    outside: float = column("")
    why_not: str = column("")

    class Config:
        name = "judge_calibration"


class Unscored(Table):
    """"""

    experiment: str = column("")
    condition: str = column("")
    reason: str = column("")
    n: float = column("")

    class Config:
        name = "unscored"
