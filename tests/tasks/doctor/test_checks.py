"""All checks together: none of them keeps the others from being told, and no line shows a secret."""

from __future__ import annotations

import json
import time

from configs.load import load_study
from tasks.doctor.checks import AFTERWARDS, CHECKS, Check, examine
from tasks.doctor.finding import BAD, OK, Finding, Findings, Settings, as_json, bad_line, texts_of

SECRET = "planted-secret-0123456789"


def fine(settings: Settings) -> Findings:
    yield Finding(OK, "fine", "all is well")


def raising(settings: Settings) -> Findings:
    yield Finding(OK, "raising", "half of it")
    raise RuntimeError("two\nlines about http://me:word@host/x?key=abc")


def hanging(settings: Settings) -> Findings:
    yield Finding(OK, "hanging", "first")
    time.sleep(30)


def test_what_a_check_raises_is_its_bad_line_and_the_others_hold():
    found = examine(Settings(environment={}), [Check("raising", raising), Check("fine", fine)], [])
    assert [str(finding) for finding in found] == [
        "ok   raising: half of it",
        "bad  raising: RuntimeError: two lines about http://host/x: this check could not be made; the others hold",
        "ok   fine: all is well",
    ]


def test_a_check_that_hangs_is_given_up_after_its_time():
    began = time.monotonic()
    checks = [Check("hanging", hanging, 0.2), Check("hanging", hanging, 0.2), Check("fine", fine)]
    found = examine(Settings(environment={}), checks, [])
    assert time.monotonic() - began < 10
    assert [finding.level for finding in found] == [OK, BAD, OK, BAD, OK]
    assert found[1].text == "not done within 0 seconds"


def test_what_is_told_afterwards_goes_by_what_was_heard():
    def hears(settings: Settings) -> Findings:
        settings.read_clock("a server", 1.0)
        yield Finding(OK, "hears", "")

    assert "within 60 s of a server" in str(examine(Settings(), [Check("hears", hears)])[-1])
    assert [check.name for check in AFTERWARDS] == ["clock"]


def test_every_check_is_named_as_its_lines_are():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.seconds <= 90 for check in CHECKS)


def test_an_error_that_says_what_to_do_is_not_told_twice():
    assert str(bad_line("x", "gone; make it again", "look")) == "bad  x: gone: make it again"
    assert str(bad_line("x", "gone", "look")) == "bad  x: gone: look"


def test_json_counts_the_levels():
    told = json.loads(as_json([Finding(OK, "a", "ä"), Finding(BAD, "b", "c", "d")]))
    assert told == {
        "ok": 1, "bad": 1, "note": 0,
        "findings": [{"level": "ok", "name": "a", "text": "ä", "todo": ""},
                     {"level": "bad", "name": "b", "text": "c", "todo": "d"}],
    }  # fmt: skip


def test_what_the_user_wrote_is_the_file_and_the_settings(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\n")
    assert texts_of(str(file), ["seed=1"]) == {"--set seed": "seed=1", str(file): "name: mine\n"}
    assert texts_of("demo", []) == texts_of(None, []) == {}


def test_no_line_shows_a_secret(monkeypatch, closed_port, web):
    refusing = web({"/api/health": (401, SECRET), "/health": (500, SECRET)}).url.removeprefix("http://")
    for name, value in {
        "PREFECT_API_AUTH_STRING": f"me:{SECRET}",
        "PREFECT_API_KEY": SECRET,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://me:{SECRET}@127.0.0.1:{closed_port}/x",
        "MLFLOW_TRACKING_URI": f"http://me:{SECRET}@{refusing}",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "OPENAI_API_KEY": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://me:{SECRET}@127.0.0.1:{closed_port}/?sig={SECRET}",
        "PLURALIGN_STORE": f"s3://bucket/x?key={SECRET}",
        "PLURALIGN_SECRET": SECRET[:9],
        "HF_TOKEN": SECRET,
        "PLURALIGN_RUNNER": f"ray://me:{SECRET}@127.0.0.1:{closed_port}",
    }.items():
        monkeypatch.setenv(name, value)
    study = load_study("demo", {"judge": {"kind": "llm", "model": "m", "base_url": f"http://127.0.0.1:{closed_port}"}})
    settings = Settings(
        study, {"mine.yaml": f"key: {SECRET}"}, server=f"http://me:{SECRET}@{refusing}/api",
        server_headers={"Authorization": f"Bearer {SECRET}"}, server_fault="",
    )  # fmt: skip
    checks = [check for check in CHECKS if check.name not in ("versions", "ratings")]
    found = examine(settings, checks)
    told = as_json(found)
    assert SECRET not in told
    assert SECRET[:9] not in told
    bad = {finding.name for finding in found if finding.level == BAD}
    assert bad >= {"server", "database", "MLflow", "store", "runner", "judge", "secrets"}
