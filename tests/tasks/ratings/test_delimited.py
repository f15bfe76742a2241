"""Tables without a codebook: the same from every format, their rows called as landing calls them, and what is wrong."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import InputError
from tasks.meta_analysis.read_effects import read_effects
from tasks.ratings.reading.delimited import as_numbers, read_delimited, refuse
from tasks.ratings.reading.source import read_source
from tasks.survey.clmm.formula import read_table
from tests.tasks.ratings.every_format import FORMATS, write_table

ROWS: list[dict[str, Any]] = [
    {"name": "Ä", "x": 0.1 + 0.2, "n": 3},
    {"name": "東京 1", "x": 1 / 3, "n": -12345678901234567},
    {"name": "=1+1", "x": 1e-300, "n": None},
    {"name": "a\nb", "x": None, "n": 7},
    {"name": "007", "x": -5e-324, "n": 0},
]


def sheet(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def faults(path: Path, *wanted: str) -> list[str]:
    return [str(fault) for fault in read_delimited(path, wanted).faults]


def refused(path: Path, *wanted: str) -> str:
    with pytest.raises(InputError) as error:
        refuse(path, read_delimited(path, wanted).faults)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# ---- what is read


@pytest.mark.parametrize("kind", FORMATS[:-1])
def test_every_number_and_text_comes_whole_from_every_format(tmp_path: Path, kind: str) -> None:
    source = read_delimited(write_table(tmp_path / f"table.{kind}", ROWS), ["name", "x", "n"])
    assert source.faults == ()
    assert source.frame["name"].tolist() == [row["name"] for row in ROWS]
    assert source.frame["n"].tolist() == ["3", "-12345678901234567", "", "7", "0"]
    numbers = as_numbers(source.frame["x"], source.decimal_comma)
    assert [number if number == number else None for number in numbers] == [row["x"] for row in ROWS]


def test_a_sheet_keeps_what_a_spreadsheet_can_hold(tmp_path: Path) -> None:
    day = datetime.datetime(2026, 5, 1)
    path = sheet(tmp_path / "table.xlsx", ["id ", "x", "day"], ["007", 1 / 3, day], [True, 2, None], ["#N/A", 0.1, "-"])
    frame = read_delimited(path, ["id", "x", "day"]).frame
    assert frame.to_numpy().tolist() == [
        ["007", repr(1 / 3), "2026-05-01 00:00:00"], ["true", "2", ""], ["#N/A", "0.1", "-"],
    ]  # fmt: skip


def test_only_the_first_sheet_is_read_and_a_header_may_stand_further_down(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in ([], ["x", None, "y"], [], [1, None, 2], [None, "note", 3], [None, None, None]):
        book.active.append(row)
    book.create_sheet("second").append(["z"])
    book.save(tmp_path / "table.xlsx")
    source = read_delimited(tmp_path / "table.xlsx", ["x", "y"])
    assert source.frame.index.tolist() == [4, 5]
    assert source.frame.to_numpy().tolist() == [["1", "2"], ["", "3"]]


def test_parquet_may_have_any_kind_of_column(tmp_path: Path) -> None:
    columns = {
        "decimal": [Decimal("1.10"), None],
        "single": pa.array([0.5, float("nan")], pa.float32()),
        "level": pa.array(["a", "b"]).dictionary_encode(),
        "day": [datetime.date(2026, 5, 1), None],
        "bytes": [b"x", b"y"],
        "truth": [True, False],
    }
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    frame = read_delimited(tmp_path / "table.parquet", list(columns)).frame
    assert frame.to_numpy().tolist() == [
        ["1.10", "0.5", "a", "2026-05-01", "x", "true"],
        ["", "", "b", "", "y", "false"],
    ]


def test_json_objects_may_lack_keys_and_name_them_as_people_see_them(tmp_path: Path) -> None:
    path = text(tmp_path / "table.JSON", '\ufeff[{"x ": 1}, {"y": "2", "x": NaN}, {"y": null, "x": 1e400}]')
    source = read_delimited(path, ["x", "y"])
    assert source.frame.to_numpy().tolist() == [["1", ""], ["", "2"], ["inf", ""]]
    assert source.frame.index.tolist() == [1, 2, 3]


# ---- how rows are called


TWO = '{"id": "a\\nb", "estimate": 1, "std_error": 1}', '{"id": "c", "estimate": 2, "std_error": 1}'
NAMED: dict[str, tuple[str | list[list[Any]], list[int]]] = {
    # a blank line, the header on line 2, another; a row on lines 4 and 5, one without anything, a row on line 7
    "csv": ('\nid,estimate,std_error\n\n"a\nb",1,1\n,,\nc,2,1\n', [4, 7]),
    "jsonl": (f"\n{TWO[0]}\n\n{TWO[1]}", [2, 4]),
    "json": (f"[\n{TWO[0]},\n\n{TWO[1]}]", [1, 2]),
    "parquet": ([["id", "estimate", "std_error"], ["a\nb", 1, 1], ["c", 2, 1]], [1, 2]),
    "xlsx": ([[], ["id", "estimate", "std_error"], [], ["a\nb", 1, 1], [], ["c", 2, 1]], [4, 6]),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_landing_meta_and_clmm_call_a_row_by_the_same_number(tmp_path: Path, kind: str) -> None:
    content, numbers = NAMED[kind]
    path = tmp_path / f"table.{kind}"
    if isinstance(content, str):
        text(path, content)
    elif kind == "xlsx":
        sheet(path, *content)
    else:
        write_table(path, [dict(zip(content[0], cells, strict=True)) for cells in content[1:]])
    columns = ["id", "estimate", "std_error"]
    landed, frame = read_source(path, columns).frame, read_delimited(path, columns).frame
    assert landed.to_numpy().tolist() == frame.to_numpy().tolist() == [["a\nb", "1", "1"], ["c", "2", "1"]]
    assert landed.index.tolist() == frame.index.tolist() == read_table(path, columns).index.tolist() == numbers
    effects = read_effects(path, []).table
    assert effects.index.tolist() == numbers
    assert effects["name of the effect"].tolist() == [f"row {number}" for number in numbers]


@pytest.mark.parametrize("line", ['a,"1\n', "a,1,9\n", "caf\udce9,1\n"])
def test_landing_and_the_commands_find_the_same_rows_faulty(tmp_path: Path, line: str) -> None:
    path = text(tmp_path / "table.csv", f"id,x\n\nb,2\n{line}c,3\n".encode(errors="surrogateescape"))
    source, landed = read_delimited(path, ["id", "x"]), read_source(path, ["id", "x"])
    assert [fault.row for fault in source.faults] == [one.row for one in landed.unread] == [4]
    assert source.frame.index.tolist() == landed.frame.index.tolist() == [3, 5]


# ---- faults

BEYOND = "not JSON: a key stands twice, it is nested too deep, or a number has thousands of digits"
NESTED = "a list or an object, where one value is expected"


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.parquet", b"PAR1 and nothing of it PAR1", "not Parquet, or damaged"),
        ("t.parquet", b"x,y\n1,2\n", "not Parquet, or damaged"),
        ("t.xlsx", b"x,y\n1,2\n", "not Excel (.xlsx), or damaged"),
        ("t.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "not Excel (.xlsx), or damaged"),
        ("t.xlsx", zipped(readme="a zip file of something else"), "not Excel (.xlsx), or damaged"),
        ("t.xlsx", b"", "not Excel (.xlsx), or damaged"),
        ("t.json", "3", "expected a list of objects, or an object"),
        ("t.json", '["x", "y"]', "expected a list of objects, or an object"),
        ("t.json", "[]", "expected a list of objects, or an object"),
        ("t.json", '[{"x": 1},\n {"x": }]', "not JSON: Expecting value at line 2, character 8"),
        (
            "t.json",
            '{"x": 1}\n{"x": 2}\n',
            "not JSON: Extra data at line 2, character 1; where each line is an object, its name should end in .jsonl",
        ),
        ("t.json", "[" * 100_000, BEYOND),
        ("t.json", '[{"x": ' + "9" * 5000 + "}]", BEYOND),
        ("t.json", '[1, {"x": 1}, "a"]', "row 1: not an object; row 3: not an object"),
        ("t.json", '[{"x": 1}, {"x": 1, "x ": 2}]', BEYOND),
        ("t.json", '[{"y": 1}]', "columns: unknown 'x'; allowed: y"),
        ("t.json", '[{"2001": 1}]', "columns: unknown 'x'; allowed: 2001"),
        (
            "t.jsonl",
            '{"x": 1}\n[2]\n\n{"x": 3\n{"x": [1, 2]}\n{"x": {"a": 1, "a": 2}}\n{"x": "\\ud800"}\n{"x": "a\\u0000"}\n',
            "row 2: not JSON: not an object; row 4: not JSON: Expecting ',' delimiter at character 8; "
            f"row 5, column x: {NESTED}; row 6: {BEYOND}; row 7: not UTF-8; row 8: a zero character",
        ),
        ("t.jsonl", b'{"x": 1}\n{"x": "caf\xe9"}\n', "row 2: not UTF-8"),
        ("t.ndjson", "", "empty; expected a header with x"),
        ("t.csv", b"x,gr\xf6\xdfe\n1,2\n", "row 1, column gr\\udcf6\\udcdfe: its name is not UTF-8"),
    ],
)
def test_what_is_not_what_its_name_says_is_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    assert refused(text(tmp_path / name, content), "x").startswith(message)


def test_a_damaged_end_of_a_parquet_file_or_workbook_is_told(tmp_path: Path) -> None:
    for kind, message in (("parquet", "not Parquet, or damaged"), ("xlsx", "not Excel (.xlsx), or damaged")):
        path = write_table(tmp_path / f"table.{kind}", ROWS)
        path.write_bytes(path.read_bytes()[:-40])
        assert refused(path, "x") == message


def test_a_column_that_stands_twice_is_told_in_parquet_and_excel(tmp_path: Path) -> None:
    one = pa.array([1, 2])
    pq.write_table(pa.Table.from_arrays([one, one, one], names=["x", "y", "x "]), tmp_path / "t.parquet")
    sheet(tmp_path / "t.xlsx", ["x", "y", "x "], [1, 2, 3])
    for kind in ("parquet", "xlsx"):
        path = tmp_path / f"t.{kind}"
        assert refused(path, "x") == "two columns are called 'x'; give one of them another name"
        assert read_delimited(path, ["y"]).frame["y"].tolist()[0] in ("1", "2")


def test_a_nested_cell_is_no_number_besides(tmp_path: Path) -> None:
    path = text(tmp_path / "t.json", '[{"estimate": [1], "std_error": "x"}, {"estimate": 1, "std_error": 1}]')
    with pytest.raises(InputError) as error:
        read_effects(path, [])
    assert str(error.value) == f"{path}: row 1, column estimate: {NESTED}; row 1, column std_error: not a number: 'x'"


def test_every_nested_cell_of_a_column_that_is_asked_for_is_told_at_once(tmp_path: Path) -> None:
    nested = {"x": [[1], None], "y": [{"a": 1}, {"a": 2}], "z": [[1, 2], [3]]}
    pq.write_table(pa.table(nested), tmp_path / "t.parquet")
    text(tmp_path / "t.json", json.dumps(pa.table(nested).to_pylist()))
    for kind in ("parquet", "json"):
        path = tmp_path / f"t.{kind}"
        assert faults(path, "x", "y") == [
            f"row 1, column x: {NESTED}", f"row 1, column y: {NESTED}", f"row 2, column y: {NESTED}",
        ]  # fmt: skip
        assert read_delimited(path, []).frame["z"].tolist() == ["[1, 2]", "[3]"]


def test_an_empty_sheet_is_told(tmp_path: Path) -> None:
    assert refused(sheet(tmp_path / "t.xlsx"), "x") == "empty; expected a header with x"


def test_all_columns_that_lack_are_named_at_once(tmp_path: Path) -> None:
    assert refused(text(tmp_path / "t.csv", "a;b\n1;2\n"), "a", "x", "y") == "columns: unknown 'x', 'y'; allowed: a, b"
