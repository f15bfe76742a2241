"""What all figures share: the style, a canvas, and the way to the disk.

Nothing here touches pyplot. A lock guards the style, which matplotlib keeps globally. Text stays text, in the report's
font, and is never read as mathematics.
"""

from __future__ import annotations

import io
import re
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Study
from tasks.reporting.house.glyphs import FONT, is_wide, legible, print_png
from tasks.reporting.house.words import MINUS, arrow, finite, label_sentence, title_of
from tasks.runtime.files import write_atomically

PURPLE, BLUE, ORANGE, GREY, INK = "#6a3d9a", "#0072b2", "#c75000", "#8a8a8a", "#222222"
STYLE: Any = {
    **{"svg.hashsalt": "pluralign", "svg.fonttype": "none", "text.parse_math": False, "text.usetex": False},
    **{"font.family": [FONT], "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9},
    **{"xtick.labelsize": 8.5, "ytick.labelsize": 9, "legend.fontsize": 8.5},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.unicode_minus": True},
    **{"axes.formatter.useoffset": False, "axes.edgecolor": "#888888", "figure.facecolor": "white"},
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
SVG_DPI, PNG_DPI = 72, 160
NOT_IN_XML = re.compile(b"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f]|\\xef\\xbf[\\xbe\\xbf]")
"""Control characters, and two that are none, in UTF-8."""
_style_lock = threading.Lock()


@dataclass(frozen=True)
class Figure:
    """A drawn figure: what it shows in words, for those who read it and those who hear it, and its SVG."""

    name: str
    title: str
    caption: str
    alt: str
    svg: Path


@dataclass(frozen=True)
class Drawing:
    """A figure before it is on disk; `canvas` is matplotlib's Figure."""

    name: str
    title: str
    caption: str
    alt: str
    canvas: Any


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's settings for the report's figures; one thread at a time."""
    import matplotlib

    with _style_lock, matplotlib.rc_context(STYLE):
        yield


def save(drawing: Drawing, study: Study, folder: Path) -> Figure:
    """Write both files of a figure, with the study's label in its caption."""
    svg = write_canvas(drawing.canvas, folder / drawing.name)
    caption = f"{drawing.caption} {label_sentence(study)}".strip()
    return Figure(drawing.name, drawing.title, caption, drawing.alt, svg)


def write_canvas(canvas: Any, place: Path) -> Path:
    """Lay out once, then write `PLACE.svg` and `.png`; the SVG's path.

    There is no date in them, so that the same numbers give the same bytes.
    """
    svg, png = (place.parent / f"{place.name}.{kind}" for kind in ("svg", "png"))
    with legible(canvas) as instead:
        if canvas.get_layout_engine() is not None:
            canvas.draw_without_rendering()
            canvas.set_layout_engine("none")
        write_atomically(svg, _slim(_printed(canvas, "svg")))
        write_atomically(png, _printed(canvas, "png", instead))
    return svg


def _printed(canvas: Any, kind: str, instead: Mapping[int, str] | None = None) -> bytes:
    """A laid-out canvas as a file; its own `savefig` would draw it once more before."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    if kind == "svg":
        canvas.set_dpi(SVG_DPI)
        FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None})
    else:
        canvas.set_dpi(PNG_DPI)
        print_png(canvas, buffer, instead or {})
    return buffer.getvalue()


def _slim(svg: bytes) -> bytes:
    """Without indents, with coordinates to a hundredth of a point, and with fonts as wide where there is no DejaVu.

    Characters of labels that no SVG may hold are �.
    """
    svg = NOT_IN_XML.sub("\ufffd".encode(), svg)
    svg = svg.replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, Geneva, sans-serif")
    shorter = re.sub(rb"<[^>]+>", lambda tag: re.sub(rb"(\d\.\d\d)\d+", rb"\1", tag[0]), svg)  # not what is read
    return re.sub(rb"\n\s+", b"\n", shorter)


def new_canvas(width: float, height: float) -> Any:
    """An empty figure, in inches, that lays itself out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, height), layout="constrained", dpi=SVG_DPI)  # text is measured once for both
    FigureCanvasAgg(canvas)
    return canvas


SECOND_HALF = "\ufdd0"
"""Stands after a letter as wide as two, while a text is measured; it is no character of any text."""


def _measured(text: str) -> str:
    """The text with `SECOND_HALF` after each wide letter, so that its length is its width."""
    return "".join(letter + SECOND_HALF * is_wide(letter) for letter in text)


def wrapped(text: str, width: int, lines: int = 3) -> str:
    """Text over a few lines; an opening minus stays with what it is taken from."""
    measured = _measured(text)
    if len(measured) > width and f" {MINUS} " in text:
        first, _, second = text.partition(f" {MINUS} ")
        return "\n".join(wrapped(side, width, 2) for side in (first, f"{MINUS}\u00a0{second}"))
    rows = textwrap.wrap(measured, width, max_lines=lines, placeholder=" …")
    return "\n".join(rows).replace(SECOND_HALF, "") or text


def cut(text: str, width: int) -> str:
    """Text on one line; a long one loses its middle, since names often differ at their ends."""
    line = " ".join(text.split())
    measured, end = _measured(line), width // 3
    if len(measured) <= width:
        return line
    return f"{measured[: width - end - 1].rstrip()}…{measured[-end:].lstrip()}".replace(SECOND_HALF, "")


def in_lines(items: Sequence[Any], most: int = 3) -> list[Sequence[Any]]:
    """Panels over lines of at most `most`; four are two lines of two."""
    size = 2 if len(items) == 4 and most == 3 else most
    return [items[at : at + size] for at in range(0, len(items), size)]


# ---- what several figures draw


def lanes(axes: Any, lines: int) -> None:
    """A line at zero, and a pale band behind every second line."""
    axes.axvline(0, color="#555555", lw=0.8, zorder=1)
    for y in range(1, lines, 2):
        axes.axhspan(y - 0.5, y + 0.5, color="#f4f3f7", lw=0, zorder=0)


def name_lines(axes: Any, names: Sequence[str]) -> None:
    """Names of the lines on the left, the first at the top."""
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=6)


def arrows(axes: Any, y: float, ends: Sequence[float], limits: tuple[float, float], arrow: dict[str, Any]) -> None:
    """An arrow of this style where an interval leaves the axis, on either side."""
    beyond = ((ends[0] < limits[0], limits[0], "<"), (ends[1] > limits[1], limits[1], ">"))
    for leaves, edge, mark in beyond:
        axes.plot(edge, y, mark if leaves else "", clip_on=False, **arrow)


def axis_limits(values: Sequence[float], wide: Sequence[float], least: float) -> tuple[float, float]:
    """Limits that hold all values, and wide intervals as far as half as much again; `least` is the shortest axis."""
    low, high = min(values), max(values)
    room = 0.5 * max(high - low, least)
    low = min([low, *(max(end, low - room) for end in wide if finite(end))])
    high = max([high, *(min(end, high + room) for end in wide if finite(end))])
    pad = 0.06 * max(high - low, least)
    return low - pad, high + pad


def name_score_axis(axes: Any, study: Study, dimension: str) -> None:
    """The dimension above, and the difference in score below with which way is good."""
    axes.set_title(title_of(study, dimension), loc="left", fontweight="bold", pad=5)
    axes.set_xlabel(f"Difference in score (0–1)   {arrow(study, dimension)}", fontsize=8.5)


def marks(*explained: tuple[str, dict[str, Any]]) -> list[Any]:
    """The marks of a legend, each with its words and its style."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=label, **style) for label, style in explained]
