"""What public data sets need of reading: lists that are one text, keys with a text before them, rows without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.codebook import Codebook
from configs.errors import InputError
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection, snapshot_data
from tasks.ratings.reading.load import Data, load_ratings


def load(folder: Path, tables: dict[str, Any]) -> Data:
    codebook = Codebook.model_validate({"name": "made-up", "version": 1, "source": "", "language": "en", **tables})
    return load_ratings(list(codebook.ratings.dimensions), [codebook], folder)


def said(data: Data) -> set[tuple[str, str, int]]:
    """Participant, response, category of the dimension `funny`."""
    rows = data.ratings[["participant_id", "response_id", "funny"]].itertuples(index=False)
    return {(who.partition(":")[2], what, int(label)) for who, what, label in rows}


BEHIND = "rows that the codebook leaves behind (only)"
FUNNY = {
    "file": "items.json",
    "each": [["raters", "labels"]],
    "separators": {"raters": ",", "labels": ","},
    "participant": "raters",
    "response": "id",
    "dimensions": {"funny": "labels"},
    "labels": {"0": 1, "1": 2},
}


def test_lists_that_are_one_text_are_read_element_by_element(tmp_path: Path) -> None:
    items = [{"id": "i1", "raters": "a, b", "labels": "0,1"}, {"id": "i2", "raters": "b", "labels": "1"}]
    (tmp_path / "items.json").write_text(json.dumps(items))
    assert said(load(tmp_path, {"ratings": FUNNY})) == {("a", "i1", 1), ("b", "i1", 2), ("b", "i2", 2)}


def test_of_lists_in_texts_an_empty_place_is_no_answer_and_moves_no_other(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(json.dumps([{"id": "i1", "raters": "a,b,c", "labels": "0,,1"}]))
    assert said(load(tmp_path, {"ratings": FUNNY})) == {("a", "i1", 1), ("c", "i1", 2)}


def test_lists_in_texts_of_different_lengths_are_a_fault_of_their_row(tmp_path: Path) -> None:
    items = [{"id": "i1", "raters": "a", "labels": "1"}, {"id": "i2", "raters": "a,b", "labels": "0"}]
    (tmp_path / "items.json").write_text(json.dumps(items))
    with pytest.raises(InputError, match="row 2: lists of different lengths: 'raters', 'labels'"):
        load(tmp_path, {"ratings": FUNNY})


def test_a_separator_of_what_is_no_list_is_refused() -> None:
    with pytest.raises(ValueError, match="separators: unknown 'label'; allowed: raters, labels"):
        Codebook.model_validate(
            {
                "name": "x",
                "version": 1,
                "source": "",
                "language": "en",
                "ratings": FUNNY | {"separators": {"label": ","}},
            }
        )


def test_keys_join_ids_that_have_a_text_before_them(tmp_path: Path) -> None:
    (tmp_path / "people.json").write_text(json.dumps({"0": {"age": 30}, "1": {"age": 50}}))
    (tmp_path / "items.json").write_text(json.dumps([{"id": "i1", "raters": "Ann0,Ann1", "labels": "0,1"}]))
    people = {"file": "people.json", "participant": "Ann@key", "attributes": {"age": {"column": "age"}}}
    data = load(tmp_path, {"ratings": FUNNY, "participants": people})
    assert dict(zip(data.participants["participant_id"], data.participants["age"], strict=True)) == {
        "made-up:Ann0": ("30",),
        "made-up:Ann1": ("50",),
    }


def test_the_digest_of_a_column_that_is_stacked_tells_responses_apart(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("rater,left,right,l,r\nx,one,two,0,1\ny,two,one,1,1\n")
    ratings = {
        "file": "pairs.csv",
        "stack": [{"text": "left", "label": "l"}, {"text": "right", "label": "r"}],
        "participant": "rater",
        "response": "#text",
        "dimensions": {"funny": "label"},
        "labels": {"0": 1, "1": 2},
    }
    responses = {key: ratings[key] for key in ("file", "stack", "response")} | {"response_text": "text"}
    data = load(tmp_path, {"ratings": ratings, "responses": responses})
    texts = dict(zip(data.responses["response_id"], data.responses["response"], strict=True))
    assert sorted(texts.values()) == ["one", "two"]
    assert {(who, texts[what], label) for who, what, label in said(data)} == {
        ("x", "one", 1), ("x", "two", 2), ("y", "two", 2), ("y", "one", 2),
    }  # fmt: skip


WIDE = {
    "file": "turns.csv", "participant": "rater", "response": "answer", "dimensions": {"funny": "label"},
    "labels": {"0": 1, "1": 2},
}  # fmt: skip


def test_a_row_without_an_id_and_without_an_answer_is_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "turns.csv").write_text("rater,answer,label,more\nx,i1,1,\nx,,,a\n,i1,,a\n")
    people = {"file": "people.csv", "participant": "rater"}
    (tmp_path / "people.csv").write_text("rater\nx\n")
    responses = {"file": "answers.csv", "response": "answer", "response_text": "answer"}
    (tmp_path / "answers.csv").write_text("answer\ni1\n")
    data = load(tmp_path, {"ratings": WIDE, "participants": people, "responses": responses})
    assert said(data) == {("x", "i1", 2)}
    assert data.dropped["no answer on any dimension"] == 2


@pytest.mark.parametrize("row", ["x,,1,", ",i1,0,"], ids=["no response", "no rater"])
def test_a_rating_without_an_id_is_still_a_fault(tmp_path: Path, row: str) -> None:
    (tmp_path / "turns.csv").write_text(f"rater,answer,label,more\nx,i1,1,\n{row}\n")
    with pytest.raises(InputError, match=r"row 3, column (rater|answer): empty id"):
        load(tmp_path, {"ratings": WIDE})


def test_what_only_leaves_behind_is_counted(tmp_path: Path) -> None:
    (tmp_path / "turns.csv").write_text("rater,answer,label,status\nx,i1,1,done\nx,i2,0,draft\ny,i1,0,done\n")
    data = load(tmp_path, {"ratings": WIDE | {"only": {"status": "done"}}})
    assert said(data) == {("x", "i1", 2), ("y", "i1", 1)}
    assert data.dropped[BEHIND] == 1


def test_rows_that_only_leaves_behind_land_and_are_counted_once_however_often(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, rows in ((first, "x,i1,1,done\nx,i2,0,draft\n"), (second, "x,i2,0,draft\ny,i1,0,done\ny,i2,1,draft\n")):
        folder.mkdir()
        (folder / "turns.csv").write_text(f"rater,answer,label,status\n{rows}")
    ratings = WIDE | {"only": {"status": "done"}}
    book = Codebook.model_validate(
        {"name": "made-up", "version": 1, "source": "", "language": "en", "ratings": ratings}
    )
    collection = Collection(tmp_path / "collection")
    assert land(collection, [first], [book], b"k" * 32).dropped[BEHIND] == 1
    land(collection, [second], [book], b"k" * 32)
    landed = snapshot_data(collection.latest(), ["funny"], [book])
    assert len(landed.ratings) == 2
    assert landed.dropped[BEHIND] == 2  # what x left as a draft came twice
