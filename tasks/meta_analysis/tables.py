"""The tables of the meta-analysis: effects pooled over architectures, and how far that depends on a choice."""

from __future__ import annotations

import pandas as pd

from tasks.runtime.tables import Table, column

SCORE = "score, 0–1"


class Pooled(Table):
    """One row a contrast and a dimension: the effect pooled over the architectures (DerSimonian–Laird)."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    k: int = column("architectures that are pooled")
    estimate: float = column("pooled effect", SCORE, missing=True)
    std_error: float = column("its standard error", SCORE, missing=True)
    ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    p: float = column("two-sided p of the Wald test", missing=True)
    tau2: float = column("variance between architectures", "score²", missing=True)
    q: float = column("Cochran's Q", missing=True)
    q_p: float = column("p of Q", missing=True)
    i2: float = column("share of the variance that lies between architectures", "percent", missing=True)
    pi_low: float = column("lower end of the 95% prediction interval for another architecture", SCORE, missing=True)
    pi_high: float = column("upper end of the 95% prediction interval", SCORE, missing=True)
    hksj_ci_low: float = column("lower end of Hartung, Knapp, Sidik and Jonkman's 95% interval", SCORE, missing=True)
    hksj_ci_high: float = column("upper end of their 95% interval", SCORE, missing=True)
    hksj_p: float = column("two-sided p of their test", missing=True)
    published: float = column("the published effect", SCORE, missing=True)
    published_p: str = column("its p, as it is printed")
    tau2_low: float = column("lower end of tau2's 95% Q-profile interval", "score²", missing=True)
    tau2_high: float = column("upper end of tau2's interval", "score²", missing=True)
    i2_low: float = column("lower end of i2's 95% Q-profile interval", "percent", missing=True)
    i2_high: float = column("upper end of i2's interval", "percent", missing=True)
    egger_z: float = column("Egger's test of small-study effects, z; from ten architectures on", missing=True)
    egger_p: float = column("its p", missing=True)
    p_holm: float = column("p adjusted by Holm's method over the experiment", missing=True)
    hksj_p_holm: float = column("hksj_p adjusted in the same way", missing=True)
    n_marked: int = column("architectures of which a run fails a limit of health")
    unmarked_k: pd.Int64Dtype = column("architectures without these, where there are any", missing=True)
    unmarked_estimate: float = column("effect pooled without them", SCORE, missing=True)
    unmarked_ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    unmarked_ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    unmarked_hksj_ci_low: float = column("lower end of its HKSJ 95% interval", SCORE, missing=True)
    unmarked_hksj_ci_high: float = column("upper end of its HKSJ 95% interval", SCORE, missing=True)
    corrected: float = column("the effect on the raters' scale, slope · estimate", SCORE, missing=True)
    corrected_std_error: float = column("its standard error, with that of the slope", SCORE, missing=True)
    corrected_ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    corrected_ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    published_low: float = column("lower end of the published effect's 95% interval, from its p", SCORE, missing=True)
    published_high: float = column("upper end of the published effect's interval", SCORE, missing=True)
    n_replicates: int = column("rater replicates, in which the raters are weighted anew; 0: who was asked is not known")
    raters_std_error: float = column("standard error from who was asked", SCORE, missing=True)
    raters_shared_std_error: float = column("the part of it that architectures share", SCORE, missing=True)
    total_std_error: float = column("standard error of all sources", SCORE, missing=True)
    total_df: float = column("its degrees of freedom (Welch–Satterthwaite)", missing=True)
    total_ci_low: float = column("lower end of the 95% interval that knows who was asked", SCORE, missing=True)
    total_ci_high: float = column("upper end of that interval", SCORE, missing=True)
    total_p: float = column("two-sided p of its test", missing=True)
    total_p_holm: float = column("total_p adjusted by Holm's method over the experiment", missing=True)
    corrected_total_ci_low: float = column(
        "lower end of corrected's interval that knows who was asked", SCORE, missing=True
    )
    corrected_total_ci_high: float = column("upper end of that interval", SCORE, missing=True)
    published_at_most: bool = column("whether the printed p is a bound, so that the interval is at most so wide")
    shared_std_error: float = column(
        "standard error of estimate if errors of architectures share what the same prompts give them",
        SCORE,
        missing=True,
    )
    shared_hksj_std_error: float = column(
        "the same scaled by the spread of the effects, as HKSJ's; for t with k - 1 degrees of freedom",
        SCORE,
        missing=True,
    )
    mean_correlation: float = column("of the errors of two architectures' effects, from shared prompts", missing=True)


class VarianceComponents(Table):
    """One row a pooled effect and a source of its error: raters, prompts, seeds, judge or architectures."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    source: str = column("raters, prompts, seeds, judge or architectures")
    variance: float = column(
        "what it adds to the estimate's variance by its own formula; missing where not measured", "score²", missing=True
    )
    in_interval: float = column(
        "what it is of total_std_error², to which these add up; of the judge missing", "score²", missing=True
    )
    share: float = column("its share of in_interval and the judge's variance", "share", missing=True)
    narrower: float = column("by how much total_std_error shrinks with twice as many of it", "share", missing=True)


class PoolingMethods(Table):
    """One row a pooled effect and a way to pool it.

    fixed, dl, reml and pm take the errors of architectures for independent; the others know what shared prompts do.
    """

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    method: str = column("fixed, dl, reml, pm, dl-shared, reml-shared, cr2 or half-normal")
    k: int = column("architectures that are pooled")
    estimate: float = column("pooled effect; of half-normal its posterior mean", SCORE, missing=True)
    std_error: float = column("its standard error; of half-normal its posterior sd", SCORE, missing=True)
    ci_low: float = column("lower end of its 95% interval: Wald, cr2 by t, half-normal credible", SCORE, missing=True)
    ci_high: float = column("upper end of its 95% interval", SCORE, missing=True)
    p: float = column("two-sided p of the test by the same error", missing=True)
    df: float = column("degrees of freedom of t: of HKSJ k - 1, of cr2 Satterthwaite's", missing=True)
    tau2: float = column("variance between architectures; of half-normal its posterior mean", "score²", missing=True)
    tau2_low: float = column(
        "lower end of tau2's 95% interval: Q-profile, half-normal credible", "score²", missing=True
    )
    tau2_high: float = column("upper end of tau2's interval", "score²", missing=True)
    q: float = column("Cochran's Q", missing=True)
    q_p: float = column("p of Q", missing=True)
    i2: float = column("share of the variance that lies between architectures", "percent", missing=True)
    pi_low: float = column("lower end of the 95% prediction interval for another architecture", SCORE, missing=True)
    pi_high: float = column("upper end of the 95% prediction interval", SCORE, missing=True)
    hksj_ci_low: float = column("lower end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_ci_high: float = column("upper end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_p: float = column("two-sided p of the HKSJ test", missing=True)


class LeaveOneOut(Table):
    """One row a pooled effect and one of its architectures: the pool without it."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    without: str = column("the architecture that is left out")
    k: int = column("architectures that remain")
    estimate: float = column("pooled effect", SCORE, missing=True)
    std_error: float = column("its standard error", SCORE, missing=True)
    ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    p: float = column("two-sided p of the Wald test", missing=True)
    tau2: float = column("variance between architectures", "score²", missing=True)
    q: float = column("Cochran's Q", missing=True)
    i2: float = column("share of the variance that lies between architectures", "percent", missing=True)
    hksj_ci_low: float = column("lower end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_ci_high: float = column("upper end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_p: float = column("two-sided p of the HKSJ test", missing=True)


class Pairwise(Table):
    """One row every two conditions of an experiment and a dimension: the pooled difference between them."""

    experiment: str = column("the experiment that both conditions are of")
    contrast: str = column("A - B, the conditions")
    dimension: str = column("what is judged")
    k: int = column("architectures that are pooled")
    estimate: float = column("pooled effect", SCORE, missing=True)
    std_error: float = column("its standard error", SCORE, missing=True)
    ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    p: float = column("two-sided p of the Wald test", missing=True)
    tau2: float = column("variance between architectures", "score²", missing=True)
    i2: float = column("share of the variance that lies between architectures", "percent", missing=True)
    hksj_ci_low: float = column("lower end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_ci_high: float = column("upper end of the HKSJ 95% interval", SCORE, missing=True)
    hksj_p: float = column("two-sided p of the HKSJ test", missing=True)
    p_holm: float = column("p adjusted by Holm's method over the experiment's pairs on the dimension", missing=True)
    hksj_p_holm: float = column("hksj_p adjusted in the same way", missing=True)
    n_replicates: int = column("rater replicates, in which the raters are weighted anew; 0: who was asked is not known")
    raters_std_error: float = column("standard error from who was asked", SCORE, missing=True)
    raters_shared_std_error: float = column("the part of it that architectures share", SCORE, missing=True)
    total_std_error: float = column("standard error of all sources", SCORE, missing=True)
    total_df: float = column("its degrees of freedom (Welch–Satterthwaite)", missing=True)
    total_ci_low: float = column("lower end of the 95% interval that knows who was asked", SCORE, missing=True)
    total_ci_high: float = column("upper end of that interval", SCORE, missing=True)
    total_p: float = column("two-sided p of its test", missing=True)
    total_p_holm: float = column("total_p adjusted in the same way", missing=True)


class Ratios(Table):
    """One row a ratio that the study asks for: how many times as large one pooled effect is as another."""

    experiment: str = column("the experiment that both contrasts are of")
    of: str = column("the contrast in the numerator, A - B")
    to: str = column("the contrast in the denominator, A - B")
    dimension: str = column("what is judged")
    k: int = column("architectures that have both effects")
    estimate_of: float = column("pooled effect in the numerator", SCORE, missing=True)
    estimate_to: float = column("pooled effect in the denominator", SCORE, missing=True)
    ratio: float = column("the first by the second", missing=True)
    ci_low: float = column("lower end of Fieller's 95% interval, -inf where it has no bound", missing=True)
    ci_high: float = column("upper end of Fieller's 95% interval, inf where it has no bound", missing=True)
    n_replicates: int = column("rater replicates that both contrasts have")
    total_ci_low: float = column("lower end of Fieller's interval that knows who was asked", missing=True)
    total_ci_high: float = column("upper end of that interval", missing=True)
    published: float = column("the published ratio", missing=True)


class Moved(Table):
    """One row a pooled effect of this run or of the last one that rested on other ratings or settings."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    before: float = column("the earlier run's pooled effect", SCORE, missing=True)
    after: float = column("this run's pooled effect", SCORE, missing=True)
    change: float = column("after less before", SCORE, missing=True)
    k_before: pd.Int64Dtype = column("architectures pooled then", missing=True)
    k_after: pd.Int64Dtype = column("architectures pooled now", missing=True)
    moved: bool = column("whether the change shows in the third digit")
    beyond: bool = column("whether this run's effect lies outside the 95% interval of the earlier one")


class Truth(Table):
    """One row a contrast of groups of simulated raters and a dimension: what is planted, and whether it was found."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions that differ in their strata alone")
    dimension: str = column("what is judged")
    sign: int = column("planted sign of the effect: 1, -1, or 0 where nothing is planted")
    strength: float = column("planted strength: difference of the groups' mean slopes, 0 for a null", "log-odds")
    estimate: float = column("pooled effect", SCORE, missing=True)
    ci_low: float = column("lower end of the 95% interval that sentences use", SCORE, missing=True)
    ci_high: float = column("upper end of that interval", SCORE, missing=True)
    verdict: str = column("found, missed or wrong sign; kept or broken of a null; not measured without an interval")


class Service(Table):
    """One row a way to serve or a contrast of two, a measure of service and a dimension: pooled over architectures
    (DerSimonian–Laird), and beside it one row of every architecture.
    """

    experiment: str = column("the experiment that the ways are of")
    contrast: str = column("A - B, two ways to serve; or one way alone, whose level it is")
    measure: str = column("worst group, gap, mean, population mean, or group: NAME; more is better of all but the gap")
    dimension: str = column("what is judged")
    architecture: str = column("the model; empty where all are pooled")
    k: int = column("architectures that are pooled")
    estimate: float = column("of A less of B, corrected for the bias of a minimum and of a gap", SCORE, missing=True)
    uncorrected: float = column("the same as it is in the sample", SCORE, missing=True)
    std_error: float = column("its standard error, over prompts and seeds", SCORE, missing=True)
    ci_low: float = column("lower end of its Wald 95% interval", SCORE, missing=True)
    ci_high: float = column("upper end of its Wald 95% interval", SCORE, missing=True)
    p: float = column("two-sided p of the Wald test of a contrast", missing=True)
    tau2: float = column("variance between architectures", "score²", missing=True)
    i2: float = column("share of the variance that lies between architectures", "percent", missing=True)
    hksj_ci_low: float = column(
        "lower end of HKSJ's 95% interval, with what the same prompts give the architectures", SCORE, missing=True
    )
    hksj_ci_high: float = column("upper end of that interval", SCORE, missing=True)
    hksj_p: float = column("two-sided p of its test of a contrast", missing=True)
    mean_correlation: float = column("of the errors of two architectures, from shared prompts", missing=True)
    n_prompts: int = column("prompts behind it; of a pooled row the fewest of its architectures")
    n_replicates: int = column("rater replicates, in which the raters are weighted anew; 0: who was asked is not known")
    raters_std_error: float = column("standard error from who was asked, shared by architectures", SCORE, missing=True)
    total_std_error: float = column("standard error of all sources", SCORE, missing=True)
    total_df: float = column("its degrees of freedom (Welch–Satterthwaite)", missing=True)
    total_ci_low: float = column("lower end of the 95% interval that knows who was asked", SCORE, missing=True)
    total_ci_high: float = column("upper end of that interval", SCORE, missing=True)
    total_p: float = column("two-sided p of its test of a contrast", missing=True)
