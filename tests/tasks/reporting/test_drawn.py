"""Figures are drawn once for the same tables, settings and code; whatever is another, or gone, is drawn anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tasks.reporting import report
from tasks.reporting.house.chapter import Results
from tasks.reporting.house.drawn import RECORD
from tasks.reporting.report import draw_all
from tests.tasks.reporting.made_up import FACTS, pooled_row, study


def results(estimate: float = -0.1) -> Results:
    row = pooled_row("scale", "5-point - control", "toxicity", estimate)
    cells = pd.DataFrame({"seconds": [1.0]})
    return Results(study(), {"pooled": pd.DataFrame([row]), "cells": cells}, FACTS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    assert draw_all(results(), folder)
    return folder


@pytest.fixture
def saved(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A copy of the folder, and the names of what is saved from here on."""
    names, save = list[str](), report.save
    shutil.copytree(drawn, tmp_path / "figures")
    monkeypatch.setattr(report, "save", lambda drawing, *rest: [names.append(drawing.name), save(drawing, *rest)][1])
    return tmp_path / "figures", names


def test_what_lies_there_from_the_same_is_not_drawn_again(drawn: Path, saved: tuple[Path, list[str]]) -> None:
    folder, names = saved
    another_day = results()
    another_day.tables["cells"]["seconds"] = 7.0  # how the run went is in no figure
    again = draw_all(another_day, folder)
    assert names == []
    assert [figure.name for figure in again] == [figure.name for figure in draw_all(results(), drawn)]
    assert all(figure.svg.parent == folder and figure.alt and figure.caption for figure in again)


@pytest.mark.parametrize("file", [RECORD, "effects-scale.svg", "effects-scale.png"])
@pytest.mark.parametrize("fault", [Path.unlink, lambda file: file.write_text("{")], ids=["gone", "another"])
def test_a_file_that_is_gone_or_another_is_drawn_anew(
    saved: tuple[Path, list[str]], drawn: Path, file: str, fault: Callable[[Path], object]
) -> None:
    folder, names = saved
    fault(folder / file)
    draw_all(results(), folder)
    assert "effects-scale" in names
    assert (folder / file).read_bytes() == (drawn / file).read_bytes()


def test_other_numbers_settings_or_code_are_drawn_anew(
    saved: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = saved
    draw_all(results(-0.2), folder)
    assert len(names) == 2  # the effects, and a forest plot
    draw_all(Results(study(simulate=False), results(-0.2).tables, FACTS), folder)
    assert len(names) == 4
    monkeypatch.setattr(report, "source_digest", lambda: "another")
    draw_all(Results(study(simulate=False), results(-0.2).tables, FACTS), folder)
    assert len(names) == 6
