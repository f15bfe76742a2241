"""The experiments, a section each: its effects in words, in a figure, in a table, and in every architecture."""

from __future__ import annotations

from configs.placebo import PLACEBO
from configs.schema import CONTROL, Condition, Contrast, Experiment, Study
from tasks.effects.identity import EffectKey
from tasks.effects.tables import Cells, Effects, Scores
from tasks.meta_analysis.tables import Pooled
from tasks.methods import METHODS
from tasks.reporting.chapters.experiments_figure import draw_experiments
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, dimension_column, effect_of, numbers, p_values, span, texts
from tasks.reporting.house.document import Column, Fold, Link, Paragraph, Part, Section, SourceTables, TablePart
from tasks.reporting.house.effects import (
    SIGNIFICANT,
    asked,
    by_how_much,
    contrast_text,
    direction,
    not_clear,
    of_dimensions,
    side_text,
    with_interval,
)
from tasks.reporting.house.forest import forest_name
from tasks.reporting.house.latex import LatexTable
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    better,
    finite,
    joined,
    number,
    short_key,
    spoken,
    stratum_title,
    title_of,
    whole,
    without_whom,
)
from tasks.survey.tables import SurveyContrasts

AGGREGATIONS = {
    "all": "all ratings",
    "majority": "majority vote",
    "consensus": "full consensus only",
    "first": "first rating",
    "average": "average, rounded",
}


# ---- findings


def _findings(results: Results) -> list[str]:
    """A sentence for each dimension of each experiment: how many effects are clear, and the largest."""
    study, sentences = results.study, list[str]()
    for name, experiment in study.experiments.items():
        if name == PLACEBO:  # told by the chapter on how sure the results are
            continue
        for dimension, own in of_dimensions(study.evaluation.dimensions, _in_focus(results, name)):
            title = f"{experiment.title}, {spoken(study, dimension)} ({better(study, dimension)}"
            sentences.append(f"{title}; {_ks(own)}{_unasked(own)}): {'; '.join(_how_many_are_clear(own))}.")
    return sentences


def _in_focus(results: Results, name: str) -> list[Row]:
    return [row for row in results.pooled(name) if row["focus"] and finite(row["estimate"])]


def _ks(pooled: list[Row]) -> str:
    """`k = 7`, or `k from 5 to 7`: over how many architectures effects are pooled."""
    ks = [row["k"] for row in pooled if finite(row["k"])]
    if not ks:
        return "k unknown"
    return f"k = {whole(ks[0])}" if min(ks) == max(ks) else f"k from {whole(min(ks))} to {whole(max(ks))}"


def _unasked(pooled: list[Row]) -> str:
    """`; no interval knows who was asked`, where that is so of all."""
    return "" if any(map(asked, pooled)) else "; no interval knows who was asked"


def _how_many_are_clear(pooled: list[Row]) -> list[str]:
    """`of 3 differences between conditions 1 is clear: all − consensus −0.092 (−0.144 to −0.041)`."""
    kinds = (("effect", "against no fine-tuning", True), ("difference", "between conditions", False))
    clauses = []
    for noun, between, against_control in kinds:
        own = [row for row in pooled if (row["second"] == CONTROL) == against_control]
        clear = sorted((row for row in own if direction(row)), key=lambda row: -abs(row["estimate"]))
        one = f"the one {noun} {between}" if len(own) == 1 else f"of {len(own)} {noun}s {between}"
        if own and not clear:
            clauses.append(f"{one} is not clear: {_named(own[0])}" if len(own) == 1 else f"{one} none is clear")
        elif clear:
            firm = [row for row in clear if _holm(row) < SIGNIFICANT]
            which = (
                ", the largest of these" if 0 < len(firm) < len(clear) else ", the largest" if len(clear) > 1 else ""
            )
            clauses.append(f"{one} {_count_clear(len(own), clear)}{which}: {_named((firm or clear)[0])}")
    return clauses


def _holm(row: Row) -> float:
    """The p adjusted by Holm's method of the interval to trust."""
    return row["total_p_holm"] if asked(row) else row["hksj_p_holm"]


def _count_clear(total: int, clear: list[Row]) -> str:
    """`3 are clear, 1 after Holm's adjustment`."""
    adjusted = list(map(_holm, clear))
    firm = sum(p < SIGNIFICANT for p in adjusted)
    count = "is clear" if total == 1 else f"{len(clear)} {'is' if len(clear) == 1 else 'are'} clear"
    after = ("also" if firm else "not") if total == 1 else firm or "none"
    known = finite(*adjusted)
    return f"{count}, {after} after Holm's adjustment" if known else count


def _named(row: Row) -> str:
    return f"{side_text(row['contrast'])} {with_interval(row)}"


# ---- a section


def _section(results: Results, name: str) -> list[Part]:
    experiment, pooled = results.study.experiments[name], results.pooled(name)
    if not pooled:
        return []
    forests = results.picture(*map(forest_name, pooled))
    return [
        Paragraph(experiment.question),
        Fold("The conditions", [_conditions(results.study, experiment)]),
        *results.picture(f"effects-{name}"),
        *(Paragraph(text) for text in in_words(results, name)),
        _pooled_table(results, pooled),
        SourceTables(("pooled",)),
        *([Fold(f"Forest plots: {whole(len(forests))}", forests)] if forests else []),
        *_every_effect(results, name, pooled),
    ]


def _conditions(study: Study, experiment: Experiment) -> TablePart:
    return TablePart.of(
        experiment.conditions.items(),
        ("Condition", "l", lambda item: item[0]),
        ("Whose ratings", "l", lambda item: _whose(study, item[1], experiment.groups)),
        ("Of what", "l", lambda item: ", ".join(title_of(study, dimension) for dimension in item[1].dimensions)),
        ("Scale", "l", lambda item: item[1].scale),
        ("Disagreement", "l", lambda item: AGGREGATIONS[item[1].aggregation]),
        ("Method", "l", lambda item: METHODS[item[1].method].title),
    )


def _whose(study: Study, condition: Condition, groups: tuple[str, ...] = ()) -> str:
    """Whose ratings a condition trains on; `groups`: those of its experiment."""
    if condition.voices:
        whose = f"{joined(stratum_title(study, name) for name in groups)} ({condition.voices})"
    elif condition.half:
        whose = f"a random half of {joined(stratum_title(study, name) for name in condition.half.of)}"
    else:
        whose = stratum_title(study, condition.stratum) if condition.stratum else "everybody"
    return f"{whose}, {without_whom(condition.raters)}" if condition.raters else whose


def in_words(results: Results, name: str) -> list[str]:
    """A paragraph for each dimension of an experiment: against control, then between conditions."""
    study, paragraphs = results.study, []
    for dimension, own in of_dimensions(study.evaluation.dimensions, _in_focus(results, name)):
        what, way = spoken(study, dimension), better(study, dimension)
        which = "full 95% CI" if all(map(asked, own)) else "95% CI (HKSJ)"
        title = f"{study.experiments[name].title}, {what} ({way}; {_ks(own)}; {which} in brackets{_unasked(own)})"
        clauses = _placebo(own) if name == PLACEBO else [*_against_control(what, own), *_between(what, own)]
        paragraphs.append(f"{title}: {'; '.join(clauses)}.")
    return paragraphs


def _placebo(pooled: list[Row]) -> list[str]:
    """Nothing is to be found between halves that were drawn at random, so what is clear is a false alarm."""
    alarms = [f"{contrast_text(row)} {with_interval(row)}" for row in pooled if direction(row)]
    quiet = [f"{contrast_text(row)} {not_clear(row)}" for row in pooled if not direction(row)]
    return [
        *([f"a false alarm, since the halves were drawn at random: {joined(alarms)}"] if alarms else []),
        *([f"no clear difference, as is to be expected: {joined(quiet)}"] if quiet else []),
    ]


def _against_control(what: str, pooled: list[Row]) -> list[str]:
    against, clauses = [row for row in pooled if row["second"] == CONTROL], []
    for sign, verb in ((-1, "lowered"), (1, "raised")):
        clear = sorted((row for row in against if direction(row) == sign), key=lambda row: -abs(row["estimate"]))
        if clear:
            sizes = joined(f"{row['first']} {by_how_much(row)}" for row in clear)
            clauses.append(f"training {verb} {what} against no fine-tuning: {sizes}")
    unclear = [f"{row['first']} {not_clear(row)}" for row in against if not direction(row)]
    return [*clauses, f"no clear difference from no fine-tuning: {joined(unclear)}"] if unclear else clauses


def _between(what: str, pooled: list[Row]) -> list[str]:
    between, clauses = [row for row in pooled if row["second"] != CONTROL], []
    for sign, word in ((-1, "lower"), (1, "higher")):
        own = [row for row in between if direction(row) == sign]
        clear = [f"{row['first']} than on {row['second']} {by_how_much(row)}" for row in own]
        clauses += [f"{what} was {word} after training on {joined(clear)}"] if clear else []
    unclear = [f"{row['first']} and {row['second']} {not_clear(row)}" for row in between if not direction(row)]
    return [*clauses, f"no clear difference between {joined(unclear, ', or between ')}"] if unclear else clauses


def _pooled_table(results: Results, pooled: list[Row]) -> TablePart:
    """Ours and, where there is one, the published value beside it; a column without any value is left out.

    A contrast leads to its forest plot.
    """
    study, columns = results.study, list[Column]()
    for column in (
        *(("Contrast", "l", lambda r: _to_forest(results, r)), dimension_column(study), *counts({"k": "k"})),
        *(*numbers({"Effect": "estimate"}), span(), *p_values({"p": "p"}), *numbers({"Published": "published"})),
        ("Published p", "r", lambda r: r["published_p"] or DASH),
        *_with_the_interval_to_trust(pooled),
        ("I²", "r", lambda r: f"{number(r['i2'], 0)}%" if finite(r["i2"]) else DASH),
        ("Marked", "r", lambda r: whole(r["n_marked"]) if r["n_marked"] > 0 else DASH),
    ):
        columns += [column] if any(str(column[2](row)) != DASH for row in pooled) else []
    ways = dict.fromkeys(f"{title_of(study, r['dimension'])}: {better(study, r['dimension'])}" for r in pooled)
    caption = f"Differences in score (0–1). {'; '.join(ways)}. Holm: p adjusted for all lines of this table."
    if any(map(asked, pooled)):
        caption += " Full: knows who was asked, too."
    if any(row["n_marked"] > 0 for row in pooled):
        caption += " Marked: architectures whose runs fail a limit of health."
    return TablePart.of(pooled, *columns, caption=caption)


def _with_the_interval_to_trust(pooled: list[Row]) -> list[Column]:
    """The full interval and its p where there is one, else HKSJ's; the other is in pooled.csv."""
    if any(map(asked, pooled)):
        columns = p_values({"p (full)": "total_p", "Holm": "total_p_holm"})
        return [span("Full 95% CI", "total_ci_low", "total_ci_high"), *columns]
    columns = p_values({"p (HKSJ)": "hksj_p", "Holm": "hksj_p_holm"})
    return [span("95% CI (HKSJ)", "hksj_ci_low", "hksj_ci_high"), *columns]


def _to_forest(results: Results, row: Row) -> str | Link:
    name = forest_name(row)
    return Link(contrast_text(row), f"#figure-{name}") if name in results.figures else contrast_text(row)


def _latex(results: Results) -> list[LatexTable]:
    pooled = results.pooled()
    plain = Results(results.study, results.tables)  # contrasts don't lead to figures here
    return [LatexTable("pooled", "Pooled effects.", _pooled_table(plain, pooled))] if pooled else []


# ---- every architecture


def _every_effect(results: Results, name: str, pooled: list[Row]) -> list[Part]:
    """The effects of an experiment in every architecture, each with its training runs; behind a fold."""
    study, sides = results.study, {row["contrast"]: (row["first"], row["second"]) for row in pooled}
    effects = [row for row in results.rows(Effects, experiment=name) if row["contrast"] in sides]
    if not effects:
        return []
    runs: dict[tuple[str, str], list[str]] = {}
    for cell in results.rows(Cells, experiment=name):
        if cell["training_run"] and cell["condition"] != CONTROL:
            runs.setdefault((cell["architecture"], cell["condition"]), []).append(cell["training_run"])

    def run(row: Row, side: int) -> str | Link:
        """To the first seed's run; the others stand below it in the table."""
        keys = runs.get((row["architecture"], sides[row["contrast"]][side]))
        if not keys:
            return "none"
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        return Link(f"{short_key(keys[0])}{more}", f"#run-{short_key(keys[0])}")

    table = TablePart.of(
        effects,
        *(*effect_of(study), *texts({"Architecture": "architecture"})),
        *numbers({"Effect": "estimate", "SE": "std_error"}),
        *counts({"Prompts": "n_prompts", "Seeds": "n_seeds", "Unscored": "n_unscored", "Malformed": "n_malformed"}),
        *texts({"Marked": "marked"}),
        ("Run, first", "l", lambda r: run(r, 0)),
        ("Run, second", "l", lambda r: run(r, 1)),
    )
    example = EffectKey(name, Contrast(effects[0]["contrast"]), effects[0]["dimension"], effects[0]["architecture"])
    text = (
        "Prompts: scored on both sides in every seed. Unscored: prompts that were not. Malformed: outputs of both "
        "sides that are not well-formed; they are scored like any other. Marked: limits of health that a run fails. "
        "Runs lead to the table of training runs. What one of them rests on: pluralign trace "
        f"{study.name} {example}; without the architecture, the pool."
    )
    return [Fold(f"Every effect: {whole(len(effects))}", [Paragraph(text), table, SourceTables(("effects", "scores"))])]


class _Experiments(Chapter):
    """A chapter with a section for each experiment."""

    def sections(self, results: Results) -> list[Section]:
        every = {name: _section(results, name) for name in results.study.experiments}
        titles = {name: experiment.title for name, experiment in results.study.experiments.items()}
        return [Section(f"{self.key}-{name}", titles[name], parts) for name, parts in every.items() if parts]


CHAPTER = _Experiments(
    "experiment",
    "Experiments",
    [Pooled, Effects, Scores, Cells, SurveyContrasts],
    findings=_findings,
    figures=draw_experiments,
    latex=_latex,
)
