"""Artifacts are whole or absent, whoever dies on the way, and are built once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.runtime.files import locked, write_atomically
from tasks.runtime.store import DamagedArtifact, FolderStore, MemoryStore, Record, Store, StoredFile
from tests.watch import PATIENCE, until

BUILDER = """
import sys, time
from pathlib import Path
from tasks.runtime.store import FolderStore
root, seconds = Path(sys.argv[1]), float(sys.argv[2])
def build(folder):
    with (root / "builds.txt").open("a") as log:
        log.write("x")
    (folder / "half.txt").write_text("half")
    time.sleep(seconds)
    return {"seconds": seconds}
FolderStore(root).make("stage", "key", build)
"""


def builder(root: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUILDER, str(root), str(seconds)])


def build(folder: Path) -> Record:
    (folder / "whole.txt").write_text("whole")
    return {"n": 1}


@pytest.fixture(params=["folder", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FolderStore(tmp_path) if request.param == "folder" else MemoryStore()


def test_an_artifact_is_built_once_and_then_found(any_store: Store) -> None:
    store = any_store
    assert store.find("stage", "key") is None
    with pytest.raises(FileNotFoundError, match="stage/key: no such artifact"):
        store.fetch("stage", "key")
    made = store.make("stage", "key", build)
    assert (made.fresh, made.record, (made.path / "whole.txt").read_text()) == (True, {"n": 1}, "whole")
    found = store.make("stage", "key", lambda _: pytest.fail("built again"))
    assert (found.fresh, found.record, found.path) == (False, {"n": 1}, made.path)
    file = StoredFile(stage="stage", key="key", name="whole.txt")
    assert StoredFile.model_validate_json(file.model_dump_json()).fetch(store).read_text() == "whole"


def test_folders_within_an_artifact_and_artifacts_without_files_are_kept(any_store: Store) -> None:
    def nested(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "file.bin").write_bytes(b"\x00")

    assert (any_store.make("stage", "nested", nested).path / "inner" / "file.bin").read_bytes() == b"\x00"
    assert any_store.make("stage", "none", lambda _: {"n": 2}).path.is_dir()
    assert any_store.make("stage", "none", build).record == {"n": 2}


def test_a_workspace_is_the_same_place_each_time_and_no_artifact(any_store: Store) -> None:
    any_store.workspace("checkpoints", "key").open().mkdir()
    (any_store.workspace("checkpoints", "key").open() / "half").write_text("half")
    assert (any_store.workspace("checkpoints", "key").open() / "half").read_text() == "half"
    assert any_store.find("checkpoints", "key") is None


def test_a_build_that_raises_leaves_nothing_and_lets_the_error_through(tmp_path: Path, any_store: Store) -> None:
    def fails(folder: Path) -> Record:
        build(folder)
        raise RuntimeError("no space left")

    with pytest.raises(RuntimeError, match="no space left"):
        any_store.make("stage", "key", fails)
    assert any_store.find("stage", "key") is None
    assert [path for path in tmp_path.glob("stage/*") if path.is_dir()] == []
    assert any_store.make("stage", "key", build).fresh


def test_a_record_that_is_not_json_leaves_nothing(tmp_path: Path, any_store: Store) -> None:
    with pytest.raises(TypeError):
        any_store.make("stage", "key", lambda _: {"path": tmp_path})
    assert any_store.find("stage", "key") is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, flip, Path.unlink])
@pytest.mark.parametrize("name", ["whole.txt", "record.json"])
def test_a_damaged_artifact_is_said_and_made_again(
    name: str, damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = FolderStore(tmp_path).make("stage", "key", build).path
    damage(path / name)
    store = FolderStore(tmp_path)  # of another process
    assert store.find("stage", "key") is None
    gone = damage is Path.unlink and name == "record.json"  # without a record there is no artifact
    said = "no such artifact" if gone else "its files are not what was written"
    with pytest.raises(FileNotFoundError if gone else DamagedArtifact, match=f"stage/key: {said}"):
        store.fetch("stage", "key")
    again = store.make("stage", "key", build)
    assert (again.fresh, (again.path / "whole.txt").read_text()) == (True, "whole")
    assert not FolderStore(tmp_path).make("stage", "key", build).fresh
    if not gone:
        (line,) = caplog.messages
        assert line.startswith(f"{tmp_path}/stage/key: {name} is ")
        assert line.endswith("; it counts as not there, and is made again")


def test_a_bit_that_flips_anywhere_in_a_record_is_seen(tmp_path: Path) -> None:
    path = FolderStore(tmp_path).make("stage", "key", build).path / "record.json"
    whole = path.read_bytes()
    for place, byte in enumerate(whole):
        for bit in (1, 4, 32):
            path.write_bytes(whole[:place] + bytes([byte ^ bit]) + whole[place + 1 :])
            found = FolderStore(tmp_path).find("stage", "key")
            assert found is None or found.record == {"n": 1}  # a blank may have become another


def test_a_file_in_an_artifacts_place_gives_way(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "key").write_text("in the way")
    assert FolderStore(tmp_path).make("stage", "key", build).fresh


def test_an_artifact_of_an_earlier_version_has_no_digests_and_is_found(tmp_path: Path) -> None:
    folder = FolderStore(tmp_path).make("stage", "key", build).path
    (folder / "record.json").write_text('{"n": 1}')
    artifact = FolderStore(tmp_path).find("stage", "key")
    assert artifact is not None
    assert artifact.record == {"n": 1}


def test_a_build_killed_half_way_is_not_found_and_the_next_builds_it_whole(tmp_path: Path) -> None:
    process = builder(tmp_path, 2 * PATIENCE)
    until((tmp_path / "stage" / "key.partial" / "half.txt").exists, "half an artifact")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert FolderStore(tmp_path).find("stage", "key") is None
    started = time.monotonic()
    made = FolderStore(tmp_path).make("stage", "key", build)
    assert time.monotonic() - started < PATIENCE  # the dead process holds no lock
    assert sorted(path.name for path in made.path.iterdir()) == ["record.json", "whole.txt"]


def test_two_processes_at_once_build_one_key_once(tmp_path: Path) -> None:
    processes = [builder(tmp_path, 0.3), builder(tmp_path, 0.3)]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    assert (tmp_path / "builds.txt").read_text() == "x"


def test_two_threads_at_once_build_one_key_once(any_store: Store) -> None:
    fresh: list[bool] = []

    def slow(folder: Path) -> Record:
        time.sleep(0.2)
        return build(folder)

    threads = [threading.Thread(target=lambda: fresh.append(any_store.make("s", "k", slow).fresh)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh) == [False, False, True]


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "x.lock"):
        raise RuntimeError
    entered = False
    with locked(tmp_path / "x.lock"):
        entered = True
    assert entered


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, "old")
    write_atomically(path, "größer".encode())
    assert path.read_text(encoding="utf-8") == "größer"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
