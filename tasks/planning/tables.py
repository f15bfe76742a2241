"""The table of designs."""

from __future__ import annotations

from tasks.runtime.tables import Table, column

SCORE = "score, 0–1"


class Designs(Table):
    """One row a design of a study and a size of effect: what it is expected to find of one contrast, and its cost."""

    experiment: str = column("the experiment that the contrast is of")
    contrast: str = column("A - B, two conditions")
    dimension: str = column("what is judged")
    groups: int = column("groups of raters that the contrast compares; 1: all raters, or those of one group")
    raters: int = column("raters of each group")
    ratings_each: int = column("responses that each rates, those to held-out prompts among them")
    prompts: int = column("held-out prompts")
    architectures: int = column("architectures that are trained")
    seeds: int = column("training seeds of each condition")
    replicates: int = column("rater replicates, in which the raters are weighted anew")
    std_error: float = column("expected standard error of the pooled effect, as the study will state it", SCORE)
    std_error_low: float = column("lower end of its 95% interval, from the errors of what was measured", SCORE)
    std_error_high: float = column("upper end of that interval", SCORE)
    df: float = column("degrees of freedom of the standard error (Welch–Satterthwaite)")
    ci_width: float = column("expected width of the effect's 95% interval", SCORE)
    scatter: float = column("expected standard deviation of the effect over repetitions of the study", SCORE)
    scatter_low: float = column("lower end of its 95% interval", SCORE)
    scatter_high: float = column("upper end of that interval", SCORE)
    effect: float = column("true effect that is looked for", SCORE)
    power: float = column("how often its 95% interval excludes zero", "share")
    power_low: float = column("with the upper ends of the errors", "share")
    power_high: float = column("with the lower ends of the errors", "share")
    ratings: int = column("rated responses to be paid for, of all groups together")
    training_runs: int = column("training runs of the contrast")
    gpu_hours: float = column("of these and of the answers, at assumed speed; nothing for tiny models", "hours")
    cost: float = column(
        "ratings and GPU-hours at the prices that were given; missing without", "US dollars", missing=True
    )
