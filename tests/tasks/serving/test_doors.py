"""Who may come in: the password, what carries it, and MLflow's pages behind it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError, without_credentials
from tasks.serving.doors import GIVEN, link, password_of, with_password, write_exports
from tasks.serving.mlflow_door import guarded


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


def test_a_password_is_made_once_and_the_users_own_takes_its_place(tmp_path, monkeypatch) -> None:
    first = password_of(tmp_path)
    assert password_of(tmp_path) == first == f"pluralign:{(tmp_path / 'password').read_text()}"
    assert len(first) > 40
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:my own")
    assert password_of(tmp_path) == "me:my own"


def test_what_is_no_password_is_told(tmp_path, monkeypatch) -> None:
    (tmp_path / "password").write_text("")
    with pytest.raises(InputError, match="password: too short for a password; remove the file"):
        password_of(tmp_path)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "sesame")
    with pytest.raises(InputError, match=r"^PREFECT_API_AUTH_STRING: expected USER:PASSWORD$"):
        password_of(tmp_path)


def test_links_take_any_password() -> None:
    assert link("http://127.0.0.1:1", "me:a b#/@é") == "http://127.0.0.1:1/open.html#me:a%20b%23%2F%40%C3%A9"
    assert with_password("http://127.0.0.1:1", "me:a/@") == "http://me:a%2F%40@127.0.0.1:1/open"


def test_a_shell_gets_what_was_written_as_it_is(tmp_path) -> None:
    file, value = tmp_path / "env", "it's $HOME; `x`\\"
    write_exports(file, {"OTHER": "1", "VALUE": value})
    shell = ["sh", "-c", f'. "{file}"; printf %s "$VALUE"']
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == value
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hidden@host:1/api", "http://host:1/api"),
        ("me:hidden@host/api", "host/api"),
        ("asked http://me:hi@den@host/a and postgresql+x://me:h@b/c", "asked http://host/a and postgresql+x://b/c"),
        ("postgresql+asyncpg://me:hi/d@en@host/db", "postgresql+asyncpg://host/db"),
        ("could not reach 'http://me:hi/den@host:1/a', so", "could not reach 'http://host:1/a', so"),
        ("me:hi/den@host/api", "host/api"),
        ("://:hi/den@host", "://host"),
        ("http://a/b?c=d and http://me:x/@h", "http://a/b?c=d and http://h"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("/home/a@b/file: gone", "/home/a@b/file: gone"),
    ],
)
def test_no_user_and_no_password_is_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def ask(path: str, password: str = "", **headers: str) -> tuple[str, dict[str, str]]:
    """Status and headers of the guarded application's answer."""
    answer: dict[str, Any] = {}

    def application(_: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"inside"]

    def start(status: str, given: list[tuple[str, str]]) -> None:
        answer.update(status=status, headers=dict(given))

    token = base64.b64encode(password.encode()).decode()
    request = {"PATH_INFO": path, "HTTP_HOST": "127.0.0.1:5000", **headers}
    if password:
        request["HTTP_AUTHORIZATION"] = f"Basic {token}"
    list(guarded(application, "me:hidden")(request, start))
    return answer["status"][:3], answer["headers"]


def test_mlflows_pages_ask_for_the_password_and_answer_to_themselves_alone() -> None:
    assert ask("/health")[0] == "200"
    assert ask("/")[0] == "401"
    assert ask("/", "me:guessed")[0] == "401"
    assert ask("/", "me:hidden")[0] == "200"
    assert ask("/", "me:hidden", HTTP_ORIGIN="http://127.0.0.1:5000")[0] == "200"
    assert ask("/", "me:hidden", HTTP_ORIGIN="http://127.0.0.1:5001")[0] == "403"
    assert ask("/open") == ask("/")
    status, headers = ask("/open", "me:hidden")
    assert (status, headers["Location"]) == ("302", "http://127.0.0.1:5000/")


def test_the_file_of_exports_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("old")
    file.chmod(0o644)
    write_exports(file, {"A": "1"})
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("export A=1\n", 0o600)
