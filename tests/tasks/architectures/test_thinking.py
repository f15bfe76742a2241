"""The answer without the thinking before it."""

from __future__ import annotations

from typing import Any

import pytest

from configs.schema import Pretraining
from tasks.architectures.thinking import AnswerReader, strip_thinking
from tasks.architectures.tiny import train_tokenizer


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("<think>hm</think>\n\nYes. ", "Yes.", True),
        ("hm</think>Yes.", "Yes.", True),  # the template opened the thinking already
        ("<think>a</think>b<think>c</think>Yes.", "Yes.", True),
        ("<think>hm</think>", "", True),
        (" <think>and on and on", "", True),  # never ended: no answer
        ("<think>a</think>b<think>and on", "", True),
        ("Well, <think>and on", "", True),
        (" Yes. ", "Yes.", False),
        ("I think so", "I think so", False),
        ("<thinking>hm</thinking>Yes.", "Yes.", True),
        ("<|think|>hm<|/think|>Yes.", "Yes.", True),
        ("<seed:think>hm</seed:think>Yes.", "Yes.", True),
        ("<|START_THINKING|>hm<|END_THINKING|>Yes.", "Yes.", True),
        ("<|begin_of_thought|>hm<|end_of_thought|>Yes.", "Yes.", True),
        ("[THINK]hm[/THINK]Yes.", "Yes.", True),
        ("[think] is a word in brackets", "[think] is a word in brackets", False),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.", "Yes.", True),
        ("<|channel|>analysis<|message|>and on", "", True),
    ],
)
def test_what_stands_before_the_end_of_thinking_is_no_answer(text: str, answer: str, thought: bool) -> None:
    assert strip_thinking(text, finished=True) == (answer, thought)


def test_who_is_cut_off_before_the_end_of_thinking_has_not_answered() -> None:
    # Some templates end the prompt with <think>, so thoughts that never end carry no mark at all.
    assert strip_thinking("Okay, the user asks", finished=False) == ("", True)
    assert strip_thinking("hm</think>Yes, I", finished=False) == ("Yes, I", True)


def test_thinking_that_the_template_opened_and_nobody_ended_is_no_answer() -> None:
    assert strip_thinking("Okay, the user asks", finished=True, opened=True) == ("", True)
    assert strip_thinking("Okay</think>Yes", finished=True, opened=True) == ("Yes", True)


# ---- from token ids


def reader(special: bool, opening: str = "", reasoning: bool = True) -> AnswerReader:
    """Of a tokenizer with `<think>` and `</think>`, special or plain text, and `opening` at the end of prompts."""
    texts = [("Why ?", "<think> hm</think> Yes of course .")]
    tokenizer: Any = train_tokenizer(texts, Pretraining(tokenizer="word", vocabulary=100))
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>", "<|reply|>"]})
    ending = "<assistant>{% endif %}"
    tokenizer.chat_template = tokenizer.chat_template.replace(ending, ending.replace("{", opening + "{"))
    return AnswerReader(tokenizer, reasoning)


def read(own: AnswerReader, text: str, finished: bool = True) -> tuple[str, bool]:
    return own.read(own.tokenizer(text, add_special_tokens=False)["input_ids"], finished)


@pytest.mark.parametrize("special", [True, False])
def test_marks_of_thinking_count_whether_or_not_they_are_special_tokens(special: bool) -> None:
    own = reader(special)
    assert read(own, " <think> hm</think> Yes of course .<end>") == ("Yes of course .", True)
    assert read(own, " <think> hm") == ("", True)
    assert read(own, " Yes of course .<end>") == ("Yes of course .", False)


def test_other_special_tokens_are_no_part_of_an_answer() -> None:
    assert read(reader(special=True), "<think> hm</think><|reply|> Yes .<end><pad>") == ("Yes .", True)


@pytest.mark.parametrize(("opening", "answer"), [
    ("<think>", ("", True)), ("<think></think>", ("Yes .", False)), ("", ("Yes .", False)),
])  # fmt: skip
def test_a_prompt_that_ends_within_thinking_is_noticed(opening: str, answer: tuple[str, bool]) -> None:
    assert read(reader(True, opening), " Yes .<end>") == answer


def test_what_a_template_says_about_thinking_before_the_prompt_opens_none() -> None:
    own = reader(special=True)
    own.tokenizer.chat_template = "Write your thoughts after <think> ." + own.tokenizer.chat_template
    assert read(own, " Yes .<end>") == ("Yes .", False)


def test_who_does_not_reason_keeps_every_word() -> None:
    own = reader(special=False, reasoning=False)
    assert read(own, " <think> hm</think> Yes .", finished=False) == ("<think> hm</think> Yes .", False)
