"""What bridges share: cells of an export as its codebook would read them, names of dimensions, answers of one scale."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from configs.codebook import ExportColumn, ExportTable, normal, tidy
from tasks.ratings.reading.columns import as_number
from tasks.ratings.reading.shape import as_text, shaped
from tasks.starting.draft import UserTable

NOT_DECLARED = ("Prefer not to say", "DATA_EXPIRED", "CONSENT_REVOKED")
"""How Prolific, and data sets that recruited through it, write that a participant's answer is not there."""
MOST_CHOICES, LONGEST_CHOICE = 12, 80
"""Texts that are more different, or longer, are written by somebody rather than chosen."""
PROMPT_WORDS = ("prompt", "question", "instruction", "query", "context", "post", "premise", "input")
RESPONSE_WORDS = ("response", "answer", "output", "completion", "reply", "generation", "text", "comment", "message")
AGES = {"18-29": (18, 29), "30-39": (30, 39), "40-49": (40, 49), "50-59": (50, 59), "60 and over": (60, None)}
LATER_TURNS = "only a conversation's first turn is read: prompts of later ones mean little without what went before"
NO_PEOPLE = "Label Studio says nothing of who the annotators are; a table of participants can be added"


def rows_of(table: UserTable) -> dict[str, Any]:
    """The file of a table, as the tables of a codebook name it."""
    return {"file": table.name} | ({"sheet": table.sheet} if table.sheet else {})


def cells(table: UserTable, shape: Mapping[str, Any], *columns: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """The cells of these columns, a row each, as they come out where a codebook reads the table in this shape."""
    keys = {key: shape[key] for key in ExportTable.model_fields if key in shape}
    read = ExportTable.model_validate({"file": table.name, **keys})
    return [tuple(row) for row in shaped(table.rows, read, list(map(ExportColumn, columns))).values]


def texts(table: UserTable, shape: Mapping[str, Any], *columns: str | Sequence[str]) -> list[tuple[str, ...]]:
    """The same as texts."""
    return [tuple(map(as_text, row)) for row in cells(table, shape, *columns)]


def is_choice(answers: Iterable[str]) -> bool:
    """Whether the answers are numbers, or few enough and short enough to be chosen from a list."""
    different = {normal(text) for text in answers if tidy(text)}
    if not different:
        return False
    few = len(different) <= MOST_CHOICES and max(map(len, different)) <= LONGEST_CHOICE
    return few or all(as_number(text) == as_number(text) for text in different)


def of_one_scale(answers: Mapping[str, Collection[str]]) -> list[str]:
    """The questions whose answers can share a scale: all that have an answer in common with the one that most share."""
    labels = {name: {normal(text) for text in own if tidy(text)} for name, own in answers.items()}
    alike = {name: [other for other in labels if labels[other] & labels[name]] for name in labels}
    return max(alike.values(), key=len, default=[])


def other_scales(names: Iterable[str]) -> tuple[str, ...]:
    """What to tell of questions that are left out because their answers are on other scales."""
    listed = ", ".join(repr(name) for name in names)
    return (f"not read, since a codebook has one scale: {listed}; write another codebook for them",) if listed else ()


def no_ratings(names: Iterable[str]) -> tuple[str, ...]:
    """What to tell of questions whose answers are free texts, several choices, rankings and the like."""
    listed = ", ".join(map(repr, names))
    return (f"not read, since they are no ratings: {listed}",) if listed else ()


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Name → what a dimension or attribute of that name is called: lower-case letters, digits and dashes, once each."""
    found: dict[str, str] = {}
    for number, name in enumerate(dict.fromkeys(names), 1):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain)
        slug = re.sub(r"[^a-z0-9]+", "-", apart.lower()).strip("-")[:60].strip("-") or f"question-{number}"
        found[name] = slug if slug not in found.values() else f"{slug}-{number}"
    return found


def prompt_and_response(mean_lengths: Mapping[str, float]) -> tuple[str | None, str | None]:
    """Which of several texts is the prompt, and which the response; by their names, then the longest is the response.

    mean_lengths: name → the mean length of its texts.
    """
    response = _named(RESPONSE_WORDS, mean_lengths)
    prompt = _named(PROMPT_WORDS, [name for name in mean_lengths if name != response])
    rest = [name for name in mean_lengths if name != prompt]
    return prompt, response or max(rest, key=lambda name: mean_lengths[name], default=None)


def responses_of(
    rows: Mapping[str, Any], identity: str | list[str], prompt: str | None, response: str
) -> dict[str, Any]:
    """The table of responses; responses to the same text are to the same prompt."""
    asked = {"prompt": f"#{prompt}", "prompt_text": prompt} if prompt else {}
    return {**rows, "response": identity, **asked, "response_text": response}


def which_texts(prompt: str | None, response: str | None) -> tuple[str, ...]:
    """What to tell of the columns that were taken for prompt and response."""
    if response is None:
        return ()
    return (f"the response is {response!r}" + (f", the prompt {prompt!r}" if prompt else ""),)


def _named(words: Sequence[str], names: Iterable[str]) -> str | None:
    """The first name that has the first of the words that any has."""
    names = list(names)
    apart = {name: re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()) for name in names}
    return next((name for word in words for name in names if word in apart[name]), None)


def lengths(table: UserTable, shape: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """Column → the mean length of its texts, where it holds texts rather than lists, objects or numbers."""
    names = list(names)
    if not names:
        return {}
    columns = dict(zip(names, zip(*cells(table, shape, *names), strict=True), strict=False))
    filled = {name: [one for one in own if one not in (None, "")] for name, own in columns.items()}
    return {
        name: sum(map(len, own)) / len(own)
        for name, own in filled.items()
        if own and all(isinstance(one, str) for one in own)
    }


def attributes_of(table: UserTable, columns: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The attributes of participants for the columns that the table has and fills. columns: attribute → column."""
    said = {name: {text for (text,) in texts(table, rows_of(table), column)} for name, column in columns.items()}
    return {name: attribute(name, columns[name], own) for name, own in said.items() if any(map(tidy, own))}


def attribute(name: str, column: str, answers: Iterable[str]) -> dict[str, Any]:
    """An attribute of participants; an age in years becomes one of a few ranges."""
    silent = {"", *map(normal, NOT_DECLARED)}
    declared = [text for text in answers if normal(text) not in silent]
    years = name == "age" and bool(declared) and all(as_number(text) == as_number(text) for text in declared)
    return {"column": column} | ({"ranges": {term: list(ages) for term, ages in AGES.items()}} if years else {})


def not_read(tables: Iterable[UserTable], used: Iterable[UserTable]) -> tuple[str, ...]:
    """What to tell of files that the format does not speak of."""
    names = [table.name for table in tables if all(table is not other for other in used)]
    return (f"not read: {', '.join(names)}",) if names else ()
