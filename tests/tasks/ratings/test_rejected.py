"""What is shown of a value: enough to find the fault, nothing that runs in a spreadsheet, nobody's id."""

from __future__ import annotations

import pytest

from tasks.ratings.reading.rejected import WITHHELD, Ids, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("agre", "agre"),
        ("zwei\nZeilen\t\x00\x1b[31m", "zwei\\nZeilen\\t\\x00\\x1b[31m"),
        ("right\u202eto left\u200b\ufeff", "right\\u202eto left\\u200b\\ufeff"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("\n" * 50, ("\\n" * 40)[:79] + "…"),
        ("ä" * 1_000_000, "ä" * 79 + "…"),
    ],
)
def test_a_value_is_short_and_its_control_characters_are_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert len(visible(text)) <= 80


@pytest.mark.parametrize(
    ("text", "withheld"),
    [
        ("p-17", True),
        (" P-17 ", True),
        ("=(p-17)", True),
        ("xp-17", False),
        ("p-170", False),
        ("ana", True),
        ("banana", False),
        ("x5f3c2a1bx", True),
        ("5F3C2A1B", True),
        ("x" * 75 + "5f3c2a1b", True),
        ("7", False),
        ("17", False),
        ("agree", False),
    ],
)
def test_a_value_with_somebodys_id_is_withheld(text: str, withheld: bool) -> None:
    # an id of three characters or more as a word, of six or more anywhere; "7" may be a wrong number on a scale
    assert (Ids(["p-17", "ana", "5f3c2a1b", "7", ""]).shown(text) == WITHHELD) is withheld
