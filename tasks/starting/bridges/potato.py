"""Potato and POPQUORN: annotators' labels of instances, one row an annotator and instance.

Potato 1 writes `annotated_instances.csv` (or tsv, json, jsonl): `user`, `instance_id`, `displayed_text`, and a column
`schema:::label` for each label, filled where it was chosen (`toxicity:::scale_4`); in JSON, `label_annotations` is
{schema: {label: value}}. Potato 2 has `user_id`, columns `schema.label`, in JSON Lines `labels`, and in Parquet one
column a schema, with the texts in `items.parquet` (`item_id`). Pages of a survey before and after stand among the
instances, named by their file (`….html`). POPQUORN's tables are made of them: `instance_id`, `user_id`, `text`, the
rating, and what annotators say of themselves. Source: "Data Formats" and "Export Formats" of Potato's documentation,
potato/export/tabular_exporter.py of davidjurgens/potato, and Jiaxin-Pei/Potato-Prolific-Dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from configs.codebook import normal, tidy
from tasks.ratings.reading.columns import as_number
from tasks.ratings.reading.shape import as_text, resolve
from tasks.starting.bridges.exported import (
    NO_PEOPLE,
    NOT_DECLARED,
    People,
    attributes_of,
    by_column,
    is_choice,
    no_ratings,
    not_read,
    of_one_scale,
    other_scales,
    people_among,
    rows_of,
    slugs,
    texts,
)
from tasks.starting.draft import Draft, UserTable

INSTANCES, ANNOTATORS = ("instance_id", "id"), ("user_id", "user")
TEXTS = ("displayed_text", "text")
LABELS = ("label_annotations", "labels")
MARK = ":::"
PAGE = re.compile(r"\.(html|jsonl?)$")
SCALE = re.compile(r"^scale_(-?\d+)$")
FREE_TEXT = re.compile(r"^(text_?box|free_response|_spans|_data|_room(_id)?)", re.IGNORECASE)
FALSE = {"false", "0", ""}
ATTRIBUTES = {
    "gender": "gender",
    "race": "race",
    "age": "age",
    "occupation": "occupation",
    "education": "education",
    "income": "income",
    "political-spectrum": "politics",
    "religion": "religion",
    "country": "country",
}
BETTER = {"offensiveness": "lower", "politeness": "higher"}
"""POPQUORN's ratings of which it is plain."""
NO_ANSWERS = {"annotator_origin", "annotator_origin_detail", "span_annotations", "spans", "links", "behavioral_data"}


class Label(NamedTuple):
    """A label of a schema, and where it stands if it was chosen."""

    schema: str
    label: str
    place: str


class Potato:
    title = "Potato"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        for table in tables:
            instance, annotator = _first(INSTANCES, table), _first(ANNOTATORS, table)
            if instance and annotator and (labels := _labels(table, instance)):
                return _marked(table, instance, annotator, labels, tables)
            if instance == "instance_id" and annotator == "user_id" and (own := _plain(table, tables, annotator)):
                return own
        return None


def _first(names: Sequence[str], table: UserTable) -> str:
    return next((name for name in names if name in table.rows.names), "")


def _labels(table: UserTable, instance: str) -> list[Label]:
    """The labels of schemas, but for those of survey pages; none where the table has no such columns."""
    found: list[Label] = []
    objects = _first(LABELS, table)
    if objects:
        place = table.rows.names.index(objects)
        chosen = [values[place] for values in table.rows.values if isinstance(values[place], dict)]
        pairs = dict.fromkeys(
            (schema, label) for one in chosen for schema, own in one.items() if isinstance(own, dict) for label in own
        )
        found = [Label(schema, label, f"{objects}.{schema}.{label}") for schema, label in pairs]
    else:
        dotted = not any(MARK in name for name in table.rows.names) and "user_id" in table.rows.names
        for name in table.rows.names:
            schema, mark, label = name.partition("." if dotted else MARK)
            if mark and schema and label:
                found.append(Label(schema, label, name))
    if not found:
        return []
    rows = texts(table, rows_of(table), instance, *(one.place for one in found))
    used = {one.schema for n, one in enumerate(found, 1) if any(row[n] and not PAGE.search(row[0]) for row in rows)}
    return [one for one in found if one.schema in used]


def _marked(
    table: UserTable, instance: str, annotator: str, labels: Sequence[Label], tables: Sequence[UserTable]
) -> Draft:
    """Labels in columns or objects of their own: one row for each that was chosen."""
    by_schema: dict[str, list[Label]] = {}
    for one in labels:
        by_schema.setdefault(one.schema, []).append(one)
    sets: dict[str, list[dict[str, str]]] = {}
    answers, unreadable, true = {}, [], set[str]()
    for schema, own in by_schema.items():
        rows = texts(table, rows_of(table), *(one.place for one in own))
        marks = {text for row in rows for text in row if normal(text) not in FALSE}
        if (
            len(own) == 1
            and not SCALE.match(own[0].label)
            and all(as_number(text) == as_number(text) for text in marks)
        ):
            answers[schema] = [row[0] for row in rows]
            sets[schema] = [{"schema": f"={schema}", "rating": own[0].place, "mark": own[0].place}]
        elif any(FREE_TEXT.match(one.label) for one in own) or any(
            sum(normal(text) not in FALSE for text in row) > 1 for row in rows
        ):
            unreadable.append(schema)
        else:
            answers[schema] = [_text(one.label) for one in own]
            sets[schema] = [
                {"schema": f"={schema}", "rating": f"={_text(one.label)}", "mark": one.place} for one in own
            ]
        true |= marks
    kept = of_one_scale(answers)
    unmarked = any(
        normal(text) in FALSE - {""} for one in labels for (text,) in texts(table, rows_of(table), one.place)
    )
    rows_read = rows_of(table) | {"stack": [one for schema in kept for one in sets[schema]]}
    rows_read |= {"only": {"mark": sorted(true)}} if unmarked else {}
    dimensions = {slug: schema for schema, slug in slugs(kept).items()}
    named = {"dimension": "schema", "rating": "rating", "dimensions": dimensions}
    codebook: dict[str, Any] = {
        "source": "Potato",
        "ratings": rows_read | {"participant": annotator, "response": instance} | named,
    }
    texts_of, used, unclear = _texts(table, rows_read, instance, tables)
    codebook |= {"responses": texts_of} if texts_of else {}
    people = _people(table, annotator, [other for other in tables if all(other is not one for one in used)])
    codebook |= {"participants": people.participants} if people else {}
    used = [*used, *([people.table] if people else [])]
    unclear += () if people else (NO_PEOPLE,)
    return Draft(
        codebook,
        titles={slug: schema for slug, schema in dimensions.items()},
        assumed=("pages of the survey before and after are not read", *not_read(tables, [table, *used])),
        unclear=(
            *other_scales(schema for schema in answers if schema not in kept),
            *no_ratings(unreadable),
            *unclear,
        ),
    )


def _text(label: str) -> str:
    """A label as a rating: `scale_4`, as Likert scales have it, is 4."""
    match = SCALE.match(label)
    return match[1] if match else label


def _plain(table: UserTable, tables: Sequence[UserTable], annotator: str) -> Draft | None:
    """One column a schema, as in POPQUORN and in Potato's Parquet."""
    own = {*INSTANCES, *ANNOTATORS, *TEXTS, *NO_ANSWERS, *ATTRIBUTES.values()}
    columns = by_column(table, (name for name in table.rows.names if name not in own))
    answers = {
        name: said
        for name, said in columns.items()
        if is_choice(said) and not any(isinstance(one, (list, dict)) for one in _values(table, name))
    }
    if not answers:
        return None
    kept = of_one_scale(answers)
    ratings = {
        "participant": annotator,
        "response": "instance_id",
        "dimensions": {slug: name for name, slug in slugs(kept).items()},
    }
    codebook: dict[str, Any] = {"source": "Potato", "ratings": rows_of(table) | ratings}
    texts_of, used, unclear = _texts(table, rows_of(table), "instance_id", tables)
    codebook |= {"responses": texts_of} if texts_of else {}
    declared = {name: column for name, column in ATTRIBUTES.items() if column in table.rows.names}
    people = _people(table, annotator, [other for other in tables if all(other is not one for one in used)])
    if declared:
        named = {"participant": annotator, "not_declared": [*NOT_DECLARED]}
        codebook["participants"] = rows_of(table) | named | {"attributes": attributes_of(table, declared)}
    elif people:
        codebook["participants"] = people.participants
        used = [*used, people.table]
    else:
        unclear += (NO_PEOPLE,)
    others = [name for name in columns if name not in answers]
    return Draft(
        codebook,
        better={slug: BETTER[name] for name, slug in slugs(kept).items() if name in BETTER},
        titles={slug: name for name, slug in slugs(kept).items()},
        assumed=not_read(tables, [table, *used]),
        unclear=(
            *other_scales(name for name in answers if name not in kept),
            *no_ratings(others),
            *unclear,
        ),
    )


def _people(table: UserTable, annotator: str, tables: Sequence[UserTable]) -> People | None:
    raters = set(by_column(table, [annotator])[annotator])
    return people_among((other for other in tables if other is not table), {annotator: raters})


def _values(table: UserTable, name: str) -> list[Any]:
    return [resolve(dict(zip(table.rows.names, values, strict=True)), name) for values in table.rows.values]


def _texts(
    table: UserTable, rows: dict[str, Any], instance: str, tables: Sequence[UserTable]
) -> tuple[dict[str, Any], list[UserTable], tuple[str, ...]]:
    """The table of responses: with the ratings, or of the instances that were given to Potato; else what is wanted.

    rows: those that hold ratings, so that no page of a survey is among them.
    """
    if shown := _first(TEXTS, table):
        return rows | {"response": instance, "response_text": shown}, [], ()
    rated = {tidy(text) for (text,) in texts(table, rows_of(table), instance)}
    for other in tables:
        for name in ("item_id", "id", "instance_id"):
            ids = {tidy(as_text(one)) for one in _values(other, name)} if name in other.rows.names else set()
            if other is not table and "text" in other.rows.names and ids & rated:
                return rows_of(other) | {"response": name, "response_text": "text"}, [other], ()
    return {}, [], ("the texts that were rated are in the files that Potato was given: give them as well",)
