"""Whether answers are still language."""

from __future__ import annotations

import pandas as pd
import pytest

from configs.schema import Limits
from tasks.generation.health import health, is_repetitive, mark, marks


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


OUTPUTS = outputs(("a fine answer", True), ("cut off in the", False), (" \n", True), ("x x x x x x", False))


def test_well_formed_is_not_empty_and_not_repetitive_whether_it_is_cut_off_or_not() -> None:
    marked = mark(OUTPUTS, grammatical=None)
    assert marked["cut_off"].tolist() == [False, True, False, True]
    assert marked["empty"].tolist() == [False, False, True, False]
    assert marked["repetitive"].tolist() == [False, False, False, True]
    assert marked["well_formed"].tolist() == [True, True, False, False]


def test_where_the_grammar_is_known_a_well_formed_answer_keeps_it_as_far_as_it_goes() -> None:
    table = outputs(("a fine answer", True), ("fine answer a", True), ("a fine", True), ("a fine", False))

    def grammatical(text: str, cut_off: bool) -> bool:
        return "a fine answer".startswith(text) if cut_off else text == "a fine answer"

    assert mark(table, grammatical)["well_formed"].tolist() == [True, False, False, True]


def test_answers_that_were_all_cut_off_are_no_garbage() -> None:
    share = health(mark(outputs(("I am sorry to", False), ("You could ask", False)), None))
    assert (share["cut_off"], share["well_formed"]) == (1.0, 1.0)
    assert marks(share, share, {}, Limits()) == marks(share, share, TRAINED, Limits()) == []


def test_health_is_the_shares_and_the_mean_length() -> None:
    # words: 3, 4, 0, 6
    assert health(mark(OUTPUTS, None)) == {
        "n_outputs": 4, "cut_off": 0.5, "well_formed": 0.5, "empty": 0.25, "repetitive": 0.25,
        "mean_words": 13 / 4, "thought": 0,
    }  # fmt: skip


CONTROL = {"cut_off": 0.0, "well_formed": 0.9, "mean_words": 20.0, "empty": 0.0, "repetitive": 0.02}
TRAINED = {"steps": 40, "margin": 0.3}


@pytest.mark.parametrize(("own", "training", "failed"), [
    ({}, {}, []),
    ({"well_formed": 0.82, "mean_words": 10.0, "empty": 0.05, "repetitive": 0.12}, {}, []),  # at every limit
    ({"well_formed": 0.80}, {}, ["well-formed 80%, control 90%"]),
    ({"mean_words": 9.9}, {}, ["words 9.9, control 20.0"]),
    ({"mean_words": 40.1}, {}, ["words 40.1, control 20.0"]),
    ({"cut_off": 0.1}, {}, []),  # at the limit
    ({"cut_off": 0.11}, {}, ["cut off 11%, control 0%"]),
    ({"empty": 0.06, "repetitive": 0.13}, {}, ["empty 6%, control 0%", "repetitive 13%, control 2%"]),
    ({}, {"margin": -0.01}, ["margin -0.01 at the end of training"]),
    ({}, {"margin": float("nan")}, ["margin nan at the end of training"]),
    ({}, {"margin": 0.0, "steps": 9}, []),  # of so few steps it says nothing
])  # fmt: skip
def test_a_run_is_marked_with_the_limits_that_it_fails(own, training, failed):
    assert marks(CONTROL | own, CONTROL, TRAINED | training, Limits()) == failed


@pytest.mark.parametrize(("control", "failed"), [
    ({}, []),
    ({"well_formed": 0.1}, []),  # at the limit
    ({"well_formed": 0.09}, ["well-formed 9%"]),
    ({"cut_off": 1.0, "well_formed": 0.0}, ["well-formed 0%"]),
])  # fmt: skip
def test_a_control_that_hardly_answers_in_language_is_marked_and_so_is_every_run_of_its_architecture(control, failed):
    own = CONTROL | control
    assert marks(own, own, {}, Limits()) == failed
    assert marks(own, own, TRAINED, Limits()) == [f"control: {text}" for text in failed]


def test_a_run_without_a_control_is_marked_for_its_training_alone():
    assert marks(CONTROL | {"well_formed": 0.0}, None, TRAINED | {"margin": -1.0}, Limits()) == [
        "margin -1 at the end of training"
    ]
