"""Exports as the survey app writes them, small and by hand: what is read, what is dropped, and how faults are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.codebook import Codebook
from configs.errors import InputError, lines_of
from configs.load import load_codebook, load_study
from configs.schema import Study
from tasks.ratings.reading.attention import failed_checks
from tasks.ratings.reading.load import Data, check_codebook, check_strata, files_of, fitting_codebooks, load_ratings
from tasks.ratings.study_data import members
from tests.tasks.ratings.by_hand import (
    CHECKS,
    DE,
    EN,
    edit,
    german,
    person,
    rating,
    response,
    write,
    write_export,
)

DIMENSIONS = ["toxicity", "emotional-awareness"]


def read(folder: Path, *codebooks: Codebook) -> Data:
    return load_ratings(DIMENSIONS, codebooks or (EN,), folder)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """One participant's two ratings in English."""
    ratings = [rating("p1", "r1", "agree", "neutral"), rating("p1", "r2", "disagree", "strongly agree")]
    write_export(tmp_path, EN, ratings, [person("p1")], [response("r1"), response("r2", "another text")])
    return tmp_path


def fault(folder: Path, *codebooks: Codebook) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, *codebooks)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- what is read


def test_ratings_become_categories_with_their_prompt_and_position(export: Path) -> None:
    data = read(export)
    columns = ["participant_id", "response_id", "prompt_id", "order", *DIMENSIONS]
    assert data.ratings[columns].to_numpy().tolist() == [
        ["survey-app-en:p1", "r1", "q1", 0, 4, 3],
        ["survey-app-en:p1", "r2", "q1", 1, 2, 5],
    ]
    assert data.responses.to_numpy().tolist() == [
        ["r1", "q1", "a question", "a text"],
        ["r2", "q1", "a question", "another text"],
    ]
    assert data.categories == 5


def test_case_and_outer_blanks_of_a_label_do_not_matter(export: Path) -> None:
    edit(export / EN.ratings.file, "strongly agree", " STRONGLY Agree ")
    assert read(export).ratings["emotional-awareness"].tolist() == [3, 5]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], [person("p1")], [response("r1")], "utf-8-sig")
    assert read(tmp_path).ratings["toxicity"].tolist() == [4]


@pytest.mark.parametrize("five", ["5", "5.0", " 5 "])
def test_a_number_reads_the_same_with_and_without_its_decimal(tmp_path: Path, five: str) -> None:
    codebook = load_codebook("popquorn")
    people = {"gender": "Man", "race": "White", "age": "18-24", "education": "Graduate degree"}
    row = {"user_id": "u", "instance_id": "i", "text": "a text", "offensiveness": five, **people}
    write(tmp_path / codebook.ratings.file, [row])
    data = load_ratings(["offensiveness"], [codebook], tmp_path)
    assert data.ratings["offensiveness"].tolist() == [5]
    assert data.ratings["prompt_id"].tolist() == ["i"]  # a response without a prompt is its own


def test_an_empty_answer_stays_empty_and_a_row_of_empty_answers_is_dropped_and_counted(tmp_path: Path) -> None:
    ratings = [rating("p1", "r1", "agree", ""), rating("p1", "r2", "", "")]
    write_export(tmp_path, EN, ratings, [person("p1")], [response("r1"), response("r2")])
    data = read(tmp_path)
    assert data.ratings["toxicity"].tolist() == [4]
    assert data.ratings["emotional-awareness"].isna().tolist() == [True]
    assert data.dropped["no answer on any dimension"] == 1


def test_several_answers_to_one_question_are_read_from_their_json_list(tmp_path: Path) -> None:
    answers = {"ethnicity": '["White", "Black or African American"]', "country_of_residence": "[]"}
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], [person("p1", **answers)], [response("r1")])
    people = read(tmp_path).participants
    assert people["ethnicity"].tolist() == [("White", "Black or African American")]
    assert people["country"].tolist() == [()]


def test_who_does_not_declare_is_kept_but_in_no_stratum(tmp_path: Path, paper: Study) -> None:
    silent = {"gender_identity": "I wish not to declare", "ethnicity": '["i wish not to declare"]', "age": ""}
    people = [person("p1", **silent), person("p2")]
    write_export(tmp_path, EN, [rating("p1", "r1", "agree"), rating("p2", "r1", "agree")], people, [response("r1")])
    data = read(tmp_path)
    assert len(data.ratings) == 2
    assert data.participants.loc[0, ["gender", "ethnicity", "age"]].tolist() == [(), (), ()]
    assert members(data.participants, paper.strata["female"]) == {"survey-app-en:p2"}
    assert members(data.participants, paper.strata["white"]) == {"survey-app-en:p2"}


def test_german_labels_and_answers_become_the_studys_terms(tmp_path: Path) -> None:
    ratings = [rating("p1", "r1", "Stimme überhaupt nicht zu", "stimme zu", **CHECKS)]
    answers = {"ethnicity": '["Schwarz oder Afroamerikaner"]', "political_spectrum": "Konservativ", "age": "60<"}
    write_export(tmp_path, DE, ratings, [german("p1", **answers)], [response("r1", "ein Text")])
    data = read(tmp_path, DE)
    assert data.ratings[DIMENSIONS].to_numpy().tolist() == [[1, 4]]
    assert data.participants.drop(columns="participant_id").loc[0].to_dict() == {
        "language": "de", "gender": ("she/her/hers",), "age": ("over 60",), "country": ("Germany",),
        "political-spectrum": ("conservative",), "ethnicity": ("Black or African American",),
    }  # fmt: skip


def test_a_rating_that_fails_any_attention_check_is_dropped_and_counted(tmp_path: Path) -> None:
    passed = CHECKS | {"attention": "Neutral"}
    ratings = [rating("p1", "r1", "stimme zu", **passed)]
    ratings += [rating("p1", "r2", "stimme zu", **(CHECKS | {name: "stimme zu"})) for name in CHECKS]
    ratings += [rating("p1", "r2", "stimme zu", **(CHECKS | {"attention2": ""}))]
    write_export(tmp_path, DE, ratings, [german("p1")], [response("r1"), response("r2")])
    data = read(tmp_path, DE)
    assert data.ratings["response_id"].tolist() == ["r1"]
    assert data.dropped["attention check failed"] == 4


def test_failed_checks_are_counted_by_participant_under_the_name_of_their_ratings(tmp_path: Path) -> None:
    ratings = [rating("p1", "r1", "stimme zu", **(CHECKS | {"attention": "NEUTRAL "}))]
    ratings += [rating("p1", "r2", "stimme zu", **dict.fromkeys(CHECKS, "stimme zu"))]  # one row, three checks
    ratings += [rating("p2", "r1", "stimme zu", **CHECKS)]
    write_export(tmp_path, DE, ratings, [german("p1"), german("p2")], [response("r1"), response("r2")])
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], [person("p1")], [response("r1")])
    counts = failed_checks([EN, DE], tmp_path)
    assert counts.to_dict() == {"survey-app-de:p1": 1, "survey-app-de:p2": 0}
    assert set(counts.index) <= set(read(tmp_path, EN, DE).ratings["participant_id"])
    assert failed_checks([EN], tmp_path).empty


def test_of_two_ratings_of_one_response_by_one_participant_the_first_counts(tmp_path: Path) -> None:
    ratings = [rating("p1", "r1", "agree"), rating("p1", "r1", "disagree"), rating("p2", "r1", "neutral")]
    write_export(tmp_path, EN, ratings, [person("p1"), person("p2")], [response("r1")])
    data = read(tmp_path)
    assert data.ratings["toxicity"].tolist() == [4, 3]
    assert data.dropped["rated twice by the same participant (the first rating counts)"] == 1


def test_a_failed_check_does_not_use_up_a_participants_rating(tmp_path: Path) -> None:
    failed = rating("p1", "r1", "stimme zu", **(CHECKS | {"attention": "stimme zu"}))
    write_export(
        tmp_path, DE, [failed, rating("p1", "r1", "stimme nicht zu", **CHECKS)], [german("p1")], [response("r1")]
    )
    assert read(tmp_path, DE).ratings["toxicity"].tolist() == [2]


def test_two_languages_keep_their_participants_apart_and_share_their_responses(export: Path) -> None:
    ratings = [rating("p1", "r1", "stimme zu", **CHECKS)]
    write_export(export, DE, ratings, [german("p1", gender_identity="he/him/his")], [response("r1", "ein Text")])
    data = read(export, EN, DE)
    assert data.participants["participant_id"].tolist() == ["survey-app-en:p1", "survey-app-de:p1"]
    assert data.participants["gender"].tolist() == [("she/her/hers",), ("he/him/his",)]
    assert data.ratings["order"].tolist() == [0, 2, 1]  # places ¼ and ¾ of one export, ½ of the other
    # the first codebook's text stands for the response
    assert data.responses.set_index("response_id")["response"].to_dict() == {"r1": "a text", "r2": "another text"}


def test_the_same_participant_twice_with_the_same_answers_is_one(tmp_path: Path) -> None:
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], [person("p1"), person("p1")], [response("r1")])
    assert len(read(tmp_path).participants) == 1


def test_columns_that_the_codebook_does_not_name_never_appear(export: Path) -> None:
    data = read(export)
    for table in (data.ratings, data.participants, data.responses):
        assert "prolific_id" not in table
        assert "5f-secret" not in table.to_csv()


# ---- faults


def test_an_unknown_label_is_told_with_file_row_column_value_and_what_is_allowed(export: Path) -> None:
    edit(export / EN.ratings.file, ",disagree", ",disagre")
    assert fault(export) == (
        "df_ratings.csv: row 3, column rating_toxicity: unknown 'disagre'; "
        "allowed: strongly disagree, disagree, neutral, agree, strongly agree"
    )


def test_an_unknown_answer_of_a_participant_is_told_with_file_row_column_and_what_is_allowed(export: Path) -> None:
    edit(export / EN.participants.file, "18-30", "17")
    assert fault(export) == (
        "df_participants.csv: row 2, column age: unknown answer; allowed: 18-30, 31-40, 41-50, 51-60, 60<"
    )


@pytest.mark.parametrize("text", ["White", "[White]", '{"a": 1}', "[1]", '"White"'])
def test_an_answer_that_is_no_json_list_of_texts_is_told_with_file_row_and_column(tmp_path: Path, text: str) -> None:
    people = [person("p0"), person("p1", ethnicity=text)]
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], people, [response("r1")])
    assert fault(tmp_path) == "df_participants.csv: row 3, column ethnicity: expected a JSON list of texts"


def test_rows_are_counted_as_they_stand_in_the_file_empty_lines_and_all(export: Path) -> None:
    path = export / EN.ratings.file
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], "", lines[1].replace("agree", "agre"), lines[2]]), encoding="utf-8")
    assert "row 3, column rating_toxicity: unknown 'agre'" in fault(export)


def test_a_missing_column_is_told_with_those_that_are_wanted(export: Path) -> None:
    edit(export / EN.ratings.file, "rating_toxicity", "tox")
    message = fault(export)
    assert message.startswith(f"{export / EN.ratings.file}: no column 'rating_toxicity'; wanted: 'participant_id', ")
    assert "'tox'" not in message


@pytest.mark.parametrize("table", ["ratings", "participants", "responses"])
def test_a_file_without_its_header_line_is_told_and_nothing_of_it(export: Path, table: str) -> None:
    path = export / getattr(EN, table).file
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]))
    message = fault(export)
    assert message.startswith(f"{path}: its first line names none of the columns that are wanted, so the header line")
    about = message.removeprefix(str(path))
    assert not [text for text in ("p1", "18-30", "she/her", "Liberal", "a text", "'agree'") if text in about]
    assert all(repr(column) in about for column in getattr(EN.model_copy(), table).columns[:1])


@pytest.mark.parametrize("table", ["ratings", "participants", "responses"])
def test_a_missing_file_is_named(export: Path, table: str) -> None:
    path = export / getattr(EN, table).file
    path.unlink()
    assert fault(export) == f"{path}: No such file or directory"
    with pytest.raises(InputError, match=r"no such file; ratings\.folder says where the export lies"):
        files_of([EN], export)


def test_a_file_that_two_tables_share_is_listed_once(tmp_path: Path) -> None:
    codebook = load_codebook("popquorn")
    (tmp_path / codebook.ratings.file).touch()
    assert files_of([codebook], tmp_path) == [tmp_path / codebook.ratings.file]


def test_an_empty_file_and_one_without_rows_are_named(export: Path) -> None:
    path = export / EN.ratings.file
    header = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(header)
    assert fault(export) == f"{path}: no rows"
    path.write_text("")
    assert fault(export).startswith(f"{path}: no columns in it; wanted: 'participant_id', ")


@pytest.mark.parametrize("longer", [{1}, {2}, {1, 2}], ids=["first row", "second row", "every row"])
def test_a_row_with_a_field_too_many_is_refused_rather_than_shifted(tmp_path: Path, longer: set[int]) -> None:
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], [person("p1")], [response("r1"), response("r2")])
    path = tmp_path / EN.responses.file
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line + ",surplus" if n in longer else line for n, line in enumerate(lines)))
    assert fault(tmp_path).startswith(f"{path}: ")


def test_a_file_that_is_not_utf_8_is_named(export: Path) -> None:
    path = export / EN.responses.file
    path.write_bytes(path.read_bytes().replace(b"a text", b"caf\xe9"))
    assert fault(export).startswith(f"{path}: not UTF-8 (byte ")


def test_a_rating_of_an_unknown_response_is_told_with_the_response(export: Path) -> None:
    edit(export / EN.responses.file, "r2,", "r3,")
    assert fault(export) == "df_ratings.csv: row of response 'r2' that df_prompts.csv does not hold (1 such rows)"


def test_a_participant_who_contradicts_themselves_is_told_without_their_id(tmp_path: Path) -> None:
    people = [person("p1"), person("p1", age="31-40")]
    write_export(tmp_path, EN, [rating("p1", "r1", "agree")], people, [response("r1")])
    assert fault(tmp_path) == "df_participants.csv: a participant stands twice with different answers (1 such)"


def test_codebooks_of_different_scales_do_not_mix(export: Path) -> None:
    four = {"stimme nicht zu": 1, "neutral": 2, "stimme zu": 3, "stimme voll zu": 4}
    table = DE.ratings.model_copy(update={"labels": four})
    write_export(export, DE, [rating("p1", "r1", "stimme zu", **CHECKS)], [german("p1")], [response("r1")])
    assert "different scales: 4, 5 categories" in fault(export, EN, DE.model_copy(update={"ratings": table}))


# ---- the study against the ratings


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"scales.5-point": [1, 2, 3]}, r"scales\.5-point \(survey-app-en\): 3 entries for 5 categories"),
        ({"strata.female.attribute": "sex"}, r"strata\.female\.attribute .*: unknown 'sex'; allowed: gender, age, "),
        (
            {"dimensions.fun": {"title": "Fun", "better": "higher"}},
            r"dimensions .*: unknown 'fun'; allowed: .*toxicity",
        ),
    ],
)
def test_a_study_that_does_not_fit_its_codebook_is_told_where(overrides: dict[str, Any], message: str) -> None:
    check_codebook(load_study("paper"), EN)
    with pytest.raises(InputError, match=message):
        check_codebook(load_study("paper", overrides), EN)


def test_the_first_fault_of_each_kind_is_a_line_of_its_own_for_all_files_and_codebooks(export: Path) -> None:
    edit(export / EN.ratings.file, ",disagree", ",disagre")
    edit(export / EN.participants.file, "18-30", "17")
    write_export(export, DE, [rating("p1", "r1", "oui", **CHECKS)], [german("p1")], [response("r1"), response("r2")])
    with pytest.raises(InputError) as caught:
        read(export, EN, DE)
    head, *lines = str(caught.value).split("\n  ")
    assert head == f"{export}: {len(lines)} kinds of faults, the first of each:"
    places = [line.partition("; ")[0] for line in lines]
    assert set(places[:2]) == {
        f"{EN.ratings.file}: row 3, column rating_toxicity: unknown 'disagre'",
        f"{EN.participants.file}: row 2, column age: unknown answer",
    }
    assert f"{DE.ratings.file}: row 2, column rating_toxicity: unknown 'oui'" in places


def test_all_that_does_not_fit_the_codebooks_is_told_at_once(simulated: Data) -> None:
    overrides = {"scales.5-point": [1, 2, 3], "strata.female.attribute": "sex", "strata.male.attribute": "hair"}
    with pytest.raises(InputError) as caught:
        fitting_codebooks(load_study("paper", overrides | {"ratings.codebooks": ["survey-app-en", "survey-app-de"]}))
    lines = [line.partition("; ")[0] for line in lines_of(caught.value)]
    assert lines == [
        f"paper: {what}"
        for name in ("survey-app-en", "survey-app-de")
        for what in (
            f"scales.5-point ({name}): 3 entries for 5 categories",
            f"strata.female.attribute ({name}): unknown 'sex'",
            f"strata.male.attribute ({name}): unknown 'hair'",
        )
    ]
    with pytest.raises(InputError, match=r"^paper: 2 faults\n  paper: strata\.female\.values .*'women'.*\n.*'men'"):
        check_strata(
            load_study("paper", {"strata.female.values": ["women"], "strata.male.values": ["men"]}),
            simulated.participants,
        )


def test_a_stratum_that_nobody_declares_is_told_with_what_there_is(simulated: Data) -> None:
    check_strata(load_study("paper"), simulated.participants)
    message = r"strata\.female\.values .*: unknown 'women'; allowed: .*she/her/hers"
    with pytest.raises(InputError, match=message):
        check_strata(load_study("paper", {"strata.female.values": ["women"]}), simulated.participants)


# ---- real ratings, counted in their files by hand


@pytest.mark.parametrize(
    ("name", "folder", "ratings", "responses", "participants"),
    [("spica", "spica", 6000, 2157, 1200), ("popquorn", ".", 13036, 1500, 262)],
)
def test_real_exports_come_in_whole(
    shared_data: Path, name: str, folder: str, ratings: int, responses: int, participants: int
) -> None:
    study = load_study(name)
    data = load_ratings(list(study.dimensions), [load_codebook(name)], shared_data / folder)
    check_strata(study, data.participants)
    assert (len(data.ratings), len(data.responses), len(data.participants)) == (ratings, responses, participants)
    assert data.ratings["response_id"].nunique() == responses
    assert sum(data.dropped.values()) == 0
