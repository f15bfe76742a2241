"""Who rated, and what the ratings say: disagreement, co-occurrence, reliability, differences between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from configs.schema import Study
from tasks.reporting.document import Fold, Picture, Table, Text
from tasks.reporting.drawing import Figure
from tasks.reporting.tables import Row, Tables, rows, titled
from tasks.reporting.words import (
    DASH,
    MINUS,
    attribute_title,
    finite,
    interval,
    joined,
    number,
    percent,
    raters_label,
    raters_title,
    stratum_title,
    title_of,
    whole,
)

ALPHA_LIMIT = 2 / 3
"""Krippendorff's lower limit for tentative conclusions."""
LONG = 12
"""A table of more rows than this is folded."""


def who_rated(study: Study, tables: Tables, not_shown: Sequence[str] = ()) -> list[Any]:
    """How many participants declare each value of each attribute, folded where it is long; strata left out as small."""
    found = rows(tables, "participants")
    if not found:
        return []
    groups = {row["attribute"]: [r for r in found if r["attribute"] == row["attribute"]] for row in found}
    total = max((round(r["n"] / r["share"]) for r in found if finite(r["n"], r["share"]) and r["share"] > 0), default=0)
    text = (
        f"{f'{whole(total)} participants' if total else 'Participants'}, by what they declare about themselves. Who "
        "declares several values of an attribute counts with each of them, so shares need not sum to one."
    )
    largest = [_largest(name, group) for name, group in groups.items()]
    text += f" Most often: {joined(largest)}. {raters_label(study)}"
    if not_shown:
        small = joined(stratum_title(study, name) for name in not_shown)
        text += f" Not shown, fewer than {study.survey.min_participants} participants: {small}."
    body = [[attribute_title(r["attribute"]), r["value"], whole(r["n"]), percent(r["share"])] for r in found]
    table = Table(["Attribute", "Value", "Participants", "Share"], "llrr", body)
    title = f"{whole(len(found))} values of {whole(len(groups))} attributes"
    return [Text(text.strip()), Fold(title, [table]) if len(found) > LONG else table]


def _largest(attribute: str, group: list[Row]) -> str:
    """`gender she/her/hers (49.0%)`."""
    top = max(group, key=lambda row: row["share"] if finite(row["share"]) else -1.0)
    return f"{attribute_title(attribute)} {top['value']} ({percent(top['share'])})"


def survey(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    parts: list[Any] = []
    if found := rows(tables, "disagreement"):
        body = [[titled(study, r), whole(r["n_responses"]), percent(r["disagreement"])] for r in found]
        text = "Disagreement is any variation among the ratings that one response got, of responses with at least two."
        parts += [Text(text), Table(["Dimension", "Responses", "With disagreement"], "lrr", body)]
    if "cooccurrence" in figures:
        parts += [Text("One response can be seen as good and bad at once."), Picture(figures["cooccurrence"])]
    return [*parts, *_reliability(study, tables, figures), *_raters(study, tables)]


def _reliability(study: Study, tables: Tables, figures: Mapping[str, Figure]) -> list[Any]:
    """Krippendorff's alpha, a line a stratum and a column a dimension."""
    found = rows(tables, "reliability")
    if not found:
        return []
    dimensions, strata = (list(dict.fromkeys(row[key] for row in found)) for key in ("dimension", "stratum"))
    cells = {(row["stratum"], row["dimension"]): _alpha(row) for row in found}
    people = {row["stratum"]: row["n_participants"] for row in found}
    body = [
        [raters_title(study, name), whole(people[name])]
        + [cells.get((name, dimension), DASH) for dimension in dimensions]
        for name in strata
    ]
    text = (
        "Inter-annotator reliability is Krippendorff's α with its bootstrap 95% interval: 1 is perfect agreement, 0 "
        "what chance would give."
    )
    known = [row["alpha"] for row in found if finite(row["alpha"])]
    if known and max(known) < ALPHA_LIMIT:
        text += (
            " All values are below .667, the least that Krippendorff asks for tentative conclusions: in the paper's "
            "words, substantial within-group variation rather than consensus."
        )
    picture = [Picture(figures["reliability"])] if "reliability" in figures else []
    header = ["Raters", "Participants", *(title_of(study, dimension) for dimension in dimensions)]
    return [Text(text), Table(header, "l" + "r" * (len(header) - 1), body), *picture]


def _alpha(row: Row) -> str:
    bounds = f" ({interval(row['ci_low'], row['ci_high'], 2)})" if finite(row["ci_low"], row["ci_high"]) else ""
    return f"{number(row['alpha'], 2)}{bounds}"


def _raters(study: Study, tables: Tables) -> list[Any]:
    once = {(row["contrast"], row["dimension"]): row for row in rows(tables, "survey_contrasts")}
    body = [
        [r["contrast"].replace(" - ", f" {MINUS} "), titled(study, r), number(r["estimate"]),
         interval(r["ci_low"], r["ci_high"]), whole(r["n_a"]), whole(r["n_b"])]
        for r in once.values()
    ]  # fmt: skip
    text = "Differences between groups of raters, in mean rating on 0–1, one mean a participant."
    header = ["Raters", "Dimension", "Difference", "95% CI", "n first", "n second"]
    return [Text(text), Table(header, "llrrrr", body)] if body else []
