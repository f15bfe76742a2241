"""The tables that this room makes."""

from __future__ import annotations

from tasks.runtime.tables import Table, column


class Participants(Table):
    """"""

    attribute: str = column("")
    value: str = column("")
    n: float = column("")
    share: float = column("")

    class Config:
        name = "participants"


class Disagreement(Table):
    """"""

    dimension: str = column("")
    n_responses: float = column("")
    disagreement: float = column("")

    class Config:
        name = "disagreement"


class Cooccurrence(Table):
    """"""

    row: str = column("")
    column: str = column("")
    probability: float = column("")
    n: float = column("")

    class Config:
        name = "cooccurrence"


class Reliability(Table):
    """"""

    dimension: str = column("")
    stratum: str = column("")
    alpha: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    n_participants: float = column("")
    n_responses: float = column("")
    n_ratings: float = column("")

    class Config:
        name = "reliability"


class SurveyContrasts(Table):
    """"""

    contrast: str = column("")
    dimension: str = column("")
    estimate: float = column("")
    std_error: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    n_a: float = column("")
    n_b: float = column("")

    class Config:
        name = "survey_contrasts"


class OrdinalRegression(Table):
    """"""

    dimension: str = column("")
    term: str = column("")
    attribute: str = column("")
    value: str = column("")
    n_participants: float = column("")
    estimate: float = column("")
    std_error: float = column("")
    z: float = column("")
    p: float = column("")
    odds_ratio: float = column("")
    ci_low: float = column("")
    ci_high: float = column("")
    percent: float = column("")
    published: float = column("")
    published_p: str = column("")

    class Config:
        name = "ordinal_regression"


class OrdinalModels(Table):
    """"""

    dimension: str = column("")
    reference: str = column("")
    n_ratings: float = column("")
    n_participants: float = column("")
    n_responses: float = column("")
    left_out: float = column("")
    log_likelihood: float = column("")
    aic: float = column("")
    sd_participant: float = column("")
    sd_response: float = column("")
    converged: str = column("")
    notes: str = column("")

    class Config:
        name = "ordinal_models"
