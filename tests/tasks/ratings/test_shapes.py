"""Exports in the shapes that tools write: lists, objects, several responses in a row, comparisons, numbers, patterns."""
# ruff: noqa: E501 (settings stand on a line, as people write them)

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import yaml

from configs.codebook import Codebook, ExportTable, Numbers
from configs.errors import InputError
from configs.load import load_codebook
from tasks.preferences.pairs import count_preferences
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection, snapshot_data
from tasks.ratings.reading.load import Data, load_ratings
from tasks.ratings.reading.quantiles import quantile_cuts
from tasks.ratings.reading.source import read_source

LABELS = '{"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}'
PEOPLE = "who,answer,text,toxic\n"


def book(text: str) -> Codebook:
    raw = {"name": "x", "version": 1, "source": "made up", "language": "en"} | yaml.safe_load(text)
    return Codebook.model_validate(raw)


def load(folder: Path, text: str) -> Data:
    own = book(text)
    return load_ratings(list(own.ratings.dimensions), [own], folder)


def given(data: Data) -> list[tuple[Any, ...]]:
    """Who, what, and the categories, without the codebook's name before the ids."""
    dimensions = data.ratings.columns.drop(["participant_id", "response_id", "prompt_id", "order"])
    return [
        (row["participant_id"].removeprefix("x:"), row["response_id"], *(row[name] for name in dimensions))
        for _, row in data.ratings.iterrows()
    ]


def texts(data: Data) -> list[tuple[str, str, str]]:
    rows = data.responses[["response_id", "prompt", "response"]].itertuples(index=False)
    return [tuple(row) for row in rows]


def write(path: Path, what: Any) -> None:
    path.write_text(what if isinstance(what, str) else json.dumps(what, ensure_ascii=False), encoding="utf-8")


# ---- formats


ROWS = [{"who": "p1", "answer": 7, "text": "Grüße; a, b|c", "toxic": 2}, {"who": "p2", "answer": 7, "text": "Grüße; a, b|c", "toxic": 5}]  # fmt: skip
FLAT = f"""
ratings: {{file: FILE, participant: who, response: answer, dimensions: {{toxicity: toxic}}, labels: {LABELS}}}
responses: {{file: FILE, response: answer, response_text: text}}
"""


def spread(path: Path) -> None:
    pd.DataFrame(ROWS).to_excel(path, index=False)


FORMATS = {
    "a.csv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False),
    "a.tsv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep="\t"),
    "semicolon.csv": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep=";"),
    "bar.txt": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep="|"),
    "caret.txt": lambda path: pd.DataFrame(ROWS).to_csv(path, index=False, sep="^"),
    "a.json": lambda path: write(path, ROWS),
    "a.jsonl": lambda path: write(path, "\n".join(json.dumps(row) for row in ROWS)),
    "a.parquet": lambda path: pd.DataFrame(ROWS).to_parquet(path),
    "a.xlsx": spread,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_ratings(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name)
    data = load(tmp_path, FLAT.replace("FILE", name))
    assert given(data) == [("p1", "7", 2), ("p2", "7", 5)]
    assert texts(data) == [("7", "", "Grüße; a, b|c")]
    assert data.participants["participant_id"].tolist() == ["x:p1", "x:p2"]


def test_the_rows_of_a_json_object_go_by_its_keys(tmp_path: Path) -> None:
    items = {"i1": {"text": "a", "by": {"ann1": "4", "ann2": "2"}}, "i2": {"text": "b", "by": {"ann1": "1"}}}
    write(tmp_path / "a.json", items)
    data = load(tmp_path, f"""
        ratings: {{file: a.json, each: by, participant: by.@key, response: "@key", dimensions: {{toxicity: by}}, labels: {LABELS}}}
        responses: {{file: a.json, response: "@key", response_text: text}}
    """)  # fmt: skip
    assert given(data) == [("ann1", "i1", 4), ("ann2", "i1", 2), ("ann1", "i2", 1)]


def test_a_sheet_is_named_or_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"id": ["of the first"]}).to_excel(writer, sheet_name="One", index=False)
        pd.DataFrame({"id": [None, "of the second"]}).to_excel(writer, sheet_name="Two", index=False, startrow=2)
    assert read_source(path, ["id"]).frame["id"].tolist() == ["of the first"]
    second = read_source(path, ["id"], table=ExportTable(file="a.xlsx", sheet="Two")).frame
    assert second["id"].to_dict() == {5: "of the second"}  # header in row 3, an empty row 4
    with pytest.raises(InputError, match="sheet: unknown 'Three'; allowed: One, Two"):
        read_source(path, ["id"], table=ExportTable(file="a.xlsx", sheet="Three"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[1, 2]", "expected a list of objects, or an object"),
        ("a.json", '{"id": "a"', "not JSON: Expecting ',' delimiter at character 11"),
        ("a.json", '{"id": "a"}\n{"id": "b"}', "not JSON: Extra data at line 2, character 1; where each line is an object, its name should end in .jsonl"),
        ("a.xlsx", "id\na", "not Excel (.xlsx), or damaged"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says_is_told(tmp_path: Path, name: str, content: str, message: str) -> None:
    write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / name, ["id"])
    assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_files_by_pattern_are_one_table_and_a_fault_names_its_file(tmp_path: Path) -> None:
    write(tmp_path / "part-2.csv", "who,answer,text,toxic\np2,a,one,3\n")
    write(tmp_path / "part-1.csv", "who,answer,text,toxic\np1,a,one,2\np1,b,two,4\n")
    codebook = FLAT.replace("FILE", "part-*.csv")
    assert given(load(tmp_path, codebook)) == [("p1", "a", 2), ("p1", "b", 4), ("p2", "a", 3)]
    write(tmp_path / "part-2.csv", "who,answer,text,toxic\np2,a,one,3\np3,a,one,9\n")
    with pytest.raises(InputError, match=r"part-2\.csv: row 3, column toxic: unknown '9'"):
        load(tmp_path, codebook)
    (tmp_path / "part-1.csv").unlink()
    (tmp_path / "part-2.csv").unlink()
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path, codebook)


# ---- lists, objects, columns one below the other


TASKS = [
    {"id": 1, "data": {"q": "hm?", "a": "one"}, "annotations": [
        {"by": {"id": 4}, "cancelled": False, "result": [{"what": "tox", "value": {"rating": 2}}, {"what": "kind", "value": {"choices": ["3"]}}]},
        {"by": {"id": 5}, "cancelled": True, "result": [{"what": "tox", "value": {"rating": 5}}]},
    ]},
    {"id": 2, "data": {"q": "hm?", "a": "two"}, "annotations": []},
]  # fmt: skip
NESTED = f"""
ratings:
  file: a.json
  each: [annotations, annotations.result]
  only: {{annotations.cancelled: "false"}}
  participant: annotations.by.id
  response: id
  dimension: annotations.result.what
  rating: annotations.result.value.*
  dimensions: {{toxicity: tox, kindness: kind}}
  labels: {LABELS}
responses: {{file: a.json, response: id, prompt_text: data.q, response_text: data.a}}
"""


def test_lists_within_lists_are_rows_and_those_left_behind_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.json", TASKS)
    data = load(tmp_path, NESTED)
    assert given(data) == [("4", "1", 2, 3)]
    assert texts(data) == [("1", "hm?", "one"), ("2", "hm?", "two")]


def test_a_fault_deep_inside_names_the_row_of_the_file(tmp_path: Path) -> None:
    broken = json.loads(json.dumps(TASKS))
    broken[0]["annotations"][0]["result"][1]["value"] = {"choices": ["3", "4"]}
    write(tmp_path / "a.json", broken)
    place = r"a\.json: row 1, column annotations\.result\.value\.\*: a list where one answer is expected"
    with pytest.raises(InputError, match=place):
        load(tmp_path, NESTED)


def test_a_list_in_a_cell_of_a_table_is_rows_too(tmp_path: Path) -> None:
    cell = json.dumps([{"user": "p1", "stars": 4}, {"user": "p2", "stars": 1}]).replace('"', '""')
    write(tmp_path / "a.csv", f"id,text,marks\n7,hello,\"{cell}\"\n8,there,\"[{{'user': 'p1', 'stars': 2}}]\"\n")
    data = load(tmp_path, f"""
        ratings: {{file: a.csv, each: marks, participant: marks.user, response: id, dimensions: {{good: marks.stars}}, labels: {LABELS}}}
        responses: {{file: a.csv, response: id, response_text: text}}
    """)  # fmt: skip
    assert given(data) == [("p1", "7", 4), ("p2", "7", 1), ("p1", "8", 2)]


def test_parallel_lists_belong_together_and_others_are_told(tmp_path: Path) -> None:
    rows = [{"id": "r1", "a": "x", "q.values": [1, 2], "q.users": ["p1", "p2"]}]
    write(tmp_path / "a.json", rows)
    codebook = f"""
        ratings: {{file: a.json, each: [[q.values, q.users]], participant: q.users, response: id, dimensions: {{q: q.values}}, labels: {LABELS}}}
        responses: {{file: a.json, response: id, response_text: a}}
    """  # fmt: skip
    assert given(load(tmp_path, codebook)) == [("p1", "r1", 1), ("p2", "r1", 2)]
    rows[0]["q.users"] = ["p1"]
    write(tmp_path / "a.json", rows)
    with pytest.raises(InputError, match=r"row 1: lists of different lengths: 'q\.values', 'q\.users'"):
        load(tmp_path, codebook)


def test_several_responses_in_a_row_are_one_below_the_other(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "chat,by,prompt,one,two,tox_one,tox_two\nc1,p1,hi,yes,no,1,5\nc2,p1,ho,ja,,2,\n")
    sets = "[{which: =a, text: one, tox: tox_one}, {which: =b, text: two, tox: tox_two}]"
    data = load(tmp_path, f"""
        ratings: {{file: a.csv, stack: {sets}, participant: by, response: [chat, which], dimensions: {{tox: tox}}, labels: {LABELS}}}
        responses: {{file: a.csv, stack: {sets}, response: [chat, which], prompt: chat, prompt_text: prompt, response_text: text}}
    """)  # fmt: skip
    assert given(data) == [("p1", "c1/a", 1), ("p1", "c1/b", 5), ("p1", "c2/a", 2)]  # nothing stands in the last set
    assert texts(data) == [("c1/a", "hi", "yes"), ("c1/b", "hi", "no"), ("c2/a", "ho", "ja")]


def test_texts_without_ids_go_by_a_digest_and_rows_without_raters_by_their_number(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "question,answer,toxic\nhi,yes,1\nhi,yes,2\nhi,no,3\n")
    data = load(tmp_path, f"""
        ratings: {{file: a.csv, participant: "@row", response: ["#question", "#answer"], dimensions: {{tox: toxic}}, labels: {LABELS}}}
        responses: {{file: a.csv, response: ["#question", "#answer"], prompt: "#question", prompt_text: question, response_text: answer}}
    """)  # fmt: skip
    assert data.ratings["participant_id"].tolist() == ["x:2", "x:3", "x:4"]
    assert data.ratings["response_id"].nunique() == 2
    assert data.ratings["prompt_id"].nunique() == 1


def test_a_place_that_no_row_has_is_no_column(tmp_path: Path) -> None:
    write(tmp_path / "a.json", TASKS)
    with pytest.raises(
        InputError,
        match=r"a\.json: no column 'data\.answer'; wanted: 'id', 'data\.answer', 'data\.q'|no column 'data\.answer'",
    ):
        load(tmp_path, NESTED.replace("data.a}", "data.answer}"))


def test_the_ids_of_participants_stay_outside_under_another_name_too() -> None:
    stack = "stack: [{who: rater, also: rater}]"
    with pytest.raises(ValueError, match="column 'rater' holds the participants' ids"):
        book(f"""
            ratings: {{file: a.csv, {stack}, participant: who, response: id, dimensions: {{a: also}}, labels: {LABELS}}}
        """)


def test_without_demographics_and_texts_ratings_are_enough(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "who,what,toxic\np1,r1,1\np2,r1,2\n")
    data = load(tmp_path, f"ratings: {{file: a.csv, participant: who, response: what, dimensions: {{t: toxic}}, labels: {LABELS}}}")  # fmt: skip
    assert given(data) == [("p1", "r1", 1), ("p2", "r1", 2)]
    assert data.participants.columns.tolist() == ["participant_id", "language"]


# ---- numbers


def numbers(folder: Path, cells: list[str], **keys: Any) -> list[Any]:
    """The categories that the cells of a column become."""
    rows = "".join(f'p{place},r{place},"{cell}"\n' for place, cell in enumerate(cells))
    write(folder / "a.csv", f"who,what,score\n{rows}")
    codebook = f"ratings: {{file: a.csv, participant: who, response: what, dimensions: {{s: score}}, numbers: {json.dumps(keys)}}}"
    return load(folder, codebook).ratings["s"].tolist()


def test_numbers_become_the_categories_between_cuts(tmp_path: Path) -> None:
    cells = ["0", "19,9", "20", "20.0", "59", "60", "100"]
    assert numbers(tmp_path, cells, low=0, high=100, cuts=[20, 60]) == [1, 1, 2, 2, 2, 3, 3]


def test_whole_numbers_are_categories_as_they_are(tmp_path: Path) -> None:
    assert numbers(tmp_path, ["-2", "0", "2.0", "\u22121"], low=-2, high=2) == [1, 3, 5, 2]
    with pytest.raises(InputError, match=r"row 2, column score: unknown '1\.5'; allowed: whole numbers from -2 to 2"):
        numbers(tmp_path, ["1.5"], low=-2, high=2)
    with pytest.raises(InputError, match="unknown 'nan'; allowed: numbers from 0 to 9"):
        numbers(tmp_path, ["nan"], low=0, high=9, cuts=[5])


def test_quantiles_make_categories_of_as_many_ratings_each(tmp_path: Path) -> None:
    assert numbers(tmp_path, list(map(str, range(1, 10))), low=1, high=100, quantiles=3) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    with pytest.raises(InputError, match="quantiles: 3, but so many of 4 ratings are the same that they make 1"):
        numbers(tmp_path, ["1", "1", "1", "7"], low=1, high=100, quantiles=3)


def test_cuts_of_quantiles_are_numbers_that_were_given() -> None:
    cuts = quantile_cuts(pd.Series([10.0, 20, 30, 40]).to_numpy(), Numbers(low=0, high=50, quantiles=2))
    assert cuts == (30.0,)  # two below, two from it on


def test_a_collection_takes_no_quantiles_and_is_told_the_cuts(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    write(tmp_path / "export" / "a.csv", "who,what,score\np1,r1,10\np2,r1,20\np1,r2,30\np2,r2,40\n")
    own = book("ratings: {file: a.csv, participant: who, response: what, dimensions: {s: score}, numbers: {low: 0, high: 50, quantiles: 2}}")  # fmt: skip
    with pytest.raises(InputError, match=r"write cuts: \[30\], which are the quantiles of this export"):
        land(Collection(tmp_path / "c"), [tmp_path / "export"], [own], b"k" * 32)


def test_years_become_bands(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "who,what,toxic,years\np1,r1,1,17\np2,r1,2,30\np3,r1,3,29\np4,r1,3,\n")
    codebook = f"""
        ratings: {{file: a.csv, participant: who, response: what, dimensions: {{t: toxic}}, labels: {LABELS}}}
        participants:
          file: a.csv
          participant: who
          attributes: {{age: {{column: years, ranges: {{under 30: [null, 29], 30 and over: [30, null]}}}}}}
    """
    assert load(tmp_path, codebook).participants["age"].tolist() == [("under 30",), ("30 and over",), ("under 30",), ()]
    with pytest.raises(ValueError, match="ranges: from above to, or two that overlap"):
        book(codebook.replace("[30, null]", "[29, null]"))


# ---- comparisons


SIDES = """
ratings: {file: a.csv, participant: who, sides: {a: left, b: right}, dimensions: {overall: which}, labels: LABELS}
responses: {file: texts.csv, response: id, prompt: q, prompt_text: question, response_text: text}
"""
BETTER = "{right much better: 1, right: 2, same: 3, left: 4, left much better: 5}"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write(tmp_path / "texts.csv", "id,q,question,text\nr1,q1,hm?,one\nr2,q1,hm?,two\nr3,q1,hm?,three\n")
    return tmp_path


def test_a_comparison_rates_both_sides_on_its_scale_and_only_against_each_other(pairs: Path) -> None:
    write(pairs / "a.csv", "who,left,right,which\np1,r1,r2,left much better\np1,r3,r2,same\np2,r1,r2,right\n")
    data = load(pairs, SIDES.replace("LABELS", BETTER))
    assert given(data) == [
        ("p1", "r1|r2:r1", 5), ("p1", "r1|r2:r2", 1), ("p1", "r2|r3:r3", 3), ("p1", "r2|r3:r2", 3),
        ("p2", "r1|r2:r1", 2), ("p2", "r1|r2:r2", 4),
    ]  # fmt: skip
    assert set(data.responses["prompt"]) == {"hm?"}
    labels = data.ratings.rename(columns={"overall": "label"})
    counts = count_preferences(labels, "participant")
    # r1 over r2 by p1, r2 over r1 by p2; the tie of r3 and r2 is no preference, and r1 was never held against r3
    assert counts[["a", "b", "n_a", "n_b"]].to_numpy().tolist() == [["r1|r2:r1", "r1|r2:r2", 1, 1]]


def test_the_same_pair_the_other_way_round_is_the_same_comparison_and_the_first_counts(pairs: Path) -> None:
    write(pairs / "a.csv", "who,left,right,which\np1,r1,r2,left\np1,r2,r1,left\n")
    data = load(pairs, SIDES.replace("LABELS", BETTER))
    assert given(data) == [("p1", "r1|r2:r1", 4), ("p1", "r1|r2:r2", 2)]


def test_the_side_that_is_preferred_has_the_highest_category_and_a_tie_the_middle(pairs: Path) -> None:
    write(pairs / "a.csv", "who,left,right,which\np1,r1,r2,model_b\np2,r1,r2,both\np3,r1,r2,\n")
    data = load(pairs, SIDES.replace("LABELS", "{model_a: a, model_b: b, both: tie}"))
    assert data.categories == 3
    assert given(data) == [("p1", "r1|r2:r1", 1), ("p1", "r1|r2:r2", 3), ("p2", "r1|r2:r1", 2), ("p2", "r1|r2:r2", 2)]


def test_the_best_of_several_is_preferred_to_each_of_the_others(pairs: Path) -> None:
    write(pairs / "a.csv", "who,x,y,z,best\np1,r1,r2,r3,y\n")
    data = load(pairs, """
        ratings: {file: a.csv, participant: who, sides: {a: x, b: y, c: z}, dimensions: {overall: best}, labels: {x: a, y: b, z: c}}
        responses: {file: texts.csv, response: id, prompt: q, prompt_text: question, response_text: text}
    """)  # fmt: skip
    counts = count_preferences(data.ratings.rename(columns={"overall": "label"}), "participant")
    assert [(row.a[-2:], row.b[-2:], row.n_a, row.n_b) for row in counts.itertuples()] == [
        ("r1", "r2", 0, 1),
        ("r2", "r3", 1, 0),
    ]


def test_a_side_that_is_unknown_and_an_unknown_label_are_told_by_their_columns(pairs: Path) -> None:
    write(pairs / "a.csv", "who,left,right,which\np1,r1,r9,left\np1,r1,r2,neither\n")
    with pytest.raises(InputError) as caught:
        load(pairs, SIDES.replace("LABELS", BETTER))
    assert "row of response 'r9' that texts.csv does not hold (1 such rows)" in str(caught.value)
    assert "a.csv: row 3, column which: unknown 'neither'; allowed: right much better, right, same, left" in str(
        caught.value
    )


def test_comparisons_land_and_are_read_from_the_snapshot_as_from_the_export(pairs: Path) -> None:
    write(pairs / "a.csv", "who,left,right,which\np1,r1,r2,left\np2,r1,r3,same\n")
    own = book(SIDES.replace("LABELS", BETTER))
    landing = land(Collection(pairs / "c"), [pairs], [own], b"k" * 32)
    data = snapshot_data(landing.snapshot, ["overall"], [own])
    direct = load_ratings(["overall"], [own], pairs)
    columns = ["response_id", "prompt_id", "overall"]
    pd.testing.assert_frame_equal(
        data.ratings[columns].sort_values(columns, ignore_index=True),
        direct.ratings[columns].sort_values(columns, ignore_index=True),
    )
    again = land(Collection(pairs / "c"), [pairs], [own], b"k" * 32)
    assert not again.fresh


def test_shipped_codebooks_are_read_as_before(tmp_path: Path) -> None:
    assert load_codebook("spica").ratings.shape[2:] == ((), (), ())


def test_a_sheet_is_read_whole_whatever_its_file_says_of_its_size(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a", "b"], "value": [1, 2]}).to_excel(tmp_path / "a.xlsx", index=False)
    with zipfile.ZipFile(tmp_path / "a.xlsx") as whole, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as other:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("sheet1.xml"):
                assert b'<dimension ref="A1:B3"' in content
                content = content.replace(b'ref="A1:B3"', b'ref="A1"')
            other.writestr(name, content)
    assert read_source(tmp_path / "b.xlsx", ["id", "value"]).frame.to_numpy().tolist() == [["a", "1"], ["b", "2"]]


def test_cells_beyond_the_header_cost_their_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["id"], ["a"], ["b", None, "more"], ["c"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    source = read_source(tmp_path / "a.xlsx", ["id"])
    assert source.frame["id"].to_dict() == {2: "a", 4: "c"}
    (unread,) = source.unread
    assert unread.message == "row 3: cells beyond the 1 columns that the header has"


def test_who_rated_may_be_the_name_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "ann.jsonl", '{"id": 1, "text": "one", "label": ["4"]}\n')
    write(tmp_path / "bob.jsonl", '{"id": 1, "text": "one", "label": ["2"]}\n')
    data = load(tmp_path, f"""
        ratings: {{file: "*.jsonl", participant: "@file", response: id, dimensions: {{good: label.*}}, labels: {LABELS}}}
        responses: {{file: "*.jsonl", response: id, response_text: text}}
    """)  # fmt: skip
    assert given(data) == [("ann", "1", 4), ("bob", "1", 2)]
