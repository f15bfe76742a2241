"""The answer without the thinking before it."""

from __future__ import annotations

import pytest

from tasks.architectures.chat import strip_thinking


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("<think>hm</think>\n\nYes. ", "Yes.", True),
        ("hm</think>Yes.", "Yes.", True),  # the template opened the thinking already
        ("<think>a</think>b<think>c</think>Yes.", "Yes.", True),
        ("<think>hm</think>", "", True),
        (" <think>and on and on", "", True),  # never ended: no answer
        (" Yes. ", "Yes.", False),
        ("I think so", "I think so", False),
    ],
)
def test_what_stands_before_the_end_of_thinking_is_no_answer(text: str, answer: str, thought: bool) -> None:
    assert strip_thinking(text, reasoning=True, finished=True) == (answer, thought)


def test_who_does_not_reason_keeps_every_word() -> None:
    text = " <think>hm</think> Yes. "
    assert strip_thinking(text, reasoning=False, finished=True) == ("<think>hm</think> Yes.", False)


def test_who_is_cut_off_before_the_end_of_thinking_has_not_answered() -> None:
    # Some templates end the prompt with <think>, so thoughts that never end carry no mark at all.
    assert strip_thinking("Okay, the user asks", reasoning=True, finished=False) == ("", True)
    assert strip_thinking("hm</think>Yes, I", reasoning=True, finished=False) == ("Yes, I", True)
