"""What tools do to a table that its columns' names alone don't tell: `init` sees it in what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import InputError
from tests.tasks.starting.tables import Row, flat, people, sentence, write
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


def test_answers_in_a_list_beside_the_place_of_the_one_that_was_chosen_are_compared(tmp_path: Path) -> None:
    rows = [
        {
            "info": {"title": f"a title, of {n % 3} only", "post": f"{sentence(n, 'post')} {sentence(n + 1, 'and')}"},
            "summaries": [{"text": sentence(2 * n + k, "answer"), "policy": "ab"[k]} for k in range(2)],
            "choice": (n * n) % 2,
            "worker": f"w{n % 5}",
        }
        for n in range(30)
    ]  # fmt: skip
    made = init(tmp_path, rows, "comparisons.jsonl")
    assert dict(made.codebook.ratings.labels) == {"0": "response-0", "1": "response-1"}
    assert made.data.compared or made.codebook.ratings.sides
    assert len(made.data.ratings) == 60
    assert made.codebook.responses.prompt_text == "info.post"


def test_names_in_two_lines_are_asked_to_be_put_into_one(tmp_path: Path) -> None:
    path = tmp_path / "survey.csv"
    path.write_text(
        "Respondent ID,How good is it?,,\n,first answer,second answer,third answer\n118,Agree,Disagree,Agree\n"
    )
    with pytest.raises(InputError, match="2 columns have no name in the first line; where names stand in two lines"):
        Init(path, output=tmp_path / "out")


def test_a_long_number_that_is_an_id_is_no_time_and_the_row_of_response_is_nobody(tmp_path: Path) -> None:
    questions = [f"Is answer {n} helpful? [it]" for n in range(6)]
    rows: list[Row] = [{"Respondent ID": "", "Gender": "Response"} | dict.fromkeys(questions, "Response")]
    rows += [
        {"Respondent ID": 118003141592 + k, "Gender": ("woman", "man")[k % 2]}
        | {name: ["Disagree", "Neutral", "Agree"][(k * n + k) % 3] for n, name in enumerate(questions)}
        for k in range(12)
    ]
    made = init(tmp_path, rows)
    assert made.codebook.ratings.participant == "Respondent ID"
    assert made.data.participants["participant_id"].nunique() == 12
    assert list(made.codebook.ratings.labels) == ["Disagree", "Neutral", "Agree"]


def test_more_answers_than_things_asked_about_each_are_what_was_rated(tmp_path: Path) -> None:
    asked = ("Helpful", "Polite")
    rows = [
        {"Respondent ID": f"r{k}"}
        | {f"{sentence(n, 'answer')} [{what}]": (k * n + k + len(what)) % 5 + 1 for n in range(8) for what in asked}
        for k in range(12)
    ]
    made = init(tmp_path, rows)
    assert set(made.codebook.ratings.dimensions) == {"helpful", "polite"}
    assert made.data.responses["response_id"].nunique() == 8


def test_a_scale_that_is_shorter_is_not_stretched_and_directions_that_do_not_fit_are_told(tmp_path: Path) -> None:
    rows = [
        {
            "annotator_id": f"a{k}",
            "text": sentence(n, "comment"),
            "insult": (k * n + k) % 5,
            "respect": ((k * n + k) % 5 + (n % 7 == 0)) % 5,
            "hatespeech": (k * n) % 3,
        }
        for k in range(20)
        for n in range(10)
    ]
    made = init(tmp_path, rows)
    assert set(made.codebook.ratings.dimensions) == {"insult", "respect"}
    assert "'hatespeech' has another scale, and needs a codebook and a study of their own" in made.printed
    assert "'respect'" in made.printed.split("rise together")[0].splitlines()[-1]


def test_what_the_ordinal_models_leave_out_is_told_and_boxes_to_tick_are_not_read(tmp_path: Path) -> None:
    asked = ("gender", "age group", "education", "income", "religion", "race", "country", "party", "region")
    rows = [
        {"rater": f"r{k}", "text": sentence(n, "comment"), "quality": (k * n + k) % 5 + 1, "gender men": k % 2 == 0}
        | {name: ("one", "two")[(k // (place + 1)) % 2] for place, name in enumerate(asked)}
        for k in range(48)
        for n in range(k % 3, 12, 3)
    ]
    made = init(tmp_path, rows)
    assert "gender-men" not in made.codebook.participants.attributes
    assert len(made.study.survey.reference) == 8
    assert "'region' are not in them, since they would be too many: see survey.reference" in made.printed
