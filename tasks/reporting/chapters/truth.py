"""Was the truth found? What a simulated study plants in its groups, beside what came out."""

from __future__ import annotations

from configs.schema import Contrast, Study
from tasks.meta_analysis.tables import Truth
from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import numbers, span, texts
from tasks.reporting.house.document import Paragraph, Part, SourceTables, TablePart
from tasks.reporting.house.effects import contrast_text, effect_text, of_dimensions, with_interval
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import finite, joined, label_sentence, number, spoken, title_of, whole

NOT_MEASURED = "not measured"


def _split(results: Results) -> tuple[list[Row], list[Row]]:
    """The effects with something planted in them, and the nulls."""
    every = results.rows(Truth)
    return [row for row in every if abs(row["sign"]) > 0], [row for row in every if not abs(row["sign"]) > 0]


def _findings(results: Results) -> list[str]:
    planted, nulls = _split(results)
    clauses = [
        *([_tally(planted, "planted effect", ("found", "missed", "wrong sign"))] if planted else []),
        *([_tally(nulls, "null", ("kept", "broken"))] if nulls else []),
    ]
    return [f"What the simulation plants in its groups: {'; '.join(clauses)}."] if clauses else []


def _tally(rows: list[Row], noun: str, verdicts: tuple[str, ...]) -> str:
    """`of 6 planted effects 5 found, 1 missed`; a verdict that nothing has is left out, but for the first."""
    first, *others = (*verdicts, NOT_MEASURED)
    counts = {name: sum(row["verdict"] == name for row in rows) for name in (first, *others)}
    said = [first, *(name for name in others if counts[name])]
    return f"of {_several(len(rows), noun)} {', '.join(f'{whole(counts[name])} {name}' for name in said)}"


def _several(n: int, noun: str) -> str:
    return f"{whole(n)} {noun}{'' if n == 1 else 's'}"


# ---- the chapter


def _parts(results: Results) -> list[Part]:
    study, (planted, nulls) = results.study, _split(results)
    if not planted and not nulls:
        return []
    sentences = [
        _what_is_known(bool(planted)),
        _planted_text(study, planted),
        *(_order_text(study, dimension, own) for dimension, own in _comparable(study, planted)),
        _nulls_text(study, nulls),
        "This tests the way from ratings to effects, on raters who were made up for it, and says nothing about people. "
        "Contrasts with the control, and of scales, aggregations or methods, are not in it: how far these move a model "
        f"is the outcome of training, and no setting says it beforehand. {label_sentence(study)}",
    ]
    paragraphs = [Paragraph(text.strip()) for text in sentences if text]
    return [*paragraphs, _table(study, [*planted, *nulls]), SourceTables(("truth", "pooled"))]


def _what_is_known(planted: bool) -> str:
    start = "The raters are simulated, so it is known where their groups must come out different. "
    if not planted:
        return start + (
            "Nowhere: the settings let groups differ in the level of their ratings alone, not in how sharply they tell "
            "responses apart (ratings.simulate.slopes). They prefer the same responses, so every contrast of groups is "
            "a null."
        )
    return start + (
        "The settings let groups differ in how sharply they tell responses apart (ratings.simulate.slopes). A model "
        "trained on the sharper group's preferences must move further towards what is good. The direction of an effect "
        "is known, and which is stronger than which; its size is not."
    )


def _planted_text(study: Study, planted: list[Row]) -> str:
    """How many planted effects were found, and which were not, with their intervals."""
    if not planted:
        return ""
    carried = sum(not _trained_on(study, row) for row in planted)
    text = (
        f"Planted: {_tally(planted, 'planted effect', ('found', 'missed', 'wrong sign'))}. Found means that the 95% "
        "interval lies on the planted side of zero, missed that it holds zero."
    )
    text += _named(study, planted, "missed", "Missed") + _named(study, planted, "wrong sign", "On the wrong side")
    if carried:
        text += (
            f" {whole(carried)} of them {'is' if carried == 1 else 'are'} on a dimension that was not trained on: it "
            "is carried along, since texts that show much of one dimension show little or much of another."
        )
    return text


def _nulls_text(study: Study, nulls: list[Row]) -> str:
    if not nulls:
        return ""
    return (
        f"Nothing planted: {_tally(nulls, 'null', ('kept', 'broken'))}. Kept means that the 95% interval holds zero. "
        "Where intervals are right, one null in twenty is broken by chance; an interval that does not know who was "
        f"asked may break more.{_named(study, nulls, 'broken', 'Broken')}"
    )


def _named(study: Study, rows: list[Row], verdict: str, heading: str) -> str:
    """` Missed: female − male on toxicity −0.010 (−0.030 to 0.010).`; nothing where no row has the verdict."""
    own = [f"{effect_text(study, row)} {with_interval(row)}" for row in rows if row["verdict"] == verdict]
    return f" {heading}: {joined(own)}." if own else ""


def _trained_on(study: Study, row: Row) -> bool:
    """Whether the effect is on a dimension that its conditions are trained on."""
    condition = study.experiments[row["experiment"]].conditions[Contrast(row["contrast"]).first]
    return row["dimension"] in condition.dimensions


def _comparable(study: Study, planted: list[Row]) -> list[tuple[str, list[Row]]]:
    """Dimension → the measured effects on it of training on it, the strongest planted first, where there are several.

    An effect that is only carried along is not compared: how far depends on the dimension that was trained on.
    """
    known = [row for row in planted if finite(row["estimate"]) and _trained_on(study, row)]
    strongest_first = sorted(known, key=lambda row: -row["strength"])
    return [(name, own) for name, own in of_dimensions(study.evaluation.dimensions, strongest_first) if len(own) > 1]


def _order_text(study: Study, dimension: str, strongest_first: list[Row]) -> str:
    """Whether the effects come in the order of what is planted."""
    largest_first = sorted(strongest_first, key=lambda row: -row["sign"] * row["estimate"])
    planted = ", ".join(f"{contrast_text(row)} ({number(row['strength'], 2)})" for row in strongest_first)
    measured = ", ".join(f"{contrast_text(row)} ({number(row['estimate'])})" for row in largest_first)
    order = "the same" if largest_first == strongest_first else "another"
    return (
        f"In order of strength, {spoken(study, dimension)} after training on it: planted {planted}; measured, in "
        f"{order} order, {measured}. Groups with more ratings also train for more steps, and close strengths may "
        "change places by chance."
    )


def _table(study: Study, rows: list[Row]) -> TablePart:
    effects = [(row["contrast"], row["dimension"]) for row in rows]

    def contrast(row: Row) -> str:
        """With its experiment where several have it."""
        title = study.experiments[row["experiment"]].title
        alone = effects.count((row["contrast"], row["dimension"])) == 1
        return contrast_text(row) if alone else f"{title}: {contrast_text(row)}"

    def dimension(row: Row) -> str:
        return title_of(study, row["dimension"]) + ("" if _trained_on(study, row) else ", not trained on")

    def truth(row: Row) -> str:
        side = "lower" if row["sign"] < 0 else "higher"
        return f"{side} ({number(row['strength'], 2)})" if abs(row["sign"]) > 0 else "nothing"

    return TablePart.of(
        rows,
        *(("Contrast", "l", contrast), ("Dimension", "l", dimension), ("Planted", "l", truth)),
        *(*numbers({"Effect": "estimate"}), span(), *texts({"Verdict": "verdict"})),
        caption="Planted: whether the first side's score must be lower or higher than the second's, and in brackets "
        "how strongly: the difference of both groups' mean slopes, in log-odds of a rating a standard deviation of "
        "what texts show; on a dimension that was not trained on, times its correlation with the one that was. "
        "Effect: difference in score (0–1).",
    )


CHAPTER = Chapter("truth", "Was the truth found?", [Truth], findings=_findings, parts=_parts)
