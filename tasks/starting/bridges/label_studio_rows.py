"""Label Studio's short forms, JSON_MIN, CSV and TSV: one row an annotation, the task's data beside the answers.

Beside both stand `id` (the task's), `annotator` (a number or an email), `annotation_id`, `created_at`, `updated_at`,
`lead_time`, in newer versions `was_cancelled`, and `agreement`. A rating is a list, [{"rating": 4}], as a text in CSV;
one choice is its text alone, several are {"choices": […]}. Nothing says which columns are data and which are answers:
answers differ between annotators of a task, or are such lists. Source: "Export annotations" of labelstud.io and the
modules `exports/csv2.py` and `utils.py` of HumanSignal/label-studio-converter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.codebook import normal, tidy
from tasks.ratings.reading.shape import as_text
from tasks.starting.bridges.exported import (
    NO_PEOPLE,
    by_column,
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

COLUMNS = {"id", "annotator", "annotation_id", "lead_time"}
OWN = (*COLUMNS, "created_at", "updated_at", "was_cancelled", "agreement", "history")


class LabelStudioRows:
    title = "Label Studio (JSON_MIN, CSV)"

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        table = next((table for table in tables if set(table.rows.names) >= COLUMNS), None)
        if table is None:
            return None
        answers, unreadable, guessed = _answers(table)
        kept = of_one_scale(answers)
        dimensions = {slug: f"{name}.*" for name, slug in slugs(kept).items()}
        file = rows_of(table)
        ratings = {"participant": "annotator", "response": "id", "dimensions": dimensions}
        data = [name for name in table.rows.names if name not in (*OWN, *answers, *unreadable)]
        prompt, response = prompt_and_response(lengths(table, file, data))
        codebook: dict[str, Any] = {"source": "Label Studio", "ratings": file | _only(table) | ratings}
        raters = set(by_column(table, ["annotator"])["annotator"])
        people = people_among((other for other in tables if other is not table), {"annotator": raters})
        codebook |= {"participants": people.participants} if people else {}
        if response:
            codebook["responses"] = responses_of(file, "id", prompt, response)
        scales = [name for name in answers if name not in kept]
        return Draft(
            codebook,
            titles={slug: name for name, slug in slugs(kept).items()},
            assumed=(
                "skipped annotations are not read",
                *which_texts(prompt, response),
                *(
                    (f"taken for an answer since few texts stand in it: {', '.join(map(repr, guessed))}",)
                    if guessed
                    else ()
                ),
                *not_read(tables, [table, *([people.table] if people else [])]),
            ),
            unclear=(
                *other_scales(scales),
                *no_ratings(unreadable),
                *(() if people else (NO_PEOPLE,)),
            ),
        )


def _answers(table: UserTable) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """Column → the answers in it, one choice each; the columns of other answers; and those guessed to be answers."""
    answers: dict[str, list[str]] = {}
    unreadable, guessed = [], []
    for name in (name for name in table.rows.names if name not in OWN):
        rows = cells(table, rows_of(table), "id", name, f"{name}.*")
        values = [value for _, _, value in rows]
        plain = list(map(as_text, values))
        marked = any(as_text(whole).strip()[:1] in ("[", "{") for _, whole, _ in rows)
        if marked and any(isinstance(value, (list, dict)) for value in values):
            unreadable.append(name)
        elif is_choice(plain) and (marked or _differs_within_a_task(rows)):
            answers[name] = plain
        elif is_choice(plain) and _repeats(plain):
            guessed.append(name)
    if not answers:
        return {name: [text for (text,) in texts(table, rows_of(table), name)] for name in guessed}, unreadable, guessed
    return answers, unreadable, []


def _differs_within_a_task(rows: Sequence[tuple[Any, ...]]) -> bool:
    said: dict[str, set[str]] = {}
    for task, whole, _ in rows:
        said.setdefault(as_text(task), set()).add(normal(as_text(whole)))
    return any(len(own - {""}) > 1 for own in said.values())


def _repeats(answers: Sequence[str]) -> bool:
    filled = [normal(text) for text in answers if tidy(text)]
    return 1 < len(set(filled)) < len(filled)


def _only(table: UserTable) -> dict[str, Any]:
    """Annotations that nobody skipped."""
    if "was_cancelled" not in table.rows.names:
        return {}
    said = {normal(text) for (text,) in texts(table, rows_of(table), "was_cancelled")}
    return {"only": {"was_cancelled": sorted(said - {"true", "1"})}} if said & {"true", "1"} else {}
