"""The report in a headless browser: clicked through in light and dark, at desktop and phone width."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from configs.load import load_study
from tests.tasks.reporting.made_up import FACTS, HOSTILE, made_up, written

HERE = Path(__file__).parent
WINDOWS = {f"{scheme}, {device}" for scheme in ("light", "dark") for device in ("desktop", "phone")}


def absent(what: str) -> None:
    """Skip, with the reason; where CI runs, its absence is a failure."""
    reason = f"{what}; .ci/run says what the browser test needs"
    pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> str:
    """Path of a Chromium."""
    for name in ("node", "chromium"):
        if shutil.which(name) is None:
            absent(f"no {name} here")
    if not (HERE / "node_modules" / "axe-core").is_dir():
        absent(f"{HERE / 'node_modules'} is absent")
    return str(shutil.which("chromium"))


def opened(browser: str, report: Path) -> dict[str, dict]:
    """What the browser finds wrong, by window."""
    command = ["node", str(HERE / "check.mjs"), browser, str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_reader_finds_nothing_wrong(browser: str, tmp_path: Path) -> None:
    study = load_study("demo", {"architectures": ["tiny-llama", "tiny-falcon"], "title": HOSTILE})
    tables = made_up(study)
    tables["cells"]["error"] = HOSTILE
    written(study, tables, tmp_path, replace(FACTS, sources=(HOSTILE,)))
    found = opened(browser, tmp_path / "report.html")
    assert set(found) == WINDOWS
    for window, seen in found.items():
        assert seen.pop("sections") >= 15, window
        assert seen.pop("figures") >= 40, window
        assert not any(seen.values()), (window, seen)


def test_a_broken_report_does_not_pass(browser: str, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text(
        '<!doctype html><html><head><title>x</title></head><body><nav><a href="#gone">gone</a></nav>'
        '<div style="width: 3000px">wide</div><img src="data:image/png;base64,"><p style="color:#eee">pale</p>'
        '<img alt="x" src="http://127.0.0.1:9/x.png"><script>throw new Error("x")</script></body></html>'
    )
    for window, seen in opened(browser, report).items():
        for fault in ("requests", "errors", "dead", "wide", "blank", "axe"):
            assert seen[fault], (window, fault)
