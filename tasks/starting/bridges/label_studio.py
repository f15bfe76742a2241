"""Label Studio's JSON: tasks with their data, and the annotations that people gave them.

A task has `data`, whose keys the project chose, and `annotations`; one of these is by `completed_by` (a number, or an
object with id and email), may be `was_cancelled` (skipped), and has a list `result`: from which control of the
interface (`from_name`), its `type`, and `value`, such as {"rating": 4}, {"choices": ["good"]}, {"number": 7} or
{"selected": "left"}. Drafts and predictions stand beside them. Source: "Label Studio JSON format of annotated tasks"
and "Export annotations" of labelstud.io, and the tags' own pages (Rating, Choices, Number, Pairwise).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from configs.codebook import normal
from tasks.ratings.reading.shape import as_text
from tasks.starting.bridges.exported import (
    NO_PEOPLE,
    People,
    cells,
    is_choice,
    lengths,
    no_ratings,
    not_read,
    of_one_scale,
    other_scales,
    people_among,
    prompt_and_response,
    responses_of,
    rows_of,
    slugs,
    texts,
    which_texts,
)
from tasks.starting.draft import Draft, UserTable

RESULT = "annotations.result"
RATED = ("rating", "choices", "number")
EACH = {"each": ["annotations", RESULT]}


class LabelStudioJson:
    title = "Label Studio (JSON)"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        table = next((table for table in tables if _is_export(table)), None)
        if table is None:
            return None
        results = cells(table, EACH, f"{RESULT}.from_name", f"{RESULT}.type", f"{RESULT}.value.*", f"{RESULT}.to_name")
        kept, others, scales = _ratings(results)
        prompt, response = _texts(table)
        if not kept:
            return self._pairwise(table, results, tables)
        people = _people(table, tables)
        rows = rows_of(table) | EACH | _only(table)
        dimensions = {name: control for control, name in slugs(kept).items()}
        ratings = {
            "participant": people.id if people else _annotator(table),
            "response": "id",
            "dimension": f"{RESULT}.from_name",
            "rating": f"{RESULT}.value.*",
            "dimensions": dimensions,
        }
        codebook: dict[str, Any] = {"source": "Label Studio", "ratings": rows | ratings}
        codebook["ratings"] |= {"ignored": others + scales} if others + scales else {}
        codebook |= {"participants": people.participants} if people else {}
        if response:
            codebook["responses"] = responses_of(rows_of(table), "id", prompt, response)
        return Draft(
            codebook,
            titles={name: control for name, control in dimensions.items()},
            assumed=(
                "skipped annotations, drafts and predictions are not read",
                *which_texts(prompt, response),
                *not_read(tables, [table, *([people.table] if people else [])]),
            ),
            unclear=(*other_scales(scales), *no_ratings(others), *(() if people else (NO_PEOPLE,))),
        )

    def _pairwise(
        self, table: UserTable, results: Sequence[tuple[Any, ...]], tables: Sequence[UserTable]
    ) -> Draft | None:
        """Comparisons of two texts of the task's data, which the control is about by their names."""
        of_pairs = [
            (as_text(control), as_text(about)) for control, kind, _, about in results if as_text(kind) == "pairwise"
        ]
        controls = {control for control, _ in of_pairs}
        sides = [f"data.{name.strip()}" for name in of_pairs[0][1].split(",")] if of_pairs else []
        there = lengths(table, rows_of(table), _data(table))
        if len(controls) != 1 or len(sides) != 2 or not set(sides) <= set(there):
            return None
        (control,) = controls
        prompt, _ = prompt_and_response({name: size for name, size in there.items() if name not in sides})
        asked = {"prompt": f"#{prompt}", "prompt_text": prompt} if prompt else {"prompt": "id"}
        people = _people(table, tables)
        ratings = {
            "participant": people.id if people else _annotator(table),
            "sides": {"left": ["id", "=left"], "right": ["id", "=right"]},
            "dimension": f"{RESULT}.from_name",
            "rating": f"{RESULT}.value.*",
            "dimensions": {slugs([control])[control]: control},
            "labels": {"left": "left", "right": "right"},
        }
        others = sorted({as_text(one) for one, *_ in results} - controls)
        codebook = {
            "source": "Label Studio",
            "ratings": rows_of(table) | EACH | _only(table) | ratings | ({"ignored": others} if others else {}),
            "responses": rows_of(table)
            | {
                "stack": [
                    {"side": f"={side}", "text": name} for side, name in zip(("left", "right"), sides, strict=True)
                ],
                "response": ["id", "side"],
                **asked,
                "response_text": "text",
            },
        }
        codebook |= {"participants": people.participants} if people else {}
        return Draft(
            codebook,
            better={slugs([control])[control]: "higher"},
            titles={slugs([control])[control]: control},
            assumed=(
                "skipped annotations, drafts and predictions are not read",
                *not_read(tables, [table, *([people.table] if people else [])]),
            ),
            unclear=() if people else (NO_PEOPLE,),
        )


def _is_export(table: UserTable) -> bool:
    names = table.rows.names
    if not {"data", "annotations", "id"} <= set(names):
        return False
    place = names.index("annotations")
    lists = [values[place] for values in table.rows.values if values[place]]
    return bool(lists) and all(
        isinstance(own, list) and all(isinstance(one, dict) and "result" in one for one in own) for own in lists
    )


def _annotations(table: UserTable) -> list[dict[str, Any]]:
    return [one for (one,) in cells(table, {"each": ["annotations"]}, "annotations")]


def _annotator(table: UserTable) -> str:
    """Where the annotator's id is: in `completed_by`, or in the object that stands there."""
    objects = [one["completed_by"] for one in _annotations(table) if isinstance(one.get("completed_by"), dict)]
    if not objects:
        return "annotations.completed_by"
    return f"annotations.completed_by.{'id' if all('id' in one for one in objects) else 'email'}"


def _people(table: UserTable, tables: Sequence[UserTable]) -> People | None:
    """The table that says who the annotators are, by their number or their email."""
    places = ("annotations.completed_by", "annotations.completed_by.id", "annotations.completed_by.email")
    rows = texts(table, {"each": ["annotations"]}, *places)
    raters = {place: {row[number] for row in rows} for number, place in enumerate(places)}
    return people_among((other for other in tables if other is not table), raters)


def _only(table: UserTable) -> dict[str, Any]:
    """Annotations that nobody skipped."""
    said = {as_text(one.get("was_cancelled")) for one in _annotations(table)}
    return {"only": {"annotations.was_cancelled": sorted(said - {"true"})}} if "true" in said else {}


def _ratings(results: Iterable[tuple[Any, ...]]) -> tuple[list[str], list[str], list[str]]:
    """The controls whose answers are ratings of one scale, the other ones, and those of other scales."""
    answers: dict[str, list[str]] = {}
    others: dict[str, None] = {}
    for control, kind, value, _ in results:
        name = as_text(control)
        if as_text(kind) not in RATED or isinstance(value, (list, dict)):
            others[name] = None
        else:
            answers.setdefault(name, []).append(as_text(value))
    others |= {name: None for name, own in answers.items() if not is_choice(own)}
    answers = {name: own for name, own in answers.items() if name not in others}
    kept = of_one_scale(answers)
    known = {normal(name) for name in kept}
    return kept, [name for name in others if normal(name) not in known], [name for name in answers if name not in kept]


def _data(table: UserTable) -> list[str]:
    place = table.rows.names.index("data")
    objects = [values[place] for values in table.rows.values if isinstance(values[place], dict)]
    return list(dict.fromkeys(f"data.{name}" for one in objects for name in one))


def _texts(table: UserTable) -> tuple[str | None, str | None]:
    return prompt_and_response(lengths(table, rows_of(table), _data(table)))
