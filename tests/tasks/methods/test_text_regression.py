"""Scores from the words of a text."""

from __future__ import annotations

import numpy as np

from tasks.methods.text_regression import TextRegression

TEXTS = ["kind words here", "kind and calm", "rude words here", "rude and loud"]
SCORES = np.array([[1.0, 0.2], [1.0, 0.8], [0.0, 0.2], [0.0, 0.8]])


def test_a_word_that_goes_with_a_score_carries_to_a_new_text() -> None:
    kind, rude = TextRegression(TEXTS, SCORES).predict(["kind indeed", "rude indeed"])
    assert kind[0] > 0.6 > 0.4 > rude[0]


def test_one_column_a_dimension() -> None:
    model = TextRegression(TEXTS, SCORES)
    assert model.predict(TEXTS).shape == (4, 2)
    assert model.predict(["kind words"]).shape == (1, 2)
    assert TextRegression(TEXTS, SCORES[:, :1]).predict(TEXTS).shape == (4, 1)


def test_a_text_of_unknown_words_gets_the_intercept_which_lies_among_the_scores() -> None:
    (first,), (second,) = TextRegression(TEXTS, SCORES[:, :1]).predict(["", "zebra"])
    assert first == second
    assert 0.3 < first < 0.7


def test_scores_stay_within_zero_and_one() -> None:
    predicted = TextRegression(TEXTS, np.array([[3.0], [3.0], [-2.0], [-2.0]])).predict(TEXTS)
    assert predicted.min() == 0
    assert predicted.max() == 1


def test_weights_decide_between_texts_that_contradict_each_other() -> None:
    scores = np.array([[1.0], [0.0]])
    first, second = (
        TextRegression(["same text", "same text"], scores, np.array(weights)).predict(["same text"])[0, 0]
        for weights in ([9.0, 1.0], [1.0, 9.0])
    )
    # the same words on both sides: no word tells them apart, the weighted mean is what remains, 0.9 and 0.1
    np.testing.assert_allclose([first, second], [0.9, 0.1])


def test_the_same_texts_give_the_same_scores() -> None:
    first, second = (TextRegression(TEXTS, SCORES).predict(["kind words and loud"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
