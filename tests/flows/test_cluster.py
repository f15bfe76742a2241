"""A study gives the same adapters and tables wherever it runs and wherever its artifacts are kept, and whatever is lost
on the way."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tasks.runtime.ray.runner import RayRunner
from tasks.runtime.stores import open_store
from tests.flows.conftest import STUDY, Place, new_place
from tests.object_server import ObjectServer, object_server
from tests.ray_cluster import add_node, ray_cluster
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
SECRET = "a key of the pseudonyms that all machines have"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One node with four GPUs that are only counted."""
    with ray_cluster() as made:
        add_node(made, gpus=4)
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def shared(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all machines have: rights in the object store, and the key of the pseudonyms."""
    monkeypatch.setenv("PLURALIGN_SECRET", SECRET)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


def small(folder: Path) -> Place:
    """The small study with one experiment."""
    place = new_place(folder)
    study = yaml.safe_load(STUDY)
    study["experiments"] = {"scale": study["experiments"]["scale"]}
    Path(place.study).write_text(yaml.safe_dump(study))
    return place


def run(place: Place, runner: str, store: str | None = None) -> Any:
    from flows.study import run_study

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "home"))
        patch.chdir(place.folder)
        return run_study(place.study, workers=2, runner=runner, store=store, return_state=True)


def tables(place: Place) -> dict[str, pd.DataFrame]:
    found = {path.stem: pd.read_csv(path) for path in place.tables.glob("*.csv")}
    return {name: table.drop(columns=["seconds", "mlflow_run_id"], errors="ignore") for name, table in found.items()}


def adapters(place: Place, store: str | None = None) -> dict[str, str]:
    """Training run → digest of its weights."""
    runs = sorted(set(pd.read_csv(place.tables / "cells.csv")["training_run"].dropna()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "reader"))
        kept = open_store(store or str(place.folder / "home" / "store"))
        files = {key: kept.fetch("training-runs", key) / "adapter" / "adapter_model.safetensors" for key in runs}
    return {key: hashlib.sha256(file.read_bytes()).hexdigest() for key, file in files.items()}


def same(one: Place, other: Place) -> None:
    first, second = tables(one), tables(other)
    assert set(first) == set(second)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], check_exact=True, obj=name)


@pytest.fixture(scope="module")
def local(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The study on this machine's slots, from a folder."""
    place = small(tmp_path_factory.mktemp("local"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_SECRET", SECRET)
        assert run(place, "local").is_completed()
    return place


def test_four_gpus_of_one_node(local: Place, cluster: Any, tmp_path: Path) -> None:
    place = small(tmp_path)
    state = run(place, f"ray://{cluster.address}")
    assert state.is_completed(), state.message
    same(place, local)
    assert adapters(place) == adapters(local)


def test_three_nodes_of_which_one_goes_and_an_object_store(
    local: Place, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, store = small(tmp_path), "s3://pluralign/three-nodes"
    nodes = [add_node(cluster, gpus=1) for _ in range(2)]
    runners: list[RayRunner] = []
    made = RayRunner.__init__

    def noted(self: RayRunner, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        runners.append(self)

    monkeypatch.setattr(RayRunner, "__init__", noted)

    def lose() -> None:
        def busy() -> bool:
            places = [place for kind in runners[0]._kinds.values() for place in kind.router.places] if runners else []
            free = [place for kind in runners[0]._kinds.values() for place in kind.router.free()] if runners else []
            return any(place.node == nodes[0].node_id and place.base and place not in free for place in places)

        until(busy, "a job on the node that goes")
        cluster.remove_node(nodes[0], allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    state = run(place, f"ray://{cluster.address}", store)
    losing.join(PATIENCE)
    cluster.remove_node(nodes[1])
    assert state.is_completed(), state.message
    same(place, local)
    assert adapters(place, store) == adapters(local)
    assert not (place.folder / "home" / "store" / "training-runs").exists()
    again = run(place, "local", store)  # on this machine's slots, from what the cluster has made
    assert again.is_completed()
    assert again.result().trained == 0
    same(place, local)
