"""The judge: its proof against the humans, what it left unscored, and its error carried into the effects."""

from __future__ import annotations

from configs.schema import Study
from tasks.judging.proof import shortfalls
from tasks.judging.tables import JudgeAgreement, JudgeCalibration, JudgeFeatures, JudgeStrata, Unscored
from tasks.meta_analysis.tables import Pooled
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, dimension_column, effect_of, numbers, shares, span, texts
from tasks.reporting.house.document import Caution, Fold, Paragraph, Part, TablePart
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    finite,
    interval,
    joined,
    label_sentence,
    number,
    percent,
    raters_title,
    spoken,
    whole,
    with_ends,
)
from tasks.runtime.tables import name_of

MEASURES = {"alpha": "α", "mean_error": "mean error"}
READ = {"words": "the words", "embeddings": "the sentence embedding", "both": "the words and the sentence embedding"}
HARDLY_VARIES = 0.2
"""A judge gives nearly everything the same score where its scores spread less than this part of the raters' means."""
MANY_OUTSIDE = 0.1
"""Share of outputs beyond the scores of rated responses from which on a correction extrapolates."""


def _findings(results: Results) -> list[str]:
    """Whether the judge is below the study's floor, and whether it tells anything apart."""
    return [*_below_floor(results), *_hardly_varies(results)]


def _hardly_varies(results: Results) -> list[str]:
    """On which dimensions the judge gives nearly every rated response the same score, in a sentence."""
    same = [
        f"{spoken(results.study, row['dimension'])} (a standard deviation of {number(row['spread'])}, the raters' "
        f"means {number(row['raters_spread'])})"
        for row in results.rows(JudgeAgreement)
        if row["stratum"] == "all" and row["spread"] < HARDLY_VARIES * row["raters_spread"]
    ]
    if not same:
        return []
    return [
        f"The judge gives nearly everything the same score on {joined(same)}: it can hardly tell models apart there, "
        "so that an effect near zero says nothing."
    ]


def _below_floor(results: Results) -> list[str]:
    """Whether the judge is below the study's floor, in a sentence."""
    table, proof = results.tables.get(name_of(JudgeAgreement)), results.study.judge.proof
    below = shortfalls(table, proof.floor) if table is not None and len(table) else []
    if not below:
        return []
    what = (
        "so nothing was trained or judged."
        if proof.below == "stop"
        else "and the study goes on as set: take every effect with that in mind."
    )
    return [f"The judge is below the floor that the study sets for it ({'; '.join(below)}), {what}"]


def _parts(results: Results) -> list[Part]:
    """Everything that a reader must know of the judge before believing an effect."""
    study, proved = results.study, results.rows(JudgeAgreement)
    if not proved:
        return []
    everybody = [row for row in proved if row["stratum"] == "all"] or proved
    groups = [row for row in proved if row not in everybody]
    return [
        *(Caution(sentence) for sentence in _findings(results)),
        Paragraph(_how(results)),
        _agreement(study, everybody),
        Paragraph(f"{_against_ceiling(study, everybody)}{_undefined(study, proved)}".strip()),
        *_choice(results, everybody),
        *_strata(results),
        *([Fold("By group of raters", [_agreement(study, groups)])] if groups else []),
        *_unscored(results),
        *_correction(results),
        *_calls(results),
    ]


# ---- the proof


def _how(results: Results) -> str:
    experts = " (the paper reports 85% with experts)" if results.has_published else ""
    return (
        f"{results.study.judge.subject} was held against the raters of held-out prompts before it judged an output, "
        "response by response, with 95% intervals of a bootstrap over prompts. Agreement: the judge and the raters' "
        f"mean on the same side of the middle{experts}. κ: Cohen's with quadratic weights, ρ: Spearman's, both against "
        "the raters' mean. α: Krippendorff's (ordinal), of the judge and a single rater. Mean error: judge minus "
        "raters. The ceiling is what the raters reach among themselves: one against the mean of the others of the same "
        "response, who are one fewer than the judge is held against; their own α. A judge that foretells their mean "
        "can pass it. "
        f"{label_sentence(results.study)}"
    ).strip()


def _agreement(study: Study, proved: list[Row]) -> TablePart:
    """Two lines for each group and dimension: the judge, and below it what one rater reaches."""
    lines = [
        {**row, **{name: row[f"{who}{name}"] for name in row if f"{who}{name}" in row}, "who": title}
        for row in proved
        for who, title in (("", "judge"), ("human_", "a rater"))
    ]
    return TablePart.of(
        lines,
        ("Raters", "l", lambda r: raters_title(study, r["stratum"])),
        *(dimension_column(study), *texts({"Who": "who"})),
        ("n", "r", lambda r: whole(r["n"] if r["who"] == "judge" else r["n_human"])),
        ("Agreement", "r", lambda r: _with_ends(r, "agreement", 1)),
        ("Weighted κ", "r", lambda r: _with_ends(r, "weighted_kappa", 2)),
        ("Spearman's ρ", "r", lambda r: _with_ends(r, "spearman", 2)),
        ("α", "r", lambda r: _with_ends(r, "alpha", 2)),
        ("Mean error", "r", lambda r: _with_ends(r, "mean_error", 3) if r["who"] == "judge" else DASH),
    )


def _with_ends(row: Row, name: str, digits: int) -> str:
    """`0.61 (0.55 to 0.67)`; shares in percent."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if name.endswith("agreement"):
        ends = f" ({interval(100 * low, 100 * high, digits)})" if finite(low, high) else ""
        return f"{percent(row[name])}{ends}"
    return with_ends(row[name], low, high, digits)


def _against_ceiling(study: Study, proved: list[Row]) -> str:
    """Whether the judge agrees with the raters as well as one of them would."""
    clauses = []
    for row in proved:
        judge, ceiling = row["alpha"], row["human_alpha"]
        if finite(judge, ceiling):
            word = "at least as well as" if judge >= ceiling else "less well than"
            what = spoken(study, row["dimension"])
            values = f"α {number(judge, 2)} against {number(ceiling, 2)}"
            clauses.append(f"{word} the raters among themselves on {what} ({values})")
    return f"The judge agrees with a single rater {joined(clauses)}." if clauses else ""


def _undefined(study: Study, proved: list[Row]) -> str:
    """A sentence on the draws in which a measure has no value; nothing where all have one."""
    lost = [
        f"{whole(row['undefined'])} of {whole(row['draws'])} for {raters_title(study, row['stratum'])} on "
        f"{spoken(study, row['dimension'])}"
        for row in proved
        if row["undefined"] > 0
    ]
    start = " Bootstrap draws whose ratings or scores don't vary leave some measure undefined, whose interval rests on "
    return f"{start}the others: at most {joined(lost)}." if lost else ""


def _choice(results: Results, everybody: list[Row]) -> list[Part]:
    """What the judge reads of an answer, and how well it would have agreed with the raters by what else it might."""
    study, tried = results.study, results.rows(JudgeFeatures)
    if not tried:
        return []
    read = READ[next(row["features"] for row in tried if row["used"])]
    encoder = "".join(f" by {own.title}" for own in study.judge.encoders)
    times = {READ[row["features"]]: row["chosen"] for row in tried if row["chosen"]}
    text = (
        f"The judge reads {read} of an answer. It chose between the words, the sentence embedding{encoder} and both, "
        "for all dimensions together, by what ranks answers most as the raters do (Spearman's ρ, cross-validated over "
        f"prompts). For its proof it chose anew in each of {whole(tried[0]['parts'])} parts of the prompts, by the "
        "others alone: "
        f"{joined([f'{name} in {whole(n)}' for name, n in times.items()])}. The line as chosen therefore has no "
        "advantage from the choice; the best of the other lines, picked afterwards, would have."
    )
    chosen = [{**row, "features": "", "used": False} for row in everybody]
    table = TablePart.of(
        [row for one in everybody for row in (*tried, *chosen) if row["dimension"] == one["dimension"]],
        dimension_column(study),
        ("Reads", "l", lambda r: f"{READ.get(r['features'], 'as chosen')}{' (the judge)' if r['used'] else ''}"),
        *counts({"n": "n", "Prompts": "n_prompts"}),
        ("Agreement", "r", lambda r: _with_ends(r, "agreement", 1)),
        ("Weighted κ", "r", lambda r: _with_ends(r, "weighted_kappa", 2)),
        ("Spearman's ρ", "r", lambda r: _with_ends(r, "spearman", 2)),
        ("α", "r", lambda r: _with_ends(r, "alpha", 2)),
    )
    return [Paragraph(text), table]


def _strata(results: Results) -> list[Part]:
    """Whether the judge agrees with one stratum and not another."""
    study, every = results.study, results.rows(JudgeStrata)
    compared = [row for row in every if finite(row["difference"], row["ci_low"], row["ci_high"])]
    if not compared:
        return []
    clear = [row for row in compared if row["ci_low"] > 0 or row["ci_high"] < 0]
    text = (
        f"Of {whole(len(compared))} comparisons between groups of raters, {whole(len(clear))} have a 95% interval "
        "without zero; about one in twenty would by chance. Compared are α and mean error: the other measures rise "
        "with the number of raters behind a mean. α also falls where a group's raters agree less with each other."
    )
    sides = "; ".join(_sides(study, row) for row in clear)
    table = TablePart.of(
        compared,
        *(*effect_of(study, "Groups"), ("Measure", "l", lambda r: MEASURES[r["measure"]])),
        *(*numbers({"Difference": "difference"}), span()),
    )
    warning = [Caution(f"The judge does not agree alike with all groups: {sides}.")] if clear else []
    return [Paragraph(text), *warning, Fold("Every comparison", [table])]


def _sides(study: Study, row: Row) -> str:
    """`toxicity, weighted κ with female less than with male raters by 0.08 (0.02 to 0.14)`."""
    first, second = (raters_title(study, side) for side in row["contrast"].partition(" - ")[::2])
    word, low, high = "more", row["ci_low"], row["ci_high"]
    if row["difference"] < 0:
        word, low, high = "less", -high, -low
    what = spoken(study, row["dimension"])
    return (
        f"{what}, {MEASURES[row['measure']]} with {first} {word} than with {second} raters by "
        f"{number(abs(row['difference']))} ({interval(low, high)})"
    )


def _unscored(results: Results) -> list[Part]:
    if name_of(Unscored) not in results.tables:
        return []
    reasons = results.rows(Unscored)
    if not reasons:
        return [Paragraph("Every answer was scored.")]
    total = sum(row["n"] for row in reasons)
    table = TablePart.of(
        reasons,
        ("Condition", "l", lambda r: f"{r['experiment']} / {r['condition']}"),
        *(*texts({"Why": "reason"}), *counts({"Answers": "n"})),
    )
    text = f"{whole(total)} answers are unscored; they count on neither side of an effect, and are never guessed at."
    return [Paragraph(text), Fold("Unscored, and why", [table])]


# ---- the judge's error in the effects


def _correction(results: Results) -> list[Part]:
    study, lines = results.study, results.rows(JudgeCalibration)
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
    table = TablePart.of(
        lines,
        *(dimension_column(study), *counts({"Responses": "n"}), *numbers({"Slope": "slope"}, 2)),
        *(span("95% CI", "slope_low", "slope_high", 2), *shares({"Outputs outside": "outside"})),
        ("Corrected", "l", lambda r: f"no: {r['why_not']}" if r["why_not"] else "yes"),
        caption="Outputs outside: with a score beyond those of all rated responses, where the line is a guess.",
    )
    far = [spoken(study, row["dimension"]) for row in lines if row["outside"] > MANY_OUTSIDE]
    warning = f"Over {MANY_OUTSIDE:.0%} of the outputs lie outside on {joined(far)}: do not rely on it there."
    return [Paragraph(text), table, *([Caution(warning)] if far else []), *_corrected(results)]


def _corrected(results: Results) -> list[Part]:
    corrected = [row for row in results.pooled() if finite(row["corrected"])]
    table = TablePart.of(
        corrected,
        *(*texts({"Experiment": "experiment"}), *effect_of(results.study)),
        *(*numbers({"Effect": "estimate"}), span(), *numbers({"Corrected": "corrected"})),
        span("95% CI", "corrected_ci_low", "corrected_ci_high"),
    )
    return [Fold("Effects, plain and corrected", [table])] if corrected else []


def _calls(results: Results) -> list[Part]:
    account = results.facts.judge or {}
    if "calls" not in account:
        return []
    cost = f", ${account['dollars']:,.2f} at the prices of the settings" if account.get("dollars") else ""
    if unmetered := account.get("unmetered"):
        cost += f" (the endpoint did not say what {whole(unmetered)} of them took; they count at their most)"
    text = f"This run made {whole(account['calls'])} calls to the judge{cost}; the other verdicts were kept ones."
    return [Paragraph(text)]


CHAPTER = Chapter(
    "judge",
    "The judge and the raters",
    [JudgeAgreement, JudgeFeatures, JudgeStrata, JudgeCalibration, Unscored, Pooled],
    findings=_findings,
    parts=_parts,
)
