"""`pluralign serve` for real: exports land, the study that follows runs, and nothing is left when it ends."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from configs.schema import Simulation
from flows.cli import main
from tasks.simulation.simulate import simulate_export
from tests.flows.conftest import STUDY, Place, new_place
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
READY = "Ctrl-C ends all."
BUSY_TRIES = 20
SLACK = 30.0
"""Seconds allowed at least on top of what is promised, for a machine that is shared."""


@dataclass
class Served:
    """A place with a server, and the process that keeps it."""

    place: Place
    port: int
    mlflow_port: int
    process: subprocess.Popen[str]
    output: str
    seconds: float
    """That it took to start."""

    @property
    def slack(self) -> float:
        """Seconds allowed on top of what is promised; more on a machine that is as busy as its start has shown."""
        return max(SLACK, 2 * self.seconds)

    def ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}", None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": self.authorization},
        )  # fmt: skip
        for _ in range(BUSY_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                time.sleep(1)  # its SQLite file was busy; Prefect's own clients ask again, too
        raise TimeoutError(f"{path}: busy")

    def deployments(self) -> dict[str, Any]:
        return {item["name"]: item for item in self.ask("/deployments/filter", {})}

    def trigger(self, deployment: str, **parameters: Any) -> str:
        """Start a run; its id."""
        found = self.deployments()[deployment]["id"]
        return self.ask(f"/deployments/{found}/create_flow_run", {"parameters": parameters})["id"]

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Runs of a flow that have started, the latest first."""
        query = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC"}
        return [run for run in self.ask("/flow_runs/filter", query) if run["start_time"]]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def home(self) -> Path:
        return self.place.folder / "home"

    @property
    def password(self) -> str:
        return f"pluralign:{(self.home / 'serve' / 'password').read_text()}"

    @property
    def authorization(self) -> str:
        return f"Basic {base64.b64encode(self.password.encode()).decode()}"

    def join(self, command: str) -> subprocess.CompletedProcess[str]:
        """What a command comes to in another terminal, after the line that is printed for it."""
        line = next(line for line in self.output.splitlines() if line.startswith("  source "))
        return subprocess.run(
            ["bash", "-c", f"{line}; {sys.executable} -m flows.cli {command}"], cwd=self.place.folder,
            env=self.place.environment(), text=True, capture_output=True, check=False,
        )  # fmt: skip


def start(place: Place, *arguments: str) -> Served:
    port, mlflow_port = free_port(), free_port()
    began = time.monotonic()
    process = place.start("serve", "--port", str(port), "--mlflow-port", str(mlflow_port), *arguments)
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if READY in line:
            return Served(place, port, mlflow_port, process, "".join(lines), time.monotonic() - began)
    pytest.fail(f"ended before it was ready:\n{''.join(lines)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def trains(family: list[psutil.Process]) -> bool:
    for one in family:
        try:
            if "tasks.runtime.local.child" in one.cmdline():
                return True
        except psutil.NoSuchProcess:  # also a zombie
            continue
    return False


def none_left(family: list[psutil.Process]) -> bool:
    """Whether all of these have ended; where nobody reaps them, they stay as zombies."""
    try:
        return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in family)
    except psutil.NoSuchProcess:
        return False  # just ended: look again


def write_exports(place: Place) -> None:
    """`first`, and `second` with some more men who rate the same responses."""
    whole = place.folder / "whole"
    simulate_export(Simulation(participants=120, prompts=50), 0, whole)
    for name, late in (("first", False), ("second", True)):
        folder = place.folder / name
        shutil.copytree(whole, folder)
        for language in ("", "_german"):
            people = read(whole / f"df_participants{language}.csv")
            men = people["gender_identity"] == "he/him/his"
            comes_late = men & people["participant_id"].str[-1].isin(list("13579"))
            ids = set(people.loc[comes_late == late, "participant_id"])
            for table in ("df_participants", "df_ratings"):
                rows = read(whole / f"{table}{language}.csv")
                rows[rows["participant_id"].isin(ids)].to_csv(folder / f"{table}{language}.csv", index=False)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def following_study() -> str:
    """The small study, on a collection, with one model and two groups that are compared with no one but the control."""
    study = yaml.safe_load(STUDY)
    groups = study["experiments"]["demographics"]
    groups["contrasts"] = {"female - control": {}, "male - control": {}}
    study["ratings"] = {"collection": "small", "codebooks": study["ratings"]["codebooks"]}
    own = {"name": "following", "architectures": ["tiny-llama"], "experiments": {"demographics": groups}}
    return yaml.safe_dump(study | own)


def spoil_databases(home: Path) -> None:
    """What starts that were killed while they made their databases have left."""
    (home / "prefect").mkdir(parents=True)
    for file in (home / "prefect" / "prefect.db", home / "mlflow.db"):
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE alembic_version (version_num)")
            database.execute("INSERT INTO alembic_version VALUES ('never heard of')")
            database.commit()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = new_place(tmp_path_factory.mktemp("served"))
    (place.folder / "following.yaml").write_text(following_study())
    write_exports(place)
    spoil_databases(place.folder / "home")
    running = start(place, "--study", "following.yaml")
    yield running
    running.process.kill()
    running.process.wait()


def test_a_port_that_is_taken_is_one_clear_line(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--mlflow-port", str(port), "--port", str(free_port())]) == 2
    error = f"pluralign: --mlflow-port {port}: Address already in use; choose another\n"
    assert capsys.readouterr().err == error


def test_it_says_where_everything_is_and_how_to_join(served: Served) -> None:
    assert f"Prefect  http://127.0.0.1:{served.port}/open.html#{served.password}\n" in served.output
    assert f"MLflow   http://{served.password}@127.0.0.1:{served.mlflow_port}/open\n" in served.output
    assert f"  source {served.home}/serve/env\n" in served.output
    damaged = {path.name for path in served.home.rglob("*.damaged")}
    assert damaged == {"prefect.db.damaged", "mlflow.db.damaged"}  # kept, and the start went on
    again = served.place.start("serve", "--port", str(free_port()), "--mlflow-port", str(free_port()))
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 2, output
    assert "`pluralign serve` already runs here" in output


def answer(address: str, **headers: str) -> tuple[int, str | None]:
    """Status, and the origin whose pages may read the answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as reply:
            return reply.status, reply.headers["Access-Control-Allow-Origin"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Access-Control-Allow-Origin"]


def test_nobody_comes_in_without_the_password_and_no_other_page_with_it(served: Served) -> None:
    prefect, mlflow = (f"http://127.0.0.1:{port}" for port in (served.port, served.mlflow_port))
    search = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    right = {"Authorization": served.authorization}
    for own, address in ((prefect, f"{prefect}/api/admin/version"), (mlflow, search)):
        assert answer(address) == (401, None)
        assert answer(address, Authorization="Basic cGx1cmFsaWduOg==") == (401, None)
        assert answer(address, **right) in {(200, None), (200, own)}
        assert answer(address, Origin=own, **right) == (200, own)
        for page in ("https://elsewhere.example", "http://127.0.0.1:1", "null"):
            assert answer(address, Origin=page) == (401, None)
            assert answer(address, Origin=page, **right)[1] is None
    assert answer(search, Host="elsewhere.example", **right)[0] == 403
    page = urllib.request.urlopen(f"{prefect}/open.html").read().decode()
    assert 'localStorage.setItem("prefect-password"' in page


def test_the_password_is_its_owners_alone(served: Served) -> None:
    secret = served.password.partition(":")[2]
    assert len(secret) == 64
    keeping = {path.name for path in served.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()}
    assert keeping == {"password", "env"}
    assert {(served.home / "serve" / name).stat().st_mode & 0o777 for name in keeping} == {0o600}
    assert (served.home / "serve").stat().st_mode & 0o777 == 0o700
    assert not [one for one in served.family() if secret in " ".join(one.cmdline())]


def test_the_deployments_are_there_with_their_schedules_and_the_trigger(served: Served) -> None:
    found = served.deployments()
    assert {name: item["parameters"].get("study") for name, item in found.items() if name != "follow-latest"} == {
        "study": "following.yaml", "survey": "following.yaml", "audit": "following.yaml", "meta-analysis": None,
        "land-ratings": "following.yaml", "sweep-inbox": "following.yaml",
    }  # fmt: skip
    assert [schedule["active"] for schedule in found["study"]["schedules"]] == [False]
    assert len(served.ask("/automations/filter", {})) == 1
    planned = {"deployments": {"id": {"any_": [found["sweep-inbox"]["id"]]}}}
    until(lambda: served.ask("/flow_runs/filter", planned), "a run that the cron schedule made")


def followed(served: Served, count: int) -> tuple[dict[str, str], float]:
    """Status of each cell after `count` studies have run, and seconds from the last landing to the last one's start."""
    ended = lambda: len([run for run in served.runs("follow") if run["end_time"]]) == count  # noqa: E731
    until(ended, f"{count} studies", 2 * PATIENCE)
    study, follow = served.runs("study")[0], served.runs("follow")[0]
    assert (follow["state"]["name"], study["state"]["name"]) == ("Completed", "Completed"), follow["state"]["message"]
    query = {"filter": {"event": {"name": ["pluralign.ratings.landed"]}}}
    events = served.ask("/events/filter", query)["events"]
    assert len(events) == count
    landed = pd.Timestamp(max(event["occurred"] for event in events))
    cells = pd.read_csv(served.place.folder / "outputs" / "following" / "tables" / "cells.csv")
    return dict(zip(cells["condition"], cells["status"], strict=True)), (
        pd.Timestamp(study["start_time"]) - landed
    ).total_seconds()


def test_an_export_in_the_inbox_lands_and_the_study_that_follows_runs(served: Served) -> None:
    inbox, log = served.place.folder / "inbox", ""
    inbox.mkdir(exist_ok=True)
    shutil.copytree(served.place.folder / "first", inbox / "first")
    (inbox / "first.part").write_text("")
    (inbox / "empty").mkdir()
    (inbox / "nonsense.csv").write_text("a,b\n1,2\n")
    served.trigger("sweep-inbox", quiet_seconds=0)
    until(lambda: (inbox / "done" / "first.txt").exists(), "the landing")
    cells, seconds = followed(served, 1)
    assert cells == {"control": "control", "female": "trained", "male": "trained"}
    print(f"{seconds:.1f} s from the landing to the start of the study")
    assert seconds < 15 + served.slack
    assert "a single file needs one codebook" in (inbox / "refused" / "nonsense.csv.txt").read_text()
    assert {path.name for path in inbox.glob("[!.]*")} == {"done", "empty", "first.part", "refused"}
    for path in (served.home / "serve").glob("*.log"):
        log += path.read_text()
    assert "sim-en-" not in log
    assert "sim-de-" not in log


def test_more_ratings_run_only_what_they_change(served: Served) -> None:
    landed = served.join("land second --study following.yaml")
    assert landed.returncode == 0, landed.stderr
    cells, seconds = followed(served, 2)
    print(f"{seconds:.1f} s from the landing to the start of the study")
    assert cells == {"control": "control", "female": "cached", "male": "trained"}
    assert seconds < 15 + served.slack


def test_a_run_shows_its_progress_its_table_and_its_figures(served: Served) -> None:
    found = {item["key"]: item for item in served.ask("/artifacts/filter", {"sort": "CREATED_DESC"})}
    assert float(found["following-progress"]["data"]) == 100
    assert {row["contrast"] for row in json.loads(found["following-pooled"]["data"])} == {
        "female - control", "male - control",
    }  # fmt: skip
    page = found["following-study"]["data"]
    assert "](data:image/png;base64," in page
    address = page.split("[open it in MLflow](")[1].split(")")[0]
    assert address.startswith("http://127.0.0.1:")
    assert address.endswith("/artifacts/report.html")


def test_ctrl_c_ends_everything_within_seconds_and_runs_do_not_seem_to_go_on(served: Served) -> None:
    served.trigger("study", study="small.yaml")
    until(lambda: trains(served.family()), "training")
    family = served.family()
    started = time.monotonic()
    os.killpg(served.process.pid, signal.SIGINT)
    output, _ = served.process.communicate(timeout=served.slack)
    assert served.process.returncode == 0, output
    assert "Traceback" not in output
    until(lambda: none_left(family), "the end of all processes", 3)
    print(f"{time.monotonic() - started:.1f} s to end {len(family)} processes")
    with sqlite3.connect(served.home / "prefect" / "prefect.db") as database:
        states = dict(database.execute("SELECT name, state_type FROM flow_run WHERE state_type != 'SCHEDULED'"))
    assert states["small"] == "CRASHED"
    assert "RUNNING" not in states.values()


def test_started_again_it_has_each_deployment_once_and_ends_even_if_it_is_killed(served: Served) -> None:
    again = start(served.place)
    try:
        assert again.deployments()["study"]["parameters"]["study"] == "demo"
        assert len(again.ask("/automations/filter", {})) == 1
    finally:
        family = again.family()
        again.process.kill()
        again.process.wait()
    assert len(family) >= 4
    until(lambda: none_left(family), "the end of all processes", 20)
