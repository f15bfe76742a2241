"""What moved since the last run, in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tasks.meta_analysis.moved import moved
from tasks.reporting.report import write_report
from tasks.reporting.run_facts import Earlier
from tests.tasks.reporting.made_up import FACTS, made_up, study

pytestmark = pytest.mark.usefixtures("unrendered")


def report(folder: Path, ratings_digest: str = "other") -> str:
    settings, now = study(), made_up(study())
    before = now["pooled"].copy()
    before.loc[0, "estimate"] += 0.25
    before.loc[0, ["ci_low", "ci_high"]] = [0.4, 0.6]  # far from what is now
    tables = {**now, "moved": moved(before, now["pooled"])}
    facts = replace(FACTS, earlier=Earlier("2024-12-24", ratings_digest))
    return (write_report(settings, tables, facts, folder).parent / "report.md").read_text()


def test_the_effects_that_moved_are_named_with_their_change(tmp_path: Path) -> None:
    text = report(tmp_path)
    section = text.split("## What moved")[1].split("## ")[0]
    assert "Against the run of 2024-12-24. The ratings changed since." in section
    assert "1 moved in the third digit or before it, 1 beyond the 95% interval" in section
    first = section.split("<details>")[0]
    assert "−0.250" in first
    assert first.count("| yes |") == 1


def test_ratings_that_are_the_same_are_said_to_be(tmp_path: Path) -> None:
    assert "The ratings are the same, settings changed." in report(tmp_path, FACTS.ratings_digest)


def test_a_first_run_has_nothing_to_compare_with(tmp_path: Path) -> None:
    write_report(study(), made_up(study()), FACTS, tmp_path)
    assert "What moved" not in (tmp_path / "report.md").read_text()


def test_effects_that_are_new_or_gone_are_not_called_moved(tmp_path: Path) -> None:
    now = made_up(study())
    gone = now["pooled"].assign(contrast="old - control")
    tables = {**now, "moved": moved(gone, now["pooled"])}
    assert not tables["moved"]["moved"].any()
    write_report(study(), tables, FACTS, tmp_path)
    assert "Of 0 pooled effects that both have, 0 moved" in (tmp_path / "report.md").read_text()
    assert isinstance(tables["moved"], pd.DataFrame)
