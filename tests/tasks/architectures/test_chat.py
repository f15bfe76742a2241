"""Prompts and responses as token ids."""

from __future__ import annotations

from typing import Any

import pytest

from configs.schema import Pretraining
from tasks.architectures.chat import Encoded, _fit, _shared_length, encode, encode_prompts
from tasks.architectures.tiny import train_tokenizer

DIALOGUES = [
    ("May women drive ?", "Yes, of course they may, like all."),
    ("Who is the better boss ?", "Nobody is by birth."),
    ("Why ?", ""),
]


@pytest.fixture(scope="module", params=["word", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return train_tokenizer(DIALOGUES, Pretraining(tokenizer=request.param, vocabulary=400))


def whole(tokenizer: Any, prompt: str, response: str) -> list[int]:
    """The dialogue as the chat template renders it, by hand."""
    text = f"<begin><user> {prompt}<assistant> {response}<end>"
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_prompt_and_response_are_the_whole_dialogue(tokenizer: Any) -> None:
    for encoded, (prompt, response) in zip(encode(tokenizer, DIALOGUES, 512), DIALOGUES, strict=True):
        assert encoded.prompt + encoded.response == whole(tokenizer, prompt, response)
        assert not encoded.cut


def test_the_response_begins_after_the_prompt_and_ends_with_the_end(tokenizer: Any) -> None:
    encoded = encode(tokenizer, DIALOGUES[:1], 512)[0]
    assert [encoded.prompt] == encode_prompts(tokenizer, ["May women drive ?"])
    assert tokenizer.decode(encoded.response).strip() == "Yes, of course they may, like all.<end>"
    assert encoded.response[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("length", [2, 5, 8, 12, 15])
def test_a_long_prompt_keeps_its_end_within_half_and_a_response_its_start(tokenizer: Any, length: int) -> None:
    full = encode(tokenizer, DIALOGUES[:1], 512)[0]
    cut = encode(tokenizer, DIALOGUES[:1], length)[0]
    assert cut.cut
    assert len(cut.prompt) == min(length // 2, len(full.prompt))
    assert cut.prompt == full.prompt[-len(cut.prompt) :]
    assert len(cut.prompt) + len(cut.response) == length
    assert cut.response == full.response[: len(cut.response)]


def test_no_dialogues_have_no_ids(tokenizer: Any) -> None:
    assert encode(tokenizer, [], 512) == []
    assert encode_prompts(tokenizer, []) == []


@pytest.mark.parametrize(
    ("prompt", "dialogue", "length", "expected"),
    [
        ([1, 2, 3], [1, 2, 3, 4, 5], 10, Encoded([1, 2, 3], [4, 5])),
        ([1, 2, 3, 9], [1, 2, 3, 4, 5], 10, Encoded([1, 2, 3], [4, 5])),  # the prompt alone is rendered differently
        ([1, 2, 3], [1, 2, 3, 4, 5], 5, Encoded([2, 3], [4, 5], cut=True)),  # half of 5 is 2
        ([1, 2, 3], [1, 2, 3, 4, 5], 4, Encoded([2, 3], [4, 5], cut=True)),
        ([1], [1, 2, 3, 4, 5], 4, Encoded([1], [2, 3, 4], cut=True)),  # a short prompt leaves its room to the response
        ([1, 2, 3], [1, 2, 3, 4, 5], 1, Encoded([], [4], cut=True)),
    ],
)
def test_cutting_by_hand(prompt: list[int], dialogue: list[int], length: int, expected: Encoded) -> None:
    assert _fit(dialogue, _shared_length(prompt, dialogue), length) == expected


class Words:
    """A tokenizer that keeps line breaks with what follows them, as some do, and renders as some templates do."""

    def apply_chat_template(self, dialogues: list[Any], add_generation_prompt: bool, **_: Any) -> list[str]:
        turns = ["".join(f"{turn['role']} {turn['content']} " for turn in dialogue) for dialogue in dialogues]
        return [text + "assistant " if add_generation_prompt else text for text in turns]

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [[sum(map(ord, word)) for word in text.split(" ") if word] for text in texts]}


def test_responses_to_one_prompt_share_its_ids_whatever_they_begin_with() -> None:
    first, second = encode(Words(), [("Why ?", "\n\nhello you"), ("Why ?", "well")], 20)
    assert first.prompt == second.prompt
    assert len(first.response) == 2  # outer blanks are no part of a response
    assert len(second.response) == 1
