"""Whether answers are still language."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.generation.health import health, is_repetitive, mark


@pytest.mark.parametrize(
    ("text", "repetitive"),
    [
        ("", False),
        ("one two", False),  # no trigram
        ("a b c d e f", False),
        ("a a a", False),  # one trigram, and it is new
        ("a a a a", False),  # two trigrams, one of them new: half is not more than half
        ("a a a a a", True),  # three, one new
        ("no no yes no no yes no no yes", True),  # seven, three new
        ("you are right and you are kind and you are calm", False),  # nine, eight new
    ],
)
def test_a_text_is_repetitive_when_more_than_half_of_its_trigrams_have_come_before(text: str, repetitive: bool) -> None:
    assert is_repetitive(text) is repetitive


def outputs(*rows: tuple[str, bool]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["text", "finished"]).assign(thought=False)


OUTPUTS = outputs(("a fine answer", True), ("cut off in the", False), (" \n", True), ("x x x x x x", True))


def test_well_formed_is_finished_not_empty_and_not_repetitive() -> None:
    marked = mark(OUTPUTS, grammatical=None)
    assert marked["empty"].tolist() == [False, False, True, False]
    assert marked["repetitive"].tolist() == [False, False, False, True]
    assert marked["well_formed"].tolist() == [True, False, False, False]


def test_where_the_grammar_is_known_a_well_formed_answer_keeps_it() -> None:
    table = outputs(("a fine answer", True), ("fine answer a", True))
    assert mark(table, lambda text: text.startswith("a "))["well_formed"].tolist() == [True, False]


def test_health_is_the_shares_and_the_mean_length() -> None:
    # words: 3, 4, 0, 6
    assert health(mark(OUTPUTS, None)) == {
        "n_outputs": 4, "finished": 0.75, "well_formed": 0.25, "empty": 0.25, "repetitive": 0.25,
        "mean_words": 13 / 4, "thought": 0,
    }  # fmt: skip
