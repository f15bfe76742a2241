"""The judge: its proof against the humans, what it left unscored, and its error carried into the effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.schema import Study
from tasks.judging.proof import shortfalls
from tasks.reporting.document import Caution, Fold, Table, Text
from tasks.reporting.facts import Facts
from tasks.reporting.tables import Row, Tables, pooled_rows, rows, titled
from tasks.reporting.words import (
    DASH,
    MINUS,
    finite,
    in_sentence,
    interval,
    joined,
    label_sentence,
    number,
    percent,
    raters_title,
    title_of,
    whole,
)

MEASURES = {"alpha": "α", "mean_error": "mean error"}
MANY_OUTSIDE = 0.1
"""Share of outputs beyond the scores of rated responses from which on a correction extrapolates."""


def judge(study: Study, tables: Tables, facts: Facts) -> list[Any]:
    """Everything that a reader must know of the judge before believing an effect."""
    found = rows(tables, "judge_agreement")
    if not found:
        return []
    told = facts.judge or {}
    below = [Caution(sentence) for sentence in judge_finding(study, tables)]
    everybody = [row for row in found if row["stratum"] == "all"] or found
    groups = [row for row in found if row not in everybody]
    fold = [Fold("By group of raters", [_agreement(study, groups)])] if groups else []
    return [
        *below, Text(_how(study)), _agreement(study, everybody), Text(_against_ceiling(study, everybody)),
        *_strata(study, tables), *fold, *_unscored(tables), *_correction(study, tables), *_account(told),
    ]  # fmt: skip


def judge_finding(study: Study, tables: Tables) -> list[str]:
    """Whether the judge is below the study's floor, in a sentence."""
    found = shortfalls(tables["judge_agreement"], study.judge.proof.floor) if rows(tables, "judge_agreement") else []
    if not found:
        return []
    what = (
        "so nothing was trained or judged."
        if study.judge.proof.below == "stop"
        else "and the study goes on as set: take every effect with that in mind."
    )
    return [f"The judge is below the floor that the study sets for it ({'; '.join(found)}), {what}"]


def _how(study: Study) -> str:
    return (
        f"{study.judge.subject}, held against the raters of held-out prompts before it judged an output, response by "
        "response, with 95% intervals of a bootstrap over prompts. Agreement: the judge and the raters' mean on the "
        "same side of the middle (the paper reports 85% with experts). κ: Cohen's with quadratic weights, ρ: "
        "Spearman's, both against the raters' mean. α: Krippendorff's, of the judge and a single rater. Mean error: "
        "judge minus raters. The ceiling is what the raters reach among themselves: one against the mean of the others "
        "of the same response, who are one fewer than the judge is held against; their own α. A judge that foretells "
        f"their mean can pass it. {label_sentence(study)}"
    ).strip()


def _agreement(study: Study, found: list[Row]) -> Table:
    header = ["Raters", "Dimension", "Who", "n", "Agreement", "Weighted κ", "Spearman's ρ", "α", "Mean error"]
    body = []
    for row in found:
        name = [raters_title(study, row["stratum"]), titled(study, row)]
        body.append([*name, "judge", whole(row["n"]), *_measures(row, ""), _with_ends(row, "mean_error", 3)])
        body.append([*name, "a rater", whole(row["n_human"]), *_measures(row, "human_"), DASH])
    return Table(header, "lllrrrrrr", body)


def _measures(row: Row, who: str) -> list[str]:
    return [
        _with_ends(row, f"{who}agreement", 1),
        *(_with_ends(row, f"{who}{name}", 2) for name in ("weighted_kappa", "spearman", "alpha")),
    ]


def _with_ends(row: Row, name: str, digits: int) -> str:
    """`0.61 (0.55 to 0.67)`; shares in percent."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if name.endswith("agreement"):
        ends = f" ({interval(100 * low, 100 * high, digits)})" if finite(low, high) else ""
        return f"{percent(row[name])}{ends}"
    return number(row[name], digits) + (f" ({interval(low, high, digits)})" if finite(low, high) else "")


def _against_ceiling(study: Study, found: list[Row]) -> str:
    """Whether the judge agrees with the raters as well as one of them would."""
    said = []
    for row in found:
        judge, ceiling = row["alpha"], row["human_alpha"]
        if finite(judge, ceiling):
            word = "at least as well as" if judge >= ceiling else "less well than"
            values = f"α {number(judge, 2)} against {number(ceiling, 2)}"
            said.append(f"{word} the raters among themselves on {in_sentence(titled(study, row))} ({values})")
    return f"The judge agrees with a single rater {joined(said)}." if said else ""


def _strata(study: Study, tables: Tables) -> list[Any]:
    """Whether the judge agrees with one stratum and not another."""
    found = [row for row in rows(tables, "judge_strata") if finite(row["difference"], row["ci_low"], row["ci_high"])]
    if not found:
        return []
    clear = [row for row in found if row["ci_low"] > 0 or row["ci_high"] < 0]
    said = "; ".join(_sides(study, row) for row in clear)
    text = (
        f"Of {whole(len(found))} comparisons between groups of raters, {whole(len(clear))} have a 95% interval without "
        "zero; about one in twenty would by chance. Compared are α and mean error: the other measures rise with the "
        "number of raters behind a mean. α also falls where a group's raters agree less with each other."
    )
    parts: list[Any] = [Text(text)]
    if clear:
        parts.append(Caution(f"The judge does not agree alike with all groups: {said}."))
    header = ["Groups", "Dimension", "Measure", "Difference", "95% CI"]
    body = [
        [row["contrast"].replace(" - ", f" {MINUS} "), titled(study, row), MEASURES[row["measure"]],
         number(row["difference"]), interval(row["ci_low"], row["ci_high"])]
        for row in found
    ]  # fmt: skip
    return [*parts, Fold("Every comparison", [Table(header, "lllrr", body)])]


def _sides(study: Study, row: Row) -> str:
    """`toxicity, weighted κ with female less than with male raters by 0.08 (0.02 to 0.14)`."""
    first, second = (raters_title(study, side) for side in row["contrast"].partition(" - ")[::2])
    word, low, high = "more", row["ci_low"], row["ci_high"]
    if row["difference"] < 0:
        word, low, high = "less", -high, -low
    return (
        f"{in_sentence(titled(study, row))}, {MEASURES[row['measure']]} with {first} {word} than with {second} raters "
        f"by {number(abs(row['difference']))} ({interval(low, high)})"
    )


def _unscored(tables: Tables) -> list[Any]:
    found = rows(tables, "unscored")
    if "unscored" not in tables:
        return []
    if not found:
        return [Text("Every answer was scored.")]
    total = sum(row["n"] for row in found)
    body = [[f"{row['experiment']} / {row['condition']}", row["reason"], whole(row["n"])] for row in found]
    text = f"{whole(total)} answers are unscored; they count on neither side of an effect, and are never guessed at."
    return [Text(text), Fold("Unscored, and why", [Table(["Condition", "Why", "Answers"], "llr", body)])]


# ---- the judge's error in the effects


def _correction(study: Study, tables: Tables) -> list[Any]:
    lines = rows(tables, "judge_calibration")
    if not lines:
        return []
    text = (
        "The judge's error, carried into the effects. On the rated responses the raters' mean is fitted as a line of "
        "the judge's score; an error that the judge makes everywhere cancels in an effect, a slope other than 1 does "
        "not. Corrected effects are slope × effect, and their standard errors have that of the slope in them, which "
        "all architectures share and pooling does not reduce. This holds only where the line holds for the outputs "
        "too: not where outputs differ from what was rated, nor where the judge errs differently on those of one "
        "condition. Only human ratings of outputs could show that."
    )
    header = ["Dimension", "Responses", "Slope", "95% CI", "Outputs outside", "Corrected"]
    body = [
        [titled(study, row), whole(row["n"]), number(row["slope"], 2), interval(row["slope_low"], row["slope_high"], 2),
         percent(row["outside"]), f"no: {row['why_not']}" if row["why_not"] else "yes"]
        for row in lines
    ]  # fmt: skip
    caption = "Outputs outside: with a score beyond those of all rated responses, where the line is a guess."
    return [Text(text), Table(header, "lrrrrl", body, caption), *_far(study, lines), *_corrected(study, tables)]


def _far(study: Study, lines: list[Row]) -> list[Any]:
    far = [in_sentence(title_of(study, row["dimension"])) for row in lines if row["outside"] > MANY_OUTSIDE]
    if not far:
        return []
    return [Caution(f"Over {MANY_OUTSIDE:.0%} of the outputs lie outside on {joined(far)}: do not rely on it there.")]


def _corrected(study: Study, tables: Tables) -> list[Any]:
    found = [row for name in study.experiments for row in pooled_rows(study, tables, name) if finite(row["corrected"])]
    if not found:
        return []
    body = [
        [row["experiment"], row["contrast"].replace(" - ", f" {MINUS} "), titled(study, row), number(row["estimate"]),
         interval(row["ci_low"], row["ci_high"]), number(row["corrected"]),
         interval(row["corrected_ci_low"], row["corrected_ci_high"])]
        for row in found
    ]  # fmt: skip
    header = ["Experiment", "Contrast", "Dimension", "Effect", "95% CI", "Corrected", "95% CI"]
    return [Fold("Effects, plain and corrected", [Table(header, "lllrrrr", body)])]


def _account(told: Mapping[str, Any]) -> list[Any]:
    if "calls" not in told:
        return []
    cost = f", ${told['dollars']:,.2f} at the prices of the settings" if told.get("dollars") else ""
    return [Text(f"This run made {whole(told['calls'])} calls to the judge{cost}; the other verdicts were kept ones.")]
