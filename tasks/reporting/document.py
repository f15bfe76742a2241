"""The parts of the report.

A part is text, a warning, numbered steps, a table, a figure, code or a fold of other parts. The templates only lay
parts out, so HTML and Markdown say the same.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tasks.reporting.drawing import Figure


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Caution:
    kind: ClassVar[str] = "caution"
    text: str


@dataclass(frozen=True)
class Items:
    """A list; `kind` is steps where the order counts."""

    items: Sequence[str]
    kind: str = "items"


@dataclass(frozen=True)
class Link:
    """A table's cell that leads to a place in the report (`#effects-scale`)."""

    text: str
    target: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Cells as they are to be read; `align` has l or r for each column; `ids` names lines that others lead to."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    align: str
    body: Sequence[Sequence[str | Link]]
    caption: str = ""
    ids: Sequence[str] = ()


@dataclass(frozen=True)
class Rows:
    """Which files of `tables/` the numbers above come from."""

    kind: ClassVar[str] = "rows"
    tables: Sequence[str]


@dataclass(frozen=True)
class Picture:
    kind: ClassVar[str] = "picture"
    figure: Figure

    @property
    def data_uri(self) -> str:
        """The SVG inline."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.figure.svg.read_bytes()).decode()


@dataclass(frozen=True)
class Code:
    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Fold:
    """Parts to open."""

    kind: ClassVar[str] = "fold"
    title: str
    parts: Sequence[Any]


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    parts: Sequence[Any]
