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
from tests.flows.conftest import STUDY, Place, new_place, results
from tests.object_server import ObjectServer, object_server
from tests.ray_cluster import add_node, ray_cluster
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow
SECRET = "a key of the pseudonyms that all machines have"


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


def small(folder: Path, databases: Path) -> Place:
    """The small study with one experiment, on a machine of its own."""
    place = new_place(folder).has(databases)
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


def adapters(place: Place, store: str | None = None) -> dict[str, str]:
    """Training run → digest of its weights."""
    runs = sorted(set(pd.read_csv(place.tables / "cells.csv")["training_run"].dropna()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_HOME", str(place.folder / "reader"))
        kept = open_store(store or str(place.folder / "home" / "store"))
        files = {key: kept.fetch("training-runs", key) / "adapter" / "adapter_model.safetensors" for key in runs}
    return {key: hashlib.sha256(file.read_bytes()).hexdigest() for key, file in files.items()}


def same(one: Place, other: Place) -> None:
    first, second = results(one.tables), results(other.tables)
    assert set(first) == set(second)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], check_exact=True, obj=name)


@pytest.fixture(scope="module")
def local(databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The study on this machine's slots, from a folder."""
    place = small(tmp_path_factory.mktemp("local"), databases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLURALIGN_SECRET", SECRET)
        assert run(place, "local").is_completed()
    return place


def flip_a_byte(store: Any, where: str) -> None:
    (key,) = [item["path"] for item in store._remote.list(where) if item["path"].endswith("adapter_model.safetensors")]
    content = bytearray(store._remote.get(key))
    content[-1] ^= 1
    store._remote.put(key, bytes(content))


def test_four_gpus_of_one_node(local: Place, databases: Path, tmp_path: Path) -> None:
    place = small(tmp_path, databases)
    with ray_cluster() as cluster:
        add_node(cluster, gpus=4)
        state = run(place, f"ray://{cluster.address}")
    assert state.is_completed(), state.message
    same(place, local)
    assert adapters(place) == adapters(local)


def test_three_nodes_of_which_one_goes_and_an_object_store(
    local: Place, databases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, store = small(tmp_path, databases), "s3://pluralign/three-nodes"
    runners: list[RayRunner] = []
    made = RayRunner.__init__

    def noted(self: RayRunner, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        runners.append(self)

    monkeypatch.setattr(RayRunner, "__init__", noted)

    def busy(node: Any) -> bool:
        routers = [kind.router for runner in runners for kind in runner._kinds.values()]
        return any(own.node == node.node_id and own.base and own not in r.free() for r in routers for own in r.places)

    with ray_cluster() as cluster:
        nodes = [add_node(cluster, gpus=1) for _ in range(3)]

        def lose() -> None:
            until(lambda: over.is_set() or any(busy(node) for node in nodes[1:]), "a job on a node that can go")
            for node in [node for node in nodes[1:] if busy(node)][:1]:
                cluster.remove_node(node, allow_graceful=False)

        over, losing = threading.Event(), threading.Thread(target=lose)
        losing.start()
        state = run(place, f"ray://{cluster.address}", store)
        over.set()
        losing.join(PATIENCE)
        assert len(cluster.list_all_nodes()) == 2
    assert state.is_completed(), state.message
    same(place, local)
    assert adapters(place, store) == adapters(local)
    assert not (place.folder / "home" / "store" / "training-runs").exists()
    kept = open_store(store)
    spoilt = sorted(adapters(place, store))[0]
    flip_a_byte(kept, f"training-runs/{spoilt}")
    for entry in [entry for entry in kept.entries() if entry.stage == "outputs"]:
        kept.discard(entry)  # so that the adapter is wanted again
    caplog.clear()
    elsewhere = small(tmp_path / "elsewhere", databases)  # another machine's slots, from what the cluster has made
    healed = run(elsewhere, "local", store)
    assert healed.is_completed()
    assert healed.result().trained == 1
    same(elsewhere, local)
    (line,) = [message for message in caplog.messages if "made again" in message]
    assert f"training-runs/{spoilt}: adapter/adapter_model.safetensors is not what was written" in line
    assert adapters(place, store) == adapters(local)
