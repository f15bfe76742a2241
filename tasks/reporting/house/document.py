"""The parts of the report, and how they become a page.

A part is text, a warning, numbered steps, a table, a figure, code or a fold of other parts. The templates only lay
parts out, so HTML and Markdown say the same. All text may come from data: HTML is escaped by Jinja, Markdown by
`markdown`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tasks.reporting.house.drawing import Figure


@dataclass(frozen=True)
class Paragraph:
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


Column = tuple[str, str, Callable[[Any], "str | Link"]]
"""A column of a table: its heading, l or r for where its cells stand, and the cell of a row."""


@dataclass(frozen=True)
class TablePart:
    """Cells as they are to be read; `align` has l or r for each column; `ids` names lines that others lead to."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    align: str
    body: Sequence[Sequence[str | Link]]
    caption: str = ""
    ids: Sequence[str] = ()

    @classmethod
    def of(cls, rows: Iterable[Any], *columns: Column, caption: str = "", ids: Sequence[str] = ()) -> TablePart:
        """A line for each of `rows`, with a cell in each column."""
        headings, sides, cells = zip(*columns, strict=True)
        body = [[cell(row) for cell in cells] for row in rows]
        return cls(headings, "".join(sides), body, caption, ids)


@dataclass(frozen=True)
class SourceTables:
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
    parts: Sequence[Part]


Part = Paragraph | Caution | Items | TablePart | SourceTables | Picture | Code | Fold


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    parts: Sequence[Part]


# ---- the page


def rendered(name: str, page: Mapping[str, Any]) -> str:
    """The page in the layout of `templates/NAME.j2`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown
    return environment.get_template(f"{name}.j2").render(page)


def markdown(text: object) -> str:
    """Any text as one line of plain Markdown: no markup, no HTML, no table cell of its own."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", line)
    return re.sub(r"^([-+]|\d+[.)])(?= )", r"\\\1", line)
