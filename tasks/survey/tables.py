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


class RaterIndices(Table):
    """One row a rater and a dimension: how they answer. What somebody declares is in no column."""

    class Config(Table.Config):
        name = "Raters"

    rater: str = column("keyed pseudonym: the participant's in the collection, else made for this table")
    dimension: str = column("what is rated; all is all dimensions together")
    n_answers: int = column("answers given")
    n_fit: int = column("those that person fit rests on: of responses that somebody else rated too")
    outfit: float = column(
        "mean squared standardised residual of the mixed ordinal model; about 1 where answers are as the model expects",
        missing=True,
    )
    outfit_p: float = column(
        "share of answers simulated for this rater by the model whose outfit is as large or larger", "share",
        missing=True,
    )  # fmt: skip
    lz: float = column(
        "standardised log-likelihood of the answers; low where the model does not expect them; over all dimensions the "
        "normal scores of lz_p, added up and standardised",
        missing=True,
    )
    lz_p: float = column(
        "share of answers simulated for this rater by the model that fit it as badly or worse, by lz", "share",
        missing=True,
    )  # fmt: skip
    long_string: int = column("longest run of one label", "answers")
    irv: float = column("standard deviation of the answers", "categories")
    even_odd: float = column(
        "correlation over dimensions of the mean answers to every other response with those to the rest; over all "
        "dimensions only",
        missing=True,
    )
    failed_checks: pd.Int64Dtype = column(
        "rows of theirs that were left out because an attention check failed; over all dimensions only; missing where "
        "the questionnaire has no checks, or the ratings are of a collection, which keeps no such count",
        missing=True,
    )
    at_random: float = column(
        "simulated truth: 1 for who answers at random; missing where raters are real, or none is made to", missing=True
    )


class RaterFits(Table):
    """One row an index of the raters, a dimension and a group: how the index is spread, and who is beyond chance."""

    index: str = column("outfit, lz, long_string, irv or even_odd")
    dimension: str = column("what is rated; all is all dimensions together")
    stratum: str = column("the group of raters; all is everybody")
    n_raters: int = column("raters who have the index")
    low: float = column("a twentieth of them are below this value", missing=True)
    median: float = column("half of them are below this value", missing=True)
    high: float = column("a twentieth of them are above this value", missing=True)
    n_beyond: pd.Int64Dtype = column(
        "raters whose answers the model expects as little in one of twenty cases; of person fit only", missing=True
    )
    share_beyond: float = column("their share; about 0.05, or less, where the model holds", "share", missing=True)
    ci_low: float = column("lower end of its 95% interval (Wilson)", "share", missing=True)
    ci_high: float = column("upper end of its 95% interval", "share", missing=True)
    p_beyond: float = column("chance of so many or more, were it one of twenty for each rater", missing=True)
    auc: float = column(
        "simulated truth: how well the index tells who answers at random, the area under the curve; 0.5 is chance",
        missing=True,
    )
    notes: str = column("why a dimension has no person fit")
