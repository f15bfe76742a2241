"""Codebooks: how the columns and label texts of an export map to the study's terms."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from math import inf
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, field_validator, model_validator
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function, to_string_ser_schema

from configs.errors import Faults, one_of, short
from configs.schema import Count, Frozen, Slug, is_nothing

Later = Field(exclude_if=is_nothing)
"""Of keys that came later: where they say nothing, what was made before them is found."""
TIE = "tie"
"""What a comparison's label is called that prefers no side."""

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx")
JOINED = " + "
"""Between the names of columns that are an id together."""
MOST_NAMED = 10
"""Categories in one fault."""
MOST_NUMBERS = 101
"""So many categories a scale of numbers has at most, as 0 to 100."""
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
    if any(letter in part for part in path.parts[:-1] for letter in "*?["):
        raise ValueError(f"* and ? only in the name of the file, not of a folder: {file!r}")
    return file


TableFile = Annotated[str, AfterValidator(_inside_export)]
"""A file's name, within the export's folder, or a pattern (`part-*.csv`) for several of the same columns. How it ends
says what it is: CSV (.csv, .tsv, .txt), JSON, JSON Lines (.jsonl, .ndjson), Parquet or Excel (.xlsx)."""


class ExportColumn(str):
    """A column of an export, a place inside of one (`value.rating`), or several that make an id together.

    `ExportColumn(["chat", "turn"])` is the text "chat + turn" and has the `parts` "chat" and "turn". A part that begins
    with = is that text itself (`=a`), one that begins with # a digest of the text there (`#answer`), for tables without
    ids; `@row` is the row's number, `@file` the file's name without its end, `PATH.@key` and `PATH.@number` are what an
    element of an object or list goes by; `Ann@key` and `Ann@row` have the text Ann before it.
    """

    parts: tuple[str, ...]

    def __new__(cls, names: str | Sequence[str]) -> Self:
        parts = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Sequence) else ()
        if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
            raise ValueError(f"expected a column's name, or a list of names, got {short(names)}")
        column = super().__new__(cls, JOINED.join(parts))
        column.parts = getattr(names, "parts", parts)
        return column

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(cls, serialization=to_string_ser_schema())


class ExportTable(Frozen):
    """A table of an export, and how its rows come from those of the file.

    The rows of a file are the lines of a table, the elements of a JSON list, or the values of a JSON object by their
    `@key`. A column's name may be a path into what a cell holds: `value.rating`, `choices.0`; a star at its end,
    `value.*`, goes down into whatever holds one thing only.
    """

    file: TableFile
    sheet: Annotated[str | None, Later] = None
    """Excel: the sheet's name; by default the first."""
    each: Annotated[tuple[str | tuple[str, ...], ...], Later] = ()
    """One row for each element of this list or value of this object, which then goes by the same name; several in
    turn; several in a list of their own are parallel lists, whose elements belong together."""
    separators: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Later] = {}
    """For lists of `each` that are one text, such as `Ann1,Ann2`: list → what stands between its elements."""
    stack: Annotated[tuple[dict[str, str], ...], Later] = ()
    """One row for each of these sets of columns: the name that a column then goes by, and the column, or `=text`."""
    only: Annotated[dict[str, tuple[str, ...]], Later] = {}
    """Column → texts; rows that say something else there are left behind, and counted."""

    @property
    def shape(self) -> tuple[object, ...]:
        """What must be the same for two tables of a file to be read at once."""
        stack = tuple(tuple(one.items()) for one in self.stack)
        lists = (*self.each, *self.separators.items())
        return self.file, self.sheet, lists, stack, tuple(self.only.items())

    def stands_for(self, column: ExportColumn) -> list[str]:
        """The columns of the file that are read for it, also under the names that `stack` gives them."""
        return [one[part] for part in column.parts for one in self.stack if part in one] + [*column.parts]

    @field_validator("each", mode="before")
    @classmethod
    def _one_path_is_a_list_of_one(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("only", mode="before")
    @classmethod
    def _one_text_is_a_list_of_one(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: (texts,) if isinstance(texts, str) else texts for name, texts in value.items()}

    def find_faults(self, faults: Faults) -> None:
        lists = [path for step in self.each for path in ((step,) if isinstance(step, str) else step)]
        for name in self.separators:
            if name not in lists:
                faults.unknown(("separators",), name, lists)
        if self.stack and any(set(one) != set(self.stack[0]) for one in self.stack):
            faults.add(("stack",), f"each needs the same names: {', '.join(self.stack[0])}")


class Numbers(Frozen):
    """Ratings that are numbers, from `low` to `high`, and the categories that they become, 1 the lowest.

    With `cuts`, category k has the numbers from cut k - 1 to below cut k. With `quantiles`, so many categories of about
    as many ratings each; where they lie depends on the ratings, so a collection needs cuts. Without either, the whole
    numbers from low to high are the categories as they are.
    """

    low: float
    high: float
    cuts: tuple[float, ...] = ()
    quantiles: Annotated[int, Field(ge=2, le=20)] | None = None

    @property
    def categories(self) -> int:
        if self.cuts:
            return len(self.cuts) + 1
        return self.quantiles or int(self.high - self.low) + 1

    def find_faults(self, faults: Faults) -> None:
        edges = [self.low, *self.cuts, self.high]
        if self.cuts and self.quantiles:
            faults.add((), "cuts or quantiles, not both")
        if any(b <= a for a, b in pairwise(edges)):
            faults.add((), f"low, cuts and high must rise: {', '.join(f'{edge:g}' for edge in edges)}")
        whole = self.low.is_integer() and self.high.is_integer()
        if not self.cuts and not self.quantiles and not (whole and self.categories <= MOST_NUMBERS):
            faults.add((), f"give cuts or quantiles, or whole numbers of at most {MOST_NUMBERS} categories")


class RatingsTable(ExportTable):
    """Wide ratings: one row per participant and response, one column a dimension. Long ones: one row a rating.

    A table is long where `dimension` and `rating` name the columns that say which dimension a row is about, and the
    rating; `dimensions` then holds each dimension's text in the former.

    Comparisons: one row a participant and two responses or more, where `sides` names them instead of `response`.
    Between two, the labels are a scale from the second one being better (1) to the first one (the highest); an odd
    number of categories has a tie in the middle. Or, also between more, a label is the name of the side that is
    preferred, or `tie`.
    """

    participant: ExportColumn
    response: ExportColumn | None = None
    sides: Annotated[dict[Slug, ExportColumn], Later] = {}
    """Comparisons: name → the column with the response's id."""
    dimension: ExportColumn | None = None
    rating: ExportColumn | None = None
    dimensions: Annotated[dict[Slug, ExportColumn], Field(min_length=1)]
    """Dimension → its column (wide), or its text in the column `dimension` (long)."""
    labels: dict[str, Count | Slug] = {}
    """Label text → category, 1 the lowest. Upper and lower case are the same; `5.0` reads as `5`."""
    numbers: Annotated[Numbers | None, Later] = None
    """Instead of labels: ratings are numbers."""
    missing: tuple[str, ...] = ()
    """Texts that mean: no answer, as an empty cell does."""
    reversed: tuple[Slug, ...] = ()
    """Dimensions whose item is worded the other way round: label k of K becomes K + 1 - k."""
    ignored: tuple[str, ...] = ()
    """Long tables: texts of the column `dimension` whose rows are left behind, and counted."""
    attention: dict[str, str] = {}
    """Attention check column → the label that passes; rows that fail one are dropped and counted."""

    @property
    def rated(self) -> ExportColumn:
        """The column with the id of what is rated: a response, or the responses that are compared, together."""
        return self.response or ExportColumn([part for side in self.sides.values() for part in side.parts])

    @property
    def codes(self) -> dict[str, int]:
        """Label text → the number that reading keeps of it: the category, or the place of the side that is preferred,
        from 1 on, and one more for a tie."""
        places = {TIE: len(self.sides) + 1} | {side: place for place, side in enumerate(self.sides, 1)}
        return {text: label if isinstance(label, int) else places[label] for text, label in self.labels.items()}

    @property
    def names_sides(self) -> bool:
        """Whether labels are the names of sides."""
        return any(isinstance(label, str) for label in self.labels.values())

    @property
    def categories(self) -> int:
        """How many categories a rating has."""
        if self.numbers:
            return self.numbers.categories
        if self.names_sides:
            return 3 if TIE in self.labels.values() else 2
        return max(self.codes.values())

    @property
    def long(self) -> bool:
        return self.dimension is not None

    @property
    def columns(self) -> list[ExportColumn]:
        """Every column that is read."""
        ratings = [self.dimension, self.rating] if self.dimension and self.rating else [*self.dimensions.values()]
        return list(
            dict.fromkeys(
                [self.participant, self.rated, *self.sides.values(), *ratings, *map(ExportColumn, self.attention)]
            )
        )

    def find_faults(self, faults: Faults) -> None:
        super().find_faults(faults)
        if not all(map(str.strip, self.attention)):
            faults.add(("attention",), "expected the name of a column, got nothing")
        if (self.dimension is None) != (self.rating is None):
            faults.add((), "a long table needs both dimension and rating; a wide one neither")
        if (self.response is None) == (not self.sides):
            faults.add((), "give response, or for comparisons sides")
        if bool(self.labels) == (self.numbers is not None):
            faults.add((), "give labels or numbers")
        if self.numbers and self.sides and (len(self.sides) > 2 or not self.numbers.categories % 2):
            faults.add(
                ("numbers",), "only between two sides, and with an odd number of categories, a tie in the middle"
            )
        if len(self.sides) == 1 or TIE in self.sides:
            faults.add(("sides",), f"two or more, none of them called {TIE!r}")
        self._find_faults_of_labels(faults)
        if self.ignored and not self.long:
            faults.add(("ignored",), "only for long tables; a wide one's other columns are never read")
        if self.reversed and self.names_sides:
            faults.add(("reversed",), "not where labels are names of sides")
        for place, name in enumerate(self.reversed):
            if name not in self.dimensions:
                faults.unknown(("reversed", place), name, self.dimensions)
        for key, texts in (
            ("labels", [*self.labels, *self.missing]),
            ("dimensions", [*self.dimensions.values(), *self.ignored] if self.long else []),
        ):
            if twice := _twice(texts):
                faults.add((key,), f"the same but for case: {', '.join(map(repr, twice))}")
        if len(set(self.dimensions.values())) < len(self.dimensions):
            faults.add(("dimensions",), "two of them share a column")

    def _find_faults_of_labels(self, faults: Faults) -> None:
        if len(self.labels) == 1:
            faults.add(("labels",), "at least two")
        names = {label for label in self.labels.values() if isinstance(label, str)}
        for text, label in self.labels.items():
            if label in names - {*self.sides, TIE}:
                faults.add(("labels", text), f"{label!r} is no category, nor one of {', '.join([*self.sides, TIE])}")
        if names and len(names) < len(set(self.labels.values())):
            faults.add(("labels",), "categories or names of sides, not both")
        elif len(self.sides) > 2 and self.labels and not names:
            faults.add(("labels",), "between more than two sides, the name of the one that is preferred")
        categories = {label for label in self.labels.values() if isinstance(label, int)}
        gaps = (one for one in range(1, max(categories, default=0)) if one not in categories)
        missing = list(map(str, islice(gaps, MOST_NAMED + 1)))  # of a category that is a billion there are as many
        if missing and not names:
            others = " and others" if len(missing) > MOST_NAMED else ""
            faults.add(("labels",), f"no label for category {', '.join(missing[:MOST_NAMED])}{others}")


class Attribute(Frozen):
    """A column about participants. `values` maps texts of the export to the study's terms; without it, as it is."""

    column: ExportColumn
    many: bool = False
    """The cell holds several answers (a multi-select question): a JSON list of texts, or texts with a `separator`."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    values: dict[str, str] | None = None
    ranges: Annotated[dict[str, tuple[float | None, float | None]] | None, Later] = None
    """The study's terms for numbers, such as ages: from and to, both of them in it; null for no bound."""

    def find_faults(self, faults: Faults) -> None:
        if self.separator is not None and not self.many:
            faults.add(("separator",), "only where many: true")
        if self.ranges is not None and (self.values is not None or self.many):
            faults.add(("ranges",), "for one number, without values and many")
        given = (self.ranges or {}).values()
        bounds = sorted((-inf if low is None else low, inf if high is None else high) for low, high in given)
        if any(high < low for low, high in bounds) or any(b[0] <= a[1] for a, b in pairwise(bounds)):
            faults.add(("ranges",), "from above to, or two that overlap")


class ParticipantsTable(ExportTable):
    participant: ExportColumn
    attributes: dict[Slug, Attribute] = {}
    not_declared: tuple[str, ...] = ()
    """Texts that mean: would rather not say. Kept, but in no stratum."""

    @property
    def columns(self) -> list[ExportColumn]:
        return list(dict.fromkeys([self.participant, *(attribute.column for attribute in self.attributes.values())]))


class ResponsesTable(ExportTable):
    """Without `prompt`, every response is its own prompt; without `prompt_text`, the prompt is empty."""

    response: ExportColumn
    prompt: ExportColumn | None = None
    prompt_text: ExportColumn | None = None
    response_text: ExportColumn

    @property
    def columns(self) -> list[ExportColumn]:
        named = (self.response, self.prompt, self.prompt_text, self.response_text)
        return list(dict.fromkeys(column for column in named if column is not None))


class Codebook(Frozen):
    """Without `participants` nobody declares anything; without `responses` there are no texts, only ids."""

    name: Slug
    version: Count
    source: str
    language: str
    ratings: RatingsTable
    participants: ParticipantsTable
    responses: ResponsesTable

    @model_validator(mode="before")
    @classmethod
    def _ratings_hold_what_no_table_does(cls, data: Any) -> Any:
        ratings = data.get("ratings") if isinstance(data, dict) else None
        if not isinstance(ratings, dict):
            return data
        rows = {key: ratings[key] for key in ExportTable.model_fields if key in ratings}
        given = {key: value for key, value in data.items() if value is not None}
        if "participants" not in given and "participant" in ratings:
            given["participants"] = rows | {"participant": ratings["participant"]}
        if "responses" not in given and "response" in ratings:
            given["responses"] = rows | {"response": ratings["response"], "response_text": ratings["response"]}
        return given

    @property
    def files(self) -> list[str]:
        """The names of the files that are read, each once."""
        return list(dict.fromkeys(table.file for table in (self.ratings, self.participants, self.responses)))

    def find_faults(self, faults: Faults) -> None:
        """A participant's id is read as such alone, and a recruitment platform's only where it is the participant's."""
        ratings, people, responses = self.ratings, self.participants, self.responses
        if not (ratings.response or ratings.sides) or not all(map(str.strip, ratings.attention)):
            return  # the ratings tell that themselves; which columns are read is not known
        ids = {(table.file, part) for table in (ratings, people) for part in table.stands_for(table.participant)}
        read: list[tuple[ExportTable, ExportColumn]]
        read = [(ratings, column) for column in ratings.columns if column != ratings.participant]
        read += [(people, attribute.column) for attribute in people.attributes.values()]
        read += [(responses, column) for column in responses.columns]
        parts = [(table.file, part) for table, column in read for part in table.stands_for(column)]
        for file, part in dict.fromkeys(parts):
            if (file, part) in ids:
                faults.add((), f"column {part!r} holds the participants' ids and can't be read as anything else")
            if PLATFORM_COLUMN.search(_words(part)):
                faults.add((), f"column {part!r} looks like a recruitment platform's ids, which stay outside")


def _twice(texts: Iterable[str]) -> list[str]:
    """The texts that are the same as another but for case and blanks."""
    texts = list(texts)
    normals = [normal(text) for text in texts]
    counts = Counter(normals)
    return [text for text, clean in zip(texts, normals, strict=True) if counts[clean] > 1]


def _words(name: str) -> str:
    """`"PROLIFIC_PID"` → `"prolific pid"`, `"AssignmentId"` → `"assignment id"`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", apart)).lower()
