"""What a codebook asks of each column by itself, as pandera schemas that find every fault at once.

The readers here give what a cell means; the schemas ask the same readers whether it means anything.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

import pandas as pd
import pandera.pandas as pa

from configs.codebook import (
    Attribute,
    Codebook,
    Numbers,
    ParticipantsTable,
    RatingsTable,
    ResponsesTable,
    normal,
    tidy,
)
from configs.errors import InputError
from tasks.ratings.reading.rejected import PLATFORM_ID, entries
from tasks.ratings.reading.source import Source, by_text

NO_ID, CONTROL = "empty id", "control character in an id"
ATTENTION = "attention check failed"
UNKNOWN_LABEL, FOREIGN_LABEL = "unknown label", "label of the wrong language"
UNKNOWN_DIMENSION = "unknown dimension"
UNKNOWN_ANSWER, NO_LIST = "unknown answer", "not a JSON list of texts"
NO_TEXT = "empty response text"
LIST, OBJECT = "a list", "an object"
NESTED_ID, NESTED_ANSWER, NESTED_TEXT = (
    {kind: f"{kind} where {expected} is expected" for kind in (LIST, OBJECT)}
    for expected in ("an id", "one answer", "a text")
)
"""`LIST` or `OBJECT` → why it can't be used."""

ROW_LEVEL = (NO_ID, CONTROL, *NESTED_ID.values(), ATTENTION, UNKNOWN_DIMENSION)
"""Reasons for which a whole row can't be used, the weightiest first."""

BLANK, NOTHING_CHOSEN = "an empty cell", "an empty list"
"""Why a participant's cell declares nothing, where that is no fault."""
NO_ANSWER, NOT_KNOWN, OF_A_SIBLING = 0, -1, -2
"""What a label reads as where it is no category."""
IGNORED, NO_DIMENSION = -1, -2
"""What the text of a long table's dimension reads as where it is none."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
Rules = dict[str, list[tuple[str, Callable[[str], bool]]]]
"""Column → reasons, each with what a text must meet; where a text breaks several, the first counts."""


# ---- what cells mean


def label_reader(table: RatingsTable, siblings: Iterable[Codebook] = ()) -> Callable[[str], int]:
    """Label text → category as labelled, `NO_ANSWER`, `NOT_KNOWN`, or `OF_A_SIBLING` where only one of those has it."""
    others = [normal(label) for sibling in siblings for label in sibling.ratings.labels]
    known = dict.fromkeys(others, OF_A_SIBLING) | dict.fromkeys(["", *map(normal, table.missing)], NO_ANSWER)
    known |= {normal(label): category for label, category in table.codes.items()}
    if (numbers := table.numbers) is None:
        return lambda text: known.get(normal(text), NOT_KNOWN)
    return lambda text: known.get(normal(text)) or _category(text, numbers)


def _category(text: str, numbers: Numbers) -> int:
    """The category of a number, `NO_ANSWER` of an empty cell, `NOT_KNOWN` of what is no number of the scale."""
    value = as_number(text)
    if not tidy(text):
        return NO_ANSWER
    if not numbers.low <= value <= numbers.high:  # also where it is no number
        return NOT_KNOWN
    if numbers.cuts or numbers.quantiles:  # quantiles without cuts: all that is known is that it is one
        return 1 + bisect_right(numbers.cuts, value)
    return int(value - numbers.low) + 1 if float(value - numbers.low).is_integer() else NOT_KNOWN


def as_number(text: str) -> float:
    """The number that a cell says, with a decimal point or comma; NaN where it says none."""
    plain = tidy(text).replace("\N{MINUS SIGN}", "-")
    plain = plain.replace(",", ".") if "." not in plain and plain.count(",") == 1 else plain
    return float(plain) if NUMBER.fullmatch(plain) else math.nan


def dimension_reader(table: RatingsTable) -> Callable[[str], int]:
    """Long tables: text of the column `dimension` → place among the dimensions, `IGNORED` or `NO_DIMENSION`."""
    known = {normal(text): IGNORED for text in table.ignored}
    known |= {normal(text): place for place, text in enumerate(table.dimensions.values())}
    return lambda text: known.get(normal(text), NO_DIMENSION)


def attribute_reader(attribute: Attribute, table: ParticipantsTable) -> Callable[[str], tuple[tuple[str, ...], str]]:
    """Cell → the study's terms that are declared, and the reason why it declares no more, if any.

    `BLANK` and `NOTHING_CHOSEN` are no faults: such a cell says nothing, also not that somebody would rather not say.
    """
    silent = {normal(text) for text in table.not_declared} | {""}
    terms = {normal(text): term for text, term in (attribute.values or {}).items()}
    ranges = attribute.ranges

    def read(text: str) -> tuple[tuple[str, ...], str]:
        if not tidy(text):
            return (), BLANK
        if not attribute.many and (kind := nested_kind(text)):
            return (), NESTED_ANSWER[kind]
        texts = _several(text, attribute.separator) if attribute.many else [tidy(text)]
        if texts is None:
            return (), NO_LIST
        if not any(texts):
            return (), NOTHING_CHOSEN
        texts = [item for item in texts if normal(item) not in silent]
        if ranges is not None:
            named = tuple(term for item in texts for term in _in_ranges(as_number(item), ranges))
            return named, UNKNOWN_ANSWER if len(named) < len(texts) else ""
        if attribute.values is None:
            return tuple(texts), ""
        known = tuple(terms[normal(item)] for item in texts if normal(item) in terms)
        return known, UNKNOWN_ANSWER if len(known) < len(texts) else ""

    return read


def _in_ranges(number: float, ranges: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    """The term whose range holds the number, if any."""
    return [
        term
        for term, (low, high) in ranges.items()
        if number >= (-math.inf if low is None else low) and number <= (math.inf if high is None else high)
    ]


def _several(text: str, separator: str | None) -> list[str] | None:
    if separator is not None and not nested_kind(text):
        return [tidy(item) for item in text.split(separator)]
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    good = isinstance(items, list) and all(isinstance(item, str) for item in items)
    return [tidy(item) for item in items] if good else None


def nested_kind(text: str) -> str:
    """`LIST` or `OBJECT` where the text is one in JSON, or as Python writes them; "" for any other text."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return ""
    for quoted in (text, text.replace("'", '"')):
        try:
            return OBJECT if isinstance(json.loads(quoted), dict) else LIST
        except (ValueError, RecursionError):
            continue
    return ""


# ---- the rules


def ratings_rules(table: RatingsTable, siblings: Iterable[Codebook]) -> Rules:
    label = label_reader(table, siblings)
    of_a_label = [
        *_not_nested(NESTED_ANSWER),
        (FOREIGN_LABEL, lambda text: label(text) != OF_A_SIBLING),
        (UNKNOWN_LABEL, lambda text: label(text) != NOT_KNOWN),
    ]
    rules: Rules = defaultdict(list)
    rules[table.participant] += _of_an_id()
    rules[table.rated] += _of_an_id()
    for column, answer in table.attention.items():
        rules[column].append((ATTENTION, _is_like(answer)))
    if table.dimension and table.rating:
        place = dimension_reader(table)
        rules[table.dimension] += [
            *_not_nested(NESTED_ID),
            (UNKNOWN_DIMENSION, lambda text: place(text) != NO_DIMENSION),
        ]
        rules[table.rating] += of_a_label
        return rules
    for column in table.dimensions.values():
        rules[column] += of_a_label
    return rules


def participants_rules(table: ParticipantsTable) -> Rules:
    rules: Rules = defaultdict(list)
    rules[table.participant] += _of_an_id()
    for attribute in table.attributes.values():
        read = attribute_reader(attribute, table)
        for reason in (NO_LIST, *NESTED_ANSWER.values(), UNKNOWN_ANSWER):
            rules[attribute.column].append((reason, _reads_without(reason, read)))
    return rules


def responses_rules(table: ResponsesTable) -> Rules:
    rules: Rules = defaultdict(list)
    rules[table.response] += _of_an_id()
    if table.prompt:
        rules[table.prompt] += _of_an_id()[:2]  # a prompt may go by its text, which may be code
    rules[table.response_text].append((NO_TEXT, lambda text: bool(text.strip())))
    return rules


def _is_like(answer: str) -> Callable[[str], bool]:
    return lambda text: normal(text) == normal(answer)


def _reads_without(reason: str, read: Callable[[str], tuple[tuple[str, ...], str]]) -> Callable[[str], bool]:
    return lambda text: read(text)[1] != reason


def _of_an_id() -> list[tuple[str, Callable[[str], bool]]]:
    return [
        (NO_ID, lambda text: bool(tidy(text))),
        (CONTROL, lambda text: text.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f]", text)),
        *_not_nested(NESTED_ID),
    ]


def _not_nested(reasons: Mapping[str, str]) -> list[tuple[str, Callable[[str], bool]]]:
    return [(reason, lambda text, kind=kind: nested_kind(text) != kind) for kind, reason in reasons.items()]  # type: ignore[misc]


def broken_rules(
    frame: pd.DataFrame, rules: Rules, secret: str | None, details: Mapping[str, Callable[[str], str]]
) -> pd.DataFrame:
    """An entry for each cell that breaks a rule; values of the column `secret` are left empty.

    `details`: column → what to add about a text of it.
    """
    try:
        checks = {column: [_check(*rule) for rule in asked] for column, asked in rules.items()}
        pa.DataFrameSchema({name: pa.Column(checks=own) for name, own in checks.items()}).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        if cases["index"].isna().any():  # its own message would show cells
            raise RuntimeError(f"a rule failed: {', '.join(cases['check'].astype(str).unique())}") from None
        cases["place"] = cases["column"].map(list(rules).index)
        cases = cases.sort_values(["place", "check_number"], kind="stable").drop_duplicates(["index", "column"])
        parts = [_entries_of(alike, secret, details) for _, alike in cases.groupby(["column", "check"], sort=False)]
        return pd.concat(parts, ignore_index=True)
    return entries([], "")


def _check(reason: str, good: Callable[[str], bool]) -> pa.Check:
    return pa.Check(lambda texts: pd.Series(by_text(texts, good), index=texts.index, dtype=bool), error=reason)


def _entries_of(cases: pd.DataFrame, secret: str | None, details: Mapping[str, Callable[[str], str]]) -> pd.DataFrame:
    column, reason = str(cases["column"].iloc[0]), str(cases["check"].iloc[0])
    rows, texts = cases["index"].astype("int64").tolist(), cases["failure_case"].astype("str")
    without = (NO_ID, CONTROL, *NESTED_ID.values(), *NESTED_ANSWER.values())
    detail = by_text(texts, details[column]) if column in details and reason not in without else ""
    return entries(rows, reason, column, None if column == secret else texts, detail)


def nested_cells(source: Source, column: str, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Entries for the lists and objects in a column of texts, which a text may look like."""
    rows = [row for row in source.frame.index if row in source.nested.get(column, ())]
    kinds = [nested_kind(text) for text in source.frame.loc[rows, column]]
    parts = [
        entries([row for row, own in zip(rows, kinds, strict=True) if own == kind], reasons[kind], column)
        for kind in reasons
    ]
    return pd.concat(parts, ignore_index=True)


def refuse_nested_columns(codebook: Codebook, sources: Mapping[str, Source]) -> None:
    """See that no column holds nothing but lists or objects: then it is not what the codebook takes it for.

    Raises:
        InputError: some do; the message has all of them, with what is expected there, and no value.
    """
    faults: dict[str, None] = {}
    for name, columns in _single_values(codebook).items():
        source, file = sources[name], getattr(codebook, name).file
        for column, reasons in columns.items():
            filled = source.frame[column][by_text(source.frame[column], lambda text: bool(tidy(text)))]
            kinds = set(by_text(filled, nested_kind))
            typed = reasons is not NESTED_TEXT or set(filled.index) <= source.nested.get(column, frozenset())
            if kinds and "" not in kinds and typed:
                faults[f"{file}: column {column}: {reasons[min(kinds)]} ({len(filled)} rows)"] = None
    if faults:
        raise InputError("; ".join(faults))


def _single_values(codebook: Codebook) -> dict[str, dict[str, dict[str, str]]]:
    """Table → column → why a list or an object can't stand in it."""
    ratings, people, responses = codebook.ratings, codebook.participants, codebook.responses
    texts = [str(column) for column in (responses.prompt_text, responses.response_text) if column]
    alone = [str(attribute.column) for attribute in people.attributes.values() if not attribute.many]
    return {
        "ratings": dict.fromkeys(map(str, ratings.columns), NESTED_ANSWER)
        | dict.fromkeys([str(ratings.participant), str(ratings.rated)], NESTED_ID),
        "participants": dict.fromkeys(alone, NESTED_ANSWER) | {str(people.participant): NESTED_ID},
        "responses": dict.fromkeys([*texts, *([str(responses.prompt)] if responses.prompt else [])], NESTED_TEXT)
        | {str(responses.response): NESTED_ID},
    }


def refuse_platform_ids(file: str, frame: pd.DataFrame, table: ParticipantsTable) -> None:
    """See that no attribute holds what looks like a recruitment platform's ids.

    Raises:
        InputError: one does; the message has the column and the row, not the value.
    """
    for attribute in table.attributes.values():
        suspect = by_text(frame[attribute.column], lambda text: bool(PLATFORM_ID.search(text)))
        if any(suspect):
            cell = f"{file}: row {frame.index[suspect.index(True)]}, column {attribute.column}"
            raise InputError(
                f"{cell}: looks like a recruitment platform's id; the codebook must leave such columns out"
            )


def allowed_labels(table: RatingsTable) -> str:
    """`allowed: A, B`, or which numbers are."""
    if (numbers := table.numbers) is None:
        return allowed(table.labels)
    whole = "" if numbers.cuts or numbers.quantiles else "whole "
    return f"allowed: {whole}numbers from {numbers.low:g} to {numbers.high:g}"


def allowed(texts: Collection[str]) -> str:
    """`allowed: A, B`."""
    return f"allowed: {', '.join(texts)}"
