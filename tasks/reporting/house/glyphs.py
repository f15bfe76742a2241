"""Characters that the report's font lacks: drawn by another font of this machine, or by their code where none has them.

In an SVG text stays text, and who reads it has the fonts. A PNG must have each glyph.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from typing import IO, Any

log = logging.getLogger(__name__)

FONT = "DejaVu Sans"
OTHERS = (
    *(f"Noto Sans CJK {place}" for place in ("JP", "SC", "TC", "KR", "HK")),
    *(
        "Source Han Sans",
        "Droid Sans Fallback",
        "WenQuanYi Micro Hei",
        "WenQuanYi Zen Hei",
        "IPAexGothic",
        "NanumGothic",
    ),
    *("Arial Unicode MS", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Microsoft YaHei", "MS Gothic"),
    *("Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans", "FreeSans", "Unifont"),
)
"""Families that are looked for where the font lacks a character."""
MOST_CODES = 26
"""So many letters wide a text of codes may be; a longer one no wider than the text itself."""


@contextmanager
def legible(canvas: Any) -> Iterator[dict[int, str]]:
    """Give other fonts to the texts that need them, and keep matplotlib's line a glyph to ourselves.

    Yields the characters that no font here has, each with what a PNG shows instead, its code as in `[6771]`; logs once
    that there are such.
    """
    from matplotlib.text import Text

    needy = {text: lacking for text in canvas.findobj(Text) if (lacking := _lacking(text.get_text(), (FONT,)))}
    families = (FONT, *_present()) if needy else (FONT,)
    for text in needy:
        text.set_fontfamily(list(families))
    unknown = _lacking("".join(needy.values()), families)
    if unknown:
        _note()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        yield {ord(letter): f"[{ord(letter):X}]" for letter in unknown}


def print_png(canvas: Any, file: IO[bytes], instead: Mapping[int, str]) -> None:
    """A laid-out canvas as PNG, with other words for the characters of `instead`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg

    class Renderer(RendererAgg):
        def draw_text(self, gc: Any, x: Any, y: Any, s: str, *more: Any, **options: Any) -> None:
            super().draw_text(gc, x, y, in_codes(s, instead), *more, **options)

        def get_text_width_height_descent(self, s: str, *more: Any) -> Any:
            return super().get_text_width_height_descent(in_codes(s, instead), *more)

    class Canvas(FigureCanvasAgg):
        def get_renderer(self) -> RendererAgg:
            self.renderer = Renderer(*self.figure.bbox.size, self.figure.dpi)
            return self.renderer

    (Canvas if instead else FigureCanvasAgg)(canvas).print_png(file)


def is_wide(letter: str) -> bool:
    """Whether a letter is as wide as two, such as those of Chinese."""
    return unicodedata.east_asian_width(letter) in "WF"


def in_codes(text: str, instead: Mapping[int, str]) -> str:
    """The text with codes for its unknown characters; without some in its middle where it would become too wide."""
    parts = [instead.get(ord(letter), letter) for letter in text]
    if len(parts) == sum(map(len, parts)):
        return text
    width = sum(1 + is_wide(letter) for letter in text)
    room, start, end = max(width, MOST_CODES), parts, parts[:0]
    if sum(map(len, parts)) > room:
        end = _fitting(parts[::-1], room // 3)[::-1]
        start = [*_fitting(parts, room - 1 - sum(map(len, end))), "…"]
    return "".join([*start, *end])


def _fitting(parts: list[str], room: int) -> list[str]:
    """As many of the first parts as have room."""
    return [part for part, end in zip(parts, accumulate(map(len, parts)), strict=True) if end <= room]


def _lacking(text: str, families: tuple[str, ...]) -> str:
    """The characters of a text that no font of the families has."""
    if text.isascii():
        return ""
    return "".join(
        letter for letter in text if letter.isprintable() and not any(ord(letter) in _codes(name) for name in families)
    )


@lru_cache
def _present() -> tuple[str, ...]:
    from matplotlib.font_manager import get_font_names

    return tuple(name for name in OTHERS if name in set(get_font_names()))


@lru_cache
def _codes(family: str) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())


@lru_cache(maxsize=1)
def _note() -> None:
    """Say once that a font is missing."""
    log.warning("no font here has some characters of the labels: PNG files show their codes, SVG files are whole")
