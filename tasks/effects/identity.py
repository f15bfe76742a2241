"""Names of effects: `EXPERIMENT:FIRST:SECOND:DIMENSION`, and `:ARCHITECTURE` for one of those that are pooled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import pandas as pd

from configs.errors import one_of
from configs.schema import Contrast, Study

KEYS = ["experiment", "contrast", "dimension"]
"""The columns that name a pooled effect."""


class EffectKey(NamedTuple):
    """Which effect is meant; `architecture` is "" for the pooled one."""

    experiment: str
    contrast: Contrast
    dimension: str
    architecture: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, [self.experiment, *self.contrast.sides, self.dimension, self.architecture]))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The key that a text is, or None; whether a study has such an effect is another question."""
        parts = text.split(":")
        if len(parts) not in (4, 5) or not all(parts):
            return None
        try:
            return cls(parts[0], Contrast(f"{parts[1]} - {parts[2]}"), *parts[3:])
        except ValueError:
            return None

    def check(self, study: Study) -> None:
        """Raise `InputError` where the study has no such effect."""
        known: list[tuple[str, str, Iterable[str]]] = [("experiments", self.experiment, study.experiments)]
        if self.experiment in study.experiments:
            known.append(("contrasts", self.contrast, study.experiments[self.experiment].contrasts))
        known.append(("dimensions", self.dimension, study.evaluation.dimensions))
        if self.architecture:
            known.append(("architectures", self.architecture, [item.name for item in study.architectures]))
        for kind, name, there in known:
            if name not in there:
                raise one_of(f"{self}: {kind}", name, there)

    def rows_of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that are about the effect, of every architecture where none is named."""
        names = [*KEYS, *(["architecture"] if self.architecture else [])]
        return table[(table[names] == pd.Series(self, self._fields)[names]).all(axis=1)]
