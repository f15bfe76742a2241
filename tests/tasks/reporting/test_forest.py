"""Forest plots of any table: pages, labels of any length and script, and what no SVG can hold."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.house import glyphs
from tasks.reporting.house.drawing import cut, house_style, wrapped, write_canvas
from tasks.reporting.house.forest import MOST_LINES, draw_forest, lines, pages
from tests.tasks.reporting.made_up import pooled_row


def svg(folder: Path, labels: Sequence[str], heading: str = "heading", page: slice = slice(None)) -> ET.Element:
    row = pooled_row("scale", "5-point - control", "toxicity", 0.1)
    effects = lines([(label, 0.1 + place / 100, 0.05) for place, label in enumerate(labels)], 0.0)
    with house_style():
        path = write_canvas(draw_forest(effects, row, heading, "axis", page), folder / "forest")
    return ET.parse(path).getroot()


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def width(root: ET.Element) -> float:
    return float(root.attrib["width"].removesuffix("pt"))


@given(st.integers(1, 2000))
def test_pages_hold_every_effect_once_in_order_and_are_of_about_the_same_length(count: int) -> None:
    found = pages(count)
    assert [place for page in found for place in range(page.start, page.stop)] == list(range(count))
    sizes = [page.stop - page.start for page in found]
    assert max(sizes) <= MOST_LINES
    assert max(sizes) - min(sizes) <= 1
    assert len(found) == math.ceil(count / MOST_LINES)


def test_pages_of_a_pool_have_one_axis_one_width_and_the_same_lines_below(tmp_path: Path) -> None:
    labels = [f"study {n}" for n in range(70)]
    first, second = (svg(tmp_path, labels, page=page) for page in pages(70))
    assert width(first) == width(second)
    below = {text for text in texts(first) if not text.startswith(("study", "Effects", "0.", "−0."))}
    assert below == {text for text in texts(second) if not text.startswith(("study", "Effects", "0.", "−0."))}
    ticks = [text for text in texts(first) if len(text) == 3 and text[1] == "."]
    assert ticks
    assert set(ticks) <= set(texts(second))
    assert "Effects 36 to 70 of 70" in texts(second)


def test_a_label_is_as_long_as_tells_it_apart_and_the_figure_as_wide(tmp_path: Path) -> None:
    short = svg(tmp_path, ["first", "second"])
    alike = [f"the same beginning, then number {n}, and the same end" for n in (1, 2)]  # differ in letter 33 of 51
    told = svg(tmp_path, alike)
    assert {"first", "second"} <= set(texts(short))
    own = [text for text in texts(told) if text.startswith("the same")]
    assert len(own) == len(set(own)) == 2
    assert width(told) > width(short)
    assert width(svg(tmp_path, [f"{'a' * 40} {n}" for n in (1, 2)])) == width(short)  # their ends tell them apart


def test_the_same_name_twice_makes_no_figure_wider(tmp_path: Path) -> None:
    assert width(svg(tmp_path, ["same", "same"])) == width(svg(tmp_path, ["a", "b"]))


def test_letters_as_wide_as_two_count_for_two() -> None:
    assert cut("東京大学附属病院", 16) == "東京大学附属病院"
    assert cut("東京大学附属病院", 15) == "東京大学附…病院"  # 10 + 1 + 4 = 15
    assert cut("Tokyo University", 16) == "Tokyo University"
    assert wrapped("東京大学附属病院", 8, 2) == "東京大学\n附属病院"


@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60), st.integers(6, 40))
def test_a_cut_text_is_no_wider_than_asked_and_whole_where_it_fits(text: str, most: int) -> None:
    line = " ".join(text.split())
    short = cut(text, most)
    assert short == line or "…" in short
    assert sum(1 + glyphs.is_wide(letter) for letter in short) <= most + (short != line)


def test_what_no_svg_can_hold_is_replaced(tmp_path: Path) -> None:
    root = svg(tmp_path, ["a\x02b", "c\x1b[31m", "d\ufffee", '<b>&"'], heading="h\x07 <script>")
    assert {"a\ufffdb", "c\ufffd[31m", "d\ufffde", '<b>&"', "h\ufffd <script>"} <= set(texts(root))


def test_codes_of_a_png_take_no_more_room_than_the_text() -> None:
    instead = {ord(letter): f"[{ord(letter):X}]" for letter in "東京大学附属病院"}
    assert glyphs.in_codes("plain", instead) == "plain"
    assert glyphs.in_codes("A東", instead) == "A[6771]"
    assert glyphs.in_codes("東京大学", instead) == "[6771][4EAC][5927][5B66]"  # 24 letters; there is room for 26
    # eight codes of six letters are 48: of 26, eight at the end (one code), and 26 - 1 - 6 before (three)
    assert glyphs.in_codes("東京大学附属病院", instead) == "[6771][4EAC][5927]…[9662]"


@pytest.mark.parametrize(("k", "share"), [(20, "5%"), (21, "4.8%")])
def test_shares_of_the_weight_have_a_digit_more_where_there_are_many(tmp_path: Path, k: int, share: str) -> None:
    found = [text for text in texts(svg(tmp_path, [f"s{n}" for n in range(k)])) if text.endswith(f"  {share}")]
    assert len(found) == k
