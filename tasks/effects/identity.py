"""Names of effects: `EXPERIMENT:FIRST:SECOND:DIMENSION`, and `:ARCHITECTURE` for one of those that are pooled."""

from __future__ import annotations

from typing import NamedTuple

from configs.schema import split_contrast


class EffectId(NamedTuple):
    """What an id names; `architecture` is "" for the pooled effect."""

    experiment: str
    contrast: str
    dimension: str
    architecture: str = ""

    def __str__(self) -> str:
        parts = [self.experiment, *split_contrast(self.contrast), self.dimension]
        return ":".join([*parts, *([self.architecture] if self.architecture else [])])


def parse_effect_id(text: str) -> EffectId | None:
    """The id that a text is, or None; whether a study has such an effect is another question."""
    parts = text.split(":")
    if len(parts) not in (4, 5) or not all(parts):
        return None
    return EffectId(parts[0], f"{parts[1]} - {parts[2]}", parts[3], parts[4] if len(parts) == 5 else "")
