"""What a codebook may say, and one line for what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.codebook import Attribute, Codebook, ParticipantsTable, RatingsTable, ResponsesTable, normal
from configs.errors import InputError
from configs.load import SHIPPED, load_codebook

TEMPLATE = SHIPPED / "codebooks" / "template.yaml"


def fault(folder: Path, **changes: Any) -> str:
    """What is wrong with the template once keys of its tables are replaced: `ratings={"reversed": ["fun"]}`."""
    raw = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    for table, keys in changes.items():
        raw[table] |= keys
    path = folder / "codebook.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False))
    with pytest.raises(InputError) as caught:
        load_codebook(str(path))
    return str(caught.value)


def test_the_template_explains_every_key() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    models = (Codebook, RatingsTable, ParticipantsTable, Attribute, ResponsesTable)
    keys = {name for model in models for name in model.model_fields}
    assert not {key for key in keys if f"{key}:" not in text}


def test_the_template_is_valid_as_it_is_and_with_its_long_table() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert not load_codebook("template").ratings.long
    raw = yaml.safe_load(text)
    commented = [line.strip()[2:] for line in text.splitlines() if line.strip().startswith(("# dim", "# rat", "# ign"))]
    raw["ratings"] |= {"reversed": []} | yaml.safe_load("\n".join(commented))
    ratings = Codebook.model_validate(raw).ratings
    assert ratings.long
    assert ratings.columns == ["rater", "answer_id", "question", "answer", "check1"]


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ({"dimension": "question"}, ": a long table needs both dimension and rating; a wide one neither"),
        ({"ignored": ["x"]}, ".ignored: only for long tables; a wide one's other columns are never read"),
        ({"reversed": ["fun"]}, ".reversed: unknown 'fun'; allowed: toxicity, helpfulness, harmlessness"),
        ({"missing": ["VERY"]}, ".labels: the same but for case: 'very', 'VERY'"),
        ({"dimensions": {"a": "q", "b": "q"}, "reversed": []}, ".dimensions: two of them share a column"),
        ({"sides": {"a": "a", "b": "b"}}, ": give response, or for comparisons sides"),
        ({"sides": {"a": "a"}, "response": None}, ".sides: two or more, none of them called 'tie'"),
        ({"numbers": {"low": 0, "high": 10}}, ": give labels or numbers"),
        ({"labels": {"yes": 1}}, ".labels: at least two"),
        ({"response": None}, ": give response, or for comparisons sides"),
        ({"response": 3}, ".response: expected a column's name, or a list of names, got 3"),
        ({"attention": {" ": "agree"}}, ".attention: expected the name of a column, got nothing"),
        ({"labels": {"yes": "a", "no": 1}}, ".labels.yes: 'a' is no category, nor one of tie"),
        ({"stack": [{"a": "x"}, {"b": "y"}]}, ".stack: each needs the same names: a"),
        ({"dimension": "q", "rating": "a", "dimensions": {"a": "One", "b": "one "}, "reversed": []},
         ".dimensions: the same but for case: 'One', 'one '"),
    ],
)  # fmt: skip
def test_keys_of_ratings_that_do_not_fit_are_told(tmp_path: Path, ratings: dict[str, Any], message: str) -> None:
    assert f": ratings{message}" in fault(tmp_path, ratings=ratings)


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ({"file": "ratings.xls"}, "file: the end of a file's name: unknown 'ratings.xls'; allowed: .csv"),
        ({"file": "../secret.csv"}, "file: a file within the export's folder, got '../secret.csv'"),
        ({"file": "/etc/x.csv"}, "file: a file within the export's folder, got '/etc/x.csv'"),
        ({"file": "*/x.csv"}, "file: * and ? only in the name of the file, not of a folder: '*/x.csv'"),
        ({"numbers": {"low": 0, "high": 9, "cuts": [5, 3]}}, "numbers: low, cuts and high must rise: 0, 5, 3, 9"),
        ({"numbers": {"low": 0, "high": 999}}, "numbers: give cuts or quantiles, or whole numbers of at most 101"),
        ({"numbers": {"low": 0, "high": 9, "cuts": [5], "quantiles": 3}}, "numbers: cuts or quantiles, not both"),
    ],
)  # fmt: skip
def test_values_of_keys_of_ratings_that_do_not_fit_are_told(
    tmp_path: Path, ratings: dict[str, Any], message: str
) -> None:
    assert f"ratings.{message}" in fault(tmp_path, ratings=ratings)


def test_a_separator_is_for_several_answers(tmp_path: Path) -> None:
    message = fault(tmp_path, participants={"attributes": {"gender": {"column": "gender", "separator": ";"}}})
    assert "participants.attributes.gender.separator: only where many: true" in message


@pytest.mark.parametrize(
    "column",
    ["PROLIFIC_PID", "prolific_id", "ProlificID", "Prolific ID", "WorkerId", "worker id", "AssignmentId", "HITId",
     "mturk_worker", "mTurk", "workerid"],
)  # fmt: skip
def test_a_column_of_a_recruitment_platforms_ids_is_refused(tmp_path: Path, column: str) -> None:
    expected = f"column {column!r} looks like a recruitment platform's ids, which stay outside"
    assert expected in fault(tmp_path, participants={"attributes": {"who": {"column": column}}})
    assert expected in fault(tmp_path, responses={"prompt": column})
    assert expected in fault(tmp_path, ratings={"attention": {column: "somewhat"}})


def test_a_platforms_id_may_be_who_the_participant_is(tmp_path: Path) -> None:
    raw = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    for table in ("ratings", "participants"):
        raw[table]["participant"] = "PROLIFIC_PID"
    assert Codebook.model_validate(raw).ratings.participant == "PROLIFIC_PID"


def test_the_participants_id_is_read_as_nothing_else(tmp_path: Path) -> None:
    expected = "column 'rater' holds the participants' ids and can't be read as anything else"
    assert expected in fault(tmp_path, participants={"attributes": {"who": {"column": "rater"}}})
    assert expected in fault(tmp_path, responses={"file": "raters.csv", "prompt_text": "rater"})


@pytest.mark.parametrize("column", ["white_identity", "coworker_idea", "assignment", "profile", "hit_idol"])
def test_other_columns_are_not_taken_for_ids(column: str) -> None:
    raw = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    raw["participants"]["attributes"]["who"] = {"column": column}
    assert Codebook.model_validate(raw).participants.attributes["who"].column == column


@pytest.mark.parametrize(
    ("a", "b"),
    [("Stimme  zu", "stimme zu"), ("u\u0308ber", "über"), ("\u00a0Ja ", "ja"), ("5.0", "5"), ("GROSS", "groß")],
)
def test_texts_that_look_the_same_are_the_same(a: str, b: str) -> None:
    assert normal(a) == normal(b)


@pytest.mark.parametrize(("a", "b"), [("5.5", "5"), ("-1.0", "1"), ("v5.0", "v5"), ("agree", "disagree")])
def test_texts_that_differ_are_not(a: str, b: str) -> None:
    assert normal(a) != normal(b)
