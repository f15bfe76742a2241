"""From tables as people have them to a codebook and a study that run."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_codebook, load_study
from configs.schema import Study
from tasks.ratings.reading.load import Data, load_ratings
from tasks.ratings.study_data import StudyData
from tasks.starting import reading, tables
from tasks.starting.init import Started, start
from tasks.survey.describe import cooccurrence, disagreement, participants_table
from tasks.survey.reliability import reliability
from tests.tasks.starting.tables import Row, flat, people, ratings, responses, sentence, write


class Init:
    """What `init` made of files, read as a run reads it."""

    def __init__(self, *paths: Path, output: Path, **options: Any) -> None:
        self.started: Started = start(list(paths), output, **options)
        self.folder = output
        self.printed = "\n".join(self.started.lines)
        self.codebook = load_codebook(str(output / "codebook.yaml"))
        self.study: Study = load_study(str(output / "study.yaml"))

    @property
    def data(self) -> Data:
        assert self.started.faults == []
        return load_ratings(list(self.study.dimensions), [self.codebook], Path(str(self.study.ratings.folder)))

    @property
    def written(self) -> str:
        return (self.folder / "codebook.yaml").read_text() + (self.folder / "study.yaml").read_text()


def init(folder: Path, rows: list[Row], name: str = "export.csv", **options: Any) -> Init:
    return Init(write(folder / name, rows), output=folder / "out", **options)


# ---- shapes of tables


def test_one_flat_table_with_everything(tmp_path):
    made = init(tmp_path, flat(prompts=96))
    book, data = made.codebook, made.data
    assert (book.ratings.participant, book.ratings.response, dict(book.ratings.dimensions)) == (
        "rater_id",
        "item_id",
        {"helpfulness": "helpfulness"},
    )
    assert list(book.participants.attributes) == ["gender", "age"]
    assert len(data.ratings) == 44 * 24 * 2  # every fourth of 96 prompts, two responses each
    assert data.responses["prompt_id"].nunique() == 96
    assert made.study.dimensions["helpfulness"].better == "higher"
    assert "demographics" in made.study.experiments
    assert "woman - man" in map(str, made.study.experiments["demographics"].contrasts) or "man - woman" in map(
        str, made.study.experiments["demographics"].contrasts
    )


def test_tables_apart_are_joined_by_what_stands_in_them_whatever_the_files_are_called(tmp_path):
    write(
        tmp_path / "a.csv",
        [{"annotator": row["rater_id"], "task": row["item_id"], "score": row["helpfulness"]} for row in ratings()],
    )
    write(
        tmp_path / "b.csv",
        [{"worker code": row["rater_id"], "gender": row["gender"], "age": row["age"]} for row in people()],
    )
    write(
        tmp_path / "c.jsonl",
        [{"key": row["item_id"], "question": row["prompt"], "answer": row["response"]} for row in responses()],
    )
    made = Init(tmp_path, output=tmp_path / "out")
    book = made.codebook
    assert book.files == ["a.csv", "b.csv", "c.jsonl"]
    assert (book.participants.participant, book.responses.response) == ("worker code", "key")
    assert (book.responses.prompt_text, book.responses.response_text) == ("question", "answer")
    assert len(made.data.participants) == 44


def test_long_ratings_have_a_column_that_says_what_a_row_is_about(tmp_path):
    rows = [
        {
            "rater": row["rater_id"],
            "item": row["item_id"],
            "question": question,
            "answer": (row["helpfulness"] + shift) % 5 + 1,
        }
        for row in ratings()
        for shift, question in enumerate(("How helpful is it?", "How toxic is it?"))
    ]
    made = init(tmp_path, rows)
    assert made.codebook.ratings.dimension == "question"
    assert set(made.codebook.ratings.dimensions.values()) == {"How helpful is it?", "How toxic is it?"}
    better = {made.codebook.ratings.dimensions[name]: one.better for name, one in made.study.dimensions.items()}
    assert better == {"How helpful is it?": "higher", "How toxic is it?": "lower"}
    assert len(made.data.ratings) == 44 * 24


def test_several_responses_in_a_row_come_one_below_the_other(tmp_path):
    rows = [
        {
            "rater": f"r{n}",
            "prompt": sentence(p, "question"),
            "response_1": sentence(2 * p, "answer"),
            "response_2": sentence(2 * p + 1, "answer"),
            "rating_1": (n + p) % 5 + 1,
            "rating_2": (n + 2 * p) % 5 + 1,
        }
        for n in range(20)
        for p in range(n % 2, 24, 2)
    ]
    made = init(tmp_path, rows)
    assert len(made.codebook.ratings.stack) == 2
    assert len(made.data.ratings) == 20 * 12 * 2
    assert made.data.responses["prompt_id"].nunique() == 24


@pytest.mark.parametrize("name", ["tasks.json", "tasks.jsonl"])
def test_lists_and_objects_of_a_tool_that_nobody_knows(tmp_path, name):
    records = [
        {
            "doc": {"id": f"d{p}", "question": sentence(p, "question"), "answer": sentence(p, "answer")},
            "votes": [
                {
                    "by": {"user": f"u{n}", "country": ("India", "Kenya")[n % 2]},
                    "scores": {"quality": (n + p) % 5 + 1},
                }
                for n in range(p % 3, 30, 3)
            ],
        }
        for p in range(30)
    ]
    made = init(tmp_path, records, name)
    assert made.codebook.ratings.each == ("votes",)
    assert made.codebook.ratings.participant == "votes.by.user"
    assert dict(made.codebook.ratings.dimensions) == {
        "votes-scores-quality": "votes.scores.quality"
    } or "quality" in next(iter(made.codebook.ratings.dimensions))
    assert len(made.data.ratings) == 30 * 10
    assert "country" in next(iter(made.codebook.participants.attributes))


def test_parts_of_one_table_are_read_by_a_pattern(tmp_path):
    rows = flat()
    write(tmp_path / "part-1.csv", rows[:300])
    write(tmp_path / "part-2.csv", rows[300:])
    made = Init(tmp_path, output=tmp_path / "out")
    assert made.codebook.ratings.file == "part-*.csv"
    assert len(made.data.ratings) == len(rows)


def test_an_excel_sheet(tmp_path):
    pd.DataFrame(flat()).to_excel(tmp_path / "export.xlsx", index=False)
    made = Init(tmp_path / "export.xlsx", output=tmp_path / "out")
    assert len(made.data.ratings) == 1056


# ---- comparisons


def compared(answers: list[Any], **columns: str) -> list[Row]:
    """44 raters; each compares two responses to every fourth of 32 prompts."""
    person = {row["rater_id"]: row for row in people()}
    names = {"a": "response_a", "b": "response_b", "answer": "winner"} | columns
    return [
        {
            "rater_id": who,
            "gender": person[who]["gender"],
            "prompt": sentence(p, "question"),
            names["a"]: sentence(10 * p, "answer"),
            names["b"]: sentence(10 * p + 1, "answer"),
            names["answer"]: answers[(n * (p // 4 + 1) + p) % len(answers)],
        }
        for n, who in enumerate(person)
        for p in range(n % 4, 32, 4)
    ]


@pytest.mark.parametrize(
    ("answers", "columns", "labels"),
    [
        (["a", "b", "tie"], {}, {"a": "a", "b": "b", "tie": "tie"}),
        (
            ["model_a", "model_b", "tie (bothbad)"],
            {"answer": "winner"},
            {"model_a": "a", "model_b": "b", "tie (bothbad)": "tie"},
        ),
        (
            ["response_1", "response_2"],
            {"a": "response_1", "b": "response_2", "answer": "preferred"},
            {"response_1": "response-1", "response_2": "response-2"},
        ),
        (["A>>B", "A>B", "B>A"], {"answer": "verdict"}, {"A>>B": 4, "A>B": 3, "B>A": 2}),
        (
            ["A is much better", "A is slightly better", "About the same", "B is slightly better"],
            {"answer": "preference"},
            {"B is slightly better": 2, "About the same": 3, "A is slightly better": 4, "A is much better": 5},
        ),
        ([-3, -1, 0, 2, 3], {"answer": "preference"}, {"-3": 7, "-1": 5, "0": 4, "2": 2, "3": 1}),
    ],
)
def test_comparisons_are_read_with_sides(tmp_path, answers, columns, labels):
    made = init(tmp_path, compared(answers, **columns))
    found = made.codebook.ratings.labels
    assert {text: found[text] for text in labels} == labels
    assert len(made.data.ratings) == 44 * 8 * 2
    for experiment in made.study.experiments.values():
        for condition in experiment.conditions.values():
            assert condition.within == "participant" or condition.aggregation != "all"
    assert made.study.survey.reference == {}


def test_which_end_of_a_scale_of_numbers_prefers_which_side_is_said_to_be_unclear_at_its_line(tmp_path):
    made = init(tmp_path, compared([-2, -1, 0, 1, 2], answer="preference"))
    line = next(
        number
        for number, text in enumerate((tmp_path / "out" / "codebook.yaml").read_text().splitlines(), 1)
        if text.strip().startswith("labels:")
    )
    assert f"whether -2 or 2 prefers a; taken: -2 does (line {line} of " in made.printed


def test_a_chosen_and_a_rejected_response_need_no_answer(tmp_path):
    rows = [
        {key: value for key, value in row.items() if key != "winner"}
        for row in compared(["x"], a="chosen", b="rejected")
    ]
    made = init(tmp_path, rows)
    assert dict(made.codebook.ratings.dimensions) == {"preference": "=chosen"}
    ratings_of = made.data.ratings["preference"].value_counts().to_dict()
    assert ratings_of == {1: 352, 2: 352}


def test_two_chats_side_by_side_are_compared_by_their_first_answers(tmp_path):
    def chat(p: int, answer: int) -> list[dict[str, str]]:
        return [
            {"role": "user", "content": sentence(p, "question")},
            {"role": "assistant", "content": sentence(answer, "answer")},
        ]

    records = [
        {
            "question_id": p,
            "model_a": "this",
            "model_b": "that",
            "winner": ("model_a", "model_b", "tie (bothbad)")[p * p % 3],
            "judge": f"j{p % 9}",
            "conversation_a": chat(p, 2 * p),
            "conversation_b": chat(p, 2 * p + 1),
        }
        for p in range(60)
    ]
    made = init(tmp_path, records, "arena.json")
    assert len(made.data.ratings) == 120
    assert set(made.data.responses["prompt"]) == {sentence(p, "question") for p in range(60)}
    assert set(made.data.responses["response"]) == {sentence(k, "answer") for k in range(120)}


def test_a_row_a_person_and_a_column_a_thing_is_a_survey_and_it_says_what_it_took(tmp_path):
    rows = [
        {"ResponseId": f"R_{n}", "gender": "woman"} | {f"Q1_{k}": (n * k + n) % 5 + 1 for k in range(1, 7)}
        for n in range(30)
    ]
    made = init(tmp_path, rows)
    assert len(made.data.ratings) == 30 * 6
    assert made.data.responses["response_id"].tolist() == ["1", "2", "3", "4", "5", "6"]
    assert "or are several questions about one; taken: several responses (line " in made.printed
    assert made.study.experiments == {}


# ---- people


def test_ages_become_bands_and_cells_with_several_answers_are_taken_apart(tmp_path):
    colours = ("White", "Black; White", "Asian", "Black", "prefer not to say")
    by_person = {f"rater-{n:03d}": colours[n % 5] for n in range(44)}
    made = init(tmp_path, [row | {"ethnicity": by_person[row["rater_id"]]} for row in flat()])
    attributes = made.codebook.participants.attributes
    assert list(attributes["age"].ranges or ()) == ["18-29", "30-39", "40-49", "50-59", "60 and over"]
    assert (attributes["ethnicity"].many, attributes["ethnicity"].separator) == (True, ";")
    assert made.codebook.participants.not_declared == ("prefer not to say",)
    people_of = made.data.participants
    assert set(people_of["ethnicity"]) == {("White",), ("Black", "White"), ("Asian",), ("Black",), ()}


def test_without_a_column_of_participants_each_row_is_somebody_else_and_it_says_so(tmp_path):
    made = init(tmp_path, [{key: row[key] for key in ("item_id", "response", "helpfulness")} for row in flat()])
    assert made.codebook.ratings.participant == "@row"
    assert "nobody can be known to have rated twice" in made.printed
    assert len(made.data.participants) == 1056


def test_what_tells_who_somebody_is_is_not_read_and_nobodys_id_is_printed_or_written(tmp_path):
    rows = [
        row | {"PROLIFIC_PID": f"{n % 44:024x}", "ip_address": "10.0.0.1", "comment": f"I am {row['email']}"}
        for n, row in enumerate(flat())
    ]
    made = init(tmp_path, rows)
    assert made.codebook.ratings.participant == "rater_id"
    everything = made.printed + made.written
    for row in rows:
        assert row["email"] not in everything
        assert row["rater_id"] not in everything
        assert row["PROLIFIC_PID"] not in everything
    assert "a recruitment platform's ids): PROLIFIC_PID" in made.printed
    assert "email" in made.printed


def test_who_says_different_things_about_themselves_loses_the_attribute(tmp_path):
    rows = flat()
    rows[0] = rows[0] | {"gender": "man"}
    made = init(tmp_path, rows)
    assert list(made.codebook.participants.attributes) == ["age"]
    assert len(made.data.ratings) == 1056


def test_an_attention_check_drops_who_fails_it(tmp_path):
    made = init(tmp_path, [row | {"attention_check": "blue" if n % 10 else "red"} for n, row in enumerate(flat())])
    assert made.codebook.ratings.attention == {"attention_check": "blue"}
    assert len(made.data.ratings) == 1056 - 106  # rows 0, 10, … 1050


# ---- scales


@pytest.mark.parametrize(
    ("levels", "categories", "clear"),
    [
        ((1, 2, 3, 4, 5), 5, True),
        (("1.0", "2.0", "7.0"), 7, True),
        ((-2, -1, 0, 1, 2), 5, True),
        (("strongly disagree", "disagree", "neutral", "agree", "strongly agree"), 5, True),
        (("stimme nicht zu", "teils, teils", "stimme zu"), 3, True),
        (("1 - not at all", "2", "3", "4", "5 - very"), 5, True),
        (("★", "★★★★"), 5, True),
        (("yes", "no", "n/a"), 2, True),
        (tuple(range(0, 101, 4)), 5, True),
        (("solid", "hollow", "murky"), 3, False),
    ],
)
def test_scales_are_known_by_their_texts_or_marked(tmp_path, levels, categories, clear):
    made = init(tmp_path, flat(levels=levels), purpose="survey")
    assert made.codebook.ratings.categories == categories
    assert made.data.categories == categories
    assert ("UNCLEAR: the order of" not in made.written) == clear


def test_texts_for_no_answer_are_missing(tmp_path):
    made = init(tmp_path, flat(levels=("yes", "no", "n/a")), purpose="survey")
    assert made.codebook.ratings.missing == ("n/a",)
    assert made.data.ratings["helpfulness"].notna().all()


def test_a_known_format_that_leaves_its_labels_to_its_users_gets_those_of_the_data(tmp_path):
    records = [
        {
            "id": f"rec{p}",
            "status": "completed",
            "prompt": sentence(p // 2, "question"),
            "response": sentence(p, "answer"),
            "quality.responses": [(n * n + p) % 5 + 1 for n in range(4)],
            "quality.responses.users": [f"u{n}" for n in range(4)],
            "quality.responses.status": ["submitted"] * 4,
        }
        for p in range(12)
    ]
    made = init(tmp_path, records, "records.json")
    assert made.printed.splitlines()[0].endswith(": Argilla")
    assert dict(made.codebook.ratings.labels) == {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
    assert made.study.dimensions["quality"].better == "higher"
    assert len(made.data.ratings) == 48


def test_a_direction_that_no_word_tells_is_marked_in_the_study_at_the_line_that_is_told(tmp_path):
    made = init(
        tmp_path,
        [
            {("zeal" if key == "helpfulness" else key): one for key, one in row.items()}
            for row in flat(levels=("never", "often", "always"))
        ],
    )
    lines = (tmp_path / "out" / "study.yaml").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip().startswith("zeal:"))
    assert "UNCLEAR: whether more of 'zeal' is better is not said; taken: higher" in lines[number - 2]
    assert f"(line {number} of " in made.printed


# ---- what the study is for


def test_single_texts_without_prompts_make_a_survey_only_and_it_says_why(tmp_path):
    made = init(tmp_path, [{key: value for key, value in row.items() if key != "prompt"} for row in flat()])
    assert made.study.experiments == {}
    assert "no texts of prompts" in made.printed
    assert "pluralign run" not in made.printed


def test_few_prompts_make_a_survey_only(tmp_path):
    rows = [row for row in flat() if row["item_id"] in ("i0-0", "i0-1", "i1-0", "i1-1")]
    made = init(tmp_path, rows)
    assert made.study.experiments == {}
    assert "2 prompts with ratings are too few" in made.printed


def test_prompts_with_one_response_each_train_by_kto(tmp_path):
    made = init(tmp_path, [row for row in flat() if row["item_id"].endswith("-0")])
    methods = {
        condition.method
        for experiment in made.study.experiments.values()
        for condition in experiment.conditions.values()
    }
    assert methods == {"kto"}


def test_survey_and_small_choose_what_the_study_is_for(tmp_path):
    path = write(tmp_path / "export.csv", flat())
    survey = Init(path, output=tmp_path / "survey", purpose="survey")
    small = Init(path, output=tmp_path / "small", purpose="small")
    assert survey.study.experiments == {}
    assert [one.name for one in small.study.architectures] == ["smollm2-135m"]
    assert len(small.study.experiments) == 1


def test_every_condition_that_is_written_has_what_its_method_needs(tmp_path):
    made = init(tmp_path, flat())
    from tasks.starting.study import _lacking

    data = StudyData.of(made.study, made.data)
    assert made.study.experiments
    for experiment in made.study.experiments.values():
        assert _lacking(made.study, data, experiment) == {}


# ---- files


def test_a_file_without_its_header_is_told_without_a_cell_of_it(tmp_path):
    path = write(tmp_path / "export.csv", flat())
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    with pytest.raises(InputError) as error:
        start([path], tmp_path / "out")
    assert "its first line looks like a row of values, not a header" in str(error.value)
    assert "rater-000" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_written_over_unless_asked(tmp_path):
    path = write(tmp_path / "export.csv", flat())
    Init(path, output=tmp_path / "out")
    (tmp_path / "out" / "codebook.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"has codebook\.yaml and study\.yaml already"):
        start([path], tmp_path / "out")
    assert (tmp_path / "out" / "codebook.yaml").read_text() == "mine"
    Init(path, output=tmp_path / "out", force=True)


def test_tables_in_which_nothing_is_rated_are_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no column seems to hold ratings or preferences"):
        start([write(tmp_path / "people.csv", people())], tmp_path / "out")


@pytest.mark.parametrize("path", ["nothing.csv", "notes.docx"])
def test_files_that_are_none(tmp_path, path):
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(InputError, match=r"no such file|expected a file that ends in"):
        start([tmp_path / path], tmp_path / "out")


def test_a_workbook_without_a_sheet_is_one_clear_line(tmp_path):
    pd.DataFrame(flat()).to_excel(tmp_path / "whole.xlsx", index=False)
    with ZipFile(tmp_path / "whole.xlsx") as source, ZipFile(tmp_path / "export.xlsx", "w") as target:
        for name in source.namelist():
            target.writestr(name, re.sub(rb"<sheets>.*</sheets>", b"<sheets/>", source.read(name)))
    with pytest.raises(InputError, match=r"export\.xlsx: no sheet in it"):
        start([tmp_path / "export.xlsx"], tmp_path / "out")


def test_label_rows_of_qualtrics_are_nobodys_answers(tmp_path):
    rows = flat()
    path = write(tmp_path / "export.csv", rows)
    lines = path.read_text().splitlines()
    ids = ",".join('"{""ImportId"":""QID' + str(n) + '""}"' for n in range(len(rows[0])))
    path.write_text("\n".join([lines[0], ",".join(["A question?"] * len(rows[0])), ids, *lines[1:]]))
    assert len(Init(path, output=tmp_path / "out").data.ratings) == 1056


def test_hostile_texts_stay_texts(tmp_path):
    evil = '*]}\n- !!python/object:os.system "x" #\u202e: &a'
    rows = [
        {key if key != "gender" else f"gender {evil}": value for key, value in row.items()}
        for row in flat(levels=("no", "yes"))
    ]
    made = init(tmp_path, rows)
    assert evil.split()[0] in next(str(one.column) for one in made.codebook.participants.attributes.values())
    assert "\u202e" not in made.printed + made.written
    assert len(made.data.ratings) == 1056


def test_a_large_table_is_read_by_arrow_as_it_is_by_our_own_reader_and_a_part_of_it_closely(tmp_path, monkeypatch):
    path = write(tmp_path / "export.csv", flat())
    whole = Init(path, output=tmp_path / "whole")
    monkeypatch.setattr(tables, "LARGE", 100)
    monkeypatch.setattr(reading, "MOST_ROWS", 400)
    part = Init(path, output=tmp_path / "part")
    assert (tmp_path / "part" / "codebook.yaml").read_text() == (tmp_path / "whole" / "codebook.yaml").read_text()
    assert "rows, all those of some responses" in part.printed
    assert "1,056 ratings by 44 participants" in whole.printed


# ---- the shipped codebooks


def tables_that_no_term_changes(study: Study, data: Data) -> dict[str, Any]:
    dimensions = list(study.dimensions)
    alpha = {name: reliability(data.ratings, name, data.categories, 50, 0, "ordinal") for name in dimensions}
    return {
        "ratings": data.ratings.drop(columns=["participant_id", "response_id", "prompt_id"]).astype(int),
        "disagreement": disagreement(data.ratings, dimensions),
        "cooccurrence": cooccurrence(data.ratings, dimensions, 4),
        "reliability": pd.DataFrame(alpha).T,
    }


@pytest.mark.parametrize(
    ("name", "file", "attributes"),
    [
        ("spica", "spica", {"political-party": "political-party", "religiosity": "religiosity"}),
        ("popquorn", "popquorn_offensiveness.csv", {"gender": "gender", "ethnicity": "race"}),
    ],
)
def test_the_survey_is_the_one_of_the_shipped_codebook(tmp_path, shared_data, name, file, attributes):
    """POPQUORN's ages and education are fewer terms there, which no table can tell; the rest is the same."""
    made = Init(shared_data / file, output=tmp_path / "out", purpose="survey")
    shipped = load_study(name, {"ratings.folder": str(shared_data / ("spica" if name == "spica" else ""))})
    theirs = load_ratings(list(shipped.dimensions), [load_codebook(name)], Path(str(shipped.ratings.folder)))
    ours = made.data
    assert {one: shipped.dimensions[one].better for one in shipped.dimensions} == {
        one: made.study.dimensions[one].better for one in made.study.dimensions
    }
    expected = tables_that_no_term_changes(shipped, theirs)
    for table, frame in tables_that_no_term_changes(made.study, ours).items():
        pd.testing.assert_frame_equal(frame, expected[table])
    for own, other in attributes.items():
        mine = participants_table(ours.participants, [other], 10).drop(columns="attribute")
        pd.testing.assert_frame_equal(
            mine, participants_table(theirs.participants, [own], 10).drop(columns="attribute")
        )


def test_the_tables_of_a_test_are_what_they_say(tmp_path):
    path = write(tmp_path / "x.csv", people(2))
    with path.open() as file:
        assert [row["gender"] for row in csv.DictReader(file)] == ["woman", "man"]
    assert json.loads(write(tmp_path / "x.json", people(1)).read_text())[0]["age"] == 20
