"""What a user's files seem to hold, before it is written down as a codebook and a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tasks.ratings.reading.formats import FileRows


@dataclass(frozen=True)
class UserTable:
    """A file that a user gave, as it stands. name: what a codebook calls it, within the export's folder."""

    path: Path
    name: str
    rows: FileRows
    sheet: str | None = None


@dataclass(frozen=True)
class Draft:
    """A codebook in the making, and what the user should know of how it came about.

    codebook: as its YAML file has it, but for name, version and language, which need not be there, and for
    `ratings.labels`, which are not there where a tool leaves labels to its users: which of them is higher is then still
    to be found out. Without `participants` or `responses` the format holds none. better: dimension →
    "higher" or "lower", where the data or their format tell; titles and definitions: dimension → text. assumed: what
    was taken for granted, a sentence each, with examples from the data that are nobody's id. unclear: what the data
    could not tell, and what to write where.
    """

    codebook: dict[str, Any]
    better: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    language: str = ""
    assumed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()


class Bridge(Protocol):
    """A format that tools or public data sets come in, told by its columns."""

    @property
    def title(self) -> str:
        """What the format is called, such as "Label Studio (JSON)"."""
        ...

    def draft(self, tables: Sequence[UserTable]) -> Draft | None:
        """The draft, or None where the tables are not of this format.

        Raises:
            InputError: they are, and can't be used as they are.
        """
        ...
