"""Tables for spreadsheets: no text runs, numbers stay numbers, and what is read is what was written."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.meta_analysis.pool_file import pool_file
from tasks.reporting.pooled_file import write_pooled
from tasks.runtime.spreadsheet import as_csv, for_spreadsheet, guarded, read_csv, unguarded

ROOT = Path(__file__).parents[3]
LIVE = re.compile(r"[=+\-@\t\r]")
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r-1", "＝1", "'=1", "''=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_and_no_heading_begins_as_a_formula(text: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"row": [-1], text: [text], "other": ["a=b"], "maybe": [None]})
    assert for_spreadsheet(frame).columns.tolist() == ["row", f"'{text}", "other", "maybe"]
    (tmp_path / "t.csv").write_bytes(as_csv(frame).encode())
    cells = next(line for line in list(csv.reader(io.StringIO(as_csv(frame), newline="")))[1:])
    assert cells == ["-1", f"'{text}", "a=b", ""]
    back = read_csv(tmp_path / "t.csv")
    assert back.columns.tolist() == frame.columns.tolist()
    assert back.iloc[0, :3].tolist() == [-1, text, "a=b"]


def test_numbers_stay_numbers_and_texts_stay_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "n": pd.array([-1, None], dtype="Int64"), "x": [-0.5, float("inf")], "yes": [True, False],
        "text": ["NA", "None"], "some": [-0.5, "-x"],
    })  # fmt: skip
    path = tmp_path / "t.csv"
    path.write_text(as_csv(frame))
    assert path.read_text() == "n,x,yes,text,some\n-1,-0.5,True,NA,-0.5\n,inf,False,None,'-x\n"
    back = read_csv(path)
    assert back["text"].tolist() == ["NA", "None"]
    assert back["x"].tolist() == frame["x"].tolist()


def test_a_carriage_return_begins_no_line(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a\r=1+1", "b\r\n=1+1"], "n": [-1, 2]})
    (tmp_path / "t.csv").write_bytes(as_csv(frame).encode())
    table = list(csv.reader(io.StringIO(as_csv(frame), newline="")))
    assert table == [["text", "n"], ["a\r=1+1", "-1"], ["b\r\n=1+1", "2"]]
    assert read_csv(tmp_path / "t.csv")["text"].tolist() == frame["text"].tolist()


@given(st.text())
def test_any_text_comes_back_and_none_is_live(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not LIVE.match(str(guarded(text)))


def test_a_pooled_table_of_formulas_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "effects.csv"
    path.write_text("study,=g(),estimate,std_error\n=1+1,@SUM(A1),-0.5,0.1\n+cmd,@SUM(A1),-0.7,0.2\n")
    write_pooled(pool_file(path, ["=g()"], "dl"), ["=g()"], "dl", tmp_path / "out")
    for name in ("pooled", "leave_one_out"):
        table = list(csv.reader((tmp_path / "out" / f"{name}.csv").open(newline="")))
        texts = [cell for line in table for cell in line if not re.fullmatch(r"-?[\d.e+-]*", cell)]
        assert [cell for cell in texts if LIVE.match(cell)] == []
        assert {"'=g()", "'@SUM(A1)"} <= set(texts)
    assert read_csv(tmp_path / "out" / "leave_one_out.csv")["without"].tolist() == ["=1+1", "+cmd"]


def test_every_table_for_people_is_written_and_read_here() -> None:
    """The others make a digest of a table, and an export that codebooks read."""
    allowed = {"tasks/runtime/spreadsheet.py", "tasks/runtime/fingerprint.py", "tasks/simulation/simulate.py"}
    files = [path for top in ("tasks", "flows") for path in (ROOT / top).rglob("*.py")]
    users = {
        str(path.relative_to(ROOT))
        for path in files
        if re.search(r"to_csv\(|pd\.read_csv\(|csv\.writer|DictWriter", path.read_text())
    }
    assert users <= allowed
