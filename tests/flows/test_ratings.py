"""Landing as a flow and as a command, and a study that reads what has landed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.load import load_codebook
from flows.cli import main
from tests.flows.conftest import STUDY, Place
from tests.tasks.ratings.by_hand import Row, person, rating, response, write_export
from tests.watch import PATIENCE

BOOK = load_codebook("survey-app-en")
IDS = ["5f3c2a1b9d8e7f6a5b4c3d2e", "Zoë-Müller-1987"]
SIMULATED = "simulate: {participants: 150, responses_each: 5, prompts: 60, responses_per_prompt: 3}"
FROM_COLLECTION = STUDY.replace(SIMULATED, "collection: ours").replace("survey-app-en, survey-app-de", "survey-app-en")


def whole(participant: str, response: str, label: str) -> Row:
    """A rating with the same label on every dimension."""
    return rating(participant, response, label) | dict.fromkeys(BOOK.ratings.dimensions.values(), label)


def make_export(folder: Path, *more: Row) -> Path:
    folder.mkdir(exist_ok=True)
    ratings = [whole(IDS[0], "r1", "agree"), whole(IDS[1], "r1", "neutral"), whole(IDS[1], "r2", "disagree"), *more]
    write_export(folder, BOOK, ratings, [person(name) for name in IDS], [response("r1"), response("r2")])
    return folder


@pytest.fixture
def ours(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place with a study that reads a collection, and an export that lands in it."""
    Path(place.study).write_text(FROM_COLLECTION)
    make_export(place.folder / "export")
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
    monkeypatch.delenv("PLURALIGN_SECRET", raising=False)
    return place


# ---- before anything is started


def test_a_study_whose_collection_is_empty_says_how_to_land(ours: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "survey", "audit"):
        assert main([command, ours.study]) == 2
        assert capsys.readouterr().err == (
            "pluralign: collection 'ours' has no snapshot yet; land an export: pluralign land EXPORT --study STUDY\n"
        )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "--study", "demo"], "nowhere: no such file or folder"),
        ([".", "--study", "demo"], ".: none of the codebooks' files is there; expected df_ratings.csv, df_ratings_"),
        (["export", "--study", "nope"], "studies: unknown 'nope'; allowed: "),
        (["export/df_ratings.csv", "--study", "demo"], "export/df_ratings.csv: a single file needs one codebook"),
    ],
)
def test_what_can_not_be_landed_is_one_clear_line(
    ours: Place, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["land", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pluralign: {line}")
    assert error.count("\n") == 1


# ---- the flow


def land(place: Place, *exports: str, strict: bool = False) -> Any:
    from flows.ratings import land_ratings

    return land_ratings(list(exports or ["export"]), place.study, strict, return_state=True)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What is announced."""
    told: list[dict] = []
    monkeypatch.setattr("flows.ratings.emit_event", lambda event, **more: told.append({"event": event, **more}))
    return told


@pytest.mark.slow
def test_a_landing_is_announced_and_shown_without_anybodys_id(
    prefect: None, ours: Place, events: list[dict], caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.client.orchestration import get_client

    caplog.set_level("INFO", "flows")
    make_export(ours.folder / "export", whole(IDS[0], "r2", IDS[1]))
    state = land(ours)
    landing = state.result()
    assert events == [{
        "event": "pluralign.ratings.landed",
        "resource": {"prefect.resource.id": "pluralign.collection.ours", "prefect.resource.name": "ours"},
        "payload": {
            "collection": "ours", "snapshot": landing.snapshot.id, "parents": [], "added": 15, "superseded": 0,
            "rejected": 5, "study": ours.study,
        },
    }]  # fmt: skip
    with get_client(sync_client=True) as client:
        pages = [artifact for artifact in client.read_artifacts() if artifact.key == "ours-landing"]
    # the server may be shared with other tests that land the same collection
    (page,) = [page for page in pages if page.flow_run_id == state.state_details.flow_run_id]
    assert "| df_ratings.csv | ratings | 4 | 3 | 0 | 1 | 0 |" in page.data
    assert "| rejected | unknown label | 5 |" in page.data
    changed = "15 ratings added, 0 corrected; 2 participants added, 0 changed; 2 responses added, 0 changed"
    assert state.message == f"snapshot {landing.snapshot.id}: {changed}"
    told = [page.data, caplog.text, str(events), state.message]
    told += [path.read_text(errors="replace") for path in (ours.folder / "home").rglob("*") if path.is_file()]
    assert "unknown label" in caplog.text
    assert not [name for name in IDS for text in told if name.casefold() in text.casefold()]


@pytest.mark.slow
def test_what_brings_nothing_new_is_not_announced_and_a_correction_is(
    prefect: None, ours: Place, events: list[dict]
) -> None:
    first = land(ours).result()
    again = land(ours)
    assert again.message == f"nothing new: snapshot {first.snapshot.id} stays the latest"
    assert len(events) == 1
    export = ours.folder / "export" / BOOK.ratings.file
    export.write_text(export.read_text().replace("neutral", "agree"))
    land(ours)
    assert events[1]["payload"]["parents"] == [first.snapshot.id]
    assert (events[1]["payload"]["added"], events[1]["payload"]["superseded"]) == (0, 5)


@pytest.mark.slow
def test_a_strict_landing_of_a_bad_row_fails_with_its_place_and_lands_nothing(
    prefect: None, ours: Place, events: list[dict]
) -> None:
    from configs.errors import InputError

    make_export(ours.folder / "export", whole(IDS[0], "r2", "oui"))
    state = land(ours, strict=True)
    assert state.is_failed()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, InputError)
    assert "1 of 8 rows can't be used; the first: df_ratings.csv: row 5, column rating_" in str(error)
    assert events == []
    assert not (ours.folder / "home" / "collections" / "ours" / "latest").exists()


@pytest.mark.slow
def test_the_secret_block_of_prefect_makes_the_pseudonyms(prefect: None, ours: Place, events: list[dict]) -> None:
    from prefect.blocks.system import Secret

    from tasks.ratings.landing.pseudonym import pseudonyms

    Secret(value="a secret kept in Prefect").save("pluralign-secret", overwrite=True)
    try:
        people = land(ours).result().snapshot.tables().participants["participant_id"]
    finally:
        Secret.delete("pluralign-secret")
    assert set(people) == set(map(pseudonyms(b"a secret kept in Prefect", BOOK.name), IDS))
    assert not (ours.folder / "home" / "secret").exists()


@pytest.mark.slow
def test_without_a_collection_ratings_land_under_the_studys_name(
    prefect: None, place: Place, ours: Place, events: list[dict]
) -> None:
    Path(place.study).write_text(STUDY)
    assert land(ours).result().snapshot.manifest["collection"] == "small"
    assert events[0]["payload"]["collection"] == "small"


@pytest.mark.slow
def test_a_study_reads_the_latest_snapshot_or_the_one_that_it_names_and_says_which(
    prefect: None, ours: Place, events: list[dict]
) -> None:
    from flows.survey import run_survey

    Path(ours.study).write_text(FROM_COLLECTION.replace("male: {attribute: gender, values: [he/him/his]}", ""))
    text = Path(ours.study).read_text()
    start, end = text.index("experiments:"), text.index("architectures:")
    Path(ours.study).write_text(text[:start] + text[end:].replace("architectures: [tiny-llama, tiny-gptneox]", ""))
    first = land(ours).result().snapshot
    make_export(ours.folder / "export", whole(IDS[0], "r2", "agree"))
    second = land(ours).result().snapshot
    for settings, snapshot, rows in (
        (None, second, 4), ({"ratings.snapshot": first.id[:8]}, first, 3), ({"ratings.snapshot": "latest"}, second, 4),
    ):  # fmt: skip
        state = run_survey(ours.study, settings, "out", return_state=True)
        assert state.is_completed(), state.message
        facts = json.loads((ours.folder / "out" / "study.json").read_text())
        assert facts["snapshot"] == snapshot.id
        assert facts["counts"]["rated responses by participant"] == rows


# ---- the command


@pytest.mark.slow
def test_the_command_tells_what_became_of_every_row(databases: Path, ours: Place) -> None:
    ours.has(databases)
    make_export(ours.folder / "export", whole(IDS[0], "r2", "oui"), whole(IDS[0], "r2", ""))
    process = ours.start("land", "export", "--study", "small.yaml")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    lines = output.splitlines()
    assert "df_ratings.csv, ratings: 5 rows, 3 kept, 1 rejected, 1 dropped" in lines
    assert "rejected: 5 unknown label" in lines
    assert "dropped: 1 no answer on any dimension" in lines
    (folder,) = (ours.folder / "home" / "collections" / "ours" / "landings").iterdir()
    assert lines[-1] == f"landing: {folder}"
    assert len((folder / "rejected.csv").read_text().splitlines()) == 6
    strict = ours.start("land", "export", "--study", "small.yaml", "--strict")
    output, _ = strict.communicate(timeout=PATIENCE)
    assert strict.returncode == 2, output
    assert output.splitlines()[-1].startswith(
        "pluralign: 1 of 9 rows can't be used; the first: df_ratings.csv: row 5, "
    )
    assert "Traceback" not in output
    assert not [name for name in IDS if name in output]
