"""Ours beside the published: pooled effects, and their ratios."""

from __future__ import annotations

import math

from tasks.effects.tables import Effects
from tasks.meta_analysis.tables import Pooled, Ratios
from tasks.reporting.chapters.published_figure import (
    draw_published,
    known_ratios,
    published_effects,
    ratio_name,
    ratio_sides,
)
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, effect_of, estimate, numbers
from tasks.reporting.house.document import Paragraph, Part, Section, SourceTables, TablePart
from tasks.reporting.house.effects import asked, direction, trusted, which_interval
from tasks.reporting.house.latex import LatexTable
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import (
    DASH,
    finite,
    interval,
    label_sentence,
    number,
    p_value,
    spoken,
    whole,
    with_ends,
)


def _findings(results: Results) -> list[str]:
    """One sentence on the ratios that the study names."""
    clauses = [_ratio_text(results, row) for row in known_ratios(results)]
    return [f"Ratios of effects (95% CI in brackets): {'; '.join(clauses)}."] if clauses else []


def _ratio_text(results: Results, row: Row) -> str:
    """`5-point moved toxicity 1.20 (0.98 to 1.81) times as much as binary, not clearly different from 1`."""
    first, second = ratio_sides(row)
    what = spoken(results.study, row["dimension"])
    if math.isinf(row["ci_low"]):
        return f"{first} to {second} on {what}: no bounds, since the effect of {second} may be zero"
    doubt = ", not clearly different from 1" if row["ci_low"] <= 1 <= row["ci_high"] else ""
    span = with_ends(row["ratio"], row["ci_low"], row["ci_high"], 2) + (
        "" if finite(row["ci_low"]) else " (no interval)"
    )
    theirs = f" (published: {number(row['published'], 2)})" if finite(row["published"]) else ""
    return f"{first} moved {what} {span} times as much as {second}{doubt}{theirs}"


def _parts(results: Results) -> list[Part]:
    """Both figures with their tables; nothing where nothing is published and no ratio is asked for."""
    beside, parts = published_effects(results), list[Part]()
    if beside:
        text = f"{_agreement(beside)} {label_sentence(results.study)}".strip()
        parts += [
            Paragraph(text),
            *results.picture("published"),
            _effects_table(results, beside),
            SourceTables(("pooled",)),
        ]
    if known_ratios(results):
        text = (
            "A claim like “53% more” is a ratio of 1.53 of two pooled effects. Both effects have errors, and they "
            "share prompts, control and architectures; Fieller's interval, with HKSJ variances and covariance, knows "
            "both, and who was asked where raters were replicated. It has no bounds where the effect that is divided "
            "by may be zero."
        )
        parts += [
            Paragraph(text),
            *results.picture("ratios"),
            _ratios_table(results),
            SourceTables(("ratios", "effects")),
        ]
    return parts


def _latex(results: Results) -> list[LatexTable]:
    tables = []
    if beside := published_effects(results):
        tables.append(LatexTable("published", "Pooled effects beside the published.", _effects_table(results, beside)))
    if known_ratios(results):
        tables.append(LatexTable("ratios", "Ratios of pooled effects.", _ratios_table(results)))
    return tables


def _agreement(beside: list[Row]) -> str:
    """How many are in the same direction, and how many published values our intervals hold."""
    same = sum(row["estimate"] * row["published"] > 0 for row in beside)
    clear = sum(direction(row) * row["published"] > 0 for row in beside)
    return (
        f"The paper prints {whole(len(beside))} of these pooled effects. {whole(same)} of ours have the same sign, "
        f"{whole(clear)} clearly so; {whole(sum(map(_inside, beside)))} of our intervals ({which_interval(beside)}) "
        "hold the published value. That is no test of the paper: models, raters and judge are others."
    )


def _inside(row: Row) -> bool:
    low, high = trusted(row)
    return low <= row["published"] <= high


def _effects_table(results: Results, beside: list[Row]) -> TablePart:
    """A line a pooled effect."""
    study = results.study

    def theirs(row: Row) -> str:
        span = interval(row["published_low"], row["published_high"])
        return f"within {span}" if row["published_at_most"] else span

    def p(row: Row) -> str:
        return p_value(row["total_p"] if asked(row) else row["hksj_p"])

    return TablePart.of(
        beside,
        ("Experiment", "l", lambda r: study.experiments[r["experiment"]].title),
        *(*effect_of(study), *estimate("Ours"), (f"p ({which_interval(beside)})", "r", p)),
        *(*numbers({"Published": "published"}), ("95% CI from p", "r", theirs)),
        ("Published p", "r", lambda r: r["published_p"] or DASH),
        ("In our CI", "l", lambda r: "yes" if _inside(r) else "no"),
    )


def _ratios_table(results: Results) -> TablePart:
    """A line a ratio; an interval without bounds says so."""
    return TablePart.of(
        known_ratios(results),
        *(("Ratio", "l", lambda r: ratio_name(results.study, r)), *counts({"k": "k"})),
        *(*numbers({"Effect": "estimate_of", "Divided by": "estimate_to"}), *numbers({"Ratio": "ratio"}, 2)),
        ("95% CI (Fieller)", "r", _bounds),
        *numbers({"Published": "published"}, 2),
    )


def _bounds(row: Row) -> str:
    return "no bounds" if math.isinf(row["ci_low"]) else interval(row["ci_low"], row["ci_high"], 2)


class _Beside(Chapter):
    """Named after the paper where the study has its values; else there are only the ratios of its own effects."""

    def sections(self, results: Results) -> list[Section]:
        if results.has_published:
            return super().sections(results)
        return [Section("ratios", "Ratios of effects", section.parts) for section in super().sections(results)]


CHAPTER = _Beside(
    "paper",
    "Beside the paper",
    [Pooled, Ratios, Effects],
    findings=_findings,
    parts=_parts,
    figures=draw_published,
    latex=_latex,
)
