"""Lines for whoever gave what can't be used."""

from __future__ import annotations

from configs.errors import LONGEST, InputError


def test_what_a_terminal_takes_for_a_command_is_an_escape_and_lines_stay_lines() -> None:
    error = InputError("study.yaml: 2 faults\n  name: 'a\x1b[2Jb\u202e\x00'\n  título: größer\r als 家")
    assert str(error) == "study.yaml: 2 faults\n  name: 'a\\x1b[2Jb\\u202e\\x00'\n  título: größer\\r als 家"


def test_a_line_that_is_very_long_is_cut() -> None:
    assert len(str(InputError("x" * 10_000))) == LONGEST
