"""`pluralign doctor` as a user has it: what it prints, its exit code, and that it leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.cli import main
from flows.server import way_to_server
from tasks.doctor import checks
from tasks.doctor.finding import BAD, NOTE, OK, Finding, Findings, Level, Settings
from tests.flows.conftest import Place
from tests.watch import PATIENCE


def finds(monkeypatch: pytest.MonkeyPatch, *levels: Level) -> list[Settings]:
    """As if all checks found these; the settings that they were given."""
    given: list[Settings] = []

    def check(settings: Settings) -> Findings:
        given.append(settings)
        yield from (Finding(level, "x", "text", "todo" if level == BAD else "") for level in levels)

    monkeypatch.setattr(checks.examine, "__defaults__", ([checks.Check("x", check)], ()))
    return given


@pytest.fixture(autouse=True)
def bare(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALIGN_HOME", str(tmp_path / "home"))
    for name in ("PLURALIGN_STORE", "PLURALIGN_RUNNER", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    asked = "prefect" in request.fixturenames
    with nullcontext() if asked else temporary_settings(updates={PREFECT_API_URL: None}):  # others may have a server
        yield


@pytest.mark.parametrize(("levels", "code"), [((OK, NOTE), 0), ((OK, BAD, NOTE), 1)])
def test_the_exit_code_says_whether_a_line_is_bad(monkeypatch, capsys, levels, code):
    finds(monkeypatch, *levels)
    assert main(["doctor"]) == code
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{level:<4} x: text{': todo' if level == BAD else ''}" for level in levels]
    assert main(["doctor", "demo", "--json"]) == code
    assert [item["level"] for item in json.loads(capsys.readouterr().out)["findings"]] == list(levels)


def test_a_study_that_does_not_load_is_wrong_input(capsys):
    assert main(["doctor", "nope"]) == 2
    assert main(["doctor", "demo", "--set", "seed=-1"]) == 2
    assert capsys.readouterr().out == ""


def test_the_checks_are_given_what_was_asked_for(monkeypatch, tmp_path):
    given = finds(monkeypatch, OK)
    monkeypatch.setenv("PLURALIGN_STORE", "elsewhere")
    monkeypatch.setenv("PLURALIGN_RUNNER", "ray")
    main(["doctor", "demo", "--set", "seed=3", "--output", "there", "--store", "s3://b/p", "--workers", "3"])
    (settings,) = given
    assert settings.study is not None
    assert settings.study.seed == 3
    assert (settings.store, settings.output, settings.runner) == ("s3://b/p", Path("there"), "ray")
    assert (settings.workers, settings.server, settings.texts) == (3, "", {"--set seed": "seed=3"})
    main(["doctor", "--runner", "local"])
    assert (given[1].study, given[1].output, given[1].runner) == (None, Path("outputs"), "local")


def test_an_address_of_prefect_that_is_none_is_a_line_and_no_error(monkeypatch):
    given = finds(monkeypatch, OK)
    monkeypatch.setenv("PREFECT_API_URL", "nonsense")
    assert main(["doctor"]) == 0
    assert "nonsense: expected http://HOST:PORT/api" in given[0].server_fault


def test_the_way_to_a_server_is_its_address_and_what_lets_the_user_in(monkeypatch):
    assert way_to_server() == ("", {})
    monkeypatch.setenv("PREFECT_API_URL", "http://host:4200/api/")
    assert way_to_server()[0] == "http://host:4200/api"


def test_a_server_of_a_profile_is_found_with_what_lets_the_user_in(tmp_path: Path):
    settings = 'PREFECT_API_URL = "http://127.0.0.1:9/api"\nPREFECT_API_AUTH_STRING = "me:word"\n'
    (tmp_path / "profiles.toml").write_text(f'active = "x"\n[profiles.x]\n{settings}')
    environment = {key: value for key, value in Place(tmp_path).environment().items() if key != "PREFECT_API_URL"}
    environment |= {"PREFECT_PROFILES_PATH": str(tmp_path / "profiles.toml")}
    code = "from flows.server import way_to_server; print(way_to_server())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)  # fmt: skip
    assert done.stdout == "('http://127.0.0.1:9/api', {'Authorization': 'Basic bWU6d29yZA=='})\n", done.stderr


def test_on_a_bare_machine_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "user").mkdir()
    environment = Place(tmp_path).environment() | {"CUDA_VISIBLE_DEVICES": "", "PLURALIGN_HOME": str(tmp_path / "own")}
    environment["PREFECT_HOME"] = str(tmp_path / "own" / "temporary-prefect")
    done = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom flows.cli import main\ncode = main(['doctor', 'demo', '--json'])\n"
         "assert not {'prefect', 'torch', 'mlflow'} & set(sys.modules)\nsys.exit(code)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == (1 if told["bad"] else 0), done.stderr
    names = {finding["name"] for finding in told["findings"]}
    assert names >= {"versions", "GPUs", "ratings", "models", "disk", "server", "database", "MLflow", "store", "runner",
                     "judge", "secrets", "clock"}  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["user"]


@pytest.mark.slow
def test_a_real_server_of_prefect_s_tells_its_version_and_its_secrets(prefect: None):
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL

    from tasks.doctor.prefect_server import secret_block, server_check

    settings = Settings(server=PREFECT_API_URL.value() or "")
    (line,) = server_check(settings)
    assert str(line).endswith(f", Prefect {version('prefect')} as the client")
    Secret(value="kept there").save("some-key")
    assert secret_block(settings, "SOME_KEY") == "kept there"
    assert secret_block(settings, "OTHER_KEY") is None
