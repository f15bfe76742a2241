"""Labels in any script: one note and no box where no font has them, another font where one does."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tasks.meta_analysis.pool_file import pool_file
from tasks.reporting.house import glyphs
from tasks.reporting.house.drawing import house_style, new_canvas, write_canvas
from tasks.reporting.house.forest import readable
from tasks.reporting.pooled_file import write_pooled

ALONE = "\U00016801"
"""A letter of the Bamum script, which no font here is likely to have."""


@pytest.fixture(autouse=True)
def no_other_font(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(glyphs, "OTHERS", ())
    for cached in (glyphs._note, glyphs._present):
        cached.cache_clear()
    yield
    for cached in (glyphs._note, glyphs._present):
        cached.cache_clear()


def drawn(folder: Path, name: str, label: str) -> bytes:
    with house_style():
        canvas = new_canvas(3, 1)
        canvas.set_layout_engine("none")
        canvas.add_subplot().set_yticks([0.5], [label])
        write_canvas(canvas, folder / name)
    return (folder / f"{name}.png").read_bytes()


def test_labels_that_no_font_has_are_one_note_whatever_is_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    effects = tmp_path / "effects.csv"
    effects.write_text(
        "study,city,estimate,std_error\nA東,東京,0.5,0.1\nB,東京,0.7,0.2\nC,大阪,0.5,0.1\nD,大阪,0.7,0.2\n"
    )
    with caplog.at_level(logging.WARNING):
        write_pooled(pool_file(effects, ["city"], "dl"), ["city"], "dl", tmp_path / "out")
    assert [record.message for record in caplog.records] == [
        "no font here has some characters of the labels: PNG files show their codes, SVG files are whole"
    ]
    assert list(recwarn) == []
    svg = (tmp_path / "out" / "figures" / "forest-001.svg").read_text()
    assert "A東" in svg
    assert "東京" in svg


def test_a_png_shows_the_code_of_a_character_without_a_glyph(tmp_path: Path) -> None:
    assert drawn(tmp_path, "a", f"x {ALONE}") == drawn(tmp_path, "b", "x [16801]")
    assert "[16801]" not in (tmp_path / "a.svg").read_text()


def test_what_the_font_has_is_drawn_as_before_and_without_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn(tmp_path, "a", "Größe α τ² — Ωмега العربية")
    assert caplog.records == []


def test_another_font_of_the_machine_is_used_where_it_has_the_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(glyphs, "OTHERS", ("DejaVu Sans Mono",))
    whole, codes = glyphs._codes, frozenset(range(128))
    monkeypatch.setattr(glyphs, "_codes", lambda name: codes if name == glyphs.FONT else whole(name))
    glyphs._present.cache_clear()
    drawn(tmp_path, "a", "ж")
    assert "DejaVu Sans Mono" in (tmp_path / "a.svg").read_text()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.5, 0.304, 0.696), "0.500 (0.304 to 0.696)"),
        ((0.5, float("nan"), float("nan")), "0.500"),
        ((0.12345, 0.12335, 0.12355), "0.12345 (0.12335 to 0.12355)"),
        ((1e-6, -1e-7, 2e-6), "1.00e−06 (−1.00e−07 to 2.00e−06)"),
        ((1e50, 0.0, 2e50), "1.00e+50 (0.00e+00 to 2.00e+50)"),
        ((0.0, 0.0, 0.0), "0.000 (0.000 to 0.000)"),
    ],
)
def test_numbers_beside_a_plot_show_how_wide_an_interval_is(values: tuple[float, float, float], text: str) -> None:
    assert readable(*values) == text
