"""What tools do to a table that its columns' names alone don't tell: `init` sees it in what stands there."""

from __future__ import annotations

from pathlib import Path

from tests.tasks.starting.tables import flat, people, sentence, write
from tests.tasks.starting.test_init import Init, init

HARM = ["Not at all harmful", "Slightly harmful", "Very harmful"]


def test_a_question_with_rows_is_one_dimension_and_its_rows_are_what_was_rated(tmp_path: Path) -> None:
    columns = {f"How harmful is it? [{sentence(n, 'answer')}]": n for n in range(6)}
    rows = [
        {"Timestamp": f"2026/03/{k + 1:02d} 10:00:00 AM GMT+1", "What is your gender?": ("woman", "man")[k % 2]}
        | {name: HARM[(k * n + n) % 3] for name, n in columns.items()}
        for k in range(12)
    ]
    made = init(tmp_path, rows)
    assert len(made.data.ratings) == 12 * 6
    assert made.data.ratings["participant_id"].nunique() == 12
    assert set(made.data.responses["response"]) == {sentence(n, "answer") for n in range(6)}
    assert dict(made.codebook.ratings.labels) == {label: k for k, label in enumerate(HARM, 1)}
    assert "each row of the file is one person" in made.printed


def test_files_of_the_same_columns_are_of_a_rater_each_where_the_same_is_rated_in_them(tmp_path: Path) -> None:
    rows = [{"id": n, "prompt": sentence(n // 2, "question"), "text": sentence(n, "answer")} for n in range(40)]
    for who in ("ann", "bob", "cleo"):
        own = [row | {"label": [str((len(who) * row["id"] + row["id"]) % 5 + 1)], "Comments": []} for row in rows]
        write(tmp_path / "data" / f"{who}.jsonl", own) if (tmp_path / "data").mkdir(exist_ok=True) is None else None
    made = Init(tmp_path / "data", output=tmp_path / "out")
    assert made.codebook.ratings.participant == "@file"
    assert sorted(made.data.participants["participant_id"].str.rpartition(":")[2]) == ["ann", "bob", "cleo"]
    assert len(made.data.ratings) == 3 * 40


def test_parts_of_one_table_are_not_taken_for_raters(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "email"} for row in flat()]
    (tmp_path / "data").mkdir()
    half = len(rows) // 2
    write(tmp_path / "data" / "part-1.csv", rows[:half])
    write(tmp_path / "data" / "part-2.csv", rows[half:])
    made = Init(tmp_path / "data", output=tmp_path / "out")
    assert made.codebook.ratings.participant == "rater_id"
    assert made.codebook.ratings.file == "part-*.csv"
    assert len(made.data.ratings) == len(rows)


def test_who_rated_is_the_id_in_whose_rows_what_people_say_of_themselves_is_the_same(tmp_path: Path) -> None:
    names = {"rater_id": "litw", "item_id": "text no", "helpfulness": "quality"}
    rows = [{names.get(name, name): value for name, value in row.items() if name != "email"} for row in flat()]
    made = init(tmp_path, [row | {"session": f"s{place // 2}"} for place, row in enumerate(rows)])
    assert made.codebook.ratings.participant == "litw"


def test_agreement_in_german_is_a_scale_and_no_text_and_the_answer_s_id_is_who_answered(tmp_path: Path) -> None:
    agreed = ["stimme gar nicht zu", "stimme eher nicht zu", "teils/teils", "stimme eher zu", "stimme voll zu"]
    rows = [
        {
            "Antwort ID": person["rater_id"],
            "Geschlecht": {"man": "männlich", "woman": "weiblich"}[person["gender"]],
            "Alter": person["age"],
            "Frage": sentence(n, "Frage"),
            "Antwort": sentence(n + 50 * (k % 2), "Antwort"),
            "Die Antwort ist hilfreich": agreed[(k * n + k) % 5],
        }
        for k, person in enumerate(people())
        for n in range(k % 4, 24, 4)
    ]
    made = init(tmp_path, rows)
    assert made.codebook.ratings.participant == "Antwort ID"
    assert dict(made.codebook.ratings.dimensions) == {"die-antwort-ist-hilfreich": "Die Antwort ist hilfreich"}
    assert dict(made.codebook.ratings.labels) == {text: place for place, text in enumerate(agreed, 1)}
    assert made.codebook.responses.response_text == "Antwort"
    assert {"mannlich", "weiblich"} <= set(made.study.strata)


def test_comments_that_many_rate_are_texts_and_those_that_differ_in_every_row_are_remarks(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"c{n}",
            "comment_text": sentence(n, "comment"),
            "contributor_id": f"w{k}",
            "toxic_score": (k * n) % 3 - 1,
            "comment": sentence(100 * n + k, "remark"),
        }
        for n in range(30)
        for k in range(5)
    ]
    made = init(tmp_path, rows)
    assert made.codebook.responses.response_text == "comment_text"
    assert made.codebook.ratings.participant == "contributor_id"
    assert '"comment"' not in made.written


def test_one_choice_in_a_list_is_a_rating_and_the_id_of_the_rating_is_not_what_was_rated(tmp_path: Path) -> None:
    rows = [
        {
            "text": sentence(n, "answer"),
            "meta": {"prompt": sentence(n // 3, "question")},
            "_task_hash": 1000 * n + k,
            "accept": [["harmless", "borderline", "harmful"][(n * k + k) % 3]],
            "_annotator_id": f"ann-{k}",
        }
        for n in range(30)
        for k in range(4)
    ]
    made = init(tmp_path, rows, "choices.jsonl")
    assert dict(made.codebook.ratings.labels) == {"harmless": 1, "borderline": 2, "harmful": 3}
    assert made.study.dimensions["accept"].better == "lower"
    assert made.data.responses["response_id"].nunique() == 30
    assert made.data.responses["prompt_id"].nunique() == 10


def test_names_beside_values_in_parallel_lists_are_dimensions(tmp_path: Path) -> None:
    rows = [
        {
            "message_id": f"m{n}",
            "user_id": f"u{n % 7}",
            "parent_id": f"p{n // 2}",
            "text": sentence(n, "answer"),
            "labels": {"name": ["quality", "toxicity"], "value": [n % 10 / 10, (7 * n) % 10 / 10]},
        }
        for n in range(60)
    ]
    made = init(tmp_path, rows, "messages.jsonl")
    assert dict(made.codebook.ratings.dimensions) == {"quality": "quality", "toxicity": "toxicity"}
    assert "parent-id" not in made.codebook.participants.attributes
    assert len(made.data.ratings) == 60
