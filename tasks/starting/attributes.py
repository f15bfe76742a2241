"""What a codebook says of a column about participants: as it is, several answers in a cell, numbers as ranges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from configs.codebook import normal, tidy
from tasks.ratings.reading.columns import as_number, nested_kind
from tasks.ratings.reading.rejected import PLATFORM_ID
from tasks.starting.columns import AGE, BIRTH_YEAR, Look
from tasks.starting.roles import MOST_ATTRIBUTE_LEVELS, MOST_NAMED_LEVELS, is_silent

SEPARATORS = (";", "|", ",")
BANDS = (
    (None, 17, "under 18"),
    (18, 29, "18-29"),
    (30, 39, "30-39"),
    (40, 49, "40-49"),
    (50, 59, "50-59"),
    (60, None, "60 and over"),
)
OLDEST, EARLIEST, LATEST = 120, 1900, 2025


def attribute(look: Look) -> tuple[dict[str, Any], list[str], str] | None:
    """The attribute as a codebook has it, texts that mean "would rather not say", and what was assumed; None where no
    way to read the column fits all its cells."""
    texts = list(look.column.said)
    if any(PLATFORM_ID.search(text) for text in texts):
        return None
    silent = [text for text in texts if is_silent(text)]
    answers = [text for text in texts if text not in silent]
    if answers and all(np.isfinite(as_number(text)) for text in answers) and len(answers) > 1:
        ranges = _ranges(look, [as_number(text) for text in answers])
        if ranges is not None:
            return {"column": look.name, "ranges": ranges}, silent, f"numbers, put into {', '.join(ranges)}"
        if len(answers) > 12:
            return None
    lists = [text for text in answers if nested_kind(text)]
    if lists:
        return (
            ({"column": look.name, "many": True}, silent, "lists of several answers") if _are_lists(answers) else None
        )
    separator = _separator(answers)
    if separator:
        several = {"column": look.name, "many": True, "separator": separator}
        parts = {tidy(part) for text in answers for part in text.split(separator)}
        silent = [*silent, *(part for part in parts if is_silent(part) and part not in silent)]
        return several, silent, f"several answers in a cell, with '{separator}' between them"
    if len(answers) > (MOST_NAMED_LEVELS if len(look.column.codes) > 10 * len(answers) else MOST_ATTRIBUTE_LEVELS):
        return None
    return {"column": look.name}, silent, ""


def _are_lists(answers: Sequence[str]) -> bool:
    """Whether all cells are lists of texts in JSON."""
    for text in answers:
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            return False
    return True


def _separator(answers: Sequence[str]) -> str:
    """What stands between several answers in a cell; "" where a cell holds one.

    The parts must be fewer than the different cells, and with a comma, which may stand within an answer, each part must
    stand alone somewhere.
    """
    alone = {normal(text) for text in answers}
    for separator in SEPARATORS:
        several = [text for text in answers if separator in text]
        parts = {normal(part) for text in answers for part in text.split(separator)} - {""}
        by_itself = len(parts & alone) / max(len(parts), 1)
        if several and len(parts) <= len(answers) and by_itself >= (1 if separator == "," else 0.5):
            return separator
    return ""


def _ranges(look: Look, numbers: Sequence[float]) -> dict[str, list[int | None]] | None:
    """Bands of ages, or decades of years of birth, that hold all the numbers; None for other numbers."""
    whole = all(number.is_integer() for number in numbers)
    low, high = min(numbers), max(numbers)
    if look.like(AGE) and whole and low >= 0 and high <= OLDEST and len(set(numbers)) > 5:
        used = [one for one in BANDS if any((one[0] or 0) <= number <= (one[1] or OLDEST) for number in numbers)]
        return {name: [least, most] for least, most, name in used}
    if look.like(BIRTH_YEAR) and whole and low >= EARLIEST and high <= LATEST:
        decades = sorted({int(number) // 10 * 10 for number in numbers})
        return {f"{decade}-{decade + 9}": [decade, decade + 9] for decade in decades}
    return None
