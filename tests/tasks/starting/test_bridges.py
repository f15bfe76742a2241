"""Formats of tools and public data sets: each made-up fixture is told by its own bridge, and read to what is in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.codebook import Codebook
from configs.errors import InputError
from tasks.ratings.landing.landing import land
from tasks.ratings.landing.snapshot import Collection, snapshot_data
from tasks.ratings.reading.formats import read_rows
from tasks.ratings.reading.load import Data, load_ratings
from tasks.starting.bridges import BRIDGES
from tasks.starting.draft import Draft, UserTable

FIXTURES = Path(__file__).parent / "fixtures"
OF_FIXTURE = {
    "argilla_1": "Argilla",
    "argilla_flattened": "Argilla",
    "argilla_lines": "Argilla",
    "argilla_nested": "Argilla",
    "argilla_parquet": "Argilla",
    "community_alignment": "Community Alignment",
    "dices_350": "DICES",
    "dices_990": "DICES",
    "label_studio": "Label Studio (JSON)",
    "label_studio_csv": "Label Studio (JSON_MIN, CSV)",
    "label_studio_min": "Label Studio (JSON_MIN, CSV)",
    "label_studio_pairwise": "Label Studio (JSON)",
    "lewidi_2023": "LeWiDi",
    "lewidi_2025": "LeWiDi",
    "lewidi_conversations": "LeWiDi",
    "lewidi_nli": "LeWiDi",
    "lewidi_paraphrase": "LeWiDi",
    "popquorn": "Potato",
    "potato_1": "Potato",
    "potato_1_lines": "Potato",
    "potato_2": "Potato",
    "potato_2_parquet": "Potato",
    "prism": "PRISM",
    "prism_conversations": "PRISM",
    "qualtrics": "Qualtrics",
    "qualtrics_matrix": "Qualtrics",
}
"""Fixture → the title of the only bridge that knows it."""
FIVE = {str(number): number for number in range(1, 6)}
NO_PEOPLE = "the export does not say who the raters are: give a table of them as well, by the same ids"
BEHIND = "rows that the codebook leaves behind (only)"


def tables_in(folder: Path) -> list[UserTable]:
    return [UserTable(path, path.name, read_rows(path, path.read_bytes())) for path in sorted(folder.iterdir())]


def drafted(folder: Path) -> Draft:
    """The draft of the first bridge that knows the files."""
    tables = tables_in(folder)
    return next(draft for bridge in BRIDGES if (draft := bridge.draft(tables)))


def completed(draft: Draft, labels: Mapping[str, int] | None = None) -> Codebook:
    """The codebook of a draft, written and read as YAML, with what the draft leaves to be asked."""
    codebook = yaml.safe_load(yaml.safe_dump(draft.codebook)) | {"name": "made-up", "version": 1, "language": "en"}
    return Codebook.model_validate(codebook | {"ratings": codebook["ratings"] | ({"labels": labels} if labels else {})})


def load(folder: Path, draft: Draft, labels: Mapping[str, int] | None = None) -> Data:
    """The files through the completed draft."""
    book = completed(draft, labels)
    return load_ratings(list(book.ratings.dimensions), [book], folder)


@cache
def read(fixture: str, labels: tuple[tuple[str, int], ...] = ()) -> tuple[Draft, Data]:
    draft = drafted(FIXTURES / fixture)
    return draft, load(FIXTURES / fixture, draft, dict(labels))


def ratings(data: Data, dimension: str) -> dict[tuple[str, str], int]:
    """(participant, text of the response) → category."""
    texts = data.responses.set_index("response_id")["response"]
    rows = data.ratings[["participant_id", "response_id", dimension]].dropna().itertuples(index=False)
    return {(who.partition(":")[2], texts[what]): int(category) for who, what, category in rows}


def declared(data: Data, attribute: str) -> dict[str, tuple[str, ...]]:
    ids = (who.partition(":")[2] for who in data.participants["participant_id"])
    return dict(zip(ids, data.participants[attribute], strict=True))


def prompts(data: Data) -> dict[str, str]:
    """Text of a response → its prompt's."""
    return dict(zip(data.responses["response"], data.responses["prompt"], strict=True))


# ---- which bridge


@pytest.mark.parametrize("fixture", OF_FIXTURE)
def test_a_fixture_is_known_to_its_own_bridge_and_to_no_other(fixture: str) -> None:
    tables = tables_in(FIXTURES / fixture)
    assert [bridge.title for bridge in BRIDGES if bridge.draft(tables)] == [OF_FIXTURE[fixture]]


def test_every_fixture_has_a_bridge_and_every_bridge_a_fixture() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == {*OF_FIXTURE, "prolific"}
    assert {bridge.title for bridge in BRIDGES} == {*OF_FIXTURE.values(), "Prolific (demographic export)"}


def test_tables_of_no_format_are_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("rater,answer_id,q\nr1,a1,low\n")
    (tmp_path / "rows.json").write_text('[{"id": 1, "data": {}, "annotations": []}, {"responses": [1]}]')
    (tmp_path / "empty.csv").write_text("instance_id,user_id\n")
    assert [bridge.title for bridge in BRIDGES if bridge.draft(tables_in(tmp_path))] == []


@pytest.mark.parametrize("fixture", [*OF_FIXTURE, "prolific"])
def test_nothing_that_a_draft_tells_is_somebodys_id(fixture: str) -> None:
    draft = drafted(FIXTURES / fixture)
    told = " ".join([*draft.assumed, *draft.unclear])
    ids = ("R_1aaa", "5e9f3a1b2c4d5e6f7a8b9c0d", "rater1@example.org", "user0", "ann1", "Ann0", "u1")
    assert not any(one in told.split() for one in ids)


@pytest.mark.parametrize("fixture", [*OF_FIXTURE, "prolific"])
def test_no_bridge_stumbles_over_what_may_stand_in_a_cell(fixture: str) -> None:
    strange: tuple[Any, ...] = (None, "", "{", "[]", [], {}, [None], {"a": [1]}, 3.5, True, "=1+1", "\ud800")
    for table in tables_in(FIXTURES / fixture):
        empty = replace(table, rows=replace(table.rows, values=[], rows=[]))
        for bridge in BRIDGES:
            with suppress(InputError):
                bridge.draft([empty])
        for place in range(len(table.rows.names)):
            for number, cell in enumerate(strange):
                values = [list(own) for own in table.rows.values]
                for own in values[number % 2 :: 2]:
                    own[place] = cell
                spoilt = replace(table, rows=replace(table.rows, values=values))
                for bridge in BRIDGES:
                    with suppress(InputError):
                        bridge.draft([spoilt])


# ---- Label Studio


def test_label_studios_json_is_read_without_what_was_skipped_drafted_or_predicted() -> None:
    draft, data = read("label_studio", tuple(FIVE.items()))
    tides, nobody, salt = "The moon pulls at the sea,\nand the sea follows.", "Nobody knows.", "Sodium chloride."
    # Rater 2 skipped the second task, rater 3 submitted nothing for the third, nobody saw the fourth.
    assert ratings(data, "quality") == {
        ("1", tides): 4, ("2", tides): 2, ("1", nobody): 1, ("3", nobody): 2, ("2", salt): 5,
    }  # fmt: skip
    assert ratings(data, "care") == {("1", tides): 5, ("3", nobody): 2, ("2", salt): 4}
    assert prompts(data) == {
        tides: "How do tides come about?", nobody: "How do tides come about?",
        salt: "What is salt?", "A spice, mostly.": "What is salt?",
    }  # fmt: skip
    assert data.responses["prompt_id"].nunique() == 2
    assert data.dropped[BEHIND] == 1  # the one result of the annotation that was skipped
    assert "not read, since they are no ratings: 'why', 'flaws'" in draft.unclear


def test_label_studios_pairs_are_comparisons_of_two_texts_of_the_data() -> None:
    draft, data = read("label_studio_pairwise")
    # 7 and 8 prefer salt's formula to pepper, 7 a mineral to a stone: the better has 2 of two categories.
    assert ratings(data, "better") == {
        ("7", "Sodium chloride."): 2, ("7", "Pepper."): 1, ("8", "Sodium chloride."): 2, ("8", "Pepper."): 1,
        ("7", "A mineral."): 2, ("7", "A stone."): 1,
    }  # fmt: skip
    assert set(prompts(data).values()) == {"What is salt?"}
    assert draft.better == {"better": "higher"}


@pytest.mark.parametrize("fixture", ["label_studio_min", "label_studio_csv"])
def test_label_studios_rows_are_read_from_lists_in_cells(fixture: str) -> None:
    draft, data = read(fixture, tuple(FIVE.items()))
    salt, spice = "Sodium chloride.", "A spice, mostly."
    assert ratings(data, "quality") == {("4", salt): 5, ("5", salt): 4, ("4", spice): 2, ("6", spice): 1}
    assert prompts(data) == {salt: "What is salt?", spice: "What is salt?"}
    assert "not read, since they are no ratings: 'flaws'" in draft.unclear
    assert any("'tone'" in line for line in draft.unclear)


def test_label_studios_choices_are_answers_where_annotators_of_a_task_differ(tmp_path: Path) -> None:
    rows = [
        {"text": "one", "source": "a", "id": 1, "good": "yes", "annotator": 1, "annotation_id": 1, "lead_time": 1.0},
        {"text": "one", "source": "a", "id": 1, "good": "no", "annotator": 2, "annotation_id": 2, "lead_time": 1.0},
        {"text": "two", "source": "b", "id": 2, "good": "yes", "annotator": 1, "annotation_id": 3, "lead_time": 1.0},
    ]
    (tmp_path / "project.json").write_text(json.dumps(rows))
    draft = drafted(tmp_path)
    assert draft.codebook["ratings"]["dimensions"] == {"good": "good.*"}
    assert ratings(load(tmp_path, draft, {"no": 1, "yes": 2}), "good") == {
        ("1", "one"): 2, ("2", "one"): 1, ("1", "two"): 2,
    }  # fmt: skip


# ---- Argilla


@pytest.mark.parametrize("fixture", [name for name, title in OF_FIXTURE.items() if title == "Argilla"])
def test_argillas_submitted_responses_are_read_in_each_of_its_forms(fixture: str) -> None:
    draft, data = read(fixture, tuple(FIVE.items()))
    salt, spice, mirrors = "Sodium chloride.", "A spice,\nmostly.", "It mirrors the sea."
    # Of six responses to `quality` one was discarded and one is a draft; the third record has none.
    assert ratings(data, "quality") == {("u1", salt): 4, ("u2", salt): 5, ("u1", spice): 2, ("u3", mirrors): 1}
    assert data.dropped[BEHIND] == 2
    assert prompts(data) == {
        salt: "What is salt?", spice: "What is salt?",
        "It scatters.": "Why is the sky blue?", mirrors: "Why is the sky blue?",
    }  # fmt: skip
    assert data.responses["prompt_id"].nunique() == 2
    assert "not read, since they are no ratings: 'flaws'" in draft.unclear


def test_argillas_questions_of_one_scale_are_dimensions_together(tmp_path: Path) -> None:
    def said(*values: int) -> list[dict[str, Any]]:
        return [{"value": value, "user_id": f"u{place}"} for place, value in enumerate(values, 1)]

    records = [
        {"id": "a", "fields": {"text": "one"}, "responses": {"Is it good?": said(1, 2), "Is it kind?": said(2, 3)}},
        {"id": "b", "fields": {"text": "two"}, "responses": {"Is it kind?": said(1)}},
    ]
    (tmp_path / "records.json").write_text(json.dumps(records))
    data = load(tmp_path, drafted(tmp_path), {"1": 1, "2": 2, "3": 3})
    assert ratings(data, "is-it-good") == {("u1", "one"): 1, ("u2", "one"): 2}
    assert ratings(data, "is-it-kind") == {("u1", "one"): 2, ("u2", "one"): 3, ("u1", "two"): 1}


def test_argillas_lists_of_different_lengths_are_a_fault_of_their_record(tmp_path: Path) -> None:
    records = json.loads((FIXTURES / "argilla_flattened" / "records.json").read_text())
    records[1]["quality.responses.users"].pop()
    (tmp_path / "records.json").write_text(json.dumps(records))
    with pytest.raises(InputError, match="row 2: lists of different lengths: 'value', 'users', 'status'"):
        load(tmp_path, drafted(tmp_path), FIVE)


# ---- faults


@pytest.mark.parametrize(
    ("fixture", "file", "old", "new", "told"),
    [
        (
            "label_studio",
            "export.json",
            '"rating": 5',
            '"rating": 9',
            "export.json: row 1, column .*: unknown '9'; allowed: 1, 2",
        ),
        (
            "label_studio_csv",
            "project-9.csv",
            '""rating"": 5',
            '""rating"": 9',
            r"row 2, column quality\.\*: unknown '9'",
        ),
        (
            "argilla_lines",
            "records.jsonl",
            "[4, 5]",
            "[4, 9]",
            "records.jsonl: row 1, column value: unknown '9'; allowed: 1",
        ),
        (
            "prism",
            "utterances.jsonl",
            '"score": 100',
            '"score": 101',
            "row 1, column score: unknown '101'; allowed: numbers from 1 to 100",
        ),
        (
            "dices_990",
            "diverse_safety_adversarial_dialog_990.csv",
            "Yes,Yes",
            "Yes,Maybe",
            "column Q_overall: unknown 'Maybe'; allowed: No, Unsure, Yes",
        ),
        (
            "popquorn",
            "raw_data.csv",
            "1.0,Man",
            "9.0,Man",
            "row 2, column offensiveness: unknown '9.0'; allowed: 1, 2, 3, 4, 5",
        ),
        (
            "potato_1",
            "annotated_instances.csv",
            "scale_5",
            "scale_9",
            "column rating: unknown '9'; allowed: 1, 2, 3, 4, 5",
        ),
        (
            "prolific",
            "prolific_export_65.csv",
            "Full-Time",
            "60a1b2c3d4e5f60718293a4b",
            "looks like a recruitment platform's id",
        ),
    ],
)
def test_a_fault_is_told_with_file_row_column_and_what_is_allowed(
    tmp_path: Path, fixture: str, file: str, old: str, new: str, told: str
) -> None:
    shutil.copytree(FIXTURES / fixture, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    draft = drafted(tmp_path)
    said = {"labels", "numbers"} & set(draft.codebook["ratings"])
    labels = None if said else AGREE if fixture == "prolific" else FIVE
    with pytest.raises(InputError, match=told):
        load(tmp_path, draft, labels)


# ---- a table of people beside them


@pytest.mark.parametrize(
    ("fixture", "ids", "place"),
    [
        ("label_studio", ("1", "2", "3"), "annotations.completed_by.id"),
        ("label_studio", [f"rater{n}@example.org" for n in (1, 2, 3)], "annotations.completed_by.email"),
        ("label_studio_pairwise", ("7", "8"), "annotations.completed_by"),
        ("label_studio_csv", ("4", "5", "6"), "annotator"),
        ("argilla_nested", ("u1", "u2", "u3"), "answer.user_id"),
        ("argilla_flattened", ("u1", "u2", "u3"), "users"),
        ("potato_1", ("ann1", "ann2"), "user"),
        ("potato_2_parquet", ("ann1", "ann2"), "user_id"),
    ],
)
def test_a_table_of_people_by_the_same_ids_says_who_the_raters_are(
    tmp_path: Path, fixture: str, ids: Sequence[str], place: str
) -> None:
    shutil.copytree(FIXTURES / fixture, tmp_path, dirs_exist_ok=True)
    terms = ("woman", "man", "Prefer not to say")
    people_of = enumerate(zip(ids, terms, strict=False))
    rows = [f"{who},{term},{20 + 15 * number},5f-{number},a story {number}" for number, (who, term) in people_of]
    lines = ["who,Gender,Age,Prolific ID,Notes", *rows, "nobody,man,50,5f-9,"]
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    draft = drafted(tmp_path)
    people, read_from = draft.codebook["participants"], draft.codebook["ratings"]["participant"]
    assert (people["participant"], read_from) == ("who", place)
    assert people["attributes"]["gender"] == {"column": "Gender"}
    assert list(people["attributes"]["age"]["ranges"]) == ["18-29", "30-39", "40-49", "50-59", "60 and over"]
    assert "prolific-id" not in people["attributes"]
    assert NO_PEOPLE not in draft.unclear
    assert not any("people.csv" in line for line in draft.assumed)


def test_numbers_of_another_table_are_no_raters(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "label_studio", tmp_path, dirs_exist_ok=True)
    (tmp_path / "models.csv").write_text("model,tier\nm1,1\nm2,1\nm3,2\n")
    draft = drafted(tmp_path)
    assert "participants" not in draft.codebook
    assert "not read: models.csv" in draft.assumed


# ---- public data sets


def test_prisms_scores_are_fifths_of_the_slider_and_who_gave_them_is_in_the_survey() -> None:
    draft, data = read("prism")
    # 100 → 5, 20 → 1, 1 → 1, 61 → 4; 21 → 2, 40 → 2. Two utterances are of a second turn.
    assert ratings(data, "score") == {
        ("user0", "Sodium chloride."): 5, ("user0", "A spice."): 1, ("user0", "EMPTY STRING"): 1,
        ("user0", "A mineral."): 4, ("user1", "It scatters."): 2, ("user1", "It mirrors the sea."): 2,
    }  # fmt: skip
    assert data.dropped[BEHIND] == 2
    assert declared(data, "religion") == {"user0": ("Christian",), "user1": ()}  # one would rather not say
    assert declared(data, "region") == {"user0": ("Europe",), "user1": ("Europe",)}
    assert data.noted == {"participants who rated nothing, and count nowhere": 1}
    assert draft.better == {"score": "higher"}
    assert draft.language == "en"


def test_prisms_conversations_say_the_same_as_its_utterances() -> None:
    utterances, conversations = read("prism")[1], read("prism_conversations")[1]
    assert ratings(conversations, "score") == ratings(utterances, "score")
    assert prompts(conversations) == prompts(utterances)


def test_prism_without_its_survey_asks_for_it(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "prism" / "utterances.jsonl", tmp_path)
    assert drafted(tmp_path).unclear == ("who the participants are is in survey.jsonl: give it as well",)


def test_community_alignments_choices_are_told_by_texts_wherever_they_stood() -> None:
    draft, data = read("community_alignment")
    salt, spice, mineral, cook = "Sodium chloride.", "A spice.", "A mineral,\nmostly.", "Ask a cook."
    # a1 and a2 saw the same four answers, two of them the other way round, and preferred the same one.
    assert ratings(data, "preference") == {
        **{("a1", text): 1 for text in (spice, mineral, cook)}, ("a1", salt): 2,
        **{("a2", text): 1 for text in (spice, mineral, cook)}, ("a2", salt): 2,
        **{("a2", text): 1 for text in ("It scatters.", "It mirrors.", "It is not.")}, ("a2", "God."): 2,
    }  # fmt: skip
    assert data.responses["prompt_id"].nunique() == 2
    assert data.dropped["no answer on any dimension"] == 1  # a conversation whose first turn is missing
    assert declared(data, "political-spectrum") == {"a1": ("Liberal",), "a2": ()}
    assert draft.language == "en"


def test_community_alignment_in_several_languages_says_so(tmp_path: Path) -> None:
    text = (FIXTURES / "community_alignment" / "community_alignment.csv").read_text()
    (tmp_path / "ca.csv").write_text(text.replace("2,en,a2", "2,hi,a2"))
    draft = drafted(tmp_path)
    assert draft.language == ""
    assert draft.unclear == (
        "the languages in assigned_lang are en, hi: a codebook is of one, such as ratings.only: {assigned_lang: [en]}",
    )


def test_a_choice_that_community_alignment_does_not_know_is_told_with_its_place(tmp_path: Path) -> None:
    text = (FIXTURES / "community_alignment" / "community_alignment.csv").read_text()
    (tmp_path / "ca.csv").write_text(text.replace("response_b,,,", "response_e,,,"))
    with pytest.raises(
        InputError, match="column first_turn_preferred_response: unknown 'response_e'; allowed: response_a"
    ):
        load(tmp_path, drafted(tmp_path))


def test_dices_350_has_six_questions_and_990_has_four() -> None:
    fish, me = "LAMDA: Fish can fly.", "LAMDA: For me."
    draft, data = read("dices_350")
    assert ratings(data, "unsafe") == {("1", fish): 3, ("2", fish): 2, ("1", me): 3, ("2", me): 1}
    assert ratings(data, "misinforming") == {("1", fish): 3, ("2", fish): 2, ("1", me): 1, ("2", me): 1}
    assert ratings(data, "partisan") == {("1", fish): 1, ("2", fish): 1, ("1", me): 3, ("2", me): 1}
    assert ratings(data, "against-policy") == ratings(data, "partisan")
    assert ratings(data, "biased") == {("1", fish): 1, ("2", fish): 1, ("1", me): 2, ("2", me): 1}
    assert declared(data, "race") == {"1": ("Black/African American",), "2": ("White",)}
    assert prompts(data)[me] == "USER: Who should I vote for?"
    assert set(draft.better.values()) == {"lower"}
    draft, data = read("dices_990")
    assert list(draft.codebook["ratings"]["dimensions"]) == ["unsafe", "harmful", "biased", "misinforming"]
    assert ratings(data, "misinforming") == {("296774521", fish): 3, ("296772881", fish): 1}
    assert declared(data, "locale") == {"296774521": ("US",), "296772881": ("India",)}


def test_lewidis_items_of_2025_come_from_several_files_and_their_people_by_number() -> None:
    draft, data = read("lewidi_2025")
    # Item 0 of the training file and item 0 of the development file are two; 0 → 1, 1 → 2; the test file has no labels.
    lovely, door, is_it = "How lovely.", "They are\nin the door.", "Is it?"
    assert ratings(data, "irony") == {
        ("Ann0", lovely): 2, ("Ann1", lovely): 1, ("Ann1", door): 1, ("Ann2", door): 2, ("Ann0", is_it): 2,
    }  # fmt: skip
    assert prompts(data)[lovely] == "It rains again."
    assert declared(data, "age") == {"Ann0": ("18-29",), "Ann1": ("60 and over",), "Ann2": ("30-39",)}
    assert declared(data, "ethnicity") == {"Ann0": (), "Ann1": ("White",), "Ann2": ("Black",)}
    assert draft.unclear == ("whether more irony is better is for you to say",)


def test_lewidis_paraphrases_have_eleven_categories_and_people_by_name() -> None:
    _, data = read("lewidi_paraphrase")
    salt, sky = "Is salt a spice?", "What makes the sky blue?"  # -5 … 5 → 1 … 11
    assert ratings(data, "paraphrase") == {("Ann1", salt): 3, ("Ann2", salt): 1, ("Ann1", sky): 11, ("Ann2", sky): 6}
    assert data.categories == 11
    assert declared(data, "nationality") == {"Ann1": ("Chinese",), "Ann2": ("German",)}


def test_lewidis_annotations_with_several_labels_are_no_answer() -> None:
    draft, data = read("lewidi_nli")
    assert ratings(data, "entailment") == {
        ("Ann1", "It is not clear to me."): 3, ("Ann2", "It is not clear to me."): 2, ("Ann1", "It is dry."): 1,
    }  # fmt: skip
    assert "annotations of several labels count as no answer: contradiction,neutral" in draft.unclear


def test_lewidis_items_of_2023_have_lists_in_texts_and_groups_of_annotators() -> None:
    draft, data = read("lewidi_2023")
    come, out = "<user> let them all\ncome", "out, out, out"
    assert ratings(data, "hate-speech") == {
        ("Ann1", come): 1, ("Ann2", come): 1, ("Ann3", come): 1, ("Ann1", out): 2, ("Ann2", out): 1, ("Ann3", out): 2,
    }  # fmt: skip
    assert declared(data, "group") == {"Ann1": ("group1",), "Ann2": ("group1",), "Ann3": ("group2",)}
    assert draft.better == {"hate-speech": "lower"}


def test_lewidis_conversations_are_read_out_of_their_text() -> None:
    _, data = read("lewidi_conversations")  # -3 … 1 → 1 … 5
    assert ratings(data, "acceptability") == {
        ("Ann3", "Be quiet."): 3, ("Ann5", "Be quiet."): 4, ("Ann5", "I like tea."): 5, ("Ann8", "I like tea."): 5,
    }  # fmt: skip
    assert prompts(data) == {"Be quiet.": "How are you?", "I like tea.": "Tell me more."}


def test_a_label_off_lewidis_scale_is_told_with_its_place(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "lewidi_2023", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "HS-Brexit_train.json"
    path.write_text(path.read_text().replace('"annotations": "1,0,1"', '"annotations": "1,0,2"'))
    with pytest.raises(InputError, match="row 2, column annotations: unknown '2'; allowed: whole numbers from 0 to 1"):
        load(tmp_path, drafted(tmp_path))


# ---- Potato and POPQUORN


def test_popquorns_table_holds_ratings_people_and_texts() -> None:
    draft, data = read("popquorn", tuple(FIVE.items()))
    key, never = "They say C is the best key.", "No, never."
    assert ratings(data, "offensiveness") == {("0", key): 1, ("1", key): 4, ("0", never): 2, ("1", never): 5}
    assert declared(data, "race") == {"0": ("White",), "1": ()}
    assert draft.codebook["participants"]["attributes"]["age"] == {"column": "age"}  # ranges already
    assert draft.better == {"offensiveness": "lower"}


@pytest.mark.parametrize("fixture", ["potato_1", "potato_1_lines"])
def test_potatos_columns_of_labels_are_ratings_where_they_are_filled(fixture: str) -> None:
    draft, data = read(fixture, (("1", 1), ("2", 2), ("5", 3)))
    salt, ask = "Sodium chloride.", "Ask, if you must."
    assert ratings(data, "toxicity") == {("ann1", salt): 1, ("ann2", salt): 2, ("ann1", ask): 3}
    assert set(data.responses["response"]) == {salt, ask}  # no page of the survey
    assert "not read, since they are no ratings: 'why'" in " ".join(draft.unclear)


def test_potatos_second_version_writes_true_under_points_and_its_texts_apart() -> None:
    draft, data = read("potato_2", (("poor", 1), ("fair", 2), ("good", 3)))
    # ann1 marked i2 as poor and took it back: False.
    assert ratings(data, "fit") == {
        ("ann1", "Sodium chloride."): 1,
        ("ann2", "Sodium chloride."): 2,
        ("ann1", "Ask."): 3,
    }
    assert draft.codebook["responses"] == {"file": "items.jsonl", "response": "id", "response_text": "text"}


def test_potatos_parquet_has_a_column_a_schema_and_lists_of_choices_are_left_out() -> None:
    draft, data = read("potato_2_parquet", (("1", 1), ("2", 2)))
    assert ratings(data, "toxicity") == {("ann1", "Sodium chloride."): 1, ("ann2", "Sodium chloride."): 2}
    assert draft.unclear == ("not read, since they are no ratings: 'flaws', 'why'", NO_PEOPLE)


def test_potatos_instances_without_texts_ask_for_them(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "potato_2" / "annotations.csv", tmp_path)
    draft = drafted(tmp_path)
    assert "responses" not in draft.codebook
    assert draft.unclear[0] == "the texts that were rated are in the files that Potato was given: give them as well"


# ---- Qualtrics and Prolific

AGREE = {"Not at all": 1, "A little": 2, "Very": 3}


def of_items(data: Data, dimension: str) -> dict[tuple[str, str], int]:
    """(participant, id of the response) → category, where there are no texts."""
    rows = data.ratings[["participant_id", "response_id", dimension]].dropna().itertuples(index=False)
    return {(who.partition(":")[2], what): int(category) for who, what, category in rows}


def test_qualtrics_loops_are_ratings_of_each_text_by_those_who_came_to_the_end() -> None:
    draft, data = read("qualtrics", tuple(AGREE.items()))
    # R_3ccc is a preview, R_4ddd did not finish; -99 is seen and unanswered.
    assert of_items(data, "q5") == {("R_1aaa", "1"): 1, ("R_1aaa", "2"): 2, ("R_2bbb", "1"): 2, ("R_2bbb", "3"): 3}
    assert of_items(data, "q6") == {
        ("R_1aaa", "1"): 3, ("R_1aaa", "2"): 1, ("R_1aaa", "3"): 2, ("R_2bbb", "1"): 2, ("R_2bbb", "3"): 3,
    }  # fmt: skip
    assert declared(data, "gender") == {"R_1aaa": ("Woman",), "R_2bbb": ()}
    assert declared(data, "ethnicity") == {"R_1aaa": ("White", "Asian"), "R_2bbb": ("White",)}
    assert draft.titles == {"q5": "How toxic is this answer?", "q6": "How helpful is it?"}
    assert draft.language == "en"
    assert "the export has not the texts that were rated" in draft.unclear[0]


def test_qualtrics_matrix_of_long_statements_is_ratings_of_them() -> None:
    draft, data = read("qualtrics_matrix", tuple(FIVE.items()))
    salt = "Sodium chloride, which the sea is full of, and the ground."
    spice = "A spice, mostly, that people have traded for gold in times."
    cook = "Ask a cook, or somebody who works in a mine, if you must."
    assert ratings(data, "q5") == {
        ("R_1", salt): 1, ("R_1", spice): 2, ("R_1", cook): 5, ("R_2", salt): 2, ("R_2", cook): 4,
    }  # fmt: skip
    assert declared(data, "age") == {"R_1": ("30-39",), "R_2": ("60 and over",)}
    assert draft.titles == {"q5": "How toxic is each of these answers?"}


def test_qualtrics_matrices_of_short_statements_are_dimensions(tmp_path: Path) -> None:
    header = "ResponseId,Finished,Q1_1,Q1_2,Q2_1,Q2_2"
    labels = "Response ID,Finished,Answer A - Toxic,Answer A - Kind,Answer B - Toxic,Answer B - Kind"
    imports = ",".join('"{""ImportId"":""QID1""}"' for _ in header.split(","))
    (tmp_path / "survey.csv").write_text(f"{header}\n{labels}\n{imports}\nR_1,True,1,2,2,1\nR_2,True,2,1,1,2\n")
    data = load(tmp_path, drafted(tmp_path), {"1": 1, "2": 2})
    assert of_items(data, "toxic") == {("R_1", "Q1"): 1, ("R_2", "Q1"): 2, ("R_1", "Q2"): 2, ("R_2", "Q2"): 1}
    assert of_items(data, "kind") == {("R_1", "Q1"): 2, ("R_2", "Q1"): 1, ("R_1", "Q2"): 1, ("R_2", "Q2"): 2}


def test_an_answer_off_qualtrics_scale_is_told_with_its_line(tmp_path: Path) -> None:
    text = (FIXTURES / "qualtrics" / "survey.csv").read_text(encoding="utf-8")
    (tmp_path / "survey.csv").write_text(text.replace("A little,A little", "A little,Perhaps", 1), encoding="utf-8")
    with pytest.raises(InputError, match="column q6: unknown 'Perhaps'; allowed: Not at all, A little, Very"):
        load(tmp_path, drafted(tmp_path), AGREE)


def test_prolifics_answers_are_the_participants_where_the_survey_has_its_ids() -> None:
    draft, data = read("prolific", tuple(AGREE.items()))
    first, second = "5e9f3a1b2c4d5e6f7a8b9c0d", "60a1b2c3d4e5f60718293a4b"
    # The second gave a submission back, in which consent is revoked, and took part in another.
    assert declared(data, "age") == {first: ("30-39",), second: ("60 and over",)}
    assert declared(data, "sex") == {first: ("Female",), second: ()}
    assert declared(data, "employment") == {first: (), second: ("Full-Time",)}
    assert of_items(data, "q5") == {(first, "1"): 1, (first, "2"): 2, (second, "1"): 2, (second, "3"): 3}
    assert "participants are told by Prolific's ids in 'PROLIFIC_PID'" in draft.assumed
    assert not any("what Q2 asks" in line for line in draft.assumed)


def test_prolifics_ids_are_pseudonyms_once_they_have_landed(tmp_path: Path) -> None:
    draft, data = read("prolific", tuple(AGREE.items()))
    landing = land(Collection(tmp_path), [FIXTURES / "prolific"], [completed(draft, AGREE)], b"k" * 32)
    landed = snapshot_data(landing.snapshot, ["q5", "q6"], [completed(draft, AGREE)])
    assert len(landed.ratings) == len(data.ratings) == 5  # three texts by the one, two by the other
    assert landing.rejected.empty
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(one.encode() in written for one in ("5e9f3a1b2c4d5e6f7a8b9c0d", "60a1b2c3d4e5f60718293a4b"))


def test_several_files_land_through_one_pattern(tmp_path: Path) -> None:
    draft, data = read("lewidi_2025")
    landing = land(Collection(tmp_path), [FIXTURES / "lewidi_2025"], [completed(draft)], b"k" * 32)
    assert len(snapshot_data(landing.snapshot, ["irony"], [completed(draft)]).ratings) == len(data.ratings) == 5
    assert landing.rejected.empty


def test_prolifics_columns_are_told_in_any_case(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "prolific", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "prolific_export_65.csv"
    header, _, rows = path.read_text().partition("\n")
    path.write_text(f"{header.title().replace('Language', 'First language')}\n{rows}")
    people = drafted(tmp_path).codebook["participants"]
    assert people["participant"] == "Participant Id"
    assert people["attributes"]["first-language"] == {"column": "First language"}
    assert people["attributes"]["country-of-birth"] == {"column": "Country Of Birth"}


def test_prolifics_ids_are_read_as_nothing_but_the_participants() -> None:
    draft, _ = read("prolific", tuple(AGREE.items()))
    codebook = json.loads(json.dumps(draft.codebook)) | {"name": "x", "version": 1, "language": "en"}
    codebook["ratings"] |= {"labels": AGREE}
    codebook["participants"]["attributes"]["who"] = {"column": "Participant id"}
    with pytest.raises(ValueError, match="column 'Participant id' holds the participants' ids"):
        Codebook.model_validate(codebook)


def without_survey(folder: Path) -> None:
    (folder / "survey.csv").unlink()


def with_other_ids(folder: Path) -> None:
    path = folder / "survey.csv"
    text = path.read_text(encoding="utf-8")
    for number, pid in enumerate(("5e9f3a1b2c4d5e6f7a8b9c0d", "60a1b2c3d4e5f60718293a4b", "61ffeeddccbbaa9988776655")):
        text = text.replace(pid, f"p{number}")
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            without_survey,
            "prolific_export_65.csv: Prolific's demographic export holds no ratings; give the survey's table",
        ),
        (with_other_ids, "prolific_export_65.csv: no column of survey.csv has the ids of 'Participant id'"),
    ],
)
def test_prolifics_export_without_the_same_ids_elsewhere_is_refused_in_a_line(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    shutil.copytree(FIXTURES / "prolific", tmp_path, dirs_exist_ok=True)
    spoil(tmp_path)
    with pytest.raises(InputError, match=told):
        drafted(tmp_path)


def test_prolifics_export_beside_a_survey_of_no_format_is_left_to_others(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "prolific" / "prolific_export_65.csv", tmp_path)
    (tmp_path / "ratings.csv").write_text("who,answer,q\n5e9f3a1b2c4d5e6f7a8b9c0d,a1,low\n")
    assert [bridge.title for bridge in BRIDGES if bridge.draft(tables_in(tmp_path))] == []
