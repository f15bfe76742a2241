"""Versions, GPUs and memory, disks, databases, stores, secrets: each check with a machine that is fine and one that is
not."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest

from configs.load import load_study
from tasks.doctor import disk, machine, versions
from tasks.doctor.databases import database_check, file_of, quick_check
from tasks.doctor.disk import disk_check
from tasks.doctor.finding import Settings
from tasks.doctor.machine import gpus_check
from tasks.doctor.mlflow_server import mlflow_check
from tasks.doctor.models import ratings_check
from tasks.doctor.places import network_file_system
from tasks.doctor.secret_keys import secrets_check
from tasks.doctor.stores import endpoint_of, store_check
from tasks.doctor.versions import versions_check
from tests.object_server import object_server
from tests.tasks.doctor.conftest import lines

Usage = namedtuple("Usage", "total used free")
GB = 10**9


# ---- versions


def test_this_machine_s_versions_are_as_required():
    (line,) = lines(versions_check)
    assert line.startswith("ok   versions: Python 3.")
    assert ", prefect " in line


def test_every_version_that_does_not_fit_is_told_with_what_to_install(monkeypatch):
    own = {"prefect": "3.8.7", "fastapi": "0.160.0", "ray": "2.0.0"}
    needs = ["prefect==3.8.8", "fastapi<0.151", "pandas>=1", "notthere>=1", "ray==2.60.0; extra == 'ray'",
             "alsonot; extra == 'x'", "old; python_version < '3'"]  # fmt: skip
    monkeypatch.setattr(versions, "requirements", lambda: (">=4", needs))
    monkeypatch.setattr(versions, "installed", lambda name: own.get(name, "2.0" if name == "pandas" else None))
    found = lines(versions_check)
    assert [line.split(": ", 1)[1] for line in found[1:]] == [
        "prefect 3.8.7: pip install 'prefect==3.8.8'",
        "fastapi 0.160.0 (with another one Prefect starts no flow): pip install 'fastapi<0.151'",
        "notthere is not installed: pip install 'notthere>=1'",
        "ray 2.0.0: pip install 'ray==2.60.0'",
    ]
    assert "pluralign needs >=4" in found[0]
    assert all(line.startswith("bad ") for line in found)


def test_a_clone_that_is_not_installed_is_a_note(monkeypatch):
    monkeypatch.setattr(versions, "PRODUCT", "pluralign-not-here")
    assert lines(versions_check)[0].startswith("note versions: pluralign is not installed")


# ---- GPUs and memory


def big(**settings: object):
    model = {"name": "big", "title": "B", "family": "f", "parameters": 7e9, "hub": "org/big", "dtype": "bfloat16"}
    return load_study("demo", {"architectures": [model | settings]})


def gpus_of(
    monkeypatch: pytest.MonkeyPatch, *gigabytes: int, cuda: str | None = "12.8", ids: int | None = None
) -> None:
    """As if torch saw GPUs of so much memory, and the driver `ids` of them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(gigabytes) if ids is None else ids))))
    told = {"cuda": cuda, "gpus": [["X100", size * GB, size * GB] for size in gigabytes]}
    monkeypatch.setattr(machine, "ASK_TORCH", f"print({json.dumps(told)!r})")
    machine.gpus_here.cache_clear()


def test_without_a_gpu_models_train_on_the_cpu(monkeypatch):
    assert lines(gpus_check, workers=2) == ["note GPUs: none, so models train on the CPU (2 at a time)"]
    assert len(lines(gpus_check, study=load_study("demo"))) == 1  # tiny models need nothing
    monkeypatch.setattr(machine, "main_memory", lambda: 100 * GB)
    assert lines(gpus_check, study=big(), workers=1)[1].startswith("ok   memory: big needs about 1")
    assert "bad  memory" in lines(gpus_check, study=big(), workers=8)[1]
    assert "run it with --workers 6" in lines(gpus_check, study=big(), workers=8)[1]
    monkeypatch.setattr(machine, "main_memory", lambda: 8 * GB)
    assert "a machine with a GPU or more memory" in lines(gpus_check, study=big(), workers=1)[1]
    assert "dtype 4-bit, and there is no GPU" in lines(gpus_check, study=big(dtype="4-bit"), workers=1)[1]


def test_gpus_are_held_against_what_architectures_need(monkeypatch):
    gpus_of(monkeypatch, 80, 80)
    first, second = lines(gpus_check, study=big())
    assert first == "ok   GPUs: 0 X100 80.0 GB, 80.0 GB free; 1 X100 80.0 GB, 80.0 GB free"
    assert second.startswith("ok   GPUs: big needs about 1")
    gpus_of(monkeypatch, 12)
    assert "bad  GPUs: big needs about 1" in lines(gpus_check, study=big())[1]
    assert lines(gpus_check, study=big(dtype="4-bit"))[1].startswith("ok   GPUs: big needs about ")
    gpus_of(monkeypatch, 18)
    assert lines(gpus_check, study=big())[1].startswith("note GPUs: ")
    assert "big asks for 4, and there are 1" in lines(gpus_check, study=big(gpus=4))[1]


def test_a_torch_that_does_not_see_the_gpus_is_bad(monkeypatch):
    gpus_of(monkeypatch, cuda=None, ids=2)
    (line,) = lines(gpus_check)
    assert line.startswith("bad  GPUs: 0, 1; torch ")
    assert "was built without CUDA: install a torch" in line


def test_where_torch_says_nothing_the_driver_is_asked(monkeypatch, place: Path):
    tool = place / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: X" || echo "0, GPU-abc, X100, 1024, 2048"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(machine, "ASK_TORCH", "raise SystemExit(1)")
    machine.gpus_here.cache_clear()
    first, second = lines(gpus_check)
    assert "torch can't be asked" in first
    assert second == "ok   GPUs: 0 X100 2.1 GB, 1.1 GB free"


def test_a_torch_that_hangs_is_given_up(monkeypatch):
    gpus_of(monkeypatch, 80)
    monkeypatch.setattr(machine, "ASK_TORCH", "import time; time.sleep(600)")
    monkeypatch.setattr(machine, "SECONDS_FOR_TORCH", 0.2)
    assert "torch has not said within" in lines(gpus_check)[0]


def test_with_a_cluster_this_machine_s_gpus_do_not_matter(monkeypatch):
    monkeypatch.setenv("PLURALIGN_RUNNER", "ray://head:6379")
    (line,) = lines(gpus_check, study=big(dtype="4-bit"))
    assert line.startswith("note GPUs: none on this machine; the nodes of the cluster train")


# ---- ratings


def test_ratings_that_are_not_there_are_bad(place: Path):
    study = load_study("spica", {"ratings.folder": str(place)})
    found = lines(ratings_check, study=study)
    assert found[0].startswith(f"bad  ratings: {place}/ratings.csv: no such file: ratings.folder says where")
    assert lines(ratings_check, study=load_study("demo"))[0].startswith("ok   ratings: simulated, by ")


# ---- disk


def test_room_is_held_against_what_the_study_writes(monkeypatch, place: Path):
    study = load_study("demo")
    (room, estimate) = lines(disk_check, study=study)
    assert room.startswith("ok   disk: ")
    assert "demo writes at most about" in room
    assert estimate.startswith("note disk: an estimate of what demo writes in all, at most about ")
    wanted = disk.estimated(Settings(study)).size
    monkeypatch.setattr(disk, "LEAST", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9 * GB, 0, int(wanted * 0.9)))
    assert lines(disk_check, study=study)[0].startswith("bad  disk: ")
    monkeypatch.setattr(disk, "_made_before", lambda study, address: 0.5)
    assert lines(disk_check, study=study)[0].startswith("note disk: ")


def test_a_disk_that_is_nearly_full_is_bad_without_a_study(monkeypatch):
    assert lines(disk_check)[0].startswith("ok   disk: ")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(9 * GB, 0, GB // 2))
    assert lines(disk_check)[0].endswith(": make room, or name another disk in PLURALIGN_HOME, PLURALIGN_STORE, "
                                         "--output or TMPDIR")  # fmt: skip


def test_folders_that_can_t_be_written_are_named(monkeypatch, place: Path):
    (place / "file").write_text("")
    (line, *_) = lines(disk_check, output=place / "file" / "outputs")
    assert line == f"bad  disk: outputs {place}/file/outputs: {place}/file is no folder; name another folder"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != place / "locked")
    (place / "locked").mkdir()
    (line, *_) = lines(disk_check, output=place / "locked" / "outputs")
    assert line.endswith(f"{place}/locked can't be written; name another folder")


# ---- databases


def sqlite_file(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [("some text" * 20,)] * 500)
        database.commit()
    return file


def test_a_sqlite_file_is_whole_or_damaged(monkeypatch, place: Path):
    file = sqlite_file(place / "own" / "prefect.db")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{file}?timeout=5")
    assert lines(database_check)[0].endswith(f"{file} is whole")
    content = bytearray(file.read_bytes())
    content[4096 : 3 * 4096] = b"x" * 2 * 4096
    file.write_bytes(content)
    assert lines(database_check)[0].startswith("bad  database: ")
    file.write_text("no database at all, but long enough to be taken for one" * 10)
    assert "file is not a database: restore it" in lines(database_check)[0]


def test_a_sqlite_file_that_is_large_is_given_up(place: Path):
    assert quick_check(sqlite_file(place / "a.db"), seconds=-1.0) in (("", False), ("", True))


def test_a_sqlite_file_on_the_network_is_bad(place: Path):
    mounts = place / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {place} nfs4 rw 0 0\n")
    (line,) = lines(database_check, mounts=mounts)
    assert "is on nfs4, whose locks SQLite can't rely on: put it on a disk of this machine" in line
    (line,) = lines(mlflow_check, mounts=mounts)
    assert line.startswith("bad  MLflow: ")


def test_the_innermost_mount_counts(place: Path):
    mounts = place / "mounts"
    mounts.write_text(f"server:/x / nfs rw 0 0\n/dev/vda {place} ext4 rw 0 0\nserver:/y {place}/a\\040b cifs rw 0 0\n")
    assert network_file_system(place / "c", mounts) == ""
    assert network_file_system(place / "a b" / "c", mounts) == "cifs"
    assert network_file_system(Path("/elsewhere"), mounts) == "nfs"
    assert network_file_system(place, place / "gone") == ""


def test_the_file_of_a_url_is_found():
    assert file_of("sqlite+aiosqlite:////a/b%20c.db?x=1") == Path("/a/b c.db")


def test_a_database_that_is_not_up_and_a_driver_that_is_missing(monkeypatch, closed_port, silent_port):
    variable = "PREFECT_API_DATABASE_CONNECTION_URL"
    monkeypatch.setenv(variable, f"postgresql+asyncpg://me:pass/phrase@127.0.0.1:{closed_port}/prefect")
    (line,) = lines(database_check)
    assert "its host or port can't be read; in a password / and @ are written %2F and %40" in line
    assert "pass/" not in line
    monkeypatch.setenv(variable, f"postgresql+asyncpg://me:word@127.0.0.1:{closed_port}/prefect")
    (line,) = lines(database_check)
    assert line == f"bad  database: {variable}: nothing listens there: start the database, or correct the address"
    monkeypatch.setattr("tasks.doctor.databases.SECONDS", 0.3)
    monkeypatch.setenv(variable, f"postgresql+asyncpg://me:word@127.0.0.1:{silent_port}/prefect")
    (line,) = lines(database_check)
    assert "no answer within" in line
    monkeypatch.setenv(variable, f"postgresql+nodriver://me:word@127.0.0.1:{closed_port}/prefect")
    assert lines(database_check)[0] == f"bad  database: {variable} needs the driver nodriver: pip install nodriver"
    monkeypatch.setenv(variable, "mysql://me:word@host/prefect")
    assert lines(database_check)[0].startswith("note database: ")


# ---- the store


def test_a_store_that_is_not_there_yet_is_tried_and_nothing_is_left(place: Path):
    (line,) = lines(store_check)
    assert line.startswith(f"ok   store: {place}/home/store, ")
    assert line.endswith("the first run makes it")
    assert list(place.iterdir()) == []


def test_a_store_that_is_there_is_put_into_and_read(made_home: Path):
    (made_home / "store").mkdir()
    (line,) = lines(store_check)
    assert line.startswith("ok   store: ")
    assert list((made_home / "store").iterdir()) == []


def test_a_store_that_can_t_be_written_is_bad(monkeypatch, place: Path):
    (place / "file").write_text("")
    monkeypatch.setenv("PLURALIGN_STORE", str(place / "file" / "store"))
    (line,) = lines(store_check)
    assert line.startswith(f"bad  store: {place}/file/store: {place}/file is no folder: ")
    assert line.endswith(": the store must be a folder that can be written")


def test_an_object_store_is_put_into_and_read_and_its_clock_heard(monkeypatch, place: Path):
    monkeypatch.setenv("PLURALIGN_STORE", f"file://{place}/objects")
    (line,) = lines(store_check)
    assert line.startswith(f"ok   store: file://{place}/objects: put, read and removed")
    assert [path for path in (place / "objects").rglob("*") if path.is_file()] == []


def test_an_object_store_that_is_not_up_is_told_at_once(monkeypatch, closed_port, silent_port):
    monkeypatch.setenv("PLURALIGN_STORE", "s3://bucket/prefix")
    for port, told in ((closed_port, "nothing listens there"), (silent_port, "no answer within")):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        (line,) = lines(store_check)
        assert line.startswith(f"bad  store: s3://bucket/prefix: http://127.0.0.1:{port}: {told}")


@pytest.mark.parametrize("address", ["ftp://host/x", "s3://me:word@bucket"])
def test_an_address_that_is_no_store_s_is_bad(monkeypatch, address):
    monkeypatch.setenv("PLURALIGN_STORE", address)
    (line,) = lines(store_check)
    assert line.startswith("bad  store: ")
    assert "word" not in line


def test_endpoints_of_stores():
    assert endpoint_of("s3://b/p", {"AWS_REGION": "eu-west-1"}) == "https://s3.eu-west-1.amazonaws.com"
    assert endpoint_of("s3://b/p", {"AWS_ENDPOINT": "http://h:1"}) == "http://h:1"
    assert endpoint_of("gs://b/p", {}) == "https://storage.googleapis.com"
    assert endpoint_of("file:///p", {}) == ""


# ---- secrets


def test_a_home_that_is_its_owner_s_is_fine(made_home: Path):
    (made_home / "secret").write_text("a" * 64)
    (made_home / "secret").chmod(0o600)
    assert lines(secrets_check) == [f"ok   secrets: {made_home} is its owner's alone"]


def test_who_else_can_read_the_home_or_the_key_is_told(made_home: Path):
    made_home.chmod(0o755)
    (made_home / "secret").write_text("short")
    (made_home / "secret").chmod(0o644)
    assert [line.partition(": ")[2] for line in lines(secrets_check)] == [
        f"{made_home} has mode 0755, so others may read it: chmod 700 {made_home}",
        f"{made_home}/secret, the key of pseudonyms, has mode 0644: chmod 600 {made_home}/secret",
        f"{made_home}/secret, the key of pseudonyms, has fewer than 16 characters, so it can be guessed: restore it "
        "from a copy",
    ]


def test_a_short_key_of_pseudonyms_is_bad(monkeypatch):
    monkeypatch.setenv("PLURALIGN_SECRET", "fifteen letters")
    (line,) = lines(secrets_check)
    assert line.startswith("bad  secrets: PLURALIGN_SECRET has fewer than 16 characters")
    monkeypatch.setenv("PLURALIGN_SECRET", "sixteen letters!")
    assert lines(secrets_check)[0].startswith("ok ")


def test_keys_in_a_study_s_file_are_told_and_not_shown(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY_HOST", "a key of sixteen or more")
    text = "name: x\n# sk-abcdefghijklmnopqrst\njudge: a key of sixteen or more\n"
    first, second = lines(secrets_check, texts={"mine.yaml": text})
    assert first.startswith("bad  secrets: mine.yaml, line 2: what looks like a key: remove it there")
    assert second.startswith("bad  secrets: mine.yaml, line 3: what is in JUDGE_KEY_HOST")
    assert "abcdef" not in first
    assert "sixteen" not in second


@pytest.mark.slow
def test_a_real_object_store_is_put_into_and_read_and_tells_its_time(monkeypatch, place: Path):
    monkeypatch.setenv("PLURALIGN_STORE", "s3://pluralign/doctor")
    with object_server(place / "server") as server:
        for who, told in (("writer", "put, read and removed"), ("reader", "these credentials may not read and write")):
            for name, value in server.environment(who).items():
                monkeypatch.setenv(name, value)
            settings = Settings()
            (finding,) = store_check(settings)
            assert told in finding.text
            assert [found.name for found in settings.clocks] == ["the object store"]
