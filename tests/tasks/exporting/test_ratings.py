"""Single ratings for others: all of them, under other pseudonyms, and nothing that tells who or when."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from configs.errors import InputError
from configs.load import load_codebook, load_study
from configs.schema import Study
from tasks.exporting.ratings import Released, attributes_for, export_names, release
from tasks.ratings.landing.pseudonym import pseudonyms
from tasks.ratings.study_data import StudyData
from tasks.runtime.spreadsheet import read_csv
from tasks.runtime.tables import columns_of
from tests.conftest import make_data
from tests.tasks.exporting.conftest import TOXICITY, Exported

KEY = b"a secret of more than sixteen letters"


def small_study(k: int = 2) -> Study:
    strata = {"old": {"attribute": "age", "values": ["over 60"]}}
    settings = {"dimensions": {TOXICITY: {"title": "Toxicity", "better": "lower"}}, "strata": strata, "experiments": {}}
    more = {"survey": {"min_participants": k}, "evaluation": {"share": 0.5, "dimensions": [TOXICITY]}}
    return load_study(
        "demo", settings | more | {"architectures": [], "placebo": 0, "raters": {}, "ratings.simulate": {}}
    )


ROWS = [("ana", "q1", "a", 1), ("bob", "q1", "a", 5), ("cyd", "q2", "b", None), ("cyd", "q1", "a", 2)]
DECLARED = {
    "age": {"ana": ("over 60",), "bob": ("over 60",), "cyd": ("18-30",)},
    "ethnicity": {"ana": ("White", "Asian"), "bob": ("Asian", "White"), "cyd": ()},
}


def released(attributes: list[str], k: int = 2) -> Released:
    study = small_study(k)
    data = StudyData.of(study, make_data(ROWS, TOXICITY, DECLARED))
    return release(study, data, [load_codebook("spica")], str.upper, attributes)


def test_each_rating_is_a_row_on_the_scale_and_turned_so_that_more_is_better() -> None:
    _, table = released(["age"]).tables["ratings"]
    # toxicity: lower is better, so category 1 of 5 is the best, 5 the worst, 2 three quarters; cyd did not answer on b
    assert table.to_numpy().tolist() == [
        ["ANA", "q1", "a", TOXICITY, 1, 5, 1.0],
        ["BOB", "q1", "a", TOXICITY, 5, 5, 0.0],
        ["CYD", "q1", "a", TOXICITY, 2, 5, 0.75],
    ]


def test_who_declares_what_few_share_has_an_empty_cell_which_is_counted_and_told() -> None:
    found = released(["age", "ethnicity"])
    declared, table = found.tables["participants"]
    assert table.to_numpy().tolist() == [
        ["ANA", "over 60", "Asian; White"], ["BOB", "over 60", "Asian; White"], ["CYD", "", ""]
    ]  # fmt: skip
    assert found.suppressed == {"age": 1, "ethnicity": 0}
    columns = columns_of(declared)
    assert "empty for 1 participants who declare one" in columns["age"].meaning
    assert "empty for 0 participants who declare one" in columns["ethnicity"].meaning


def test_an_attribute_that_is_not_asked_for_has_no_column_and_costs_no_other_a_value() -> None:
    assert list(released(["age"], k=3).tables["participants"][1]) == ["participant", "age"]
    assert released(["age"]).tables["participants"][1]["age"].tolist() == ["over 60", "over 60", ""]


def test_participants_of_whom_nothing_was_asked_are_pseudonyms_alone() -> None:
    study = small_study().model_copy(update={"strata": {}})
    data = StudyData.of(study, make_data(ROWS, TOXICITY))
    assert attributes_for(study, data) == []
    found = release(study, data, [load_codebook("spica")], str.upper, [])
    assert found.tables["participants"][1].to_dict("list") == {"participant": ["ANA", "BOB", "CYD"]}
    assert found.suppressed == {}


def test_by_default_the_attributes_of_the_strata_are_given_and_unknown_ones_refused() -> None:
    study = small_study()
    data = StudyData.of(study, make_data(ROWS, TOXICITY, DECLARED))
    assert attributes_for(study, data) == ["age"]
    assert attributes_for(study, data, ["ethnicity", "age"]) == ["ethnicity", "age"]
    with pytest.raises(InputError, match="--attributes: unknown 'income'; allowed: age, ethnicity"):
        attributes_for(study, data, ["income"])


def test_labels_are_the_texts_of_the_questionnaire_by_category() -> None:
    _, table = released(["age"]).tables["labels"]
    labels = load_codebook("spica").ratings.labels
    assert dict(zip(table["label"], table["category"], strict=True)) == labels
    assert table["category"].is_monotonic_increasing


def test_a_pseudonym_needs_the_key_and_is_another_in_each_study_and_in_other_ratings() -> None:
    study = small_study()
    names = [
        export_names(study, "one", KEY)("survey:ana"),
        export_names(study, "two", KEY)("survey:ana"),
        export_names(study.model_copy(update={"name": "other"}), "one", KEY)("survey:ana"),
        export_names(study, "one", b"x" * 20)("survey:ana"),
        pseudonyms(KEY, "survey")("ana"),
    ]
    assert len(set(names)) == 5
    assert names[0] == export_names(study, "one", KEY)("survey:ana")


# ---- as it is written


def table(exported: Exported, name: str) -> pd.DataFrame:
    return pd.read_parquet(exported.folder / "ratings" / f"{name}.parquet")


def test_every_rating_of_the_study_is_there_once(exported: Exported) -> None:
    ratings, data = table(exported, "ratings"), exported.data
    given = data.ratings.melt(["participant_id", "response_id"], list(exported.study.dimensions)).dropna()
    assert len(ratings) == len(given) == len(ratings.drop_duplicates(["participant", "response_id", "dimension"]))
    assert sorted(ratings["category"]) == sorted(given["value"])
    assert set(ratings["participant"]) == set(table(exported, "participants")["participant"])
    assert set(ratings["response_id"]) == set(table(exported, "responses")["response_id"])
    held_out = table(exported, "responses").set_index("prompt_id")["held_out"]
    assert set(held_out[held_out].index) == set(data.held_out_prompts)


def test_no_combination_of_values_is_held_by_fewer_than_the_study_shows(exported: Exported) -> None:
    people = table(exported, "participants").drop(columns="participant")
    few = exported.study.survey.min_participants
    assert (people.value_counts().drop([("",) * people.shape[1]], errors="ignore") >= few).all()
    declared = exported.data.participants["gender"].str.join("; ")
    assert (declared.value_counts() < few).any()  # there was something to empty
    assert (people["gender"] != "").sum() == declared.isin(["he/him/his", "she/her/hers"]).sum()


def test_no_id_and_no_order_is_in_any_file(exported: Exported) -> None:
    ids = exported.data.participants["participant_id"]
    own = {name.partition(":")[2].encode() for name in ids} | {name.encode() for name in ids}
    keyed = {pseudonyms(KEY, name.partition(":")[0])(name.partition(":")[2]).encode() for name in ids}
    for path in exported.folder.rglob("*.*"):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = pq.read_table(path).to_pandas().to_csv().encode()
            assert "order" not in pq.read_schema(path).names
        assert not any(name in content for name in own | keyed), path
    ratings = table(exported, "ratings")
    assert ratings["participant"].is_monotonic_increasing


def test_the_dictionary_has_every_column_of_every_file_with_its_type(exported: Exported) -> None:
    dictionary = read_csv(exported.folder / "dictionary.csv", dtype=str)
    files = {
        str(path.relative_to(exported.folder)): path
        for part in ("ratings", "tables")
        for path in (exported.folder / part).glob("*.parquet")
    }
    assert set(dictionary["file"]) == set(files)
    kinds = {
        "large_string": "text",
        "string": "text",
        "int64": "whole number",
        "double": "number",
        "bool": "true or false",
    }
    for file, rows in dictionary.groupby("file"):
        schema = pq.read_schema(files[str(file)])
        assert rows["column"].tolist() == schema.names
        assert rows["type"].tolist() == [kinds[str(field.type)] for field in schema]
    assert dictionary["meaning"].str.len().gt(5).all()


def test_the_facts_count_what_was_emptied(exported: Exported) -> None:
    facts = json.loads((exported.folder / "export.json").read_text())
    people = table(exported, "participants")
    lost = (people["gender"] == "").sum() - (exported.data.participants["gender"].str.len() == 0).sum()
    assert facts["suppressed"]["gender"] == lost > 0
    assert any(f"gender of {lost}" in line for line in exported.lines)
    assert facts["min_participants"] == 10
