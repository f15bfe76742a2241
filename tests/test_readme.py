"""README and CONTRIBUTING name what there is: tables, rooms, studies, methods."""

from __future__ import annotations

import re
from pathlib import Path

from configs.load import shipped
from tasks.methods import METHODS
from tasks.reporting.chapters import DECLARED

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))


def test_readme_lists_exactly_the_declared_tables() -> None:
    listed = README.partition("what its columns mean:")[2].partition("Some are there only")[0]
    assert re.findall(r"`(\w+)`", listed) == list(DECLARED)


def test_readme_shows_every_room() -> None:
    rooms = {path.name for path in (ROOT / "tasks").iterdir() if (path / "__init__.py").exists()}
    tree = README.partition("## The house")[2].partition("## ")[0]
    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == rooms


def test_readme_lists_every_shipped_study() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE)) == set(shipped("studies"))


def test_contributing_names_every_method() -> None:
    assert f"`method` one of {', '.join(METHODS)};" in CONTRIBUTING


def test_each_test_that_is_named_for_a_fault_or_an_attack_is_there() -> None:
    table = README.partition("### What it withstands")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and ".py" in line]
    assert len(rows) > 40
    for row in rows:
        files = [ROOT / "tests" / name for name in re.findall(r"`((?:\w+/)*test_\w+\.py)`", row)]
        source = "".join(file.read_text() for file in files)
        for name in re.findall(r"`(test_\w+)`", row):
            assert f"def {name}(" in source, name


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "tasks").rglob("README.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
