"""A store that machines share only over the network: one writer wins, the other uses it, nothing counts as whole that
is not. By a folder, and by a real S3 server."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest

from configs.errors import InputError
from tasks.judging.llm.verdicts import Verdict, Verdicts
from tasks.runtime import artifact_cache, object_store
from tasks.runtime.artifact_cache import ArtifactCache
from tasks.runtime.object_store import NumberedDocument, ObjectStore, Remote
from tasks.runtime.store import DamagedArtifact, Record
from tasks.runtime.stores import open_store
from tests.object_server import ObjectServer, object_server
from tests.watch import PATIENCE, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return (tmp_path / "shared").as_uri()
    for name, value in request.getfixturevalue("server").environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://pluralign/{tmp_path.name}"


@pytest.fixture
def machine(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ObjectStore]:
    """The store as a machine of that name opens it: with a cache of its own."""

    def opened(name: str) -> ObjectStore:
        monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / name))
        store = open_store(address, name)
        assert isinstance(store, ObjectStore)
        return store

    return opened


Machine = Callable[[str], ObjectStore]


def build(folder: Path) -> Record:
    (folder / "inner").mkdir()
    (folder / "whole.txt").write_text("whole")
    (folder / "inner" / "big.bin").write_bytes(bytes(range(256)) * 30_000)
    return {"n": 1, "none": None}


def files(store: ObjectStore) -> list[str]:
    return sorted(item["path"] for item in store._remote.list("stage"))


def test_what_one_machine_publishes_another_finds_and_fetches(machine: Machine) -> None:
    one = machine("one")
    one.check()
    assert one.find("stage", "key") is None
    with pytest.raises(FileNotFoundError, match="stage/key: no such artifact"):
        one.fetch("stage", "key")
    made = one.make("stage", "key", build)
    assert (made.fresh, (made.path / "whole.txt").read_text()) == (True, "whole")
    other = machine("other")
    found = other.make("stage", "key", lambda _: pytest.fail("built again"))
    assert (found.fresh, found.record) == (False, {"n": 1, "none": None})
    assert (found.path / "inner" / "big.bin").read_bytes() == bytes(range(256)) * 30_000
    assert found.path != made.path
    assert other.make("stage", "none", lambda _: {"n": 2}).path.is_dir()  # an artifact without files
    assert [(entry.kind, entry.stage, entry.key) for entry in one.entries()] == [
        ("artifact", "stage", "key"), ("artifact", "stage", "none")
    ]  # fmt: skip
    for entry in list(one.entries()):
        one.discard(entry)
    assert machine("third").find("stage", "key") is None
    assert files(one) == []


def test_a_store_that_runs_out_of_space_leaves_no_artifact_and_goes_on_when_there_is_room(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the files have come."""
    store, put = machine("one"), Remote.put
    for far in range(2):
        sent: list[str] = []

        def full(self: Remote, key: str, content: bytes | str | Path, sent: list[str] = sent, far: int = far) -> None:
            if len(sent) >= far and "claims" not in key:
                raise OSError(errno.ENOSPC, "507 Insufficient Storage", key)
            sent.append(key)
            put(self, key, content)

        with monkeypatch.context() as patch:
            patch.setattr(Remote, "put", full)
            with pytest.raises(OSError, match="507 Insufficient Storage"):
                store.make("stage", "key", build)
        assert store.find("stage", "key") is None
        assert machine("other").find("stage", "key") is None
    made = store.make("stage", "key", build)
    assert made.fresh
    assert machine("other").make("stage", "key", build).record == made.record


def test_a_slow_store_is_only_slow(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than its claims are renewed: who waits for a build takes it for no one's that was given up."""
    monkeypatch.setattr(object_store, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(object_store, "CLAIM_SECONDS", 3.0)
    monkeypatch.setattr(object_store, "POLL_SECONDS", 0.1)
    one, other = machine("one"), machine("other")
    for name in ("put", "get", "fetch"):
        slowly(monkeypatch, name)
    builds: list[str] = []

    def built(folder: Path) -> Record:
        builds.append("built")
        time.sleep(2)
        return build(folder)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.make, "stage", "key", built)
        time.sleep(0.5)
        second = pool.submit(other.make, "stage", "key", built)
        assert first.result().record == second.result().record
    assert builds == ["built"]


def slowly(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    function = getattr(Remote, name)

    def late(*arguments: Any) -> Any:
        time.sleep(0.5)
        return function(*arguments)

    monkeypatch.setattr(Remote, name, late)


def test_a_build_that_raises_or_gives_no_json_leaves_nothing(machine: Machine) -> None:
    def fails(folder: Path) -> Record:
        build(folder)
        raise RuntimeError("no space left")

    store = machine("one")
    with pytest.raises(RuntimeError, match="no space left"):
        store.make("stage", "key", fails)
    with pytest.raises(TypeError):
        store.make("stage", "key", lambda folder: {"path": folder})
    assert files(store) == []
    assert store.make("stage", "key", build).fresh


def test_of_many_who_publish_one_key_one_wins_and_all_have_its_files(machine: Machine) -> None:
    stores, seen = [machine(f"m{n}") for n in range(4)], list[tuple[bool, str]]()

    def publish(store: ObjectStore) -> None:
        with store._cache.building(f"stage/{store.owner}") as folder:  # without a claim, as one that was overtaken
            (folder / "who.txt").write_text(store.owner)
            artifact = store.publish("stage", "key", folder, {"who": store.owner})
            seen.append((artifact.fresh, artifact.record["who"]))
            assert (artifact.path / "who.txt").read_text() == artifact.record["who"]

    threads = [threading.Thread(target=publish, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh for fresh, _ in seen) == [False, False, False, True]
    assert len({who for _, who in seen}) == 1
    assert len(files(stores[0])) == 2  # the losers' files are gone


def test_an_answer_that_gets_lost_does_not_lose_what_was_published(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Remote.create

    def lost(self: Remote, key: str, content: str) -> None:
        create(self, key, content)
        create(self, key, content)  # as obstore does when no answer came: the second try finds the first one's object

    monkeypatch.setattr(Remote, "create", lost)
    store = machine("one")
    assert store.make("stage", "key", build).fresh
    assert (machine("two").fetch("stage", "key") / "whole.txt").read_text() == "whole"
    assert store.document("counts").update(lambda known: (known or 0) + 1) == 1


def test_who_comes_second_waits_and_builds_nothing(machine: Machine) -> None:
    one, two, builds = machine("one"), machine("two"), list[str]()

    def slow(folder: Path) -> Record:
        builds.append("x")
        time.sleep(1.5)
        return build(folder)

    first = threading.Thread(target=lambda: one.make("stage", "key", slow))
    first.start()
    until(lambda: builds, "the first build")
    assert not two.make("stage", "key", slow).fresh
    first.join()
    assert builds == ["x"]
    assert not [name for name in files(one) if "claims" in name]


def test_a_build_that_is_given_up_is_overtaken_and_its_owner_goes_on_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "CLAIM_SECONDS", 2.0)
    machine("dead")._claim("stage", "key")  # and never renewed
    started = time.monotonic()
    assert machine("two").make("stage", "key", build).fresh
    assert time.monotonic() - started >= 2.0
    monkeypatch.setattr(object_store, "CLAIM_SECONDS", PATIENCE)
    machine("dead")._claim("stage", "other")
    assert machine("dead").make("stage", "other", build).fresh  # the same run, on another machine


def damage(store: ObjectStore, name: str, change: Callable[[bytes], bytes]) -> None:
    (key,) = [path for path in files(store) if path.endswith(name)]
    store._remote.put(key, change(store._remote.get(key)))


@pytest.mark.parametrize("name", ["big.bin", "record.json"])
@pytest.mark.parametrize("change", [lambda text: text[:-40], lambda text: text[:30] + b"\x00" + text[31:]])
def test_a_damaged_artifact_is_said_and_made_again(
    name: str, change: Callable[[bytes], bytes], machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    damage_at_rest = machine("one")
    damage_at_rest.make("stage", "key", build)
    damage(damage_at_rest, name, change)
    store = machine("two")
    if store.find("stage", "key"):  # a flipped byte in a file shows only when it is fetched
        with pytest.raises(DamagedArtifact, match=r"stage/key: inner/big.bin is not what was written"):
            store.fetch("stage", "key")
    assert store.find("stage", "key") is None
    again = store.make("stage", "key", build)
    assert (again.fresh, (again.path / "whole.txt").read_text()) == (True, "whole")
    assert not machine("three").make("stage", "key", build).fresh
    assert (machine("three").fetch("stage", "key") / "inner" / "big.bin").stat().st_size == 256 * 30_000
    (line,) = caplog.messages
    assert line.startswith(f"{store.address}/stage/key: {'inner/' if name == 'big.bin' else ''}{name} is ")
    assert line.endswith("; it counts as not there, and is made again")


def test_a_machine_that_hears_of_damage_no_longer_finds_it(machine: Machine) -> None:
    driver = machine("driver")
    driver.make("stage", "key", build)
    damage(driver, "big.bin", lambda text: b"\x01" + text[1:])
    node = machine("node")
    with pytest.raises(DamagedArtifact) as caught:
        node.fetch("stage", "key")
    assert driver.find("stage", "key")
    driver.distrust(caught.value.stage, caught.value.key, caught.value.fault)
    assert driver.find("stage", "key") is None
    assert driver.make("stage", "key", build).fresh


def test_a_workspace_goes_on_on_another_machine(machine: Machine) -> None:
    one = machine("one").workspace("checkpoints", "key")
    folder = one.open()
    for step in (5, 10):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "weights").write_text("w" * step)
    one.save()
    (folder / "checkpoint-5" / "weights").unlink()  # as a trainer does with old ones
    (folder / "checkpoint-10" / "weights").write_text("v" * 10)
    one.save()
    other = machine("two").workspace("checkpoints", "key")
    found = {path.relative_to(other.open()): path.read_text() for path in other.open().rglob("*") if path.is_file()}
    assert found == {Path("checkpoint-10/weights"): "v" * 10}
    other.remove()
    assert not list(machine("three").workspace("checkpoints", "key").open().rglob("*"))
    file = machine("one").workspace("reference", "base.txt")
    file.open().write_text("a line\n")
    file.save()
    assert machine("two").workspace("reference", "base.txt").open().read_text() == "a line\n"


def test_documents_lose_nobodys_change(machine: Machine) -> None:
    documents = [machine(f"m{n}").document("history", "study") for n in range(3)]

    def count(document: NumberedDocument, name: str) -> None:
        for number in range(8):
            document.update(lambda known: (known or {}) | {f"{name}-{number}": number})  # noqa: B023

    threads = [threading.Thread(target=count, args=(own, f"m{n}")) for n, own in enumerate(documents)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert documents[0].read() == {f"m{n}-{number}": number for n in range(3) for number in range(8)}


def test_verdicts_reach_other_machines(machine: Machine, tmp_path: Path) -> None:
    one = Verdicts(tmp_path / "one.db", machine("one").journal("verdicts"))
    key = bytes(range(32))
    one.add("judge", [(key, Verdict((1, 2), model="m", input=3, output=4)), (b"\x01" * 32, Verdict((), "timed out"))])
    one.close()
    other = Verdicts(tmp_path / "two.db", machine("two").journal("verdicts"))
    assert other.find([key, b"\x01" * 32]) == {key: Verdict((1, 2), model="m", input=3, output=4)}
    other.close()


def test_the_cache_keeps_to_its_bound_and_to_what_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_cache, "HELD", 1)

    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(b"x" * 1000)

    caches = [ArtifactCache(tmp_path, 3500) for _ in range(2)]  # of two processes
    held = caches[1].get("s/held/a", fill, lambda _: None)
    for number in range(12):
        caches[0].get(f"s/{number}/a", fill, lambda _: None)
    assert held.exists()
    left = sorted(path.parent.name for path in tmp_path.glob("artifacts/s/*/a"))
    assert "held" in left
    assert "11" in left
    assert len(left) <= 4


def test_a_kill_while_files_are_sent_leaves_no_artifact(machine: Machine, address: str, tmp_path: Path) -> None:
    code = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom tasks.runtime.object_store import Remote\n"
        "from tasks.runtime.stores import open_store\n"
        "Remote.create = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if 'record' in _[1] else None\n"
        "store = open_store(sys.argv[1], 'killed')\n"
        "import contextlib; store._claim = lambda *_: ''\n"
        "def build(folder):\n    (folder / 'half').write_text('half')\n"
        "store.make('stage', 'key', build)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, address], env=os.environ | {"PLURALIGN_HOME": str(tmp_path)},
                         check=False)  # fmt: skip
    assert run.returncode == -9
    store = machine("two")
    assert [entry.kind for entry in store.entries()] == ["leftover"]
    assert store.find("stage", "key") is None
    assert store.make("stage", "key", build).fresh


def test_a_store_that_can_not_be_used_is_one_line(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment("reader").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"^s3://pluralign/x: these credentials may not read and write there \("):
        open_store("s3://pluralign/x").check()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with pytest.raises(InputError, match="these credentials may not") as caught:
        open_store("s3://pluralign/x").check()
    assert "wrong-and-secret" not in str(caught.value)
    with pytest.raises(InputError, match=r"^ftp://x: a store is a folder, or a URL that begins with s3, gs, az"):
        open_store("ftp://x")
    with pytest.raises(InputError, match="credentials come from the environment") as caught:
        open_store("s3://me:hidden@bucket")
    assert "hidden" not in str(caught.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match="x: no credentials for it are in the environment"):
        open_store("s3://pluralign/x").check()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(InputError, match="it does not answer as an object store does"):
        open_store("s3://pluralign/x").check()
    assert time.monotonic() - started < 60


def test_a_store_without_conditional_puts_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Remote, "create", lambda self, key, content: obstore.put(self.objects, key, content.encode()))
    with pytest.raises(InputError, match="this store has no conditional puts"):
        machine("one").check()


def test_a_bound_that_is_no_number_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_CACHE_GB", "much")
    with pytest.raises(InputError, match="PLURALIGN_CACHE_GB: expected a number above 0, got 'much'"):
        open_store(address)


def test_the_record_is_json_that_a_person_can_read(machine: Machine) -> None:
    store = machine("one")
    store.make("stage", "key", build)
    (key,) = [path for path in files(store) if path.endswith("record.json")]
    content = json.loads(store._remote.get(key))["content"]
    assert content["record"] == {"n": 1, "none": None}
    assert sorted(content["files"]) == ["inner/big.bin", "whole.txt"]
