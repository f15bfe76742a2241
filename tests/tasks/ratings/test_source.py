"""Files as they come: what is read of them, and that a row that can't be read costs that row only."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from tasks.ratings.reading.source import Source, read_source, read_strictly

ROWS = [(2, "ä", "1"), (3, "b", "2")]
HEADERLESS = "its first line names none of the columns that are wanted, so the header line seems to be missing"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def read(path: Path, content: str | bytes) -> Source:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_source(path, ["id", "value"])


def rows(source: Source) -> list[tuple[int, str, str]]:
    return [tuple(row) for row in source.frame.itertuples()]


def faults(source: Source) -> list[tuple[int, str, str]]:
    return [(fault.row, fault.reason, fault.detail) for fault in source.unread]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_table_reads_the_same_however_its_fields_and_lines_end(
    path: Path, separator: str, mark: bytes, end: str
) -> None:
    lines = [["other", "value", "id"], ["x", "1", "ä"], ["y", "2", "b"]]
    text = "".join(separator.join(line) + end for line in lines)
    assert rows(read(path, mark + text.encode())) == ROWS


def test_columns_may_stand_in_any_order_with_blanks_around_and_others_between(path: Path) -> None:
    assert rows(read(path, '"value", other ,id \n1,x,ä\n2,y,b\n')) == ROWS


def test_a_comma_in_another_columns_name_does_not_hide_the_semicolons(path: Path) -> None:
    assert rows(read(path, "id;value;age, in years\nä;1;3\nb;2;4\n")) == ROWS


def test_blank_lines_and_rows_of_empty_fields_are_no_rows(path: Path) -> None:
    assert rows(read(path, "\nid,value\n\nä,1\n,\n\nb,2\n,\n")) == [(4, "ä", "1"), (7, "b", "2")]


def test_a_field_may_span_lines_and_a_row_is_told_by_its_first(path: Path) -> None:
    source = read(path, 'id,value\na,"one\ntwo, ""three"""\nb,2\n')
    assert rows(source) == [(2, "a", 'one\ntwo, "three"'), (4, "b", "2")]


def test_an_answer_of_a_million_letters_is_read_whole(path: Path) -> None:
    text = "a word and, again, a word\n" * 40_000
    source = read(path, f'id,value\na,"{text}"\nb,2\n')
    assert source.frame.loc[2, "value"] == text
    assert source.frame.loc[40_003, "value"] == "2"


def test_only_the_row_that_is_not_utf_8_is_lost(path: Path) -> None:
    source = read(path, b"id,value,other\na,1,x\ncaf\xe9,2,x\nb,3,caf\xe9\nc,4,x\n")
    assert rows(source) == [(2, "a", "1"), (5, "c", "4")]
    assert faults(source) == [(3, "not UTF-8", ""), (4, "not UTF-8", "")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_by_its_byte_order_mark_and_half_a_letter_costs_its_row(path: Path, encoding: str) -> None:
    table = "\ufeffid\tvalue\nä\t1\nb\t2\n".encode(encoding)
    assert rows(read(path, table)) == ROWS
    source = read(path, table + "c\t😀\n".encode(encoding).replace("😀".encode(encoding)[:2], b""))
    assert (rows(source), faults(source)) == (ROWS, [(4, "not UTF-8", "")])


def test_only_rows_with_another_number_of_fields_are_lost(path: Path) -> None:
    source = read(path, "id,value\na,1,\nb,2\nc\nd,4\n")
    assert rows(source) == [(3, "b", "2"), (5, "d", "4")]
    what = "wrong number of fields"
    assert faults(source) == [(2, what, "3 fields where the header has 2"), (4, what, "1 field where the header has 2")]


def test_a_row_of_several_lines_with_a_field_too_many_is_lost_whole(path: Path) -> None:
    source = read(path, 'id,value\na,"one\ntwo\nthree",4\nb,2\n')
    assert rows(source) == [(5, "b", "2")]
    detail = "3 fields where the header has 2; lines 2 to 4"
    assert faults(source) == [(2, "wrong number of fields", detail)]


def test_a_file_cut_off_within_a_quoted_field_loses_its_last_row(path: Path) -> None:
    source = read(path, 'id,value\na,1\nb,"tw')
    assert rows(source) == [(2, "a", "1")]
    assert faults(source) == [(3, "not CSV", "unexpected end of data")]


def test_a_file_cut_off_within_a_row_loses_its_last_row(path: Path) -> None:
    source = read(path, "id,value\na,1\nb")
    assert rows(source) == [(2, "a", "1")]
    assert [fault[:2] for fault in faults(source)] == [(3, "wrong number of fields")]


@pytest.mark.parametrize("rest", ['b,2\nc,3\nd,"4"\n', "b,2\nc,3\nd,4\n"], ids=["closed far below", "never closed"])
def test_a_quote_that_is_not_closed_does_not_swallow_the_rows_below(path: Path, rest: str) -> None:
    source = read(path, f'id,value\na,"1\n{rest}')
    assert rows(source) == [(3, "b", "2"), (4, "c", "3"), (5, "d", "4")]
    assert [fault[:2] for fault in faults(source)] == [(2, "not CSV")]


def test_many_unclosed_quotes_cost_their_rows_only(path: Path) -> None:
    lines = [f'{n},"{n}' if n % 7 == 0 else f"{n},{n}" for n in range(1, 2001)]
    source = read(path, "\n".join(["id,value", *lines]))
    assert len(source.frame) + len(source.unread) == 2000
    assert {int(fault.row) - 1 for fault in source.unread} == set(range(7, 2001, 7))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,val", "no column 'value'; wanted: 'id', 'value'"),
        ("id;Ann", "no column 'value'; wanted: 'id', 'value'"),
        ("id;VALUE_", "no column 'value' (it has 'value' in another spelling); wanted: 'id', 'value'"),
        ("id,value,id", "two columns 'id'; wanted: 'id', 'value'"),
        ("id, id \u200b,x", "no column 'value'; two columns 'id'; wanted: 'id', 'value'"),
        ("", "no columns in it; wanted: 'id', 'value'"),
        ('"id,value', "no columns in it; wanted: 'id', 'value'"),
        ("Ann,5", f"{HEADERLESS}; wanted: 'id', 'value'"),
        ("\nAnn;5\nBob;4\n", f"{HEADERLESS}; wanted: 'id', 'value'"),
    ],
)
def test_a_header_that_is_not_whole_is_told_by_what_is_wanted_alone(path: Path, header: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(path, header)
    assert str(caught.value) == f"{path}: {message}"


def test_a_columns_name_is_read_as_people_see_it(path: Path) -> None:
    assert rows(read(path, "\u200bid\u00a0, value\nä,1\nb,2\n")) == ROWS
    assert rows(read(path.with_suffix(".jsonl"), '{"id ": "a", "value": 1}')) == [(1, "a", "1")]
    pd.DataFrame({" value": ["1"], "id": ["a"]}).to_parquet(path.with_suffix(".parquet"))
    assert rows(read_source(path.with_suffix(".parquet"), ["id", "value"])) == [(1, "a", "1")]
    pd.DataFrame({"id ": ["x"], "value": ["1"], "id": ["a"]}).to_parquet(path.with_suffix(".parquet"))
    with pytest.raises(InputError, match="two columns 'id'"):
        read_source(path.with_suffix(".parquet"), ["id", "value"])


def test_a_header_that_is_not_utf_8_is_told_with_the_byte(path: Path) -> None:
    with pytest.raises(InputError, match=r"not UTF-8 \(byte 12\)"):
        read(path, b"id,value,caf\xe9\na,1,x\n")


def test_a_strict_reader_stops_at_the_first_row_that_can_not_be_read(path: Path) -> None:
    path.write_text("id,value\na,1\nb\nc\n")
    with pytest.raises(InputError) as caught:
        read_strictly(path, ["id"])
    assert str(caught.value) == f"{path}: row 3: 1 field where the header has 2"


# ---- JSON Lines


def test_json_lines_give_texts_as_csv_would(path: Path) -> None:
    items = [{"value": 5, "id": "a", "x": 1}, {"id": "b"}, {"id": "c", "value": None}, {"id": "d", "value": ["x", "ä"]}]
    items += [{"id": 7, "value": 2.5}, {"id": True, "value": {"a": 1}}]
    source = read(path.with_suffix(".jsonl"), "\r\n".join(map(json.dumps, items)) + "\n\n")
    assert rows(source) == [
        (1, "a", "5"), (2, "b", ""), (3, "c", ""), (4, "d", '["x", "ä"]'), (5, "7", "2.5"), (6, "true", '{"a": 1}'),
    ]  # fmt: skip


def test_only_lines_that_are_no_object_are_lost(path: Path) -> None:
    lines = [b'{"id": "a", "value": 1}', b"{", b"[1]", b'{"id": 1, "id": 2}', b"[" * 100_000, b'{"id": "\\ud800"}']
    lines += [b'{"id": "caf\xe9"}', b'{"id": "b", "value": ' + b"9" * 5000 + b"}", b'{"id": "c", "value": NaN}']
    source = read(path.with_suffix(".ndjson"), b"\n".join(lines))
    assert rows(source) == [(1, "a", "1"), (9, "c", "")]
    assert [fault[:2] for fault in faults(source)] == [
        (2, "not JSON"), (3, "not JSON"), (4, "not JSON"), (5, "not JSON"), (6, "not UTF-8"), (7, "not UTF-8"),
        (8, "not JSON"),
    ]  # fmt: skip


def test_a_column_that_no_line_has_is_told(path: Path) -> None:
    with pytest.raises(InputError, match="no column 'value'; wanted: 'id', 'value'"):
        read(path.with_suffix(".jsonl"), '{"id": 1}\n{"x": 1}\n')


# ---- Parquet


def test_parquet_gives_texts_as_csv_would(path: Path) -> None:
    path = path.with_suffix(".parquet")
    pd.DataFrame({"x": [1, 2], "value": [1.5, None], "id": [["a", "ä"], None]}).to_parquet(path)
    assert rows(read_source(path, ["id", "value"])) == [(1, '["a", "ä"]', "1.5"), (2, "", "")]
    pd.DataFrame({"value": pd.Series([1, None], dtype="Int64"), "id": pd.Categorical(["a", "b"])}).to_parquet(path)
    assert rows(read_source(path, ["id", "value"])) == [(1, "a", "1"), (2, "b", "")]


def test_only_the_parquet_row_that_is_not_utf_8_is_lost(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path.with_suffix(".parquet")
    texts = pa.array([b"a", b"caf\xe9", b"c"]).view(pa.string())
    pq.write_table(pa.table({"id": texts, "value": ["1", "2", "3"]}), path)
    source = read_source(path, ["id", "value"])
    assert rows(source) == [(1, "a", "1"), (3, "c", "3")]
    assert faults(source) == [(2, "not UTF-8", "")]


def test_parquet_that_is_cut_off_or_lacks_a_column_is_told(path: Path) -> None:
    path = path.with_suffix(".parquet")
    pd.DataFrame({"id": ["a"]}).to_parquet(path)
    with pytest.raises(InputError, match="no column 'value'; wanted: 'id', 'value'"):
        read_source(path, ["id", "value"])
    with pytest.raises(InputError, match="not Parquet, or damaged"):
        read(path, path.read_bytes()[:-20])


def test_lists_and_objects_are_known_as_such(path: Path) -> None:
    items = [{"id": "a", "value": [1]}, {"id": {"x": 1}, "value": "[1]"}, {"id": "b", "value": 2}]
    source = read(path.with_suffix(".jsonl"), "\n".join(map(json.dumps, items)))
    assert source.nested == {"id": {2}, "value": {1}}
    path = path.with_suffix(".parquet")
    pd.DataFrame({"id": [["a"], None], "value": [{"x": 1}, {"x": 2}]}).to_parquet(path)
    assert read_source(path, ["value", "id"]).nested == {"id": {1}, "value": {1, 2}}


# ---- rows that name the columns again


QUESTION, IMPORT = "Who?,How?\n", '"{""ImportId"":""QID1""}","{""ImportId"":""QID2"",""choiceId"":""1""}"\n'


@pytest.mark.parametrize(
    ("above", "labels"),
    [
        (QUESTION + IMPORT, [2, 3]),
        (IMPORT, [2]),
        ('"Who are\nyou?",How?\n' + IMPORT, [2, 4]),
        ("id,value\n" + QUESTION + IMPORT, [2, 3, 4]),
        ("id, value \n", [2]),
        ("Who?,How?,and more\n" + IMPORT.replace('""', "'"), [2, 3]),
    ],
    ids=["two rows", "ids alone", "question of two lines", "header again", "header alone", "a row of another width"],
)
def test_label_rows_under_the_header_are_no_rows(path: Path, above: str, labels: list[int]) -> None:
    source = read(path, f"id,value\n{above}a,1\nb,2\n")
    assert [(text, value) for _, text, value in rows(source)] == [("a", "1"), ("b", "2")]
    assert sorted(one.row for one in source.labels) == labels
    assert source.unread == ()


def test_label_rows_of_an_export_that_was_put_below_another_are_no_rows(path: Path) -> None:
    one = "id,value\n" + QUESTION + IMPORT
    source = read(path, f"{one}a,1\nb,2\n{one}c,3\nWho?,4\n")
    assert [(text, value) for _, text, value in rows(source)] == [("a", "1"), ("b", "2"), ("c", "3"), ("Who?", "4")]
    assert [one.row for one in source.labels] == [2, 3, 6, 7, 8]


def test_an_answer_that_speaks_of_import_ids_is_an_answer(path: Path) -> None:
    source = read(path, 'id,value\na,"the ImportId"\nb,"say {""ImportId"": 1}"\n')
    assert (len(source.frame), source.labels) == (2, ())


def test_label_rows_are_known_in_other_formats(path: Path) -> None:
    items = [{"id": "Who?", "value": "How?"}, {"id": {"ImportId": "QID1"}, "value": {"ImportId": "QID2"}}]
    source = read(path.with_suffix(".jsonl"), "\n".join(map(json.dumps, [*items, {"id": "a", "value": 1}])))
    assert (rows(source), len(source.labels)) == ([(3, "a", "1")], 2)
