"""Where everything is kept: the default, its modes, and what is told where nothing can be kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import InputError
from tasks.ratings.landing.pseudonym import VARIABLE, find_key
from tasks.runtime.files import kept_secret, locked, write_atomically
from tasks.runtime.home import caches, home, prepare_home
from tasks.serving.doors import GIVEN, password_of, write_exports


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Without a mode of its own, what is made is everybody's."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_an_empty_variable_counts_as_unset(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", "")
    assert home() == Path(".pluralign")
    prepare_home()
    assert [path.name for path in tmp_path.iterdir()] == [".pluralign"]


def test_what_is_made_at_its_top_is_its_owners_alone_whatever_the_umask(monkeypatch, tmp_path, open_umask) -> None:
    place = tmp_path / "above" / "home"
    monkeypatch.setenv("PLURALIGN_HOME", str(place))
    prepare_home()
    kept_secret(place / "secret")
    write_atomically(place / "note", "", 0o600)
    with locked(place / "lock"):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (place, *place.iterdir())}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert len(modes) > 8


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_each_secret_is_its_owners_alone_and_so_is_a_home_that_is_made_for_it(umask, monkeypatch, tmp_path) -> None:
    """The key of pseudonyms, serve's password and the file that gives it to a shell, Ray's token."""
    place = tmp_path / "home"
    for name in (VARIABLE, *GIVEN):
        monkeypatch.delenv(name, raising=False)
    makers = {
        "secret": lambda: find_key(place),
        "serve/password": lambda: password_of(place / "serve"),
        "serve/env": lambda: write_exports(place / "serve" / "env", {"A": "1"}),
        "ray-token": lambda: kept_secret(place / "ray-token"),
    }
    before = os.umask(umask)
    try:
        for name, make in makers.items():
            make()
            assert (place / name).stat().st_mode & 0o777 == 0o600, name
        assert [folder.stat().st_mode & 0o777 for folder in (place, place / "serve")] == [0o700, 0o700]
    finally:
        os.umask(before)


def test_a_folder_that_was_there_keeps_its_mode(monkeypatch, tmp_path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o770)
    monkeypatch.setenv("PLURALIGN_HOME", str(place))
    prepare_home()
    assert place.stat().st_mode & 0o777 == 0o770


def test_a_secret_that_others_could_read_is_closed(tmp_path) -> None:
    file = tmp_path / "secret"
    file.write_text("x" * 64)
    file.chmod(0o644)
    assert kept_secret(file) == b"x" * 64
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "why"), [("file", "File exists"), ("file/below", "Not a directory")])
def test_a_home_that_cannot_be_one_is_one_line(name, why, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / name))
    with pytest.raises(InputError) as caught:
        prepare_home()
    assert str(caught.value) == f"{tmp_path / name}: {why}; PLURALIGN_HOME names a folder that can be written"


def test_caches_go_into_the_home_only_where_the_users_own_cannot_be_written(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "kept"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caches() == {}
    monkeypatch.setenv("HOME", "/proc/self")  # nobody can write there, not even root
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith("/proc"))
    own = tmp_path.resolve() / "kept" / "caches"
    assert caches() == {"MPLCONFIGDIR": f"{own}/matplotlib", "HF_HOME": f"{own}/huggingface"}
