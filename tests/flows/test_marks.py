"""What nobody may read stands nowhere: participants, keys and passwords are marked, and everything is searched."""

from __future__ import annotations

import base64
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import psutil
import pytest

from configs.schema import Simulation
from tasks.simulation.simulate import simulate_export
from tests.endpoint import Endpoint
from tests.flows.conftest import STUDY, Place, new_place
from tests.watch import PATIENCE

MARK = "zq7x"
PASSWORD, KEY, DECLARED = f"{MARK}-user:{MARK}-password", f"{MARK}-judge-key", f"{MARK}-declared"
ENCODED = base64.b64encode(PASSWORD.encode()).decode().rstrip("=")
"""As HTTP's basic authentication writes it."""
SIMULATED = "simulate: {participants: 150, responses_each: 5, prompts: 60, responses_per_prompt: 3}"


def readable(path: Path) -> str:
    """A file as whoever opens it sees it."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv()
    text = path.read_bytes().decode(errors="replace")
    if text.startswith("SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            text += "\n".join(database.iterdump())  # what lies beside the file, in its log, is read too
    return text


def marked(text: str) -> list[str]:
    """The lines that hold a mark."""
    return [line for line in text.splitlines() if MARK in line.casefold() or ENCODED in line]


def marked_files(folder: Path) -> dict[str, list[str]]:
    """Path → its marked lines, of each file with one in its name or content.

    What people declared stands in the table of participants, beside a pseudonym, and nowhere else.
    """
    found = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        name, text = str(path.relative_to(folder)), readable(path)
        text = text.replace(DECLARED, "") if path.name == "participants.parquet" else text
        if lines := marked(f"{name}\n{text}"):
            found[name] = lines
    return found


def make_exports(inbox: Path) -> None:
    """One export with faults in some rows, and one whose ratings have lost their header line."""
    export = inbox / "export"
    simulate_export(Simulation(participants=150, responses_each=5, prompts=60, responses_per_prompt=3), 0, export)
    tables = {path: pd.read_csv(path, dtype=str, keep_default_na=False) for path in export.iterdir()}
    for table in tables.values():
        if "participant_id" in table:
            table["participant_id"] = f"{MARK}-person-" + table["participant_id"]
        if "prolific_id" in table:
            table["prolific_id"] = f"{MARK}-prolific"
        if "ethnicity" in table:
            table.loc[:3, "gender_identity"] = DECLARED
            table.loc[4, "participant_id"] = table.loc[5, "participant_id"]  # who contradicts themselves
        if "rating_toxicity" in table:
            table.loc[:3, "rating_toxicity"] = table.loc[9, "participant_id"]
            table.loc[20:22, "participant_id"] = f"{MARK}-person-of-no-row"
    for path, table in tables.items():
        table.to_csv(path, index=False)
        headless = inbox / "headless" / path.name
        headless.parent.mkdir(exist_ok=True)
        table.to_csv(headless, index=False, header="rating_toxicity" not in table)


def command_lines(pid: int, seen: set[str], ended: threading.Event) -> None:
    """All arguments with which the process and its children run, as other users of the machine see them."""
    while not ended.wait(0.1):
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            seen |= {" ".join(process.cmdline()) for process in family}
        except psutil.Error:
            continue


def answer(request: dict) -> tuple[int, dict, dict[str, str]] | None:
    """An error that repeats the key, for one text of seven."""
    if len(request["messages"][1]["content"]) % 7:
        return None
    return 400, {"error": {"message": f"no: Bearer {KEY}", "code": "invalid_prompt"}}, {}


@pytest.fixture(scope="module")
def place(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Endpoint, list[str]]:
    """Exports swept in and a study of them run, with marks wherever a secret goes; all that was said."""
    from prefect.settings import PREFECT_API_URL

    from flows.inbox import sweep_inbox

    place = new_place(tmp_path_factory.mktemp("here")).has(databases)
    make_exports(place.folder / "inbox")
    server = urlsplit(str(PREFECT_API_URL.value()))
    with Endpoint(special=answer) as endpoint, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
        patch.setenv("PLURALIGN_SECRET", f"{MARK}-pseudonym-secret")
        patch.setenv("OPENAI_API_KEY", f"{MARK}-openai-key")
        patch.setenv("JUDGE_KEY_127_0_0_1", KEY)
        patch.setenv("MLFLOW_TRACKING_URI", f"http://{PASSWORD}@127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        judge = f"judge: {{kind: llm, model: m, base_url: '{endpoint.url}'}}\n"
        one_experiment = STUDY[: STUDY.index("  scale:\n")] + STUDY[STUDY.index("architectures:") :]
        study = one_experiment.replace(SIMULATED, "collection: ours").replace("tiny-llama, tiny-gptneox", "tiny-llama")
        Path(place.study).write_text(study + judge)
        swept = sweep_inbox(str(place.folder / "inbox"), place.study, quiet_seconds=0, return_state=True)
        known = replace(place, server=server._replace(netloc=f"{PASSWORD}@{server.netloc}").geturl())
        process = known.start("run", "small.yaml", "--workers", "1")
        arguments, ended = set[str](), threading.Event()
        watch = threading.Thread(target=command_lines, args=(process.pid, arguments, ended))
        watch.start()
        output, _ = process.communicate(timeout=PATIENCE)
        ended.set()
        watch.join()
        assert process.returncode == 0, output
        told = known.start("trace", "small", "demographics/female - male/toxicity")
        trace, _ = told.communicate(timeout=PATIENCE)
    return place, endpoint, [str(swept.message), output, trace, *arguments]


def test_what_is_searched_would_show_a_mark(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["hidden", f"{MARK.upper()}-a"]}).to_parquet(tmp_path / "a.parquet", compression="gzip")
    (tmp_path / f"{MARK}.txt").write_text("nothing")
    (tmp_path / "log").write_bytes(b"\xff\n" + f"Basic {ENCODED}==".encode())
    with closing(sqlite3.connect(tmp_path / "b.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", [f"a {MARK}"])
        (tmp_path / "clean.csv").write_text("a,b\n1,2\n")
        assert {"a.parquet", f"{MARK}.txt", "log", "b.db"} == {
            name.removesuffix("-wal") for name in marked_files(tmp_path)
        }


@pytest.mark.slow
def test_no_participant_key_or_password_is_said_or_shown_to_other_users(place) -> None:
    _, endpoint, said = place
    assert any(f"Bearer {KEY}" in head for head in endpoint.heads)
    assert not any("openai-key" in head for head in endpoint.heads)
    assert any("tasks.runtime.local.child" in line for line in said)
    assert [line for text in said for line in marked(text)] == []


@pytest.mark.slow
def test_none_is_in_any_file_that_was_written(place) -> None:
    here = place[0].folder
    assert {path.name for path in here.rglob("*.txt")} >= {"export.txt", "headless.txt"}
    written = marked_files(here)
    brought = {f"inbox/{name}" for name in ("done/export", "refused/headless")}
    assert {str(Path(name).parent) for name in written} <= brought, written


@pytest.mark.slow
def test_none_is_in_prefects_database(place) -> None:
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL as SERVER

    database = Path(SERVER.value().removeprefix("sqlite+aiosqlite:///"))
    content = readable(database)
    assert "small · train" in content or "ours" in content
    assert marked(content) == []
