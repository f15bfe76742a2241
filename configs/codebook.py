"""Codebooks: how the columns and label texts of an export map to the study's terms."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from configs.schema import Count, Frozen, Slug


class RatingsTable(Frozen):
    """Wide ratings: one row per participant and response, one column a dimension."""

    file: str
    participant: str
    response: str
    dimensions: Annotated[dict[Slug, str], Field(min_length=1)]
    """Dimension → its column."""
    labels: Annotated[dict[str, Count], Field(min_length=2)]
    """Label text → category, 1 the lowest. Upper and lower case are the same; `5.0` reads as `5`."""
    attention: dict[str, str] = {}
    """Attention check column → the label that passes; rows that fail one are dropped and counted."""

    @property
    def categories(self) -> int:
        return max(self.labels.values())


class Attribute(Frozen):
    """A column about participants. `values` maps texts of the export to the study's terms; without it, as it is."""

    column: str
    many: bool = False
    """The cell is a JSON list of texts (a multi-select question)."""
    values: dict[str, str] | None = None


class ParticipantsTable(Frozen):
    file: str
    participant: str
    attributes: Annotated[dict[Slug, Attribute], Field(min_length=1)]
    not_declared: tuple[str, ...] = ()
    """Texts that mean: would rather not say. Kept, but in no stratum."""


class ResponsesTable(Frozen):
    """Without `prompt`, every response is its own prompt; without `prompt_text`, the prompt is empty."""

    file: str
    response: str
    prompt: str | None = None
    prompt_text: str | None = None
    response_text: str


class Codebook(Frozen):
    name: Slug
    version: Count
    source: str
    language: str
    ratings: RatingsTable
    participants: ParticipantsTable
    responses: ResponsesTable

    @model_validator(mode="after")
    def _labels_are_whole(self) -> Self:
        used = set(self.ratings.labels.values())
        missing = sorted(set(range(1, self.ratings.categories + 1)) - used)
        if missing:
            raise ValueError(f"ratings.labels: no label for category {', '.join(map(str, missing))}")
        texts = [text.strip().casefold() for text in self.ratings.labels]
        twice = [text for text in self.ratings.labels if texts.count(text.strip().casefold()) > 1]
        if twice:
            raise ValueError(f"ratings.labels: the same but for case: {', '.join(map(repr, twice))}")
        return self
