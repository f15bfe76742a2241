"""The tables of the judge: its proof against the raters, and the answers that it could not score."""

from __future__ import annotations

from tasks.runtime.tables import Table, column

SCORE = "score, 0–1"


class JudgeAgreement(Table):
    """One row a dimension and a group of raters: how far judge and raters agree, and raters among themselves.

    Intervals are 95% of a bootstrap over prompts. The columns human_… hold one rater against the mean of the others.
    """

    dimension: str = column("what is rated and judged")
    stratum: str = column("the group of raters; all is everybody")
    n: int = column("responses that the group rated and the judge scored")
    agreement: float = column("share on the same side of the middle", "share", missing=True)
    weighted_kappa: float = column("Cohen's kappa with quadratic weights", missing=True)
    spearman: float = column("rank correlation", missing=True)
    mean_error: float = column("judge less raters, mean", SCORE, missing=True)
    n_prompts: int = column("prompts that these responses answer")
    n_unscored: int = column("rated responses that the judge could not score")
    spread: float = column("standard deviation of the judge's scores of these responses", SCORE, missing=True)
    raters_spread: float = column("standard deviation of the raters' means of them", SCORE, missing=True)
    alpha: float = column("Krippendorff's alpha of the judge and one rater of each response", missing=True)
    agreement_low: float = column("lower end of agreement's interval", "share", missing=True)
    agreement_high: float = column("upper end of agreement's interval", "share", missing=True)
    weighted_kappa_low: float = column("lower end of weighted_kappa's interval", missing=True)
    weighted_kappa_high: float = column("upper end of weighted_kappa's interval", missing=True)
    spearman_low: float = column("lower end of spearman's interval", missing=True)
    spearman_high: float = column("upper end of spearman's interval", missing=True)
    mean_error_low: float = column("lower end of mean_error's interval", SCORE, missing=True)
    mean_error_high: float = column("upper end of mean_error's interval", SCORE, missing=True)
    alpha_low: float = column("lower end of alpha's interval", missing=True)
    alpha_high: float = column("upper end of alpha's interval", missing=True)
    n_human: int = column("ratings of responses that another of the group rated as well")
    human_agreement: float = column("agreement among the raters", "share", missing=True)
    human_agreement_low: float = column("lower end of its interval", "share", missing=True)
    human_agreement_high: float = column("upper end of its interval", "share", missing=True)
    human_weighted_kappa: float = column("weighted_kappa among the raters", missing=True)
    human_weighted_kappa_low: float = column("lower end of its interval", missing=True)
    human_weighted_kappa_high: float = column("upper end of its interval", missing=True)
    human_spearman: float = column("spearman among the raters", missing=True)
    human_spearman_low: float = column("lower end of its interval", missing=True)
    human_spearman_high: float = column("upper end of its interval", missing=True)
    human_alpha: float = column("alpha among the raters", missing=True)
    human_alpha_low: float = column("lower end of its interval", missing=True)
    human_alpha_high: float = column("upper end of its interval", missing=True)
    draws: int = column("bootstrap draws behind each interval")
    undefined: int = column(
        "draws without a value, for the measure that has most such; its interval rests on the others"
    )


class JudgeFeatures(Table):
    """One row a dimension and what the judge might have read of an answer, where it chose: how far scores by these
    features agree with all raters, of prompts that neither the scores nor the penalties of the regression have seen.

    Intervals are 95% of a bootstrap over prompts. What was chosen, without the prompt each time, is in judge_agreement.
    """

    dimension: str = column("what is rated and judged")
    features: str = column("words, embeddings or both")
    used: bool = column("whether the judge reads these: chosen on all rated prompts, for all dimensions together")
    chosen: int = column("parts of the prompts for whose scores these were chosen on the others")
    parts: int = column("parts that the prompts were divided into")
    n: int = column("responses that were rated and scored")
    n_prompts: int = column("prompts that these responses answer")
    agreement: float = column("share on the same side of the middle", "share", missing=True)
    agreement_low: float = column("lower end of its interval", "share", missing=True)
    agreement_high: float = column("upper end of its interval", "share", missing=True)
    weighted_kappa: float = column("Cohen's kappa with quadratic weights", missing=True)
    weighted_kappa_low: float = column("lower end of its interval", missing=True)
    weighted_kappa_high: float = column("upper end of its interval", missing=True)
    spearman: float = column("rank correlation, by which the choice is made", missing=True)
    spearman_low: float = column("lower end of its interval", missing=True)
    spearman_high: float = column("upper end of its interval", missing=True)
    alpha: float = column("Krippendorff's alpha of these scores and one rater of each response", missing=True)
    alpha_low: float = column("lower end of its interval", missing=True)
    alpha_high: float = column("upper end of its interval", missing=True)
    spread: float = column("standard deviation of the scores", SCORE, missing=True)


class JudgeStrata(Table):
    """One row a dimension, two groups of raters and a measure: whether the judge sides with one of the groups."""

    dimension: str = column("what is rated and judged")
    contrast: str = column("A - B, the groups")
    measure: str = column("what is compared: mean_error or alpha")
    difference: float = column("the judge's measure against A's raters less that against B's", missing=True)
    ci_low: float = column("lower end of its 95% bootstrap interval", missing=True)
    ci_high: float = column("upper end of its 95% bootstrap interval", missing=True)
    draws: int = column("bootstrap draws behind the interval")
    undefined: int = column("of these, draws without a value; the interval rests on the others")


class JudgeCalibration(Table):
    """One row a dimension: the line of the raters' mean on the judge's score, by which effects are corrected."""

    dimension: str = column("what is rated and judged")
    n: int = column("responses that were rated and scored")
    n_prompts: int = column("prompts that they answer, over which errors are clustered")
    intercept: float = column("the raters' mean where the judge gives 0", SCORE, missing=True)
    slope: float = column("rise of the raters' mean with the judge's score", missing=True)
    slope_std_error: float = column("its standard error, clustered by prompt", missing=True)
    slope_low: float = column("lower end of its 95% interval", missing=True)
    slope_high: float = column("upper end of its 95% interval", missing=True)
    score_low: float = column("lowest score of a rated response", SCORE, missing=True)
    score_high: float = column("highest score of a rated response", SCORE, missing=True)
    outside: float = column(
        "share of the models' answers whose score lies beyond these two; missing before any is scored",
        "share",
        missing=True,
    )
    why_not: str = column("why effects on the dimension are not corrected")


class JudgeGroups(Table):
    """One row a dimension and a group of raters: whether a judge of the group's own tells more than everybody's.

    All numbers are of prompts that the judges have not seen: each is made anew without them. Everybody's judge stands
    on the raters' scale, by the line of everybody's mean on its score, so that no group's judge is better only because
    the judge errs alike for all. Means and errors weigh a response by its number of ratings.
    """

    dimension: str = column("what is rated and judged")
    group: str = column("the group of raters")
    n: int = column("responses that the group rated and the judge scored")
    n_prompts: int = column("prompts that these responses answer")
    n_ratings: int = column("the group's ratings of them")
    kind: str = column(
        "how the group's judge is made: words, embeddings, both, line or isotonic; empty where there is none"
    )
    penalty: float = column("the ridge's, where texts are read; inf: deviation zero", "ratings", missing=True)
    intercept: float = column("the group's mean where everybody's judge gives 0, by a line", SCORE, missing=True)
    slope: float = column("rise of the group's mean with everybody's judge; 1: as everybody's", missing=True)
    slope_std_error: float = column("its standard error, clustered by prompt", missing=True)
    error_everybody: float = column("squared error of everybody's judge, mean", "score²", missing=True)
    error_group: float = column("squared error of the group's judge, mean", "score²", missing=True)
    gain: float = column("the first less the second", "score²", missing=True)
    gain_std_error: float = column("its standard error, clustered by prompt", "score²", missing=True)
    gain_low: float = column("lower end of its 95% interval, Student's over prompts", "score²", missing=True)
    gain_high: float = column("upper end of that interval", "score²", missing=True)
    spearman_own: float = column("rank correlation of the group's judge with the group's raters", missing=True)
    spearman_own_low: float = column("lower end of its 95% interval, a bootstrap over prompts", missing=True)
    spearman_own_high: float = column("upper end of its interval", missing=True)
    spearman_everybody: float = column("rank correlation of everybody's judge with the group's raters", missing=True)
    spearman_everybody_low: float = column("lower end of its interval", missing=True)
    spearman_everybody_high: float = column("upper end of its interval", missing=True)
    spearman_others: float = column("rank correlation of the group's judge with all other raters", missing=True)
    spearman_others_low: float = column("lower end of its interval", missing=True)
    spearman_others_high: float = column("upper end of its interval", missing=True)
    used: bool = column("whether the group's judge is used: gain_low is above 0; otherwise everybody's is")
    why_not: str = column("why it is not used, so that the group can't be told from everybody on the dimension")


class Unscored(Table):
    """One row a condition and a reason for which the judge left answers unscored."""

    experiment: str = column("the experiment; control is the untouched architecture's")
    condition: str = column("the condition whose models answered")
    reason: str = column("why there is no score")
    n: int = column("answers")
