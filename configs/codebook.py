"""Codebooks: how the columns and label texts of an export map to the study's terms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from configs.errors import one_of
from configs.schema import Count, Frozen, Slug

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
PLATFORM_COLUMN = re.compile(
    r"prolific|(?<![a-z])m ?turk|mechanical ?turk|(?<![a-z])(?:worker|assignment|hit) ?id(?![a-z])"
)
"""What the names of columns with a recruitment platform's ids look like, as lower-case words."""
WHOLE_NUMBER = re.compile(r"^(\d+)\.0+$")
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Characters that take no room: soft hyphens, blanks without width, byte order marks, marks of direction."""


def tidy(text: str) -> str:
    """The text as people see it: letters composed (NFC), without invisible characters and outer blanks, any blanks of
    Unicode between words as one.

    Ids, answers and the names of columns are this; so two that look the same are the same.
    """
    return text if text.isascii() and text.isalnum() else " ".join(_composed(text).split())


def _composed(text: str) -> str:
    return INVISIBLE.sub("", unicodedata.normalize("NFC", text))


def normal(text: str) -> str:
    """The form in which label texts are compared: as `tidy`, without regard to case; `5.0` reads as `5`."""
    return WHOLE_NUMBER.sub(r"\1", tidy(text).casefold())


def _inside_export(file: str) -> str:
    """A file's name, of a known format; it can't lead out of the export's folder."""
    path = PurePath(file)
    if path.suffix.lower() not in SUFFIXES:
        raise one_of("the end of a file's name", file, SUFFIXES)
    if path.is_absolute() or ".." in path.parts or not file.isprintable():
        raise ValueError(f"a file within the export's folder, got {file!r}")
    return file


TableFile = Annotated[str, AfterValidator(_inside_export)]
"""A file's name, within the export's folder; how it ends says what it is: CSV (.csv, .tsv, .txt), JSON Lines (.jsonl,
.ndjson) or Parquet."""


class RatingsTable(Frozen):
    """Wide ratings: one row per participant and response, one column a dimension. Long ones: one row a rating.

    A table is long where `dimension` and `rating` name the columns that say which dimension a row is about, and the
    rating; `dimensions` then holds each dimension's text in the former.
    """

    file: TableFile
    participant: str
    response: str
    dimension: str | None = None
    rating: str | None = None
    dimensions: Annotated[dict[Slug, str], Field(min_length=1)]
    """Dimension → its column (wide), or its text in the column `dimension` (long)."""
    labels: Annotated[dict[str, Count], Field(min_length=2)]
    """Label text → category, 1 the lowest. Upper and lower case are the same; `5.0` reads as `5`."""
    missing: tuple[str, ...] = ()
    """Texts that mean: no answer, as an empty cell does."""
    reversed: tuple[Slug, ...] = ()
    """Dimensions whose item is worded the other way round: label k of K becomes K + 1 - k."""
    ignored: tuple[str, ...] = ()
    """Long tables: texts of the column `dimension` whose rows are left behind, and counted."""
    attention: dict[str, str] = {}
    """Attention check column → the label that passes; rows that fail one are dropped and counted."""

    @property
    def categories(self) -> int:
        return max(self.labels.values())

    @property
    def long(self) -> bool:
        return self.dimension is not None

    @property
    def columns(self) -> list[str]:
        """Every column that is read."""
        ratings = [self.dimension, self.rating] if self.dimension and self.rating else [*self.dimensions.values()]
        return list(dict.fromkeys([self.participant, self.response, *ratings, *self.attention]))

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        if (self.dimension is None) != (self.rating is None):
            raise ValueError("a long table needs both dimension and rating; a wide one neither")
        if self.ignored and not self.long:
            raise ValueError("ignored is for long tables; a wide one's other columns are never read")
        for name in self.reversed:
            if name not in self.dimensions:
                raise one_of("reversed", name, self.dimensions)
        for key, texts in (
            ("labels", [*self.labels, *self.missing]),
            ("dimensions", [*self.dimensions.values(), *self.ignored] if self.long else []),
        ):
            if twice := _twice(texts):
                raise ValueError(f"{key}: the same but for case: {', '.join(map(repr, twice))}")
        if len(set(self.dimensions.values())) < len(self.dimensions):
            raise ValueError("dimensions: two of them share a column")
        return self


class Attribute(Frozen):
    """A column about participants. `values` maps texts of the export to the study's terms; without it, as it is."""

    column: str
    many: bool = False
    """The cell holds several answers (a multi-select question): a JSON list of texts, or texts with a `separator`."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    values: dict[str, str] | None = None

    @model_validator(mode="after")
    def _separator_is_of_many(self) -> Self:
        if self.separator is not None and not self.many:
            raise ValueError("separator: only where many: true")
        return self


class ParticipantsTable(Frozen):
    file: TableFile
    participant: str
    attributes: Annotated[dict[Slug, Attribute], Field(min_length=1)]
    not_declared: tuple[str, ...] = ()
    """Texts that mean: would rather not say. Kept, but in no stratum."""

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([self.participant, *(attribute.column for attribute in self.attributes.values())]))


class ResponsesTable(Frozen):
    """Without `prompt`, every response is its own prompt; without `prompt_text`, the prompt is empty."""

    file: TableFile
    response: str
    prompt: str | None = None
    prompt_text: str | None = None
    response_text: str

    @property
    def columns(self) -> list[str]:
        named = (self.response, self.prompt, self.prompt_text, self.response_text)
        return list(dict.fromkeys(column for column in named if column is not None))


class Codebook(Frozen):
    name: Slug
    version: Count
    source: str
    language: str
    ratings: RatingsTable
    participants: ParticipantsTable
    responses: ResponsesTable

    @property
    def files(self) -> list[str]:
        """The names of the files that are read, each once."""
        return list(dict.fromkeys(table.file for table in (self.ratings, self.participants, self.responses)))

    @model_validator(mode="after")
    def _labels_are_whole(self) -> Self:
        used = set(self.ratings.labels.values())
        missing = sorted(set(range(1, self.ratings.categories + 1)) - used)
        if missing:
            raise ValueError(f"ratings.labels: no label for category {', '.join(map(str, missing))}")
        return self

    @model_validator(mode="after")
    def _ids_stay_outside(self) -> Self:
        """A participant's id is read as such alone, and a recruitment platform's only where it is the participant's."""
        ids = {(table.file, table.participant) for table in (self.ratings, self.participants)}
        read = [(self.ratings.file, column) for column in self.ratings.columns if column != self.ratings.participant]
        read += [(self.participants.file, attribute.column) for attribute in self.participants.attributes.values()]
        read += [(self.responses.file, column) for column in self.responses.columns]
        for file, column in read:
            if (file, column) in ids:
                raise ValueError(f"column {column!r} holds the participants' ids and can't be read as anything else")
            if PLATFORM_COLUMN.search(_words(column)):
                raise ValueError(f"column {column!r} looks like a recruitment platform's ids, which stay outside")
        return self


def _twice(texts: Iterable[str]) -> list[str]:
    """The texts that are the same as another but for case and blanks."""
    texts = list(texts)
    normals = [normal(text) for text in texts]
    return [text for text, clean in zip(texts, normals, strict=True) if normals.count(clean) > 1]


def _words(name: str) -> str:
    """`"PROLIFIC_PID"` → `"prolific pid"`, `"AssignmentId"` → `"assignment id"`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", apart)).lower()
