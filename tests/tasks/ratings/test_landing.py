"""Landing exports: each rule by hand, what changes from landing to landing, and that no id of anybody is written."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.codebook import Codebook
from configs.errors import InputError
from configs.load import load_codebook
from tasks.ratings.landing.landing import Landing, land
from tasks.ratings.landing.snapshot import Collection, snapshot_data
from tasks.ratings.landing.summary import lines
from tasks.ratings.reading.label_rows import LABEL_ROW
from tasks.ratings.reading.load import load_ratings, narrowed
from tasks.ratings.reading.merged import MERGED
from tasks.ratings.reading.same_text import SHARED
from tasks.ratings.reading.source import read_source
from tasks.ratings.reading.validate import WITHOUT_ROW
from tests.tasks.ratings.by_hand import (
    CHECKS,
    Row,
    edit,
    german,
    person,
    rating,
    response,
    write,
    write_export,
)
from tests.tasks.ratings.by_hand import (
    DE as ALL_DE,
)
from tests.tasks.ratings.by_hand import (
    EN as ALL_EN,
)
from tests.watch import PATIENCE, until

DIMENSIONS = ["toxicity", "emotional-awareness"]
EN, DE = (narrowed(codebook, DIMENSIONS) for codebook in (ALL_EN, ALL_DE))
KEY = b"a key that is long enough"
RATINGS, PEOPLE, TEXTS = EN.ratings.file, EN.participants.file, EN.responses.file
FILES = ("ratings.parquet", "responses.parquet", "manifest.json")
Cell = tuple[str, int, str, str, str]


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "collections" / "mine")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two participants, two responses, three ratings of toxicity and one of awareness, in English."""
    folder = tmp_path / "export"
    folder.mkdir()
    ratings = [rating("ann-1", "r1", "agree", "neutral"), rating("ann-1", "r2", "disagree")]
    ratings += [rating("bob-2", "r1", "strongly agree")]
    write_export(folder, EN, ratings, [person("ann-1"), person("bob-2")], [response("r1"), response("r2", "another")])
    return folder


def land_in(
    collection: Collection, *exports: Path, codebooks: tuple[Codebook, ...] = (EN,), strict: bool = False
) -> Landing:
    return land(collection, list(exports), codebooks, KEY, strict)


def rejected(landing: Landing) -> list[Cell]:
    return [tuple(row[:5]) for row in landing.rejected.itertuples(index=False)]


def details(landing: Landing) -> list[str]:
    return landing.rejected["detail"].tolist()


def answers(collection: Collection, *columns: str) -> list[list]:
    """What the latest snapshot has, in the order of its ratings; 0 for no answer."""
    latest = collection.latest()
    assert latest is not None
    ratings = latest.tables().ratings.sort_values("order")
    return ratings[[*columns, *DIMENSIONS]].fillna(dict.fromkeys(DIMENSIONS, 0)).to_numpy().tolist()


def with_rows(export: Path, *rows: Row) -> Path:
    """The export with more ratings, whose lines follow from line 5."""
    path = export / RATINGS
    old = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    write(path, [*old, *rows])
    return export


def row_counts(landing: Landing, table: str) -> dict[str, int]:
    (row,) = [row for row in landing.rows if row["table"] == table]
    return {name: row[name] for name in ("read", "kept", "repeated", "rejected", "dropped")}


# ---- what lands


def test_a_sound_export_lands_whole(collection: Collection, export: Path) -> None:
    landing = land_in(collection, export)
    assert landing.fresh
    assert rejected(landing) == []
    assert answers(collection, "codebook", "response_id", "order") == [
        ["survey-app-en", "r1", 0, 4, 3], ["survey-app-en", "r2", 1, 2, 0], ["survey-app-en", "r1", 2, 5, 0],
    ]  # fmt: skip
    assert {name: vars(change) for name, change in landing.changes.items()} == {
        "ratings": {"added": 4, "superseded": 0},
        "participants": {"added": 2, "superseded": 0},
        "responses": {"added": 2, "superseded": 0},
    }
    assert row_counts(landing, "ratings") == {"read": 3, "kept": 3, "repeated": 0, "rejected": 0, "dropped": 0}


def test_all_of_a_codebooks_dimensions_land_and_a_study_reads_its_own(tmp_path: Path, collection: Collection) -> None:
    every = {column: "neutral" for column in ALL_EN.ratings.dimensions.values()}
    rows = [rating("ann-1", "r1", **{**every, "toxicity": "agree", "awareness": "agree"})]  # type: ignore[arg-type]
    write_export(tmp_path, ALL_EN, [row | {k: v for k, v in every.items() if k not in row} for row in rows],
                 [person("ann-1")], [response("r1")])  # fmt: skip
    landing = land(collection, [tmp_path], [ALL_EN], KEY)
    assert set(landing.snapshot.tables().ratings) >= set(ALL_EN.ratings.dimensions)
    data = snapshot_data(landing.snapshot, ["helpfulness"], [ALL_EN])
    assert list(data.ratings) == ["participant_id", "response_id", "prompt_id", "order", "helpfulness"]
    assert data.ratings["helpfulness"].tolist() == [3]


def test_a_study_reads_a_snapshot_as_it_would_the_folder_but_for_pseudonyms(
    collection: Collection, export: Path
) -> None:
    write_export(export, DE, [rating("p1", "r1", "stimme zu", **CHECKS)], [german("p1")], [response("r1", "ein Text")])
    landed = land_in(collection, export, codebooks=(EN, DE)).snapshot
    found, expected = snapshot_data(landed, DIMENSIONS, [EN, DE]), load_ratings(DIMENSIONS, [EN, DE], export)
    columns = ["response_id", "prompt_id", "order", *DIMENSIONS]
    in_order = expected.ratings.sort_values("order", ignore_index=True)
    pd.testing.assert_frame_equal(found.ratings[columns], in_order[columns])
    by_id = "response_id"
    pd.testing.assert_frame_equal(
        found.responses.sort_values(by_id, ignore_index=True)[list(expected.responses)],
        expected.responses.sort_values(by_id, ignore_index=True),
    )
    terms = ["language", "gender", "age", "country", "political-spectrum", "ethnicity"]
    assert sorted(map(str, found.participants[terms].to_numpy().tolist())) == sorted(
        map(str, expected.participants[terms].to_numpy().tolist())
    )
    assert found.categories == 5
    assert set(found.ratings["participant_id"]) == set(found.participants["participant_id"])


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_tables_may_be_of_other_formats(tmp_path: Path, collection: Collection, export: Path, suffix: str) -> None:
    first = land_in(collection, export).snapshot
    tables = {}
    for name in ("ratings", "participants", "responses"):
        table = getattr(EN, name)
        tables[name] = table.model_copy(update={"file": f"{name}{suffix}"})
        frame = pd.read_csv(export / table.file, dtype=str)
        path = tmp_path / f"{name}{suffix}"
        frame.to_json(path, orient="records", lines=True) if suffix == ".jsonl" else frame.to_parquet(path)
    other = Collection(collection.path.with_name("other"))
    assert land(other, [tmp_path], [EN.model_copy(update=tables)], KEY).snapshot.id == first.id


def long_codebook(**changes: object) -> Codebook:
    book = load_codebook("survey-app-en").model_dump()
    long = {
        "dimension": "question", "rating": "answer",
        "dimensions": {"toxicity": "How toxic?", "emotional-awareness": "How aware?"}, **changes,
    }  # fmt: skip
    return Codebook.model_validate(book | {"ratings": book["ratings"] | long})


def long_row(participant: str, response: str, question: str, answer: str) -> Row:
    return {"participant_id": participant, "prompt_id": response, "question": question, "answer": answer}


def test_a_long_table_says_the_same_as_a_wide_one(collection: Collection, export: Path) -> None:
    wide = land_in(collection, export).snapshot
    rows = [("ann-1", "r1", "How toxic?", "agree"), ("ann-1", "r1", "how  aware?", "neutral")]
    rows += [("ann-1", "r2", "How toxic?", "disagree"), ("ann-1", "r2", "How aware?", "")]
    rows += [("bob-2", "r1", "How toxic?", "Strongly agree")]
    write(export / RATINGS, [long_row(*row) for row in rows])
    other = Collection(collection.path.with_name("other"))
    landing = land_in(other, export, codebooks=(long_codebook(),))
    assert landing.snapshot.id == wide.id
    assert landing.dropped == {"no answer on any dimension": 1}


def test_rows_of_a_long_table_about_something_else_are_rejected_or_if_so_said_left_behind(
    collection: Collection, export: Path
) -> None:
    rows = [long_row("ann-1", "r1", "How toxic?", "agree"), long_row("ann-1", "r1", "Comments", "well")]
    write(export / RATINGS, [*rows, long_row("ann-1", "r1", "How odd?", "agree")])
    landing = land_in(collection, export, codebooks=(long_codebook(ignored=["comments"]),))
    assert rejected(landing) == [(RATINGS, 4, "question", "How odd?", "unknown dimension")]
    assert details(landing) == ["allowed: How toxic?, How aware?"]
    assert landing.dropped == {"about a dimension that the codebook ignores": 1}
    assert row_counts(landing, "ratings") == {"read": 3, "kept": 1, "repeated": 0, "rejected": 1, "dropped": 1}


def test_a_reversed_item_counts_from_the_other_end(collection: Collection, export: Path) -> None:
    book = EN.model_copy(update={"ratings": EN.ratings.model_copy(update={"reversed": ("toxicity",)})})
    land_in(collection, export, codebooks=(book,))
    assert answers(collection) == [[2, 3], [4, 0], [1, 0]]  # 6 - 4, 6 - 2, 6 - 5; awareness as it is


def test_a_code_for_a_missing_answer_is_no_answer(collection: Collection, export: Path) -> None:
    book = EN.model_copy(update={"ratings": EN.ratings.model_copy(update={"missing": ("-99", "N/A")})})
    landing = land_in(
        collection, with_rows(export, rating("bob-2", "r2", "-99", "n/a"), rating("bob-2", "r2", "-99", "agree")),
        codebooks=(book,),
    )  # fmt: skip
    assert answers(collection)[-1] == [0, 4]
    assert landing.dropped == {"no answer on any dimension": 1}


def test_several_answers_may_be_separated_by_a_text(collection: Collection, export: Path) -> None:
    attribute = EN.participants.attributes["ethnicity"].model_copy(update={"separator": ";"})
    people = EN.participants.model_copy(update={"attributes": {"ethnicity": attribute}})
    write(export / PEOPLE, [person("ann-1", ethnicity="White; Asian ;"), person("bob-2", ethnicity="")])
    landing = land_in(collection, export, codebooks=(EN.model_copy(update={"participants": people}),))
    assert set(landing.snapshot.tables().participants["ethnicity"]) == {("White", "Asian"), ()}


def test_a_single_file_lands_through_the_codebook_of_one_table(tmp_path: Path, collection: Collection) -> None:
    book = load_codebook("popquorn")
    people = {"gender": "Man", "race": "White", "age": "18-24", "education": "Graduate degree"}
    rows = [
        {"user_id": f"user-{n}", "instance_id": "i", "text": "a text", "offensiveness": "5.0", **people} for n in (1, 2)
    ]
    write(tmp_path / "spring.csv", rows)
    landing = land(collection, [tmp_path / "spring.csv"], [book], KEY)
    assert [row["file"] for row in landing.rows] == ["spring.csv"] * 3
    assert row_counts(landing, "responses") == {"read": 2, "kept": 1, "repeated": 1, "rejected": 0, "dropped": 0}
    assert landing.snapshot.tables().ratings["offensiveness"].tolist() == [5, 5]


# ---- rows that are nobody's, and texts that look the same


def with_label_rows(path: Path, questions: bool = True) -> None:
    """Two more header rows, as Qualtrics writes them."""
    header, *rows = list(csv.reader(path.open(newline="", encoding="utf-8")))
    labels = [[f"What is {name}?" for name in header]] if questions else []
    labels.append([f'{{"ImportId":"QID{n}"}}' for n in range(len(header))])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *labels, *rows])


@pytest.mark.parametrize("files", [(RATINGS, PEOPLE, TEXTS), (RATINGS,), (PEOPLE,), (TEXTS,)])
def test_label_rows_under_the_header_are_nobodys_and_are_counted(
    collection: Collection, export: Path, files: tuple[str, ...]
) -> None:
    for file in files:
        with_label_rows(export / file)
    landing = land_in(collection, export, strict=True)
    assert landing.dropped == {LABEL_ROW: 2 * len(files)}
    counts = landing.snapshot.manifest["counts"]
    assert [counts[name] for name in ("participants", "responses", "prompts", "ratings")] == [2, 2, 1, 4]
    tables = landing.snapshot.tables()
    assert (len(tables.participants), len(tables.responses)) == (2, 2)
    assert "it holds 4 ratings by 2 participants, of 2 responses to 1 prompt" in lines(landing)
    folder = load_ratings(DIMENSIONS, [EN], export)
    assert (len(folder.participants), len(folder.responses), len(folder.ratings)) == (2, 2, 3)
    for data in (folder, snapshot_data(landing.snapshot, DIMENSIONS, [EN])):
        assert data.dropped[LABEL_ROW] == 2 * len(files)


def test_a_label_row_of_a_file_of_all_tables_counts_once(tmp_path: Path, collection: Collection) -> None:
    book = load_codebook("popquorn")
    people = {"gender": "Man", "race": "White", "age": "18-24", "education": "Graduate degree"}
    rows = [
        {"user_id": f"user-{n}", "instance_id": "i", "text": "a text", "offensiveness": "5", **people} for n in (1, 2)
    ]
    write(tmp_path / book.ratings.file, rows)
    with_label_rows(tmp_path / book.ratings.file)
    landing = land(collection, [tmp_path], [book], KEY, strict=True)
    assert landing.dropped == {LABEL_ROW: 2}
    assert landing.snapshot.manifest["counts"]["participants"] == 2
    assert load_ratings(["offensiveness"], [book], tmp_path).dropped[LABEL_ROW] == 2


def test_ids_labels_and_answers_that_look_the_same_are_the_same_and_what_is_merged_is_counted(
    collection: Collection, export: Path
) -> None:
    people = [person("ann-1\u00a0", gender_identity="she/her/hers "), person("bob-2"), person(" bob-2")]
    write(export / PEOPLE, people)
    write(export / TEXTS, [response("r1\u200b"), response("r2", "another")])
    edit(export / RATINGS, "strongly agree", "strongly\u00a0 agree")
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2 ", "agree ")), strict=True)
    assert answers(collection) == [[4, 3], [2, 0], [5, 0], [4, 0]]
    assert landing.snapshot.tables().participants["gender"].tolist() == [("she/her/hers",)] * 2
    merged = {"participants' ids": 2, "responses' ids": 2, "labels": 1, "answers of participants": 1}
    assert landing.noted == {f"{what} {MERGED}": n for what, n in merged.items()}


def test_ids_of_digits_are_the_same_only_digit_by_digit(collection: Collection, export: Path) -> None:
    write(export / RATINGS, [rating("007", "r1", "agree"), rating("7", "r1", "neutral")])
    write(export / PEOPLE, [person("007"), person("7", age="31-40")])
    people = land_in(collection, export).snapshot.tables().participants
    assert sorted(people["age"]) == [("18-30",), ("31-40",)]


def test_prompt_texts_that_stand_under_several_ids_are_told(collection: Collection, export: Path) -> None:
    write(export / TEXTS, [response("r1"), response("r2", "another") | {"question_id": "q2", "prompt": "A  question "}])
    landing = land_in(collection, export)
    assert landing.noted == {SHARED: 1}
    assert landing.snapshot.manifest["counts"]["prompts"] == 2


# ---- lists and objects


def json_lines(path: Path, rows: list[dict[str, object]]) -> Codebook:
    """The English codebook, whose participants are in a file of JSON Lines."""
    path.write_text("\n".join(map(json.dumps, rows)))
    return EN.model_copy(update={"participants": EN.participants.model_copy(update={"file": path.name})})


def test_columns_of_lists_or_objects_are_refused_all_at_once_without_a_value(
    collection: Collection, export: Path
) -> None:
    rows = [person("x") | {"participant_id": ["ann-1"], "gender_identity": {"self": "woman"}} for _ in range(2)]
    book = json_lines(export / "people.jsonl", rows)
    message = (
        "people.jsonl: column gender_identity: an object where one answer is expected (2 rows); "
        "people.jsonl: column participant_id: a list where an id is expected (2 rows)"
    )
    for read in (
        lambda: land_in(collection, export, codebooks=(book,)),
        lambda: load_ratings(DIMENSIONS, [book], export),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert sorted(str(caught.value).split("; ")) == sorted(message.split("; "))
    assert collection.latest() is None


def test_a_list_or_an_object_among_others_costs_its_cell_or_its_row(collection: Collection, export: Path) -> None:
    rows = [person("ann-1"), person("bob-2") | {"age": ["18-30"], "ethnicity": ["White", "Asian"]}]
    book = json_lines(export / "people.jsonl", [*rows, person("x") | {"participant_id": {"id": 1}}])
    landing = land_in(collection, export, codebooks=(book,))
    assert rejected(landing) == [
        ("people.jsonl", 2, "age", '["18-30"]', "a list where one answer is expected"),
        ("people.jsonl", 3, "participant_id", "", "an object where an id is expected"),
    ]
    people = landing.snapshot.tables().participants
    assert sorted(people[["age", "ethnicity"]].to_numpy().tolist()) == [
        [(), ("White", "Asian")],
        [("18-30",), ("White",)],
    ]


def test_a_text_that_looks_like_json_is_a_text_and_a_list_is_none(collection: Collection, export: Path) -> None:
    rows = [response("r1", "[1, 2]"), response("r2", '{"a": 1}'), response("r3") | {"response": ["a", "b"]}]
    (export / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    book = EN.model_copy(update={"responses": EN.responses.model_copy(update={"file": "texts.jsonl"})})
    landing = land_in(collection, export, codebooks=(book,))
    assert rejected(landing) == [("texts.jsonl", 3, "response", "", "a list where a text is expected")]
    assert landing.snapshot.tables().responses["response"].tolist() == ["[1, 2]", '{"a": 1}']


# ---- links


def test_a_link_that_leads_out_of_the_export_is_refused_unread(
    tmp_path: Path, collection: Collection, export: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("participant_id,this is the key\n")
    (export / RATINGS).unlink()
    (export / RATINGS).symlink_to(secret)
    with pytest.raises(
        InputError, match=r"df_ratings\.csv: a link that leads out of the export; it is not read"
    ) as caught:
        land_in(collection, export)
    assert "this is the key" not in str(caught.value)
    with pytest.raises(InputError, match="leads out"):  # where it has become a link since it was looked at
        read_source(export / RATINGS, ["participant_id"], within=export)
    (tmp_path / "link").symlink_to(export)
    with pytest.raises(InputError, match="link: a link, which is not followed; name what it leads to"):
        land_in(collection, tmp_path / "link")
    assert collection.latest() is None


def test_a_folder_that_is_a_link_is_refused_and_a_link_within_the_export_counts(
    tmp_path: Path, collection: Collection, export: Path
) -> None:
    (export / "texts").mkdir()
    (export / TEXTS).rename(export / "texts" / "one.csv")
    (export / TEXTS).symlink_to(export / "texts" / "one.csv")
    assert land_in(collection, export).fresh
    book = EN.model_copy(update={"responses": EN.responses.model_copy(update={"file": "texts/one.csv"})})
    (export / "texts").rename(tmp_path / "elsewhere")
    (export / "texts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"texts/one\.csv: a link that leads out of the export"):
        land_in(collection, export, codebooks=(book,))


def test_a_pipe_is_no_file_and_is_not_waited_for(collection: Collection, export: Path) -> None:
    (export / RATINGS).unlink()
    os.mkfifo(export / RATINGS)
    with pytest.raises(InputError, match=r"df_ratings\.csv: no such file"):
        land_in(collection, export)
    with pytest.raises(InputError, match=r"df_ratings\.csv: not a regular file"):
        load_ratings(DIMENSIONS, [EN], export)
    with pytest.raises(InputError, match=r"df_ratings\.csv: neither a file nor a folder"):
        land_in(collection, export / RATINGS)


# ---- what does not, rule by rule


def test_an_unknown_label_costs_its_rating_only(collection: Collection, export: Path) -> None:
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", "agre", "agree")))
    assert rejected(landing) == [(RATINGS, 5, "rating_toxicity", "agre", "unknown label")]
    assert details(landing) == ["allowed: strongly disagree, disagree, neutral, agree, strongly agree"]
    assert answers(collection)[-1] == [0, 4]
    assert row_counts(landing, "ratings")["kept"] == 4


def test_a_label_of_the_other_questionnaire_is_told_as_one_of_the_wrong_language(
    collection: Collection, export: Path
) -> None:
    write_export(export, DE, [rating("p-de", "r1", "Agree", "neutral", **CHECKS)], [german("p-de")], [response("r1")])
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", "stimme zu")), codebooks=(EN, DE))
    reason = "label of the wrong language"
    assert rejected(landing) == [
        (RATINGS, 5, "rating_toxicity", "stimme zu", reason),
        (DE.ratings.file, 2, "rating_toxicity", "Agree", reason),
    ]
    assert details(landing)[0].startswith("known to survey-app-de (de); allowed: strongly disagree")
    assert land_in(collection, export).reasons == {"unknown label": 1}  # without a codebook that knows it


def test_a_failed_attention_check_costs_the_row_and_is_no_fault(collection: Collection, export: Path) -> None:
    rows = [rating("p-de", "r1", "stimme zu", **CHECKS)]
    rows += [rating("p-de", "r2", "stimmt nicht", **(CHECKS | {"attention2": "neutral", "attention3": ""}))]
    write_export(export, DE, rows, [german("p-de")], [response("r1"), response("r2")])
    landing = land_in(collection, export, codebooks=(DE,), strict=True)
    assert rejected(landing) == [(DE.ratings.file, 3, "attention2", "neutral", "attention check failed")]
    assert details(landing) == ["passes: stimme voll zu"]
    assert row_counts(landing, "ratings") == {"read": 2, "kept": 1, "repeated": 0, "rejected": 1, "dropped": 0}


def test_a_row_without_an_answer_is_dropped_and_counted(collection: Collection, export: Path) -> None:
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", " ", "")))
    assert rejected(landing) == []
    assert landing.dropped == {"no answer on any dimension": 1}
    assert row_counts(landing, "ratings") == {"read": 4, "kept": 3, "repeated": 0, "rejected": 0, "dropped": 1}


def test_the_same_rating_again_is_dropped_and_counted(collection: Collection, export: Path) -> None:
    landing = land_in(collection, with_rows(export, rating("ann-1", "r1", "agree", "neutral")))
    assert rejected(landing) == []
    assert landing.dropped == {"rated twice alike": 1}
    assert len(answers(collection)) == 3


def test_of_different_ratings_of_the_same_the_first_counts(collection: Collection, export: Path) -> None:
    # Row 5 repeats toxicity and differs on awareness; row 6 differs from the first, not from row 5.
    again = rating("ann-1", "r1", "agree", "agree"), rating("ann-1", "r1", "", "agree")
    landing = land_in(collection, with_rows(export, *again, rating("ann-1", "r2", "", "agree")))
    reason = "rated twice with different values (the first counts)"
    column = "rating_emotional_awareness"
    assert rejected(landing) == [(RATINGS, 5, column, "agree", reason), (RATINGS, 6, column, "agree", reason)]
    assert details(landing) == ["the first is row 2"] * 2
    assert landing.dropped == {"rated twice alike": 1}
    assert answers(collection)[:2] == [[4, 3], [2, 4]]  # what the first row left open, a later one may add
    assert row_counts(landing, "ratings") == {"read": 6, "kept": 4, "repeated": 0, "rejected": 2, "dropped": 0}


def test_a_rating_of_an_unknown_response_is_rejected(collection: Collection, export: Path) -> None:
    landing = land_in(collection, with_rows(export, rating("bob-2", "r9", "agree")))
    assert rejected(landing) == [(RATINGS, 5, "prompt_id", "r9", "unknown response")]
    assert details(landing) == [f"{TEXTS} does not hold it"]


def test_who_has_no_row_among_the_participants_keeps_their_ratings_and_declares_nothing(
    tmp_path: Path, collection: Collection, export: Path
) -> None:
    landing = land_in(collection, with_rows(export, rating("eve-3", "r2", "agree"), rating("eve-3", "r1", "agree")))
    assert rejected(landing) == []
    assert landing.noted == {WITHOUT_ROW: 1}
    assert f"{WITHOUT_ROW}: 1" in lines(landing)
    assert landing.snapshot.manifest["counts"]["participants"] == 3
    assert sorted(landing.snapshot.tables().participants["age"]) == [(), ("18-30",), ("18-30",)]
    data = load_ratings(DIMENSIONS, [EN], export)
    assert (len(data.ratings), data.noted, data.participants["age"].tolist()[-1]) == (5, {WITHOUT_ROW: 1}, ())
    write(export / PEOPLE, [person("eve-3", age="31-40"), person("bob-2")])  # her row comes later, Ann's not again
    landing = land_in(collection, export)
    assert landing.noted == {}
    assert sorted(landing.snapshot.tables().participants["age"]) == [("18-30",), ("18-30",), ("31-40",)]


def test_ids_of_raters_that_no_participant_has_are_refused(collection: Collection, export: Path) -> None:
    write(export / PEOPLE, [person("1"), person("2")])
    message = f"{RATINGS}: nobody who rated in it stands in {PEOPLE}"
    for read in (lambda: land_in(collection, export), lambda: load_ratings(DIMENSIONS, [EN], export)):
        with pytest.raises(InputError, match=message) as caught:
            read()
        assert "ann" not in str(caught.value)


def test_what_an_earlier_landing_brought_is_known(tmp_path: Path, collection: Collection, export: Path) -> None:
    land_in(collection, export)
    later = tmp_path / "later"
    later.mkdir()
    write_export(later, EN, [rating("ann-1", "r3", "agree"), rating("cat-3", "r1", "agree")], [person("cat-3")],
                 [response("r3")])  # fmt: skip
    assert rejected(land_in(collection, later)) == []
    assert len(answers(collection)) == 5


def test_who_contradicts_themselves_has_not_declared_that_attribute_and_their_ratings_count(
    collection: Collection, export: Path
) -> None:
    people = [person("ann-1"), person("bob-2"), person("ann-1", age="31-40"), person("bob-2", ethnicity='["Asian"]')]
    people += [person("ann-1", age="", ethnicity='["White", "White"]')]
    write(export / PEOPLE, people)
    landing = land_in(collection, export)
    reason = "contradicts an earlier row (counts as not declared)"
    assert rejected(landing) == [
        (PEOPLE, 4, "age", "31-40", reason), (PEOPLE, 5, "ethnicity", '["Asian"]', reason),
    ]  # fmt: skip
    assert details(landing) == ["the first is row 2", "the first is row 3"]
    people = landing.snapshot.tables().participants
    assert sorted(people[["age", "ethnicity"]].to_numpy().tolist()) == [[(), ("White",)], [("18-30",), ()]]
    assert people["gender"].tolist() == [("she/her/hers",)] * 2
    assert len(answers(collection)) == 3
    assert row_counts(landing, "participants") == {"read": 5, "kept": 2, "repeated": 1, "rejected": 2, "dropped": 0}


def test_an_empty_cell_contradicts_nothing_and_takes_nothing_back(collection: Collection, export: Path) -> None:
    silent = {"age": " ", "ethnicity": "[]", "gender_identity": "\u00a0"}
    write(export / PEOPLE, [person("ann-1", **silent), person("ann-1"), person("bob-2"), person("bob-2", **silent)])
    declared = [["18-30"], ["White"], ["she/her/hers"]]
    columns = ["age", "ethnicity", "gender"]
    landing = land_in(collection, export, strict=True)
    assert landing.rejected.empty
    for people in (landing.snapshot.tables().participants, load_ratings(DIMENSIONS, [EN], export).participants):
        assert [[list(terms) for terms in row] for row in people[columns].to_numpy()] == [declared] * 2
    write(export / PEOPLE, [person("ann-1", age="", gender_identity=""), person("bob-2")])
    assert not land_in(collection, export).fresh
    refusal = "I wish not to declare"
    write(export / PEOPLE, [person("ann-1", gender_identity=refusal), person("ann-1"), person("bob-2")])
    assert land_in(collection, export).reasons == {"contradicts an earlier row (counts as not declared)": 1}


def test_the_same_participant_again_is_no_fault(collection: Collection, export: Path) -> None:
    both = '["White", "Asian"]', '["Asian", "White"]'
    write(export / PEOPLE, [person("ann-1", ethnicity=both[0]), person("bob-2"), person("ann-1", ethnicity=both[1])])
    landing = land_in(collection, export)
    assert rejected(landing) == []
    assert row_counts(landing, "participants") == {"read": 3, "kept": 2, "repeated": 1, "rejected": 0, "dropped": 0}


def test_who_does_not_declare_lands(collection: Collection, export: Path) -> None:
    write(export / PEOPLE, [person("ann-1", age="", gender_identity="I WISH not to declare"), person("bob-2")])
    landing = land_in(collection, export)
    assert rejected(landing) == []
    people = landing.snapshot.tables().participants
    assert sorted(people["gender"]) == [(), ("she/her/hers",)]
    assert sorted(people["age"]) == [(), ("18-30",)]


def test_an_answer_that_the_codebook_does_not_know_counts_as_not_declared(collection: Collection, export: Path) -> None:
    write(export / PEOPLE, [person("ann-1", age="17"), person("bob-2", ethnicity="White, Asian")])
    landing = land_in(collection, export)
    assert rejected(landing) == [
        (PEOPLE, 2, "age", "17", "unknown answer"),
        (PEOPLE, 3, "ethnicity", "White, Asian", "not a JSON list of texts"),
    ]
    assert details(landing) == ["allowed: 18-30, 31-40, 41-50, 51-60, 60<", ""]
    people = landing.snapshot.tables().participants
    assert sorted(people[["age", "ethnicity"]].to_numpy().tolist()) == [[(), ("White",)], [("18-30",), ()]]
    assert len(answers(collection)) == 3


def test_a_cell_that_can_not_be_read_contradicts_nothing(collection: Collection, export: Path) -> None:
    people = [person("ann-1", age="17"), person("bob-2"), person("ann-1"), person("ann-1", ethnicity="[")]
    write(export / PEOPLE, people)
    landing = land_in(collection, export)
    assert landing.reasons == {"unknown answer": 1, "not a JSON list of texts": 1}
    people = landing.snapshot.tables().participants
    assert people[["age", "ethnicity"]].to_numpy().tolist() == [[("18-30",), ("White",)]] * 2


def test_a_cell_that_can_not_be_read_takes_nothing_back_and_not_declaring_does(
    collection: Collection, export: Path
) -> None:
    land_in(collection, export)
    write(export / PEOPLE, [person("ann-1", age="17", ethnicity="[]"), person("bob-2")])
    landing = land_in(collection, export)
    assert landing.changes["participants"].superseded == 1
    people = landing.snapshot.tables().participants
    assert people["age"].tolist() == [("18-30",)] * 2
    assert sorted(people["ethnicity"]) == [(), ("White",)]


def test_of_several_answers_those_that_are_known_count(collection: Collection, export: Path) -> None:
    write_export(export, DE, [rating("p-de", "r1", "stimme zu", **CHECKS)],
                 [german("p-de", ethnicity='["Weiss", "Grün"]')], [response("r1")])  # fmt: skip
    landing = land_in(collection, export, codebooks=(DE,))
    assert landing.reasons == {"unknown answer": 1}
    assert landing.snapshot.tables().participants["ethnicity"].tolist() == [("White",)]


def test_a_response_without_a_text_is_rejected_and_so_are_its_ratings(collection: Collection, export: Path) -> None:
    write(export / TEXTS, [response("r1"), response("r2", "  ")])
    landing = land_in(collection, export)
    assert rejected(landing) == [
        (TEXTS, 3, "response", "  ", "empty response text"),
        (RATINGS, 3, "prompt_id", "r2", "rating of a rejected response"),
    ]
    assert len(answers(collection)) == 2


def test_of_two_texts_of_a_response_the_first_counts(collection: Collection, export: Path) -> None:
    write(export / TEXTS, [response("r1"), response("r2"), response("r1", "other"), response("r2")])
    landing = land_in(collection, export)
    reason = "another text for the same response (the first counts)"
    assert rejected(landing) == [(TEXTS, 4, "prompt_id", "r1", reason)]
    assert details(landing) == ["the first is row 2"]
    assert row_counts(landing, "responses") == {"read": 4, "kept": 2, "repeated": 1, "rejected": 1, "dropped": 0}


@pytest.mark.parametrize(
    ("participant", "response_id", "expected"),
    [
        ("", "r1", ("participant_id", "", "empty id")),
        ("  ", "r1", ("participant_id", "", "empty id")),
        ("bob\x00-2", "r1", ("participant_id", "", "control character in an id")),
        ("bob-2\n", "r1", ("participant_id", "", "control character in an id")),
        ("bob-2", "", ("prompt_id", "", "empty id")),
        ("bob-2", "r\x1b1", ("prompt_id", "r\\x1b1", "control character in an id")),
    ],
)
def test_an_id_that_is_none_costs_the_row(
    collection: Collection, export: Path, participant: str, response_id: str, expected: tuple[str, str, str]
) -> None:
    landing = land_in(collection, with_rows(export, rating(participant, response_id, "agree", "nonsense")))
    assert rejected(landing) == [(RATINGS, 5, *expected)]


def test_rows_that_can_not_be_read_are_rejected_without_a_word_of_them(collection: Collection, export: Path) -> None:
    with (export / RATINGS).open("ab") as file:
        file.write(b'caf\xe9,r1,q1,agree,agree\nbob-2,r2,q1,agree\nbob-2,r2,q1,agree,"neu')
    landing = land_in(collection, export)
    assert rejected(landing) == [
        (RATINGS, 5, "", "", "not UTF-8"), (RATINGS, 6, "", "", "wrong number of fields"),
        (RATINGS, 7, "", "", "not CSV"),
    ]  # fmt: skip
    assert row_counts(landing, "ratings") == {"read": 6, "kept": 3, "repeated": 0, "rejected": 3, "dropped": 0}


def test_a_recruitment_platforms_ids_are_refused_without_the_id(collection: Collection, export: Path) -> None:
    for found in ("5f3c2a1b9d8e7f6a5b4c3d2e", "A1B2C3D4E5F6G7", '["Asian", "A1B2C3D4E5F6G7H"]'):
        write(export / PEOPLE, [person("ann-1"), person("bob-2", ethnicity=found)])
        with pytest.raises(
            InputError, match="row 3, column ethnicity: looks like a recruitment platform's id"
        ) as caught:
            land_in(collection, export)
        assert found.strip('[]"')[-10:] not in str(caught.value)
    assert collection.latest() is None
    write(export / PEOPLE, [person("ann-1"), person("bob-2", ethnicity='["ANTIGUABARBUDA"]')])  # a word, not an id
    assert land_in(collection, export).fresh


def test_texts_that_look_like_code_stay_texts(collection: Collection, export: Path) -> None:
    texts = {"r1": "<script>alert(1)</script>", "r2": "=CMD|' /C calc'!A0"}
    write(export / TEXTS, [response(name, text) for name, text in texts.items()])
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", "=1+1", "@SUM(A1)")))
    kept = landing.snapshot.tables().responses.set_index("response_id")["response"].to_dict()
    assert kept == texts
    assert [cell[3] for cell in rejected(landing)] == ["=1+1", "@SUM(A1)"]
    for_people = pd.read_csv(landing.folder / "rejected.csv")
    assert for_people["value"].tolist() == ["'=1+1", "'@SUM(A1)"]
    assert land_in(collection, export).snapshot.id == landing.snapshot.id


# ---- refusing


def test_strict_refuses_everything_and_tells_how_many_and_the_first(collection: Collection, export: Path) -> None:
    with_rows(export, rating("bob-2", "r2", "agre", "agreee"), rating("bob-2", "r9", "agree"))
    with pytest.raises(InputError) as caught:
        land_in(collection, export, strict=True)
    (folder,) = (collection.path / "landings").iterdir()
    allowed = "allowed: strongly disagree, disagree, neutral, agree, strongly agree"
    assert str(caught.value) == (
        "2 of 9 rows can't be used; the first: "
        f"df_ratings.csv: row 5, column rating_toxicity: unknown 'agre'; {allowed}; "
        f"df_ratings.csv: row 5, column rating_emotional_awareness: unknown 'agreee'; {allowed}; "
        "df_ratings.csv: row of response 'r9' that df_prompts.csv does not hold (1 such rows); all of them: "
        + str(folder / "rejected.csv")
    )
    assert collection.latest() is None
    assert len(pd.read_csv(folder / "rejected.csv")) == 3
    assert "refused" in json.loads((folder / "summary.json").read_text())


def test_an_export_of_which_nothing_can_be_used_is_refused(collection: Collection, export: Path) -> None:
    write(export / RATINGS, [rating("ann-1", "r1", "oui"), rating("bob-2", "r9", "agree")])
    with pytest.raises(
        InputError, match=r"no rating can be used; the first: df_ratings\.csv: row 2, column rating_tox"
    ):
        land_in(collection, export)
    header = (export / RATINGS).read_text().splitlines()[0]
    (export / RATINGS).write_text(header)
    with pytest.raises(InputError, match=r"df_ratings\.csv: no rating in it can be used"):
        land_in(collection, export)
    assert collection.latest() is None


def test_a_folder_without_a_codebooks_files_or_with_some_of_them_is_told(collection: Collection, export: Path) -> None:
    assert land_in(collection, export, codebooks=(EN, DE)).absent == ["survey-app-de"]
    (export / PEOPLE).unlink()
    with pytest.raises(InputError, match=r"df_participants\.csv: no such file; the codebook survey-app-en needs it"):
        land_in(collection, export, codebooks=(EN, DE))
    with pytest.raises(InputError, match=r"none of the codebooks' files is there; expected df_ratings_german\.csv"):
        land_in(collection, export, codebooks=(DE,))
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        land_in(collection, export / "nowhere")
    with pytest.raises(InputError, match="a single file needs one codebook with all tables in it"):
        land_in(collection, export / RATINGS)


def test_another_secret_is_refused(collection: Collection, export: Path) -> None:
    land_in(collection, export)
    with pytest.raises(InputError, match="'mine': the secret is not the one that it was landed with"):
        land(collection, [export], [EN], b"another key, as long")


# ---- from landing to landing


def test_the_same_export_again_makes_no_snapshot_and_says_so(collection: Collection, export: Path) -> None:
    with_rows(export, rating("bob-2", "r2", "agre"), rating("bob-2", "r2", ""))
    first = land_in(collection, export)
    again = land_in(collection, export)
    assert not again.fresh
    assert again.snapshot == first.snapshot
    assert [snapshot.id for snapshot in collection.snapshots()] == [first.snapshot.id]
    assert again.reasons == {"unknown label": 1}
    assert len(list((collection.path / "landings").glob("*/rejected.csv"))) == 2
    assert not any(change.added or change.superseded for change in again.changes.values())


def test_a_new_value_corrects_and_keeps_its_place(collection: Collection, export: Path) -> None:
    first = land_in(collection, export).snapshot
    edit(export / RATINGS, "agree,neutral", "neutral,agree")
    edit(export / PEOPLE, "18-30", "31-40")
    edit(export / TEXTS, "another", "yet another")
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", "agree")))
    assert {name: (change.added, change.superseded) for name, change in landing.changes.items()} == {
        "ratings": (1, 2), "participants": (0, 2), "responses": (0, 1),
    }  # fmt: skip
    assert answers(collection, "order") == [[0, 3, 4], [1, 2, 0], [2, 5, 0], [3, 4, 0]]
    assert landing.snapshot.manifest["parents"] == [first.id]
    assert landing.snapshot.manifest["counts"]["superseded"] == 2
    assert first.tables().responses["response"].tolist() == ["a text", "another"]  # the first one is as it was


def test_an_empty_cell_takes_nothing_back(collection: Collection, export: Path) -> None:
    land_in(collection, export)
    edit(export / RATINGS, "agree,neutral", "agree,")
    assert not land_in(collection, export).fresh
    assert answers(collection)[0] == [4, 3]


def test_a_value_that_is_put_back_makes_the_earlier_snapshot_the_latest(collection: Collection, export: Path) -> None:
    first = land_in(collection, export).snapshot
    edit(export / RATINGS, "agree,neutral", "agree,agree")
    second = land_in(collection, export).snapshot
    edit(export / RATINGS, "agree,agree", "agree,neutral")
    third = land_in(collection, export)
    assert third.fresh
    assert third.snapshot == first != second
    assert len(collection.snapshots()) == 2


def test_exports_that_land_together_are_interleaved_after_what_there_is(
    tmp_path: Path, collection: Collection, export: Path
) -> None:
    land_in(collection, export)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, people in zip(folders, (["x-1", "x-2", "x-3", "x-4"], ["y-1", "y-2"]), strict=True):
        folder.mkdir()
        rows = [rating(name, "r1", "agree" if name[0] == "x" else "disagree") for name in people]
        write_export(folder, EN, rows, [person(name) for name in people], [response("r1")])
    landing = land_in(collection, *folders)
    # places of four ⅛ ⅜ ⅝ ⅞ and of two ¼ ¾: x y x x y x
    assert [row[1] for row in answers(collection, "order")] == [4, 2, 5, 4, 2, 4, 4, 2, 4]
    assert [row["file"] for row in landing.rows if row["table"] == "ratings"] == [
        "a/df_ratings.csv",
        "b/df_ratings.csv",
    ]


def test_of_exports_that_land_together_the_later_one_corrects(
    tmp_path: Path, collection: Collection, export: Path
) -> None:
    later = tmp_path / "later" / "export"
    later.mkdir(parents=True)
    write_export(later, EN, [rating("ann-1", "r1", "disagree")], [person("ann-1")], [response("r1")])
    landing = land_in(collection, export, later)
    assert (landing.changes["ratings"].added, landing.changes["ratings"].superseded) == (4, 1)
    assert answers(collection)[0] == [2, 3]
    assert len({row["file"] for row in landing.rows}) == 6  # folders of the same name are told by their paths


def test_what_was_lost_counts_once_however_often_it_lands(collection: Collection, export: Path) -> None:
    with_rows(export, rating("bob-2", "r2", "agre"), rating("bob-2", "r2", "agre"), rating("ann-1", "r1", "agree"))
    land_in(collection, export)
    landing = land_in(collection, with_rows(export, rating("bob-2", "r2", "neutral"), rating("bob-2", "r9", "agree")))
    assert landing.fresh
    data = snapshot_data(landing.snapshot, DIMENSIONS, [EN])
    assert data.dropped == {"unknown label": 2, "rated twice alike": 1, "unknown response": 1}


def test_rows_without_an_answer_on_the_studys_dimensions_are_dropped_and_counted(
    collection: Collection, export: Path
) -> None:
    data = snapshot_data(land_in(collection, export).snapshot, ["emotional-awareness"], [EN])
    assert data.ratings["emotional-awareness"].tolist() == [3]
    assert data.dropped == {"no answer on any dimension": 2}


def test_a_manifest_says_where_a_snapshot_comes_from(collection: Collection, export: Path) -> None:
    with_rows(export, rating("bob-2", "r2", "agre"), rating("bob-2", "r2", ""))
    manifest = land_in(collection, export).snapshot.manifest
    assert manifest["codebooks"]["survey-app-en"]["version"] == 1
    assert manifest["parents"] == []
    assert set(manifest["exports"]["files"]) == {RATINGS, PEOPLE, TEXTS}
    assert manifest["counts"] == {
        "ratings": 4, "participants": 2, "responses": 2, "prompts": 1, "added": 4, "superseded": 0,
        "dropped": 1, "rejected": 1,
    }  # fmt: skip


# ---- killed, and at once


@pytest.mark.parametrize("moment", ["latest", *(pytest.param(file, marks=pytest.mark.slow) for file in FILES)])
def test_a_landing_that_is_killed_leaves_the_latest_snapshot_whole_and_the_next_one_lands(
    tmp_path: Path, collection: Collection, export: Path, moment: str
) -> None:
    first = land_in(collection, export).snapshot
    with_rows(export, rating("bob-2", "r2", "agree"))
    _kill_at(moment, tmp_path, collection, export)
    assert collection.latest() == first
    assert len(first.tables().ratings) == 3
    landing = land_in(collection, export)
    assert landing.fresh
    assert len(answers(collection)) == 4
    assert not list(collection.path.rglob("*.partial"))


def _kill_at(moment: str, tmp_path: Path, collection: Collection, export: Path) -> None:
    """Land in a child, and kill it once it begins to write the file `moment`."""
    reached = tmp_path / f"reached-{moment}"
    child = multiprocessing.get_context("spawn").Process(
        target=_land_slowly, args=(moment, reached, collection, export)
    )
    child.start()
    until(reached.exists, f"the writing of {moment}")
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()


def _land_slowly(moment: str, reached: Path, collection: Collection, export: Path) -> None:
    from tasks.ratings.landing import snapshot

    to_parquet = pd.DataFrame.to_parquet

    def wait(path: Path) -> None:
        if path.name == moment:
            reached.touch()
            time.sleep(2 * PATIENCE)

    def slow_parquet(frame: pd.DataFrame, path: Path, **options: object) -> None:
        to_parquet(frame, path, **options)
        wait(path)

    def slowly(write: Callable[[Path, Any], None]) -> Callable[[Path, Any], None]:
        return lambda path, content: (wait(path), write(path, content))[1]

    pd.DataFrame.to_parquet = slow_parquet  # type: ignore[assignment]
    for name in ("write_atomically", "write_sealed"):
        setattr(snapshot, name, slowly(getattr(snapshot, name)))
    land(collection, [export], [EN], KEY)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three exports, each of fifty participants of its own."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
        people = [f"{folder.name}-{n}" for n in range(50)]
        ratings = [rating(name, "r1", "agree") for name in people]
        write_export(folder, EN, ratings, [person(name) for name in people], [response("r1")])
    return folders


def test_landings_at_once_all_end_up_in_the_latest_snapshot(collection: Collection, folders: list[Path]) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda folder: land_in(collection, folder), folders))
    check_all_landed(collection)


@pytest.mark.slow
def test_landings_of_processes_at_once_do_too(collection: Collection, folders: list[Path]) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=land_in, args=(collection, folder)) for folder in folders]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    check_all_landed(collection)


def check_all_landed(collection: Collection) -> None:
    assert sorted(row[0] for row in answers(collection, "order")) == list(range(150))
    assert len(collection.snapshots()) == 3


# ---- nobody's id


def test_no_participants_id_is_written_anywhere(
    tmp_path: Path, collection: Collection, export: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planted = ["5f3c2a1b9d8e7f6a5b4c3d2e", "Zoë-Müller-1987", "A1B2C3D4E5F6G7", "p-17"]
    people = [person(name) for name in planted] + [person(planted[0], age="31-40"), person("", age="18-30")]
    people += [person(planted[1], age=f"x {planted[2].lower()} y"), person("caf\x07" + planted[3])]
    good = [rating(name, "r1", "agree", "neutral") for name in planted]
    bad = [
        rating("r1", planted[0], "agree"),
        rating(planted[0], "r1", planted[1], "agre"),
        rating(planted[0], "r9", "agree"),
    ]
    bad += [rating(planted[1], "r1", f"x{planted[1].upper()}x"), rating(planted[3], "r2", f"=({planted[3]})")]
    bad += [rating(planted[2], "r1", "x" * 75 + planted[2]), rating("nobody-at-all", "r1", "agree")]
    write_export(export, EN, good + bad, people, [response("r1"), response("r2")])
    with (export / RATINGS).open("ab") as file:
        file.write(f'{planted[0]},r1\n{planted[1]},r1,q1,agree,"'.encode())
    landing = land_in(collection, export)
    assert len(landing.rejected) >= 12
    with pytest.raises(InputError) as caught:
        land_in(collection, export, strict=True)
    told = [str(caught.value), caplog.text, landing.rejected.to_csv(), str(landing), json.dumps(landing.rows)]
    files = [path for path in collection.path.rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        told.append(path.read_bytes().decode("utf-8", "replace"))
        if path.suffix == ".parquet":
            told.append(pd.read_parquet(path).to_csv())
    for name in [*planted, "nobody-at-all"]:
        for text in told:
            assert name.casefold() not in text.casefold()


def test_the_same_id_in_two_questionnaires_is_two_people(collection: Collection, export: Path) -> None:
    write_export(export, DE, [rating("ann-1", "r1", "stimme zu", **CHECKS)], [german("ann-1")], [response("r1")])
    people = land_in(collection, export, codebooks=(EN, DE)).snapshot.tables().participants
    assert people["participant_id"].is_unique
    assert len(people) == 3
    assert people["participant_id"].str.fullmatch("[0-9a-f]{20}").all()
