"""Two machines run one study at once, with one Prefect server and one object store between them: each in a network of
its own, as network namespaces make them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.flows.conftest import STUDY, Place, new_place
from tests.object_server import free_ports, object_server
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
HUB = "10.77.31.1"
MACHINES = {"one": "10.77.31.2", "two": "10.77.31.3"}


@dataclass(frozen=True)
class Net:
    """A hub with the servers, and machines that reach it and nothing else."""

    prefix: str

    def within(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self.prefix}{name}"]

    def cut(self, name: str) -> None:
        self.ip("-n", f"{self.prefix}hub", "link", "set", f"to-{name}", "down")

    @staticmethod
    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    def build(self) -> None:
        for name in ("hub", *MACHINES):
            self.ip("netns", "add", f"{self.prefix}{name}")
            self.ip("-n", f"{self.prefix}{name}", "link", "set", "lo", "up")
        hub = ("-n", f"{self.prefix}hub")
        self.ip(*hub, "link", "add", "bridge", "type", "bridge")
        self.ip(*hub, "addr", "add", f"{HUB}/24", "dev", "bridge")
        self.ip(*hub, "link", "set", "bridge", "up")
        for name, address in MACHINES.items():
            there = f"{self.prefix}{name}"
            self.ip(*hub, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", there)
            self.ip(*hub, "link", "set", f"to-{name}", "master", "bridge")
            self.ip(*hub, "link", "set", f"to-{name}", "up")
            self.ip("-n", there, "addr", "add", f"{address}/24", "dev", "eth0")
            self.ip("-n", there, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for name in ("hub", *MACHINES):
            with suppress(subprocess.CalledProcessError):
                self.ip("netns", "delete", f"{self.prefix}{name}")


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    made = Net(f"pluralign-{os.getpid()}-")
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    try:
        made.build()
    except subprocess.CalledProcessError as error:
        made.remove()
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def shared(net: Net, databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What both machines have in their environment; the servers are up."""
    folder, (port,) = tmp_path_factory.mktemp("hub"), free_ports(1)
    shutil.copy(databases / "prefect.db", folder)
    own = os.environ | {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": f"http://{HUB}:{port}/api",
    }
    start = [sys.executable, "-m", "prefect", "server", "start", "--host", HUB, "--port", str(port)]
    with ExitStack() as stack:
        store = stack.enter_context(object_server(folder / "s3", HUB, net.within("hub")))
        log = stack.enter_context((folder / "prefect.log").open("w"))
        server = subprocess.Popen([*net.within("hub"), *start], env=own, stdout=log, stderr=log, start_new_session=True)
        stack.callback(server.wait)
        stack.callback(server.kill)
        ask = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
        health = [*net.within("one"), sys.executable, "-c", ask, f"http://{HUB}:{port}/api/health"]
        up = subprocess.run
        until(lambda: up(health, stderr=subprocess.DEVNULL, check=False).returncode == 0, "Prefect's server")
        yield {
            **store.environment(),
            "PREFECT_API_URL": own["PREFECT_API_URL"],
            "PLURALIGN_SECRET": "a key of the pseudonyms that both machines have",
        }


def study_file(folder: Path, databases: Path, name: str, seed: int) -> Path:
    """Two training runs and a base to make; the seed makes them others than those of another test.

    Beside it, each machine's place.
    """
    for machine in MACHINES:
        new_place(folder / machine).has(databases)
    study = yaml.safe_load(STUDY) | {"name": name, "seed": seed, "architectures": ["tiny-llama"]}
    study["experiments"] = {"scale": study["experiments"]["scale"]}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(study))
    return file


def start(net: Net, name: str, study: Path, shared: dict[str, str]) -> subprocess.Popen[str]:
    own = Place(study.parent / name)
    command = [*net.within(name), sys.executable, "-m", "flows.cli", "run", str(study), "--output", "out"]
    with (own.folder / "log").open("w") as log:
        return subprocess.Popen(
            [*command, "--store", f"s3://pluralign/{study.stem}", "--workers", "1"], cwd=own.folder,
            env=own.environment() | shared, stdout=log, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip


def table(study: Path, name: str, of: str) -> pd.DataFrame:
    found = pd.read_csv(study.parent / name / "out" / "tables" / f"{of}.csv")
    return found.drop(columns=["seconds", "mlflow_run_id", "status"], errors="ignore")


def test_both_complete_and_nothing_is_trained_twice(
    net: Net, shared: dict[str, str], databases: Path, tmp_path: Path
) -> None:
    study = study_file(tmp_path, databases, "both", 0)
    drivers = {name: start(net, name, study, shared) for name in MACHINES}
    ends = {name: driver.wait(PATIENCE) for name, driver in drivers.items()}
    assert ends == {"one": 0, "two": 0}, [(tmp_path / name / "log").read_text()[-2000:] for name in MACHINES]
    said = [(tmp_path / name / "log").read_text() for name in MACHINES]
    made = [int(re.findall(r"(\d+) training runs made now", text)[-1]) for text in said]
    assert sum(made) == 2, made
    for of in ("cells", "effects", "pooled", "scores"):
        pd.testing.assert_frame_equal(table(study, "one", of), table(study, "two", of), check_exact=True)


def test_one_is_cut_off_midway_and_the_other_completes(
    net: Net, shared: dict[str, str], databases: Path, tmp_path: Path
) -> None:
    study = study_file(tmp_path, databases, "cut", 1)
    drivers = {name: start(net, name, study, shared) for name in MACHINES}
    log = tmp_path / "one" / "log"
    until(lambda: "cell 1 of" in log.read_text() or drivers["one"].poll() is not None, "the first cell of the one")
    net.cut("one")
    end = drivers["two"].wait(PATIENCE)
    drivers["one"].kill()
    drivers["one"].wait()
    assert end == 0, (tmp_path / "two" / "log").read_text()[-2000:]
    cells = pd.read_csv(tmp_path / "two" / "out" / "tables" / "cells.csv")
    assert len(cells) == 3
    assert not (cells["status"] == "failed").any()
