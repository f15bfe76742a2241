"""Who rated."""

from __future__ import annotations

from tasks.reporting.house.chapter import Chapter, Results
from tasks.reporting.house.columns import counts, shares, texts
from tasks.reporting.house.document import Fold, Paragraph, Part, TablePart
from tasks.reporting.house.tables import Row
from tasks.reporting.house.words import attribute_title, finite, joined, percent, raters_label, stratum_title, whole
from tasks.survey.tables import Participants

LONG = 12
"""A table of more rows than this is folded."""


def _parts(results: Results) -> list[Part]:
    """How many participants declare each value of each attribute, folded where it is long; strata left out as small."""
    declared, study = results.rows(Participants), results.study
    if not declared:
        return []
    attributes = {row["attribute"]: [r for r in declared if r["attribute"] == row["attribute"]] for row in declared}
    totals = (round(r["n"] / r["share"]) for r in declared if finite(r["n"], r["share"]) and r["share"] > 0)
    total = max(totals, default=0)
    text = (
        f"{f'{whole(total)} participants' if total else 'Participants'}, by what they declare about themselves. Who "
        "declares several values of an attribute counts with each of them, so shares need not sum to one. Most often: "
        f"{joined(_most_often(name, values) for name, values in attributes.items())}. {raters_label(study)}"
    )
    if results.facts.not_shown:
        small = joined(stratum_title(study, name) for name in results.facts.not_shown)
        text += f" Not shown, fewer than {study.survey.min_participants} participants: {small}."
    table = TablePart.of(
        declared,
        ("Attribute", "l", lambda r: attribute_title(r["attribute"])),
        *(*texts({"Value": "value"}), *counts({"Participants": "n"}), *shares({"Share": "share"})),
    )
    title = f"{whole(len(declared))} values of {whole(len(attributes))} attributes"
    return [Paragraph(text.strip()), Fold(title, [table]) if len(declared) > LONG else table]


def _most_often(attribute: str, values: list[Row]) -> str:
    """`gender she/her/hers (49.0%)`."""
    top = max(values, key=lambda row: row["share"] if finite(row["share"]) else -1.0)
    return f"{attribute_title(attribute)} {top['value']} ({percent(top['share'])})"


CHAPTER = Chapter("participants", "Who rated", [Participants], parts=_parts)
