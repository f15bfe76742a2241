"""Argilla: records with the responses that users gave to its questions.

Three forms. `records.to_datasets()` and other flattened exports have parallel lists for each question: `Q.responses`,
`Q.responses.users`, `Q.responses.status`, beside the fields. `records.to_json()` nests them: `fields`, and `responses`
as {Q: [{value, user_id, status}]}. Argilla 1 wrote a list of {user_id, value, status} under the question's own name. A
response may be a draft, or discarded; only submitted ones are ratings. Source: "Query and export records" of Argilla's
documentation, `records/_io/_generic.py` of argilla-io/argilla, and the data set cards that Argilla 1 wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.ratings.reading.shape import as_text
from tasks.starting.bridges.exported import (
    NO_PEOPLE,
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

USERS, STATUS = ".responses.users", ".responses.status"
ANSWER = {"user_id", "value"}
OWN = ("id", "status", "_server_id", "external_id", "metadata", "vectors", "responses", "suggestions", "fields")
SUBMITTED = ["submitted", ""]
"""Where an export tells no status, its responses are submitted ones."""
Set = dict[str, str]
"""A set of columns of `stack`: question, value and the like → where they are."""


class Argilla:
    title = "Argilla"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        found = ((table, sets) for table in tables if (sets := _flattened(table) or _nested(table)))
        table, sets = next(found, (None, {}))
        if table is None:
            return None
        answers, unreadable = _answers(table, sets)
        kept = of_one_scale(answers)
        rows = rows_of(table) | _shape([sets[question] for question in kept])
        dimensions = {name: question for question, name in slugs(kept).items()}
        lists = "users" in sets[kept[0]] if kept else False
        prompt, response = prompt_and_response(lengths(table, rows_of(table), _fields(table, sets)))
        record = _id(table, prompt, response)
        ratings = {
            "participant": "users" if lists else "answer.user_id",
            "response": record,
            "dimension": "question",
            "rating": "value" if lists else "answer.value",
            "dimensions": dimensions,
        }
        codebook = {"source": "Argilla", "ratings": rows | ratings}
        who = str(ratings["participant"])
        raters = {name for (name,) in texts(table, rows, who)} if kept else set()
        people = people_among((other for other in tables if other is not table), {who: raters})
        codebook |= {"participants": people.participants} if people else {}
        codebook |= {"responses": responses_of(rows_of(table), record, prompt, response)} if response else {}
        return Draft(
            codebook,
            titles={name: question for name, question in dimensions.items()},
            assumed=(
                "only submitted responses are read, no drafts and no discarded ones",
                *which_texts(prompt, response),
                *not_read(tables, [table, *([people.table] if people else [])]),
            ),
            unclear=(
                *other_scales(name for name in answers if name not in kept),
                *no_ratings(unreadable),
                *(() if people else (NO_PEOPLE,)),
            ),
        )


def _flattened(table: UserTable) -> dict[str, Set]:
    """Question → its set of columns, where each has parallel lists."""
    names = table.rows.names
    questions = [name.removesuffix(USERS) for name in names if name.endswith(USERS)]
    return {
        question: {"question": f"={question}", "value": f"{question}.responses", "users": f"{question}{USERS}"}
        | ({"status": f"{question}{STATUS}"} if f"{question}{STATUS}" in names else {})
        for question in questions
        if f"{question}.responses" in names
    }


def _nested(table: UserTable) -> dict[str, Set]:
    """The same where each has a list of objects, in `responses` or under its own name."""
    found: dict[str, Set] = {}
    for values in table.rows.values:
        record = dict(zip(table.rows.names, values, strict=True))
        inner = record.get("responses")
        inside = {f"responses.{name}": own for name, own in inner.items()} if isinstance(inner, dict) else {}
        for path, own in {**record, **inside}.items():
            if isinstance(own, list) and own and all(isinstance(one, dict) and set(one) >= ANSWER for one in own):
                question = path.removeprefix("responses.")
                found.setdefault(question, {"question": f"={question}", "answer": path})
    return found


def _shape(sets: Sequence[Set]) -> dict[str, Any]:
    """One row a response: the keys `stack`, `each` and `only` of a table."""
    if not sets:
        return {}
    if "users" not in sets[0]:
        return {"stack": list(sets), "each": ["answer"], "only": {"answer.status": SUBMITTED}}
    parallel = [name for name in sets[0] if name != "question"]
    only = {"only": {"status": SUBMITTED}} if "status" in sets[0] else {}
    return {"stack": list(sets), "each": [parallel]} | only


def _answers(table: UserTable, sets: dict[str, Set]) -> tuple[dict[str, list[str]], list[str]]:
    """Question → the answers to it, where they may be ratings; and the other questions."""
    answers, unreadable = {}, []
    for question, own in sets.items():
        column = "value" if "users" in own else "answer.value"
        values = [value for (value,) in cells(table, _shape([own]), column)]
        if any(isinstance(value, (list, dict)) for value in values) or not is_choice(map(as_text, values)):
            unreadable.append(question)
        else:
            answers[question] = list(map(as_text, values))
    return answers, unreadable


def _fields(table: UserTable, sets: dict[str, Set]) -> list[str]:
    """Where the records' fields are."""
    if "fields" in table.rows.names:
        place = table.rows.names.index("fields")
        inner = [values[place] for values in table.rows.values if isinstance(values[place], dict)]
        return list(dict.fromkeys(f"fields.{name}" for one in inner for name in one))
    parts = (".responses", USERS, STATUS, ".suggestion", ".suggestion.score", ".suggestion.agent", "-suggestion")
    others = {question + part for question in sets for part in (*parts, "-suggestion-metadata", "")}
    return [name for name in table.rows.names if name not in OWN and name not in others]


def _id(table: UserTable, prompt: str | None, response: str | None) -> str | list[str]:
    """What a record goes by: an id that each has, or the digest of its texts."""
    for name in ("id", "external_id"):
        if name in table.rows.names and all(as_text(one) for (one,) in cells(table, {}, name)):
            return name
    digests = [f"#{text}" for text in (prompt, response) if text]
    return digests or "@row"
