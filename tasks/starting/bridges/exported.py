"""What bridges share: cells of an export as its codebook would read them, names of dimensions, answers of one scale."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from configs.codebook import PLATFORM_COLUMN, ExportColumn, ExportTable, normal, tidy
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
NO_PEOPLE = "the export does not say who the raters are: give a table of them as well, by the same ids"


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
    said = by_column(table, columns.values())
    return {
        name: attribute(name, column, said[column]) for name, column in columns.items() if any(map(tidy, said[column]))
    }


def by_column(table: UserTable, names: Iterable[str]) -> dict[str, list[str]]:
    """Column → its cells as texts, in the order of the rows."""
    names = list(dict.fromkeys(names))
    rows = texts(table, {}, *names) if names else []
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def attribute(name: str, column: str, answers: Iterable[str]) -> dict[str, Any]:
    """An attribute of participants; an age in years becomes one of a few ranges."""
    silent = {"", *map(normal, NOT_DECLARED)}
    declared = [text for text in answers if normal(text) not in silent]
    years = name == "age" and bool(declared) and all(as_number(text) == as_number(text) for text in declared)
    return {"column": column} | ({"ranges": {term: list(ages) for term, ages in AGES.items()}} if years else {})


class People(NamedTuple):
    """Another table that says who raters are. id: where the raters' table has the ids that it goes by."""

    id: str
    table: UserTable
    participants: dict[str, Any]


def people_among(tables: Iterable[UserTable], raters: Mapping[str, Collection[str]]) -> People | None:
    """The table with the most of the raters in a column that has each once, and its columns of choices as attributes.

    raters: where the raters' table has ids → the ids there.
    """
    best, found = 0, None
    for table in tables:
        columns = by_column(table, table.rows.names)
        for column, said in columns.items():
            ids = list(filter(None, map(tidy, said)))
            for place, others in raters.items():
                shared = len(set(ids) & set(map(tidy, others)))
                if shared > best and len(set(ids)) == len(ids) and 2 * shared >= len(set(others)):
                    best, found = shared, People(place, table, _participants(table, column, columns))
    return found


def _participants(table: UserTable, identity: str, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    attributes = {}
    for name, slug in slugs(columns).items():
        one = attribute(slug, name, columns[name])
        few = len(set(map(normal, columns[name]))) <= MOST_CHOICES or "ranges" in one
        if name != identity and few and is_choice(columns[name]) and not PLATFORM_COLUMN.search(slug.replace("-", " ")):
            attributes[slug] = one
    return rows_of(table) | {"participant": identity, "not_declared": [*NOT_DECLARED], "attributes": attributes}


def language_of(table: UserTable | Sequence[UserTable], column: str) -> tuple[str, tuple[str, ...]]:
    """The one language in a column, "" where there is none or several, and what to tell of several."""
    tables = [table] if isinstance(table, UserTable) else table
    said = [text for one in tables if column in one.rows.names for text in by_column(one, [column])[column]]
    spoken = sorted(set(map(tidy, said)) - {""})
    if len(spoken) < 2:
        return next(iter(spoken), ""), ()
    only = f"ratings.only: {{{column}: [{spoken[0]}]}}"
    return "", (f"the languages in {column} are {', '.join(spoken)}: a codebook is of one, such as {only}",)


def not_read(tables: Iterable[UserTable], used: Iterable[UserTable]) -> tuple[str, ...]:
    """What to tell of files that the format does not speak of."""
    names = [table.name for table in tables if all(table is not other for other in used)]
    return (f"not read: {', '.join(names)}",) if names else ()
