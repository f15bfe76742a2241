"""The survey, the audit and a landing: the same with a Prefect server and without, and without it no Prefect at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from flows import cli
from flows.cli import main
from flows.server import address_of_server
from tests.flows.conftest import Place, new_place
from tests.flows.test_ratings import FROM_COLLECTION, make_export

ALONE = """
import json, sys
from flows.cli import main
codes = [main(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps([codes, sorted({"prefect", "mlflow", "torch", "scipy.stats"} & set(sys.modules))]))
"""
PARTS = ("survey", "audit")
SECRET = "a secret that both have, of enough characters"


def without_server(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing names a server, and the user's own settings of Prefect lie in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {"HOME": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, list[str], str]:
    """A place where all three have run in one process without a server; its lines on standard output; the others."""
    place = new_place(tmp_path_factory.mktemp("alone"))
    (place.folder / "landed.yaml").write_text(FROM_COLLECTION)
    make_export(place.folder / "export")
    commands = [*([part, place.study, "--output", part] for part in PARTS)]
    commands += [["land", "export", "--study", "landed.yaml"]] * 2
    environment = without_server(place.folder, PLURALIGN_HOME="home", PLURALIGN_SECRET=SECRET)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps(commands)],
        cwd=place.folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place, done.stdout.splitlines(), done.stderr


@pytest.mark.slow
def test_without_a_server_nothing_of_prefect_is_imported(alone: tuple[Place, list[str], str]) -> None:
    codes, imported = json.loads(alone[1][-1])
    assert codes == [0, 0, 0, 0]
    assert imported == []


@pytest.mark.slow
def test_without_a_server_a_person_reads_the_same_lines(alone: tuple[Place, list[str], str]) -> None:
    place, lines, told = alone
    assert "report: survey/report.html" in lines
    assert ["condition", "stratum"] in [line.split()[:2] for line in lines]
    for stage in ("ratings", "survey", "preferences", "audit"):
        assert f"{stage} …" in told
        assert f"{stage}: done in" in told
    assert "Prefect …" not in told
    assert not (place.folder / "home" / "temporary-prefect" / "prefect.db").exists()


@pytest.mark.slow
def test_a_landing_that_nobody_is_told_of_says_so_once(alone: tuple[Place, list[str], str]) -> None:
    _, lines, told = alone
    assert "df_ratings.csv, ratings: 3 rows, 3 kept" in lines
    # the second landing brings nothing new, so that there is nothing to announce
    line = "pluralign: no Prefect server is set, so the studies that follow this collection are not started"
    assert told.splitlines().count(line) == 1


@pytest.mark.slow
def test_a_server_gets_its_flow_runs_and_the_tables_are_the_same_to_the_byte(
    prefect: None, alone: tuple[Place, list[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import FlowRunSort

    served = new_place(tmp_path)
    monkeypatch.chdir(served.folder)
    monkeypatch.setenv("PLURALIGN_HOME", str(served.folder / "home"))
    monkeypatch.setenv("PLURALIGN_SECRET", SECRET)
    for part in PARTS:
        assert main([part, served.study, "--output", part]) == 0
        folders = [place.folder / part for place in (alone[0], served)]
        first, second = ({path.name: path.read_bytes() for path in (own / "tables").iterdir()} for own in folders)
        assert first == second
        figures = [{path.name: path.read_bytes() for path in own.glob("figures/*.svg")} for own in folders]
        assert figures[0] == figures[1]

    def of(ids: set[UUID]) -> FlowRunFilter:
        return FlowRunFilter(id=FlowRunFilterId(any_=list(ids)))

    with get_client(sync_client=True) as client:  # others used this server too
        everything = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        own = {run.name: run for run in everything if run.parameters.get("study") == served.study}
        assert set(own) == {"small · survey", "small · audit"}
        assert all(run.state.is_completed() for run in own.values())
        tasks = {task.id: task for task in client.read_task_runs(flow_run_filter=of({run.id for run in own.values()}))}
        below = {run.name: run for run in everything if run.parent_task_run_id in tasks}
        inner = client.read_task_runs(flow_run_filter=of({run.id for run in below.values()}))
    assert tasks[below["survey"].parent_task_run_id].flow_run_id == own["small · survey"].id
    assert tasks[below["audit"].parent_task_run_id].flow_run_id == own["small · audit"].id
    names = {task.name.split("-")[0] for task in (*tasks.values(), *inner)}
    assert {"read ratings", "survey tables", "preferences · scale", "report"} <= names


def test_what_fails_without_a_server_is_one_line_as_with_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise OSError("no space\nleft")

    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path))
    monkeypatch.setattr(cli, "_prefect_has_a_server", lambda: False)
    monkeypatch.setattr("flows.parts.survey_alone", fail)
    assert main(["survey", "demo"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "pluralign: failed: no space left"


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_one_line_and_nothing_runs(tmp_path: Path) -> None:
    environment = without_server(tmp_path, PLURALIGN_HOME="home", PREFECT_API_URL="http://127.0.0.1:9/api")
    command = [sys.executable, "-m", "flows.cli", "survey", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "pluralign: starting Prefect …"
    assert second.startswith("pluralign: PREFECT_API_URL http://127.0.0.1:9/api: no server answers (")
    assert not (tmp_path / "outputs").exists()


# ---- where a server's address is found

PLACES = {
    ".env": "PREFECT_API_URL=http://named.example/api\n",
    "prefect.toml": '[api]\nurl = "http://named.example/api"\n',
    "pyproject.toml": '[tool.prefect.api]\nurl = "http://named.example/api"\n',
    ".prefect/profiles.toml": 'active = "own"\n[profiles.own]\nPREFECT_API_URL = "http://named.example/api"\n',
    "home/temporary-prefect/profiles.toml": 'active = "own"\n[profiles.own]\nPREFECT_API_URL = "http://named.example/api"\n',
}
ASK = "import flows.server, sys; print(flows.server.address_of_server(), 'prefect' in sys.modules)"


def asked(folder: Path) -> list[str]:
    environment = without_server(folder, PLURALIGN_HOME="home")
    done = subprocess.run([sys.executable, "-c", ASK], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_an_address_is_found_wherever_prefect_looks_for_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(PLACES[name])
    assert asked(tmp_path) == ["http://named.example/api", "True"]


def test_files_that_name_none_do_not_bring_prefect_in(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=x\n")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["prefect"]\n[tool.ruff]\n')
    assert asked(tmp_path) == ["None", "False"]


def test_a_server_that_prefect_has_been_told_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings({PREFECT_API_URL: "http://named.example/api"}):
        assert address_of_server() == "http://named.example/api"
