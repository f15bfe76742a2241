"""The tables of the survey: who rated, and what the ratings say before any model is trained."""

from __future__ import annotations

import pandas as pd

from tasks.runtime.tables import Table, column


class Participants(Table):
    """One row a value that participants declare for an attribute; rare values are one row together."""

    attribute: str = column("what was asked of the participant, such as age")
    value: str = column("the declared value")
    n: pd.Int64Dtype = column("participants who declare it; missing where they are too few to show", missing=True)
    share: float = column("their share of all participants", "share", missing=True)


class Disagreement(Table):
    """One row a dimension: how often raters of the same response disagree."""

    dimension: str = column("what is rated")
    n_responses: int = column("responses with two ratings or more")
    disagreement: float = column("share of these whose ratings are not all the same", "share", missing=True)


class Cooccurrence(Table):
    """One row an ordered pair of dimensions: how often a rating that is positive on one is positive on the other."""

    row: str = column("the dimension on which a rating is positive")
    other: str = column("the dimension on which it may be positive as well", name="column")
    probability: float = column("share of the ratings that are positive on the column as well", "share", missing=True)
    n: int = column("ratings that are positive on the row and given on the column")


class Reliability(Table):
    """One row a dimension and a group of raters: Krippendorff's alpha among them."""

    dimension: str = column("what is rated")
    stratum: str = column("the group of raters; all is everybody")
    alpha: float = column("Krippendorff's alpha; missing where all ratings are equal", missing=True)
    ci_low: float = column("lower end of its 95% bootstrap interval; missing where all draws agree", missing=True)
    ci_high: float = column("upper end of its 95% bootstrap interval", missing=True)
    n_participants: int = column("raters")
    n_responses: int = column("responses that two of them or more rated")
    n_ratings: int = column("ratings")
    level: str = column("level of measurement of alpha: nominal, ordinal or interval")
    draws: int = column("bootstrap draws of responses")
    undefined: int = column(
        "draws without an alpha, since all their ratings are equal; the interval rests on the others"
    )


class SurveyContrasts(Table):
    """One row a contrast of two groups and a dimension: how far apart they rate."""

    contrast: str = column("A - B, the conditions whose groups of raters are compared")
    dimension: str = column("what is rated")
    estimate: float = column("mean rating of A's raters less that of B's", "rating, 0–1", missing=True)
    std_error: float = column(
        "its standard error, over participants; missing where neither side varies", "rating, 0–1", missing=True
    )
    ci_low: float = column("lower end of Welch's 95% interval", "rating, 0–1", missing=True)
    ci_high: float = column("upper end of Welch's 95% interval", "rating, 0–1", missing=True)
    n_a: int = column("raters on A's side")
    n_b: int = column("raters on B's side")


class OrdinalRegression(Table):
    """One row a term of the mixed ordinal model of a dimension."""

    dimension: str = column("what is rated")
    term: str = column("ATTRIBUTE[VALUE], as the model names it")
    attribute: str = column("what was asked of the participant")
    value: str = column("the declared value, held against the attribute's reference value")
    n_participants: int = column("participants of the model who declare the value")
    estimate: float = column("log odds ratio of a higher rating", "log odds", missing=True)
    std_error: float = column("its standard error", "log odds", missing=True)
    z: float = column("estimate / std_error", missing=True)
    p: float = column("two-sided p of z", missing=True)
    odds_ratio: float = column("exp(estimate)", missing=True)
    ci_low: float = column("lower end of the odds ratio's 95% interval", missing=True)
    ci_high: float = column("upper end of the odds ratio's 95% interval", missing=True)
    percent: float = column("change in the odds, 100 · (odds ratio - 1)", "percent", missing=True)
    published: float = column("the published change in the odds", "percent", missing=True)
    published_p: str = column("its p, as it is printed")
    p_holm: float = column("p adjusted by Holm's method over all terms of all dimensions", missing=True)


class OrdinalModels(Table):
    """One row a dimension: what its mixed ordinal model rests on, and how well it fits."""

    dimension: str = column("what is rated")
    reference: str = column("ATTRIBUTE: VALUE; …, the values that the terms are held against")
    n_ratings: int = column("ratings in the model")
    n_participants: int = column("their raters")
    n_responses: int = column("the responses that they rate")
    left_out: int = column("ratings of participants who leave one of the attributes undeclared")
    log_likelihood: float = column("of the fitted model; missing where none could be fitted", missing=True)
    aic: float = column("Akaike's information criterion", missing=True)
    sd_participant: float = column("spread of the random intercepts of raters", "log odds", missing=True)
    sd_response: float = column("spread of the random intercepts of responses", "log odds", missing=True)
    converged: bool = column("whether the fit came to its end")
    notes: str = column("what a reader must know of the fit")
