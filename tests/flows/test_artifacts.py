"""What a run shows of itself in Prefect."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.schema import Study
from flows.artifacts import COLUMNS, escape, key, page_of, rows, show_results
from flows.showing import ShownProgress
from tasks.audit.tables import Audit
from tasks.meta_analysis.tables import Pooled
from tasks.runtime.progress import Board
from tasks.runtime.tables import columns_of


@pytest.fixture
def server_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody\nthere")

    for kind in ("progress", "table", "markdown"):
        monkeypatch.setattr(f"prefect.artifacts.create_{kind}_artifact", refuse)


@pytest.mark.parametrize(
    ("parts", "expected"), [(("small", "pooled"), "small-pooled"), (("My_study.2", "cells"), "my-study-2-cells")]
)
def test_a_key_has_lower_case_letters_digits_and_dashes(parts: tuple[str, ...], expected: str) -> None:
    assert key(*parts) == expected


def test_markdown_in_a_title_is_shown_as_it_is() -> None:
    assert escape("a *b* [c](d)\n# <e> 5-point") == r"a \*b\* \[c\]\(d\) \# \<e\> 5-point"


def test_a_row_has_four_digits_and_nothing_where_there_is_no_number() -> None:
    table = pd.DataFrame({"k": [7, 6], "p": [1.23456e-5, float("nan")], "q": [float("inf"), 2.0], "name": ["a", None]})
    first, second = rows(table)
    assert first == {"k": 7, "p": 1.235e-05, "q": None, "name": "a"}
    assert second == {"k": 6, "p": None, "q": 2.0, "name": None}


def test_a_page_holds_its_figures_under_their_experiments_titles(paper: Study, tmp_path: Path) -> None:
    name = next(iter(paper.experiments))
    figure = tmp_path / f"effects-{name}.png"
    figure.write_bytes(b"png")
    text = page_of(paper, [figure], tmp_path / "report.html", "http://127.0.0.1:5000/#/x")
    assert f"## {escape(paper.experiments[name].title)}\n" in text
    assert "(data:image/png;base64,cG5n)" in text
    assert f"Report: `{tmp_path}/report.html` · [open it in MLflow](http://127.0.0.1:5000/#/x)" in text


def test_a_server_that_is_down_costs_one_line_each(
    server_down: None, paper: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    progress = ShownProgress(Board(), "small")
    progress.end(whole=True)
    show_results("study", paper, {"pooled": Pooled.checked([])}, tmp_path / "report.html")
    assert [record.message for record in caplog.records] == ["Prefect shows nothing of this (nobody there)"] * 3


def test_the_columns_that_are_shown_are_declared() -> None:
    for name, table in {"pooled": Pooled, "audit": Audit}.items():
        assert set(COLUMNS[name]) <= set(columns_of(table))
